//! Where subnets send what is not for the VPC itself.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    Filter, ResourceType, Route, RouteOrigin, RouteTable as Sdk, RouteTableAssociation,
};
use serde::Serialize;

use super::{InternetGateway, NatGateway, Subnet, Vpc};
use crate::{
    aws::{self, Aws, Tags},
    engine::{AtCreation, Cx, Found, Ref, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct RouteTable {
    pub vpc: Ref<Vpc>,
    pub default: Via,
    pub subnets: Vec<Ref<Subnet>>,
    /// Routes that somebody added by hand: destination and target. None are wanted.
    pub others: BTreeMap<String, String>,
    /// What a listing found: subnet and association. Nothing to ask for.
    pub associations: AtCreation<Vec<(String, String)>>,
}

impl RouteTable {
    pub fn new(vpc: Ref<Vpc>, default: Via, subnets: Vec<Ref<Subnet>>) -> RouteTable {
        RouteTable { vpc, default, subnets, others: BTreeMap::new(), associations: AtCreation::unknown() }
    }
}

/// The target of `0.0.0.0/0`.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    Internet(Ref<InternetGateway>),
    Nat(Ref<NatGateway>),
    Nowhere,
    /// Something that we never ask for, or a target that is gone.
    Other(&'static str),
}

const EVERYWHERE: &str = "0.0.0.0/0";

impl Resource for RouteTable {
    const KIND: &'static str = "route-table";
    const EC2_TAGGED: bool = true;
    const UNIQUE: bool = false;
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["vpc"];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut pages = aws.ec2.describe_route_tables().filters(aws.ours()).into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(it) = pages.try_next().await? {
            let spec = RouteTable {
                vpc: Ref::id(it.vpc_id()),
                default: default_of(&it),
                subnets: associations(&it).map(|it| Ref::id(it.subnet_id())).collect(),
                others: others_of(&it),
                associations: associations(&it).filter_map(ids).collect::<Vec<_>>().into(),
            };
            found.push(Found::new(it.route_table_id(), Aws::from_ec2(it.tags()), spec));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.ec2.create_route_table().vpc_id(cx.id(self.vpc));
        let made = create.tag_specifications(Aws::ec2_tags(cx.tags, ResourceType::RouteTable)).send().await?;
        let id = made.route_table.and_then(|it| it.route_table_id).unwrap_or_default();
        let bare = RouteTable::new(self.vpc, Via::Nowhere, Vec::new());
        self.configure(&Found::new(Some(&id), Tags::new(), bare), cx).await?;
        Ok(id)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let ec2 = &cx.aws.ec2;
        let wanted = cx.ids(&self.subnets);
        let there = cx.ids(&have.spec.subnets);
        disassociate(&have.spec, &wanted, cx.aws).await?;
        for subnet in wanted.iter().filter(|it| !there.contains(it)) {
            associate(&have.id, subnet, cx.aws).await?;
        }
        for destination in have.spec.others.keys() {
            let delete = ec2.delete_route().route_table_id(&have.id);
            let delete = match destination {
                list if list.starts_with("pl-") => delete.destination_prefix_list_id(list),
                v6 if v6.contains(':') => delete.destination_ipv6_cidr_block(v6),
                v4 => delete.destination_cidr_block(v4),
            };
            delete.send().await?;
        }
        let (want, is) = (self.default.target(cx), have.spec.default.target(cx));
        match (want, is) {
            (want, is) if want == is => (),
            (Target::Nowhere, _) => {
                ec2.delete_route().route_table_id(&have.id).destination_cidr_block(EVERYWHERE).send().await?;
            }
            (want, Target::Nowhere) => {
                let (gateway, nat) = want.ids();
                let create = || {
                    let create = ec2.create_route().route_table_id(&have.id);
                    let create = create.destination_cidr_block(EVERYWHERE);
                    create.set_gateway_id(gateway.clone()).set_nat_gateway_id(nat.clone()).send()
                };
                aws::follow_up(create).await?;
            }
            (want, _) => {
                let replace = ec2.replace_route().route_table_id(&have.id).destination_cidr_block(EVERYWHERE);
                let (gateway, nat) = want.ids();
                replace.set_gateway_id(gateway).set_nat_gateway_id(nat).send().await?;
            }
        }
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        disassociate(&have.spec, &[], aws).await?;
        aws.ec2.delete_route_table().route_table_id(&have.id).send().await?;
        Ok(())
    }
}

#[derive(PartialEq)]
enum Target {
    Gateway(String),
    Nat(String),
    Nowhere,
    Other,
}

impl Target {
    fn ids(self) -> (Option<String>, Option<String>) {
        match self {
            Target::Gateway(id) => (Some(id), None),
            Target::Nat(id) => (None, Some(id)),
            Target::Nowhere | Target::Other => (None, None),
        }
    }
}

impl Via {
    fn target(self, cx: &Cx<'_>) -> Target {
        match self {
            Via::Internet(it) => Target::Gateway(cx.id(it)),
            Via::Nat(it) => Target::Nat(cx.id(it)),
            Via::Nowhere => Target::Nowhere,
            Via::Other(_) => Target::Other,
        }
    }
}

/// The explicit associations; the main one belongs to the VPC.
fn associations(table: &Sdk) -> impl Iterator<Item = &RouteTableAssociation> {
    table.associations().iter().filter(|it| it.subnet_id().is_some())
}

fn default_of(table: &Sdk) -> Via {
    let route = table.routes().iter().find(|it| it.destination_cidr_block() == Some(EVERYWHERE));
    match route.map(|it| (it.gateway_id().filter(|it| !it.is_empty()), it.nat_gateway_id(), it.state())) {
        None => Via::Nowhere,
        Some((_, _, Some(aws_sdk_ec2::types::RouteState::Blackhole))) => Via::Other("blackhole"),
        Some((igw @ Some(_), _, _)) => Via::Internet(Ref::id(igw)),
        Some((_, nat @ Some(_), _)) => Via::Nat(Ref::id(nat)),
        Some(_) => Via::Other("something else"),
    }
}

/// All routes but the local ones, the default and those of gateway endpoints, which AWS writes itself.
fn others_of(table: &Sdk) -> BTreeMap<String, String> {
    // Neither can be deleted as a route: a VPN's gateway spreads its own for as long as it is attached.
    let is_local = |it: &Route| {
        it.gateway_id() == Some("local") || it.origin() == Some(&RouteOrigin::EnableVgwRoutePropagation)
    };
    let is_endpoints = |it: &Route| {
        it.destination_prefix_list_id().is_some() && it.gateway_id().is_some_and(|it| it.starts_with("vpce-"))
    };
    let target = |it: &Route| {
        let ids = [
            it.gateway_id(),
            it.nat_gateway_id(),
            it.egress_only_internet_gateway_id(),
            it.network_interface_id(),
            it.transit_gateway_id(),
            it.vpc_peering_connection_id(),
        ];
        ids.into_iter().flatten().find(|it| !it.is_empty()).unwrap_or("something else").to_owned()
    };
    let routes = table.routes().iter().filter(|it| !is_local(it) && !is_endpoints(it));
    routes.filter_map(|it| Some((destination(it)?.to_owned(), target(it)))).collect()
}

/// Where a route leads, unless that is everywhere.
fn destination(route: &Route) -> Option<&str> {
    let all = [
        route.destination_cidr_block(),
        route.destination_ipv6_cidr_block(),
        route.destination_prefix_list_id(),
    ];
    all.into_iter().flatten().find(|it| !it.is_empty()).filter(|it| *it != EVERYWHERE)
}

/// A subnet has one table: where somebody gave it another, that one has to let go.
async fn associate(table: &str, subnet: &str, aws: &Aws) -> aws::Result<()> {
    let ec2 = &aws.ec2;
    let call = || ec2.associate_route_table().route_table_id(table).subnet_id(subnet).send();
    let err = match aws::follow_up(call).await {
        Err(err) if err.code == "Resource.AlreadyAssociated" => err,
        other => return other.map(drop),
    };
    let of_subnet = Filter::builder().name("association.subnet-id").values(subnet).build();
    let seen = ec2.describe_route_tables().filters(of_subnet).send().await?;
    let there = seen.route_tables().iter().flat_map(associations);
    let there = there.filter(|it| it.subnet_id() == Some(subnet));
    match there.filter_map(|it| it.route_table_association_id()).next() {
        Some(there) => {
            let replace = ec2.replace_route_table_association().association_id(there);
            replace.route_table_id(table).send().await?;
            Ok(())
        }
        None => Err(err),
    }
}

fn ids(it: &RouteTableAssociation) -> Option<(String, String)> {
    Some((it.subnet_id()?.to_owned(), it.route_table_association_id()?.to_owned()))
}

async fn disassociate(have: &RouteTable, wanted: &[String], aws: &Aws) -> aws::Result<()> {
    for (subnet, association) in have.associations.0.iter().flatten() {
        if wanted.contains(subnet) {
            continue;
        }
        match aws
            .ec2
            .disassociate_route_table()
            .association_id(association)
            .send()
            .await
            .map_err(aws::Error::from)
        {
            Err(err) if !err.is_missing() => return Err(err),
            _ => (),
        }
    }
    Ok(())
}
