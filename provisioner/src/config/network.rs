//! Addresses: the VPC, its subnets and the ways in and out.

use std::fmt;
use std::str::FromStr;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::defaults::overlap;
use super::findings::Findings;

/// AWS allows no longer prefix for a subnet in which a balancer stands (and wants 8 free addresses there).
pub(super) const SMALLEST_PUBLIC: u8 = 27;

/// The VPC and its subnets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The VPC's addresses: /16 to /28.
    pub vpc_cidr: Cidr,
    /// One public subnet per zone, in the order of zones. When left out: the VPC's subnets 1, 2, … of
    /// 256 addresses (less in a small VPC).
    pub public_cidrs: Vec<Cidr>,
    /// One private subnet per zone, for the private hosts and the scaling group. When left out: the
    /// next ones after the public.
    pub private_cidrs: Vec<Cidr>,
    /// One private subnet per zone, for the database. When left out: the next ones after the private.
    pub database_cidrs: Vec<Cidr>,
    /// The private subnets' way out: "per-zone" (a NAT gateway in every zone, as in the lab: a zone
    /// that fails takes no other with it), "single" (one for all zones: cheaper) or "none".
    pub nat: Nat,
    /// A gateway endpoint for S3: free, and traffic to buckets does not pass (and pay) the NAT gateways.
    pub s3_endpoint: bool,
}

impl Default for Network {
    fn default() -> Network {
        let nets = |octets: [u8; 2]| octets.map(|it| Cidr::new([10, 1, it, 0], 24)).to_vec();
        Network {
            vpc_cidr: Cidr::new([10, 1, 0, 0], 16),
            public_cidrs: nets([1, 2]),
            private_cidrs: nets([3, 4]),
            database_cidrs: nets([5, 6]),
            nat: Nat::PerZone,
            s3_endpoint: true,
        }
    }
}

/// How the private subnets reach the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    PerZone,
    Single,
    None,
}

/// A block of IPv4 addresses such as 10.1.0.0/16. May have bits set behind its prefix until it is checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cidr(pub Ipv4Net);

impl Cidr {
    /// Every IPv4 address.
    pub const ANYWHERE: Cidr = Cidr::new([0, 0, 0, 0], 0);

    const fn new(octets: [u8; 4], prefix: u8) -> Cidr {
        let [a, b, c, d] = octets;
        Cidr(Ipv4Net::new_assert(std::net::Ipv4Addr::new(a, b, c, d), prefix))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cidr {
    type Err = ipnet::AddrParseError;
    fn from_str(text: &str) -> Result<Cidr, Self::Err> {
        text.parse().map(Cidr)
    }
}

impl JsonSchema for Cidr {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cidr".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "ipv4-cidr",
            "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$"
        })
    }
}

/// Blocks that no VPC may use: this host, loopback, link-local, multicast and reserved.
const FORBIDDEN: [([u8; 4], u8); 5] = [
    ([0, 0, 0, 0], 8),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

pub(super) fn check(config: &Config, found: &mut Findings) {
    region_and_zones(config, found);
    if vpc(config, found) {
        subnets(config, found);
        room(config, found);
    }
    if config.network.nat == Nat::None && (config.parts.private_hosts || config.parts.scaling_group) {
        let rule = "hosts in the private subnets could install nothing and reach no parameter";
        let remedy =
            "write \"per-zone\" or \"single\", or switch off parts.private_hosts and parts.scaling_group";
        found.add("network.nat", "none", rule, remedy);
    }
}

fn region_and_zones(config: &Config, found: &mut Findings) {
    let (region, zones) = (&config.region, &config.zones);
    if !is_region(region) {
        let remedy = "write a region's code, such as \"ap-northeast-2\"";
        found.add("region", region, "is not the code of an AWS region", remedy);
        return;
    }
    if !is_in_reach(region) {
        found.add("region", region, OUT_OF_REACH, "write a region of the others, such as \"ap-northeast-2\"");
        return;
    }
    let free = |letter: char| Some(format!("{region}{letter}")).filter(|it| !zones.contains(it));
    let example = "acbd".chars().find_map(free).unwrap_or_default();
    if zones.len() < 2 {
        let rule = "high availability and RDS need at least two zones";
        found.add("zones", zones, rule, format!("add one such as {example:?}"));
    }
    let zones_key = super::key::Key::from("zones");
    for (at, zone) in zones.iter().enumerate() {
        let key = zones_key.index(at);
        let letter = zone.strip_prefix(region.as_str());
        if !letter.is_some_and(|it| it.len() == 1 && it.chars().all(|c| c.is_ascii_lowercase())) {
            let rule = format!("is not a zone of the region {region:?}");
            let remedy =
                format!("write the region's code and a letter, such as {example:?}, or change region");
            found.add(&key, zone, rule, remedy).related("region", "this region");
        }
        if zones[..at].contains(zone) {
            found.add(&key, zone, "is listed twice", format!("write another zone, such as {example:?}"));
        }
    }
}

/// What is said of a region that is not [in reach](is_in_reach).
pub(super) const OUT_OF_REACH: &str =
    "lies in a partition of its own (as China and GovCloud do), whose ARNs lamp does not write";

/// Whether a region is in the partition that all ARNs of ours name, `aws`: the others' regions begin with `cn` or have a
/// word more, as `us-gov-west-1` and `eusc-de-east-1`.
pub(super) fn is_in_reach(region: &str) -> bool {
    !region.starts_with("cn-") && region.split('-').count() == 3
}

/// `ap-northeast-2`, `us-gov-west-1`
pub(super) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [area, middle @ .., number] = parts.as_slice() else { return false };
    let is_word = |it: &str| it.len() > 1 && it.chars().all(|c| c.is_ascii_lowercase());
    is_word(area)
        && !middle.is_empty()
        && middle.iter().all(|it| is_word(it))
        && (1..=2).contains(&number.len())
        && number.chars().all(|c| c.is_ascii_digit())
}

