//! The network that everything lies in.

use aws_sdk_ec2::types::{AttributeBooleanValue, ResourceType, VpcAttributeName};
use serde::Serialize;

use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Phase, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct Vpc {
    pub cidr: String,
    /// Hosts need names of their own for the file system's and the database's names to resolve.
    pub dns_hostnames: bool,
}

impl Resource for Vpc {
    const KIND: &'static str = "vpc";
    const EC2_TAGGED: bool = true;
    const UNIQUE: bool = false;
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["cidr"];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        for it in aws.vpcs().await?.vpcs() {
            let ask = aws.ec2.describe_vpc_attribute().set_vpc_id(it.vpc_id().map(Into::into));
            let dns = ask.attribute(VpcAttributeName::EnableDnsHostnames).send().await;
            let dns = match dns.map_err(aws::Error::from) {
                // Deleted a moment ago, or not known everywhere yet.
                Err(err) if err.is_missing() => continue,
                other => other?,
            };
            let dns_hostnames =
                dns.enable_dns_hostnames().and_then(AttributeBooleanValue::value) == Some(true);
            let spec = Vpc { cidr: it.cidr_block().unwrap_or_default().to_owned(), dns_hostnames };
            let phase = match it.state().map(|it| it.as_str()) {
                Some("available") => Phase::Ready,
                other => Phase::Pending(other.unwrap_or("pending").to_owned()),
            };
            found.push(Found::new(it.vpc_id(), Aws::from_ec2(it.tags()), spec).phase(phase));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let tags = Aws::ec2_tags(cx.tags, ResourceType::Vpc);
        let made = cx.aws.ec2.create_vpc().cidr_block(&self.cidr).tag_specifications(tags).send().await?;
        let id = made.vpc.and_then(|it| it.vpc_id).unwrap_or_default();
        set_dns_hostnames(&id, self.dns_hostnames, cx.aws).await?;
        Ok(id)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        set_dns_hostnames(&have.id, self.dns_hostnames, cx.aws).await
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.ec2.delete_vpc().vpc_id(&have.id).send().await?;
        Ok(())
    }

    async fn holders(have: &Found<Self>, aws: &Aws) -> aws::Result<Option<String>> {
        aws.contents_of(&have.id).await
    }
}

async fn set_dns_hostnames(id: &str, on: bool, aws: &Aws) -> aws::Result<()> {
    let value = AttributeBooleanValue::builder().value(on).build();
    let modify = || aws.ec2.modify_vpc_attribute().vpc_id(id).enable_dns_hostnames(value.clone()).send();
    aws::follow_up(modify).await?;
    Ok(())
}
