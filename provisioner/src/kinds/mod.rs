//! One file per kind of AWS resource. `all` is the list that reading and removing go by; to add a
//! kind, add a file and its lines here.

mod balancing;
mod default_group;
mod desired_capacity;
mod elastic_ip;
mod image;
mod image_source;
mod instance;
mod internet_gateway;
mod key_pair;
mod launch_template;
mod listener;
mod listener_rule;
mod load_balancer;
mod metadata;
mod nat_gateway;
mod route_table;
mod scaling_group;
mod scaling_policy;
mod security_group;
mod subnet;
mod target;
mod target_group;
mod vpc;
mod vpc_endpoint;

pub use default_group::DefaultGroup;
pub use elastic_ip::ElasticIp;
pub use image::Image;
pub use image_source::{ImageSource, RootVolume};
pub use instance::Instance;
pub use internet_gateway::InternetGateway;
pub use key_pair::KeyPair;
pub use launch_template::LaunchTemplate;
pub use listener::Listener;
pub use listener_rule::ListenerRule;
pub use load_balancer::{Attributes, LoadBalancer};
pub use metadata::Metadata;
pub use nat_gateway::NatGateway;
pub use route_table::{RouteTable, Via};
pub use scaling_group::ScalingGroup;
pub use scaling_policy::ScalingPolicy;
pub use security_group::{Rule, SecurityGroup, Source};
pub use subnet::Subnet;
pub use target::{Target, TargetState, target_health};
pub use target_group::{Check, TRAFFIC_PORT, TargetGroup};
pub use vpc::Vpc;
pub use vpc_endpoint::VpcEndpoint;

use crate::engine::{Kind, Ref};

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
        Kind::of::<TargetGroup>(),
        Kind::of::<LoadBalancer>(),
        Kind::of::<Listener>(),
        Kind::of::<ListenerRule>(),
        Kind::of::<Instance>(),
        Kind::of::<Target>(),
        Kind::of::<Image>(),
        Kind::of::<LaunchTemplate>(),
        Kind::of::<ScalingGroup>(),
        Kind::of::<ScalingPolicy>(),
    ]
}

/// The id in a reference that a listing answered.
fn listed<R>(it: Ref<R>) -> &'static str {
    match it {
        Ref::Id(id) => id,
        Ref::Node(..) => "",
    }
}
