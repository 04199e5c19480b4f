//! A slice of the VPC in one zone.

use aws_sdk_ec2::types::{AttributeBooleanValue, ResourceType, SubnetState};
use serde::Serialize;

use super::Vpc;
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Phase, Ref, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct Subnet {
    pub vpc: Ref<Vpc>,
    pub zone: String,
    pub cidr: String,
    /// Whether what starts in it gets a public address by itself.
    pub public_addresses: bool,
}

impl Subnet {
    /// One whose hosts have public addresses only where they are given one.
    pub fn new(vpc: Ref<Vpc>, zone: &str, cidr: &str) -> Subnet {
        Subnet { vpc, zone: zone.to_owned(), cidr: cidr.to_owned(), public_addresses: false }
    }
}

impl Resource for Subnet {
    const KIND: &'static str = "subnet";
    const EC2_TAGGED: bool = true;
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["vpc", "zone", "cidr"];
    // The interfaces of a removed load balancer live on for minutes.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(35 * 60);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut pages = aws.ec2.describe_subnets().filters(aws.ours()).into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(it) = pages.try_next().await? {
            let spec = Subnet {
                vpc: Ref::id(it.vpc_id()),
                zone: it.availability_zone().unwrap_or_default().to_owned(),
                cidr: it.cidr_block().unwrap_or_default().to_owned(),
                public_addresses: it.map_public_ip_on_launch() == Some(true),
            };
            let phase = match it.state() {
                Some(SubnetState::Available) | None => Phase::Ready,
                Some(other) => Phase::Pending(other.to_string()),
            };
            found.push(Found::new(it.subnet_id(), Aws::from_ec2(it.tags()), spec).phase(phase));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.ec2.create_subnet().vpc_id(cx.id(self.vpc));
        let create = create.availability_zone(&self.zone).cidr_block(&self.cidr);
        let made = create.tag_specifications(Aws::ec2_tags(cx.tags, ResourceType::Subnet)).send().await?;
        Ok(made.subnet.and_then(|it| it.subnet_id).unwrap_or_default())
    }

    /// Only of one that differs: AWS makes subnets without automatic addresses.
    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let value = AttributeBooleanValue::builder().value(self.public_addresses).build();
        let modify = cx.aws.ec2.modify_subnet_attribute().subnet_id(&have.id);
        modify.map_public_ip_on_launch(value).send().await?;
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.ec2.delete_subnet().subnet_id(&have.id).send().await?;
        Ok(())
    }

    async fn holders(have: &Found<Self>, aws: &Aws) -> aws::Result<Option<String>> {
        aws.interfaces_in("subnet-id", &have.id).await
    }
}
