//! What follows from a configuration: subnets, hosts, entrances and their names.
//!
//! Each plan carries two names: `node`, the lab's own, which is the node's in every stack, and `name`,
//! which the AWS console shows and which tells two stacks apart.

use std::iter::zip;

use ipnet::Ipv4Net;

use super::{Config, LAB};

/// What a subnet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Public,
    Private,
    Database,
}

/// One subnet with its route table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetPlan {
    /// `public-subnet-a1`
    pub node: String,
    pub name: String,
    pub tier: Tier,
    /// `ap-northeast-2a`
    pub zone: String,
    pub cidr: Ipv4Net,
    /// `public-subnet-a1-rt`
    pub route_table_node: String,
    pub route_table_name: String,
}

/// What stands in a subnet and may have an Elastic IP: a NAT gateway or a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacePlan {
    /// `nat-gw-a1`, `public-ec2-a1`
    pub node: String,
    pub name: String,
    pub zone: String,
    /// Node of the subnet in which it stands.
    pub subnet_node: String,
    /// `eip-nat-gw-a1`; not of private hosts.
    pub address_node: String,
    pub address_name: String,
}

/// Which hosts stand behind a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behind {
    PublicHosts,
    PrivateHosts,
    ScalingGroup,
}

/// One load balancer with its security group and its two target groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrancePlan {
    pub behind: Behind,
    /// `alb-public`: the lab's name without the stack's.
    pub node: String,
    /// `lab-vpc-alb-public`
    pub balancer: String,
    /// `lab-vpc-alb-public-sg`
    pub group: String,
    /// `lab-vpc-alb-public-tg`: Apache on port 80, the listener's default.
    pub web_targets: String,
    /// `lab-vpc-alb-public-index-tg`: the agent's page on port 8080, for the path `/`.
    pub index_targets: String,
}

impl Tier {
    /// The lab's pattern: `private-subnet-a1` for hosts, `private-subnet-a2` for the database.
    fn subnet(self, letter: &str) -> String {
        match self {
            Tier::Public => format!("public-subnet-{letter}1"),
            Tier::Private => format!("private-subnet-{letter}1"),
            Tier::Database => format!("private-subnet-{letter}2"),
        }
    }
}

impl Config {
    /// The name that the console shows for a node which the lab calls `lab_name`.
    pub fn shown_name(&self, lab_name: &str) -> String {
        shown_name(&self.stack, lab_name)
    }

