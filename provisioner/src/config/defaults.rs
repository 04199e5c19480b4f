//! What the file leaves out: the lab's values, or what follows from the values it gives.

use ipnet::Ipv4Net;

use super::network::Cidr;
use super::{Config, Names, ScalingImage};

/// The configuration that the given values would have if nothing else were said.
pub(super) fn around(given: &toml::Table) -> Config {
    let mut it = Config::default();
    if let Some(stack) = text(given, "stack") {
        it.stack = stack;
    }
    if let Some(region) = text(given, "region") {
        it.region = region;
    }
    it.zones = match given.get("zones").and_then(|it| it.clone().try_into().ok()) {
        Some(zones) => zones,
        None => ["a", "c"].map(|letter| format!("{}{letter}", it.region)).to_vec(),
    };
    it.names = Names::of(&it.stack, &it.region);
    // The lab's replica stands in its second zone.
    it.database.replica_zone = it.zones.get(1).or(it.zones.first()).cloned().unwrap_or_default();
    parts(&mut it, given);
    subnets(&mut it, given);
    it
}

/// The file's values over the defaults.
pub(super) fn overlay(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => overlay(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

fn parts(it: &mut Config, given: &toml::Table) {
    let part = |name: &str, otherwise: bool| {
        given.get("parts").and_then(|it| it.get(name)).and_then(toml::Value::as_bool).unwrap_or(otherwise)
    };
    let database = part("database", true);
    let private_hosts = part("private_hosts", true);
    let in_the_network = ["public_hosts", "private_hosts", "scaling_group", "files", "database"];
    it.parts.replica = database;
    // Without any part at all it is the network that is asked for.
    it.parts.network = !part("site", true) || in_the_network.iter().any(|name| part(name, true));
    it.scaling.image = if private_hosts { ScalingImage::PrivateHosts } else { ScalingImage::Plain };
}

/// Blocks for the subnets that the file does not give: the lab numbers them 1, 2, … and leaves 0 free.
fn subnets(it: &mut Config, given: &toml::Table) {
    let network = given.get("network");
    let get = |name: &str| network.and_then(|it| it.get(name)).and_then(|it| it.clone().try_into().ok());
    let cidrs = |name: &str| -> Option<Vec<Cidr>> {
        network.and_then(|it| it.get(name)).and_then(|it| it.clone().try_into().ok())
    };
    if let Some(vpc) = get("vpc_cidr") {
        it.network.vpc_cidr = vpc;
    }
    let names = ["public_cidrs", "private_cidrs", "database_cidrs"];
    let taken: Vec<Ipv4Net> = names.iter().filter_map(|it| cidrs(it)).flatten().map(|it| it.0).collect();
    let vpc = it.network.vpc_cidr.0;
    let mut free = blocks(vpc).filter(|block| !taken.iter().any(|it| overlap(it, block))).map(Cidr);
    let count = it.zones.len();
    let [public, private, database] =
        names.map(|name| cidrs(name).unwrap_or_else(|| free.by_ref().take(count).collect()));
    drop(free);
    (it.network.public_cidrs, it.network.private_cidrs, it.network.database_cidrs) =
        (public, private, database);
}

/// Equal blocks of a VPC, the first left out: /24 in the lab's /16, never smaller than a balancer needs.
fn blocks(vpc: Ipv4Net) -> impl Iterator<Item = Ipv4Net> {
    let prefix = (vpc.prefix_len().saturating_add(8)).min(super::network::SMALLEST_PUBLIC);
    vpc.subnets(prefix).into_iter().flatten().skip(1)
}

/// Whether two blocks have addresses in common.
pub(super) fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

fn text(given: &toml::Table, name: &str) -> Option<String> {
    given.get(name).and_then(|it| it.as_str()).map(str::to_owned)
}
