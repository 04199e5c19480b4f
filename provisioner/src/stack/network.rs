//! The VPC, its subnets and the ways in and out.

use std::collections::HashMap;

use super::surroundings::Surroundings;
use crate::{
    config::{Config, Tier},
    engine::{Ref, Stack},
    kinds::{
        DefaultGroup, ElasticIp, InternetGateway, NatGateway, RouteTable, Subnet, Via, Vpc, VpcEndpoint,
    },
};

/// What other parts stand on.
pub(super) struct Network {
    pub(super) vpc: Ref<Vpc>,
    /// Subnets by the lab's name.
    subnets: HashMap<String, Ref<Subnet>>,
    /// Subnets of each tier, in the order of the zones.
    pub(super) public: Vec<Ref<Subnet>>,
    pub(super) private: Vec<Ref<Subnet>>,
    pub(super) database: Vec<Ref<Subnet>>,
}

impl Network {
    /// The subnet that the lab calls so.
    pub(super) fn subnet(&self, name: &str) -> Ref<Subnet> {
        self.subnets[name]
    }
}

pub(super) fn network(s: &mut Stack, c: &Config, around: &Surroundings) -> Network {
    let vpc =
        s.add_named("vpc", &c.names.vpc, Vpc { cidr: c.network.vpc_cidr.to_string(), dns_hostnames: true });
    if !c.unsafe_choices.keep_default_group {
        s.add_named("default", &format!("{}-default", c.names.vpc), DefaultGroup::empty(vpc));
    }
    let gateway = s.add_named("igw", &c.names.internet_gateway, InternetGateway { vpc });

    let mut net = Network {
        vpc,
        subnets: HashMap::new(),
        public: Vec::new(),
        private: Vec::new(),
        database: Vec::new(),
    };
    for it in c.subnets() {
        let spec = Subnet::new(vpc, &it.zone, &it.cidr.to_string());
        let subnet = s.add_named(&it.node, &it.name, spec);
        match it.tier {
            Tier::Public => net.public.push(subnet),
            Tier::Private => net.private.push(subnet),
            Tier::Database => net.database.push(subnet),
        }
        net.subnets.insert(it.node, subnet);
    }

    let mut gateways = HashMap::new();
    for it in c.nat_gateways() {
        let address = s.add_named(&it.address_node, &it.address_name, ElasticIp {});
        let nat =
            s.add_named(&it.node, &it.name, NatGateway { subnet: net.subnet(&it.subnet_node), address });
        gateways.insert(it.node, nat);
    }

    let mut tables = Vec::new();
    for it in c.subnets() {
        let default = match it.tier {
            Tier::Public => Via::Internet(gateway),
            Tier::Private | Tier::Database => {
                c.nat_of(&it.zone).map_or(Via::Nowhere, |it| Via::Nat(gateways[&it]))
            }
        };
        let table = RouteTable::new(vpc, default, vec![net.subnet(&it.node)]);
        tables.push(s.add_named(&it.route_table_node, &it.route_table_name, table));
    }

    if c.network.s3_endpoint {
        let account = &around.account;
        let buckets = [
            c.parts.has_hosts().then(|| c.artefact_bucket(account)),
            c.parts.site.then(|| c.site_bucket(account)),
        ];
        let buckets: Vec<String> = buckets.into_iter().flatten().collect();
        let spec = VpcEndpoint::to_s3(vpc, tables, &c.region, account, &buckets);
        s.add_named("s3", &format!("{}-s3", c.names.vpc), spec);
    }
    net
}
