//! What is left in EC2: the tags say which kinds to look for, a listing of each says what still exists.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{Filter, InstanceStateName, NatGatewayState};
use futures::future::join_all;
use shared::tags::STACK;

use super::{INSIDE, Leftover, TAGGED, leftover};
use crate::aws::{self, Aws};

/// Everything that carries the stack's tag and, while `vpc` is there, what else is in it.
pub(super) async fn ec2(aws: &Aws, vpc: Option<&str>) -> aws::Result<Vec<Leftover>> {
    let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
    let tags = aws.ec2.describe_tags().filters(filter("key", STACK)).filters(filter("value", &aws.stack));
    let mut pages = tags.into_paginator().items().send();
    // AWS remembers the tags of some things for an hour after their end, and emulators for ever.
    let mut remembered: BTreeSet<(String, String)> = BTreeSet::new();
    while let Some(it) = pages.try_next().await? {
        let kind = it.resource_type().map_or("", |it| it.as_str()).to_owned();
        remembered.insert((kind, it.resource_id().unwrap_or_default().to_owned()));
    }
    let kinds: BTreeSet<&str> = remembered.iter().map(|it| it.0.as_str()).collect();
    let mut left = Vec::new();
    for (kind, alive) in
        join_all(kinds.iter().map(|kind| async move { (kind, alive(kind, aws).await) })).await
    {
        let ids = match alive? {
            Some(ids) => ids,
            None => remembered.iter().filter(|it| it.0 == **kind).map(|it| it.1.clone()).collect(),
        };
        left.extend(ids.into_iter().map(|id| leftover("ec2", format!("{kind} {id}"), TAGGED)));
    }
    // Nothing of that can outlive its network; while that is there, it says what holds it.
    if let Some(vpc) = vpc.filter(|vpc| left.iter().any(|it| it.id.ends_with(*vpc))) {
        let inside = inside(aws, vpc).await?.into_iter().filter(|id| left.iter().all(|it| it.id != *id));
        let inside: Vec<Leftover> = inside.map(|id| leftover("ec2", id, INSIDE)).collect();
        left.extend(inside);
    }
    Ok(left)
}

/// The ids of one kind that carry the tag and exist; `None` for a kind that is not known here.
async fn alive(kind: &str, aws: &Aws) -> aws::Result<Option<Vec<String>>> {
    let ec2 = &aws.ec2;
    /// Sends a listing filtered by our tag and takes the ids out of it.
    macro_rules! ids {
        ($call:ident, $items:ident, $id:ident) => {
            ids!($call, $items, $id, |_| true)
        };
        ($call:ident, $items:ident, $id:ident, $exists:expr) => {{
            let seen = ec2.$call().filters(aws.ours()).send().await?;
            seen.$items().iter().filter($exists).filter_map(|it| it.$id()).map(str::to_owned).collect()
        }};
    }
    Ok(Some(match kind {
        "vpc" => ids!(describe_vpcs, vpcs, vpc_id),
        "subnet" => ids!(describe_subnets, subnets, subnet_id),
        "internet-gateway" => ids!(describe_internet_gateways, internet_gateways, internet_gateway_id),
        "route-table" => ids!(describe_route_tables, route_tables, route_table_id),
        "security-group" => ids!(describe_security_groups, security_groups, group_id),
        "elastic-ip" | "vpc-elastic-ip" => ids!(describe_addresses, addresses, allocation_id),
        "network-interface" => {
            ids!(describe_network_interfaces, network_interfaces, network_interface_id)
        }
        "volume" => ids!(describe_volumes, volumes, volume_id),
        "snapshot" => ids!(describe_snapshots, snapshots, snapshot_id),
        "image" => ids!(describe_images, images, image_id),
        "key-pair" => ids!(describe_key_pairs, key_pairs, key_pair_id),
        "launch-template" => ids!(describe_launch_templates, launch_templates, launch_template_id),
        "vpc-endpoint" => ids!(describe_vpc_endpoints, vpc_endpoints, vpc_endpoint_id, |it| {
            it.state().is_none_or(|it| !it.as_str().eq_ignore_ascii_case("deleted"))
        }),
        "natgateway" | "nat-gateway" => {
            let seen = ec2.describe_nat_gateways().filter(aws.ours()).send().await?;
            let ours = seen.nat_gateways().iter().filter(|it| aws.is_ours(&Aws::from_ec2(it.tags())));
            let alive = ours.filter(|it| it.state() != Some(&NatGatewayState::Deleted));
            alive.filter_map(|it| it.nat_gateway_id()).map(str::to_owned).collect()
        }
        "instance" => {
            let mut pages = ec2.describe_instances().filters(aws.ours()).into_paginator().items().send();
            let mut ids = Vec::new();
            while let Some(page) = pages.try_next().await? {
                let ended = |it: &&aws_sdk_ec2::types::Instance| {
                    it.state().and_then(|it| it.name()) == Some(&InstanceStateName::Terminated)
                };
                let alive = page.instances().iter().filter(|it| !ended(it));
                ids.extend(alive.filter_map(|it| it.instance_id()).map(str::to_owned));
            }
            ids
        }
        _ => return Ok(None),
    }))
}

/// What is in the VPC and did not come with it, whoever made it.
async fn inside(aws: &Aws, vpc: &str) -> aws::Result<Vec<String>> {
    let of = |name: &str| Filter::builder().name(name).values(vpc).build();
    let mut all = Vec::new();
    /// Lists one kind there and names each but those that came with the VPC.
    macro_rules! list {
        ($kind:literal, $call:ident, $filter:ident($name:literal), $items:ident, $id:ident, $own:expr) => {{
            let seen = aws.ec2.$call().$filter(of($name)).send().await?;
            let own = seen.$items().iter().filter($own).filter_map(|it| it.$id());
            all.extend(own.map(|it| format!("{} {it}", $kind)));
        }};
    }
    list!(
        "network-interface",
        describe_network_interfaces,
        filters("vpc-id"),
        network_interfaces,
        network_interface_id,
        |_| true
    );
    list!("subnet", describe_subnets, filters("vpc-id"), subnets, subnet_id, |_| true);
    list!("security-group", describe_security_groups, filters("vpc-id"), security_groups, group_id, |it| {
        it.group_name() != Some("default")
    });
    list!("route-table", describe_route_tables, filters("vpc-id"), route_tables, route_table_id, |it| {
        it.associations().iter().all(|it| it.main() != Some(true))
    });
    list!(
        "internet-gateway",
        describe_internet_gateways,
        filters("attachment.vpc-id"),
        internet_gateways,
        internet_gateway_id,
        |_| true
    );
    list!("natgateway", describe_nat_gateways, filter("vpc-id"), nat_gateways, nat_gateway_id, |it| {
        it.state() != Some(&NatGatewayState::Deleted)
    });
    list!("vpc-endpoint", describe_vpc_endpoints, filters("vpc-id"), vpc_endpoints, vpc_endpoint_id, |it| {
        it.state().is_none_or(|it| !it.as_str().eq_ignore_ascii_case("deleted"))
    });
    Ok(all)
}
