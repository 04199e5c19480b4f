//! A public address that stays ours: of a NAT gateway, or of a public host.

use std::sync::Arc;

use aws_sdk_ec2::{
    operation::describe_addresses::DescribeAddressesOutput,
    types::{DomainType, ResourceType},
};
use serde::Serialize;

use super::InternetGateway;
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Output, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct ElasticIp {}

impl ElasticIp {
    /// The address itself.
    pub const ADDRESS: Output<ElasticIp> = Output::new("address");
}

impl Resource for ElasticIp {
    const KIND: &'static str = "elastic-ip";
    const EC2_TAGGED: bool = true;
    const UNIQUE: bool = false;
    const USABLE_AT_ONCE: bool = true;
    // AWS lets no gateway be detached while the VPC has public addresses.
    const AFTER: &'static [&'static str] = &[InternetGateway::KIND];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let seen = aws.addresses().await?;
        let found = seen.addresses().iter().map(|it| {
            let found = Found::new(it.allocation_id(), Aws::from_ec2(it.tags()), ElasticIp {});
            found.out(Self::ADDRESS, it.public_ip().unwrap_or_default())
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let tags = Aws::ec2_tags(cx.tags, ResourceType::ElasticIp);
        let made =
            cx.aws.ec2.allocate_address().domain(DomainType::Vpc).tag_specifications(tags).send().await?;
        Ok(made.allocation_id.unwrap_or_default())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.ec2.release_address().allocation_id(&have.id).send().await?;
        Ok(())
    }
}

impl Aws {
    /// The stack's addresses, read by two kinds.
    pub(super) async fn addresses(&self) -> aws::Result<Arc<DescribeAddressesOutput>> {
        self.once("addresses", || async {
            Ok(self.ec2.describe_addresses().filters(self.ours()).send().await?)
        })
        .await
    }
}
