//! The way out for private subnets.

use std::time::Duration;

use aws_sdk_ec2::types::{NatGatewayState as State, ResourceType};
use serde::Serialize;

use super::{ElasticIp, InternetGateway, Subnet};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Phase, Ref, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct NatGateway {
    pub subnet: Ref<Subnet>,
    pub address: Ref<ElasticIp>,
}

impl Resource for NatGateway {
    const KIND: &'static str = "nat-gateway";
    const EC2_TAGGED: bool = true;
    const FIXED: &'static [&'static str] = &["subnet", "address"];
    // It fails in a VPC that has no way out, and keeps the gateway's door open while it exists.
    const AFTER: &'static [&'static str] = &[InternetGateway::KIND];
    const USUALLY: Duration = Duration::from_secs(90);
    const PATIENCE: Duration = Duration::from_secs(600);
    const LINGERS: bool = true;

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut pages = aws.ec2.describe_nat_gateways().filter(aws.ours()).into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(it) = pages.try_next().await? {
            let tags = Aws::from_ec2(it.tags());
            // Not every endpoint that speaks AWS knows this filter for NAT gateways.
            if !aws.is_ours(&tags) {
                continue;
            }
            let phase = match it.state() {
                // Both stay listed for an hour, and hold nothing.
                Some(State::Deleted) => continue,
                Some(State::Available) => Phase::Ready,
                Some(State::Failed) => {
                    Phase::Failed(it.failure_message().unwrap_or("no reason given").to_owned())
                }
                other => Phase::Pending(other.map_or("pending", State::as_str).to_owned()),
            };
            let address = it.nat_gateway_addresses().first().and_then(|it| it.allocation_id());
            let spec = NatGateway { subnet: Ref::id(it.subnet_id()), address: Ref::id(address) };
            found.push(Found::new(it.nat_gateway_id(), tags, spec).phase(phase));
        }
        // One that is dying or dead must not stand for the node while its successor is alive.
        let is_alive =
            |it: &Found<Self>| it.phase == Phase::Ready || it.phase == Phase::Pending("pending".to_owned());
        let alive: Vec<String> = found.iter().filter(|it| is_alive(it)).map(|it| it.node.clone()).collect();
        found.retain(|it| is_alive(it) || !alive.contains(&it.node));
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = |token| async move {
            let create = cx.aws.ec2.create_nat_gateway().subnet_id(cx.id(self.subnet)).client_token(token);
            let create = create.allocation_id(cx.id(self.address));
            let tags = Aws::ec2_tags(cx.tags, ResourceType::Natgateway);
            let made = create.tag_specifications(tags).send().await?.nat_gateway;
            // The token's first gateway, which is no more.
            let state = made.as_ref().and_then(|it| it.state());
            if matches!(state, Some(State::Deleting | State::Deleted | State::Failed)) {
                return Err(aws::Error::stale_token());
            }
            Ok(made.and_then(|it| it.nat_gateway_id).unwrap_or_default())
        };
        cx.aws.with_token(cx.node, create).await
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.ec2.delete_nat_gateway().nat_gateway_id(&have.id).send().await?;
        Ok(())
    }
}
