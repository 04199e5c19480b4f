//! One file per kind of AWS resource. `all` is the list that reading and removing go by; to add a
//! kind, add a file and its lines here.

mod address_association;
mod artefact;
mod attached_policies;
mod balancing;
mod bucket;
mod bucket_policy;
mod buckets;
mod db_instance;
mod db_parameter_group;
mod db_reading;
mod db_storage;
mod db_subnet_group;
mod default_group;
mod desired_capacity;
mod distribution;
mod distribution_config;
mod elastic_ip;
mod file_system;
mod image;
mod image_source;
mod instance;
mod internet_gateway;
mod key_pair;
mod launch_template;
mod listener;
mod listener_rule;
mod load_balancer;
mod log_group;
mod mark;
mod metadata;
mod mount_target;
mod nat_gateway;
mod origin_access_control;
mod parameter;
pub mod policy;
mod replica;
mod role;
mod route_table;
mod scaling_group;
mod scaling_policy;
mod security_group;
mod site_content;
mod subnet;
mod target;
mod target_group;
mod vpc;
mod vpc_endpoint;

pub use address_association::AddressAssociation;
pub use artefact::Artefact;
pub use bucket::{Bucket, Website};
pub use bucket_policy::BucketPolicy;
pub use db_instance::DbInstance;
pub use db_parameter_group::DbParameterGroup;
pub use db_storage::Storage;
pub use db_subnet_group::DbSubnetGroup;
pub use default_group::DefaultGroup;
pub use distribution::Distribution;
pub use distribution_config::website_of;
pub use elastic_ip::ElasticIp;
pub use file_system::FileSystem;
pub use image::Image;
pub use image_source::{ImageSource, RootVolume};
pub use instance::{Host, Instance, hosts};
pub use internet_gateway::InternetGateway;
pub use key_pair::KeyPair;
pub use launch_template::LaunchTemplate;
pub use listener::Listener;
pub use listener_rule::ListenerRule;
pub use load_balancer::{Attributes, LoadBalancer};
pub use log_group::LogGroup;
pub use metadata::Metadata;
pub use mount_target::MountTarget;
pub use nat_gateway::NatGateway;
pub use origin_access_control::OriginAccessControl;
pub use parameter::{ParamValue, Parameter, forget_host_reports, host_reports, secret};
pub use replica::Replica;
pub use role::Role;
pub use route_table::{RouteTable, Via};
pub use scaling_group::ScalingGroup;
pub use scaling_policy::ScalingPolicy;
pub use security_group::{Rule, SecurityGroup, Source};
pub use site_content::SiteContent;
pub use subnet::Subnet;
pub use target::{Target, TargetState, target_health};
pub use target_group::{Check, TRAFFIC_PORT, TargetGroup};
pub use vpc::Vpc;
pub use vpc_endpoint::VpcEndpoint;

use std::collections::BTreeMap;

use crate::{
    aws::{self, Aws},
    engine::{Kind, Observed, Ref, Resource, Stack},
};

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
        Kind::of::<Bucket>(),
        Kind::of::<BucketPolicy>(),
        Kind::of::<Artefact>(),
        Kind::of::<Role>(),
        Kind::of::<FileSystem>(),
        Kind::of::<MountTarget>(),
        Kind::of::<Parameter>(),
        Kind::of::<DbSubnetGroup>(),
        Kind::of::<DbParameterGroup>(),
        Kind::of::<LogGroup>(),
        Kind::of::<DbInstance>(),
        Kind::of::<Replica>(),
        Kind::of::<TargetGroup>(),
        Kind::of::<LoadBalancer>(),
        Kind::of::<Listener>(),
        Kind::of::<ListenerRule>(),
        Kind::of::<Instance>(),
        Kind::of::<AddressAssociation>(),
        Kind::of::<Target>(),
        Kind::of::<Image>(),
        Kind::of::<LaunchTemplate>(),
        Kind::of::<ScalingGroup>(),
        Kind::of::<ScalingPolicy>(),
        Kind::of::<SiteContent>(),
        Kind::of::<OriginAccessControl>(),
        Kind::of::<Distribution>(),
    ]
}

/// What takes a search to find, and is asked for by name where it was written down (see `aws/bearings.rs`).
const SEARCHED: [&str; 7] = [
    Listener::KIND,
    ListenerRule::KIND,
    Bucket::KIND,
    Distribution::KIND,
    DbParameterGroup::KIND,
    LaunchTemplate::KIND,
    Image::KIND,
];

/// Writes down where all that is, once everything is as wanted.
///
/// # Errors
/// What AWS answered.
pub async fn write_bearings(stack: &Stack, observed: &Observed, aws: &Aws) -> aws::Result<()> {
    let seen = |it: &str| observed.nodes.get(it);
    let of_kind = |kind: &'static str| stack.nodes.iter().filter(move |it| it.resource.kind().name == kind);
    let Some(vpc) = of_kind(Vpc::KIND).find_map(|it| seen(&it.name)) else { return Ok(()) };
    let nodes = SEARCHED.into_iter().flat_map(of_kind);
    let all: BTreeMap<String, String> =
        nodes.filter_map(|it| Some((it.name.clone(), seen(&it.name)?.id.clone()))).collect();
    aws.write_bearings(&vpc.id, &all).await
}

/// The id in a reference that a listing answered.
fn listed<R>(it: Ref<R>) -> &'static str {
    match it {
        Ref::Id(id) => id,
        Ref::Node(..) => "",
    }
}
