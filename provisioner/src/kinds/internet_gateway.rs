//! The VPC's door to the internet.

use aws_sdk_ec2::types::ResourceType;
use serde::Serialize;

use super::Vpc;
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Ref, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct InternetGateway {
    pub vpc: Ref<Vpc>,
}

impl Resource for InternetGateway {
    const KIND: &'static str = "internet-gateway";
    const EC2_TAGGED: bool = true;
    const UNIQUE: bool = false;
    const USABLE_AT_ONCE: bool = true;
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20 * 60);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut pages =
            aws.ec2.describe_internet_gateways().filters(aws.ours()).into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(it) = pages.try_next().await? {
            let spec = InternetGateway { vpc: Ref::id(it.attachments().first().and_then(|it| it.vpc_id())) };
            found.push(Found::new(it.internet_gateway_id(), Aws::from_ec2(it.tags()), spec));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let tags = Aws::ec2_tags(cx.tags, ResourceType::InternetGateway);
        let made = cx.aws.ec2.create_internet_gateway().tag_specifications(tags).send().await?;
        let id = made.internet_gateway.and_then(|it| it.internet_gateway_id).unwrap_or_default();
        attach(&id, &cx.id(self.vpc), cx.aws).await?;
        Ok(id)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        detach(have, cx.aws).await?;
        attach(&have.id, &cx.id(self.vpc), cx.aws).await
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        // A delete that was retried finds it detached already.
        match detach(have, aws).await {
            Err(err) if err.code != "Gateway.NotAttached" => return Err(err),
            _ => (),
        }
        aws.ec2.delete_internet_gateway().internet_gateway_id(&have.id).send().await?;
        Ok(())
    }

    async fn holders(have: &Found<Self>, aws: &Aws) -> aws::Result<Option<String>> {
        match have.spec.vpc {
            Ref::Id(vpc) if !vpc.is_empty() => aws.interfaces_in("vpc-id", vpc).await,
            _ => Ok(None),
        }
    }
}

async fn attach(id: &str, vpc: &str, aws: &Aws) -> aws::Result<()> {
    aws::follow_up(|| aws.ec2.attach_internet_gateway().internet_gateway_id(id).vpc_id(vpc).send()).await?;
    Ok(())
}

async fn detach(have: &Found<InternetGateway>, aws: &Aws) -> aws::Result<()> {
    match have.spec.vpc {
        Ref::Id(vpc) if !vpc.is_empty() => {
            aws.ec2.detach_internet_gateway().internet_gateway_id(&have.id).vpc_id(vpc).send().await?;
        }
        _ => (),
    }
    Ok(())
}
