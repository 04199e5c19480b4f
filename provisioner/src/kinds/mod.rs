//! One file per kind of AWS resource. `all` is the list that reading and removing go by; to add a
//! kind, add a file and its lines here.

mod default_group;
mod elastic_ip;
mod internet_gateway;
mod key_pair;
mod nat_gateway;
mod route_table;
mod security_group;
mod subnet;
mod vpc;
mod vpc_endpoint;

pub use default_group::DefaultGroup;
pub use elastic_ip::ElasticIp;
pub use internet_gateway::InternetGateway;
pub use key_pair::KeyPair;
pub use nat_gateway::NatGateway;
pub use route_table::{RouteTable, Via};
pub use security_group::{Rule, SecurityGroup, Source};
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
    ]
}
