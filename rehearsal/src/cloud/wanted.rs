//! From the picture to the router's orders and to addresses: pure, but for the book of addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::book::Book;
use super::picture::{Picture, SubnetPlan};
use crate::vpc::{Group, Network, Peer, Port, Protocol, Rule, Subnet};
use crate::{balancer, database};

/// Databases copy from each other on a network of their own at AWS, whatever their security groups say.
const REPLICATION: &str = "internal:replication";

/// Where everything is that the control plane gives no address.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Addresses {
    pub(super) nat_gateways: BTreeMap<String, Ipv4Addr>,
    /// Where the primary and a standby may be; a replica's own.
    pub(super) databases: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Private and public, one pair per node.
    pub(super) balancers: BTreeMap<String, Vec<(Ipv4Addr, Ipv4Addr)>>,
    /// What stands for each public address of the control plane.
    pub(super) public: BTreeMap<Ipv4Addr, Ipv4Addr>,
}

impl Addresses {
    pub(super) fn of(picture: &Picture, book: &mut Book) -> Addresses {
        let mut it = Addresses::default();
        // What the control plane has given to somebody already.
        let taken: BTreeSet<(&str, Ipv4Addr)> = {
            let machines = picture.machines.values().map(|it| (&it.subnet, it.address));
            let targets = picture.mount_targets.values().map(|it| (&it.subnet, it.address));
            let all = machines.chain(targets);
            all.filter_map(|it| Some((picture.subnets.get(it.0)?.vpc.as_str(), it.1))).collect()
        };
        let private = |book: &mut Book, what: &str, subnet: &str| {
            let SubnetPlan { vpc, cidr, .. } = picture.subnets.get(subnet)?;
            book.private(what, vpc, *cidr, |it| taken.contains(&(vpc.as_str(), it)))
        };
        book.forget(|what| {
            let mut parts = what.split('/');
            let name = (parts.next(), parts.next().unwrap_or_default());
            match name {
                (Some("nat"), id) => picture.nat_gateways.contains_key(id),
                (Some("db"), id) => picture.databases.contains_key(id),
                (Some("lb"), id) => picture.balancers.contains_key(id),
                (Some("eip"), id) => picture.addresses.contains_key(id),
                _ => false,
            }
        });
        for (id, address) in &picture.addresses {
            it.public.extend(book.public(&format!("eip/{id}")).map(|ours| (*address, ours)));
        }
        for (id, (subnet, _)) in &picture.nat_gateways {
            let own = private(book, &format!("nat/{id}"), subnet);
            it.nat_gateways.extend(own.map(|own| (id.clone(), own)));
        }
        for (name, plan) in &picture.databases {
            // The second one's place is kept: a database may get a standby later, or lose it after a failover.
            let count = if plan.source.is_none() { 2 } else { 1 };
            let subnets = plan.subnets.iter().take(count).enumerate();
            let own = subnets.filter_map(|(n, subnet)| private(book, &format!("db/{name}/{n}"), subnet));
            it.databases.insert(name.clone(), own.collect());
        }
        for (name, plan) in &picture.balancers {
            let pair = |subnet: &String| {
                let what = format!("lb/{name}/{subnet}");
                Some((private(book, &what, subnet)?, book.public(&what)?))
            };
            it.balancers.insert(name.clone(), plan.subnets.iter().filter_map(pair).collect());
        }
        it
    }
}

/// What the router shall do.
pub(super) fn network(picture: &Picture, addresses: &Addresses) -> Network {
    let mut ports = Vec::new();
    let mut port = |place: &str, address, subnet: &str, groups: &[String], public, is_nat_gateway| {
        let (place, subnet, groups) = (place.to_owned(), subnet.to_owned(), groups.to_vec());
        ports.push(Port { place, address, subnet, groups, public, is_nat_gateway });
    };
    let ours = |it: Option<Ipv4Addr>| addresses.public.get(&it?).copied();
    for (id, it) in &picture.machines {
        port(id, it.address, &it.subnet, &it.groups, ours(it.public), false);
    }
    for (id, (subnet, public)) in &picture.nat_gateways {
        if let Some(address) = addresses.nat_gateways.get(id) {
            port(id, *address, subnet, &[], ours(*public), true);
        }
    }
    for (id, it) in &picture.mount_targets {
        port(id, it.address, &it.subnet, &it.groups, None, false);
    }
    for (name, it) in &picture.databases {
        let own = addresses.databases.get(name).into_iter().flatten();
        let all: Vec<String> = it.groups.iter().cloned().chain([REPLICATION.to_owned()]).collect();
        for (address, subnet) in own.zip(&it.subnets) {
            port(&format!("{}{name}", database::PLACE), *address, subnet, &all, None, false);
        }
    }
    for (name, it) in &picture.balancers {
        let own = addresses.balancers.get(name).into_iter().flatten();
        for ((address, public), subnet) in own.zip(&it.subnets) {
            let place = format!("{}{name}", balancer::PLACE);
            port(&place, *address, subnet, &it.security_groups, Some(*public), false);
        }
    }
    let subnets = picture.subnets.iter().map(|(id, it)| Subnet {
        id: id.clone(),
        vpc: it.vpc.clone(),
        cidr: it.cidr,
        way_out: it.way_out.clone(),
    });
    let peers = |protocol| vec![Rule { protocol, peer: Peer::Group(REPLICATION.to_owned()) }];
    let replication = Group {
        id: REPLICATION.to_owned(),
        ingress: peers(Protocol::Tcp(1, u16::MAX)),
        egress: peers(Protocol::Tcp(1, u16::MAX)),
    };
    let groups = picture.groups.iter().cloned().chain([replication]).collect();
    Network { vpcs: picture.vpcs.clone(), subnets: subnets.collect(), groups, ports }
}
