//! What should run, as the control plane has it: read whole, pure data afterwards.

mod balancers;
mod machines;
mod network;
mod storage;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::Context;
use ipnet::Ipv4Net;

use super::clients::Clients;
use crate::vpc::{Group, Vpc, WayOut};
pub(super) use balancers::BalancerPlan;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Picture {
    pub(super) vpcs: Vec<Vpc>,
    pub(super) subnets: BTreeMap<String, SubnetPlan>,
    pub(super) groups: Vec<Group>,
    pub(super) machines: BTreeMap<String, MachinePlan>,
    /// Subnet and allocated address by gateway.
    pub(super) nat_gateways: BTreeMap<String, (String, Option<Ipv4Addr>)>,
    /// The `Name` tag by file system.
    pub(super) file_systems: BTreeMap<String, String>,
    pub(super) mount_targets: BTreeMap<String, MountTargetPlan>,
    pub(super) databases: BTreeMap<String, DatabasePlan>,
    pub(super) balancers: BTreeMap<String, BalancerPlan>,
    /// Every address that was allocated, in the order of their allocations.
    pub(super) addresses: BTreeMap<String, Ipv4Addr>,
    /// The instance of which an image was made.
    pub(super) images: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SubnetPlan {
    pub(super) cidr: Ipv4Net,
    pub(super) zone: String,
    pub(super) vpc: String,
    pub(super) way_out: WayOut,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct MachinePlan {
    pub(super) address: Ipv4Addr,
    pub(super) subnet: String,
    pub(super) groups: Vec<String>,
    pub(super) group_names: Vec<String>,
    pub(super) public: Option<Ipv4Addr>,
    pub(super) running: bool,
    pub(super) image: String,
    pub(super) class: String,
    pub(super) key: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) hop_limit: u8,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) account: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct MountTargetPlan {
    pub(super) file_system: String,
    pub(super) address: Ipv4Addr,
    pub(super) subnet: String,
    pub(super) groups: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct DatabasePlan {
    pub(super) endpoint: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) multi_az: bool,
    /// The primary's first.
    pub(super) subnets: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) parameters: BTreeMap<String, String>,
    /// What a replica copies.
    pub(super) source: Option<String>,
}

impl Picture {
    pub(super) async fn read(aws: &Clients) -> anyhow::Result<Picture> {
        let mut it = Picture::default();
        it.read_network(aws).await.context("reading the network")?;
        it.read_machines(aws).await.context("reading the instances")?;
        it.read_files(aws).await.context("reading the file systems")?;
        it.read_databases(aws).await.context("reading the databases")?;
        it.balancers = balancers::read(aws, &it.machines).await.context("reading the load balancers")?;
        Ok(it)
    }
}