    /// The letter by which names tell zones apart: `a` of `ap-northeast-2a`.
    pub fn letter<'a>(&self, zone: &'a str) -> &'a str {
        zone.strip_prefix(self.region.as_str()).unwrap_or(zone)
    }

    /// All subnets: public, private, database, each in the order of the zones.
    pub fn subnets(&self) -> Vec<SubnetPlan> {
        [Tier::Public, Tier::Private, Tier::Database].into_iter().flat_map(|it| self.subnets_of(it)).collect()
    }

    /// The subnets of one tier, in the order of the zones.
    pub fn subnets_of(&self, tier: Tier) -> Vec<SubnetPlan> {
        let cidrs = match tier {
            Tier::Public => &self.network.public_cidrs,
            Tier::Private => &self.network.private_cidrs,
            Tier::Database => &self.network.database_cidrs,
        };
        let plan = |(zone, cidr): (&String, &super::Cidr)| {
            let node = tier.subnet(self.letter(zone));
            let route_table_node = format!("{node}-rt");
            SubnetPlan {
                name: self.shown_name(&node),
                route_table_name: self.shown_name(&route_table_node),
                node,
                route_table_node,
                tier,
                zone: zone.clone(),
                cidr: cidr.0,
            }
        };
        zip(&self.zones, cidrs).map(plan).collect()
    }

    /// The NAT gateways: one per zone, one in all, or none.
    pub fn nat_gateways(&self) -> Vec<PlacePlan> {
        let count = match self.network.nat {
            super::Nat::PerZone => self.zones.len(),
            super::Nat::Single => 1,
            super::Nat::None => 0,
        };
        let plan = |zone: &String| self.place(Tier::Public, "nat-gw", zone, 1);
        self.zones.iter().take(count).map(plan).collect()
    }

    /// Node of the NAT gateway through which the private subnets of `zone` go out.
    pub fn nat_of(&self, zone: &str) -> Option<String> {
        let all = self.nat_gateways();
        all.iter().find(|it| it.zone == zone).or(all.first()).map(|it| it.node.clone())
    }

    /// The public hosts: first one of each zone, then the second of each. Empty without the part.
    pub fn public_hosts(&self) -> Vec<PlacePlan> {
        let count = if self.parts.public_hosts { self.hosts.public_per_zone } else { 0 };
        self.hosts_of(Tier::Public, "public-ec2", count)
    }

    /// The private hosts: first one of each zone, then the second of each. Empty without the part.
    pub fn private_hosts(&self) -> Vec<PlacePlan> {
        let count = if self.parts.private_hosts { self.hosts.private_per_zone } else { 0 };
        self.hosts_of(Tier::Private, "private-ec2", count)
    }

    fn hosts_of(&self, tier: Tier, stem: &str, per_zone: u32) -> Vec<PlacePlan> {
        let plan = |number: u32, zone: &String| self.place(tier, stem, zone, number);
        (1..=per_zone).flat_map(|number| self.zones.iter().map(move |zone| plan(number, zone))).collect()
    }

    fn place(&self, tier: Tier, stem: &str, zone: &str, number: u32) -> PlacePlan {
        let letter = self.letter(zone);
        let node = format!("{stem}-{letter}{number}");
        let address_node = format!("eip-{node}");
        PlacePlan {
            name: self.shown_name(&node),
            address_name: self.shown_name(&address_node),
            node,
            address_node,
            zone: zone.to_owned(),
            subnet_node: tier.subnet(letter),
        }
    }

    /// The load balancers of the parts that are switched on.
    pub fn entrances(&self) -> Vec<EntrancePlan> {
        let all = [
            (self.parts.public_hosts, Behind::PublicHosts, "alb-public", &self.names.public_balancer),
            (self.parts.private_hosts, Behind::PrivateHosts, "alb-private", &self.names.private_balancer),
            (self.parts.scaling_group, Behind::ScalingGroup, "alb-asg", &self.names.scaling_balancer),
        ];
        let plan = |(_, behind, node, name): (bool, Behind, &str, &String)| EntrancePlan {
            behind,
            node: node.to_owned(),
            balancer: name.clone(),
            group: format!("{name}-sg"),
            web_targets: format!("{name}-tg"),
            index_targets: format!("{name}-index-tg"),
        };
        all.into_iter().filter(|it| it.0).map(plan).collect()
    }

    /// Security group of the file system: `lab-vpc-efs-sg`.
    pub fn files_group(&self) -> String {
        format!("{}-sg", self.names.files)
    }

    /// Security group of the database: `lab-vpc-rds-sg`.
    pub fn database_group(&self) -> String {
        format!("{}-sg", self.names.database)
    }

    /// The site's bucket: the given name, or one that no other account has, and no stack of this name in another region.
    pub fn site_bucket(&self, account: &str) -> String {
        match &self.site.bucket {
            Some(name) => name.clone(),
            None => format!("{}-site-{account}-{}-{}", self.stack, self.region, self.site.region),
        }
    }

    /// The bucket from which hosts fetch the agent.
    pub fn artefact_bucket(&self, account: &str) -> String {
        format!("{}-artefacts-{account}-{}", self.stack, self.region)
    }
}

/// The lab's name in the lab's stack; with the stack's name before it in any other.
pub(super) fn shown_name(stack: &str, lab_name: &str) -> String {
    if stack == LAB { lab_name.to_owned() } else { format!("{stack}-{lab_name}") }
}