/// Whether the VPC is one, so that its subnets can be judged.
fn vpc(config: &Config, found: &mut Findings) -> bool {
    let vpc = config.network.vpc_cidr.0;
    if !(16..=28).contains(&vpc.prefix_len()) {
        let rule = "AWS wants a VPC between /16 and /28";
        let at_16 = Ipv4Net::new_assert(vpc.addr(), 16).trunc();
        found.add("network.vpc_cidr", vpc, rule, format!("write \"{at_16}\", for example"));
        return false;
    }
    let forbidden = FORBIDDEN.map(|(octets, prefix)| Ipv4Net::new_assert(octets.into(), prefix));
    if let Some(block) = forbidden.iter().find(|it| overlap(it, &vpc)) {
        let rule = format!("lies in {block}, which is not for networks");
        let remedy = "take a private block: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 have room";
        found.add("network.vpc_cidr", vpc, rule, remedy);
    }
    found.is_usable("network.vpc_cidr")
}

fn subnets(config: &Config, found: &mut Findings) {
    let network = &config.network;
    let vpc = network.vpc_cidr.0;
    let tiers = [
        ("network.public_cidrs", &network.public_cidrs, SMALLEST_PUBLIC),
        ("network.private_cidrs", &network.private_cidrs, 28),
        ("network.database_cidrs", &network.database_cidrs, 28),
    ];
    let mut all = Vec::new();
    let mut is_short = false;
    for (name, cidrs, longest) in tiers {
        let list = super::key::Key::from(name);
        if found.is_given(&list) && cidrs.len() != config.zones.len() {
            let rule = format!("needs one block for each of the {} zones", config.zones.len());
            let remedy = "list as many as zones, in their order, or leave the key out to have them derived";
            found.add(&list, cidrs, rule, remedy).related("zones", "these zones");
        }
        is_short |= !found.is_given(&list) && cidrs.len() < config.zones.len();
        for (at, cidr) in cidrs.iter().enumerate() {
            let key = list.index(at);
            let cidr = cidr.0;
            if !found.is_usable(&key) {
                continue;
            }
            if !(16..=longest).contains(&cidr.prefix_len()) {
                let rule = match longest {
                    SMALLEST_PUBLIC => "AWS wants a balancer's subnet between /16 and /27",
                    _ => "AWS wants a subnet between /16 and /28",
                };
                let block = Ipv4Net::new_assert(cidr.addr(), 24.max(vpc.prefix_len()).min(longest)).trunc();
                found.add(&key, cidr, rule, format!("write \"{block}\", for example")).because(&list);
            }
            if !vpc.contains(&cidr) {
                let rule = format!("lies outside the VPC, {vpc}");
                let remedy = format!("take a block inside {vpc}, or leave the key out to have it derived");
                found.add(&key, cidr, rule, remedy).because(&list).related("network.vpc_cidr", "the VPC");
            }
            all.push((key, cidr));
        }
    }
    if is_short {
        let rule = format!("is too small for {} subnets of /27 or larger", 3 * config.zones.len());
        let remedy = "take a larger block, such as \"10.1.0.0/16\", or give the subnets' blocks yourself";
        found.add("network.vpc_cidr", vpc, rule, remedy).because("zones");
    }
    for (at, (key, cidr)) in all.iter().enumerate() {
        if let Some((other, twin)) = all[..at].iter().find(|it| overlap(&it.1, cidr)) {
            let rule = format!("overlaps {twin} ({other})");
            let remedy = "give each subnet a block of its own, or leave the keys out to have them derived";
            found.add(key, cidr, rule, remedy).related(other, "the other block");
        }
    }
}

/// Whether the subnets have addresses for what will stand in them. AWS keeps five of each.
fn room(config: &Config, found: &mut Findings) {
    let (parts, hosts) = (&config.parts, &config.hosts);
    let if_on = |on: bool, count: u32| if on { count } else { 0 };
    let nat = if_on(config.network.nat != Nat::None, 1);
    // A balancer wants eight free addresses in each of its subnets.
    let public = if_on(parts.public_hosts, hosts.public_per_zone) + nat + if_on(parts.has_hosts(), 8);
    let zones = u32::try_from(config.zones.len()).unwrap_or(u32::MAX).max(1);
    let scaled = if_on(parts.scaling_group, config.scaling.max.div_ceil(zones));
    let private = if_on(parts.private_hosts, hosts.private_per_zone) + scaled + if_on(parts.files, 1);
    let lists = [
        ("network.public_cidrs", &config.network.public_cidrs, public, "hosts.public_per_zone"),
        ("network.private_cidrs", &config.network.private_cidrs, private, "scaling.max"),
    ];
    for (name, cidrs, needed, cause) in lists {
        let list = super::key::Key::from(name);
        for (at, cidr) in cidrs.iter().enumerate() {
            let free = (1_u64 << (32 - cidr.0.prefix_len())).saturating_sub(5);
            if free < u64::from(needed) {
                let rule = format!("has {free} usable addresses, but {needed} are needed in it");
                let remedy = "take a larger block, or fewer hosts per zone and a smaller scaling.max";
                found.add(list.index(at), cidr, rule, remedy).because(cause);
                break;
            }
        }
    }
}
