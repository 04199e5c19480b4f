//! One file per kind of AWS resource. `all` is the list that reading and removing go by; to add a
//! kind, add a file and its lines here.

mod artefact;
mod bucket;
mod bucket_policy;
mod buckets;
mod db_instance;
mod db_parameter_group;
mod db_subnet_group;
mod default_group;
mod distribution;
mod distribution_config;
mod elastic_ip;
mod file_system;
mod internet_gateway;
mod key_pair;
mod log_group;
mod mark;
mod mount_target;
mod nat_gateway;
mod origin_access_control;
mod parameter;
pub mod policy;
mod replica;
mod role;
mod route_table;
mod security_group;
mod site_content;
mod subnet;
mod vpc;
mod vpc_endpoint;

pub use artefact::Artefact;
pub use bucket::{Bucket, Website};
pub use bucket_policy::BucketPolicy;
pub use db_instance::{DbInstance, Storage};
pub use db_parameter_group::DbParameterGroup;
pub use db_subnet_group::DbSubnetGroup;
pub use default_group::DefaultGroup;
pub use distribution::Distribution;
pub use elastic_ip::ElasticIp;
pub use file_system::FileSystem;
pub use internet_gateway::InternetGateway;
pub use key_pair::KeyPair;
pub use log_group::LogGroup;
pub use mount_target::MountTarget;
pub use nat_gateway::NatGateway;
pub use origin_access_control::OriginAccessControl;
pub use parameter::{ParamValue, Parameter, forget_host_reports, host_reports};
pub use replica::Replica;
pub use role::Role;
pub use route_table::{RouteTable, Via};
pub use security_group::{Rule, SecurityGroup, Source};
pub use site_content::SiteContent;
pub use subnet::Subnet;
pub use vpc::Vpc;
pub use vpc_endpoint::VpcEndpoint;

use crate::engine::Kind;

/// Every kind, in the order in which a stack is built.
pub fn all() -> Vec<Kind> {
    vec![
        Kind::of::<Vpc>(),
        Kind::of::<DefaultGroup>(),
        Kind::of::<Subnet>(),
        Kind::of::<InternetGateway>(),
        Kind::of::<ElasticIp>(),
        Kind::of::<NatGateway>(),
        Kind::of::<RouteTable>(),
        Kind::of::<VpcEndpoint>(),
        Kind::of::<SecurityGroup>(),
        Kind::of::<KeyPair>(),
        Kind::of::<Role>(),
        Kind::of::<FileSystem>(),
        Kind::of::<MountTarget>(),
        Kind::of::<Parameter>(),
        Kind::of::<DbSubnetGroup>(),
        Kind::of::<DbParameterGroup>(),
        Kind::of::<LogGroup>(),
        Kind::of::<DbInstance>(),
        Kind::of::<Replica>(),
        Kind::of::<Bucket>(),
        Kind::of::<Artefact>(),
        Kind::of::<SiteContent>(),
        Kind::of::<OriginAccessControl>(),
        Kind::of::<Distribution>(),
        Kind::of::<BucketPolicy>(),
    ]
}
