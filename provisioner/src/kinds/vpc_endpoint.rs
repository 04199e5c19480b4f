//! The way to S3 that does not pass the NAT gateways, and costs nothing.

use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, VpcEndpointType};
use serde::Serialize;

use super::{
    RouteTable, Vpc,
    policy::{self, Statement},
};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Phase, Ref, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct VpcEndpoint {
    pub vpc: Ref<Vpc>,
    /// `com.amazonaws.ap-northeast-2.s3`
    pub service: String,
    pub route_tables: Vec<Ref<RouteTable>>,
    /// Who may pass, and where to.
    pub policy: Vec<Statement>,
}

impl VpcEndpoint {
    /// For this account to these buckets, and for Amazon Linux's packages: what is on a host by mistake can carry nothing
    /// to anybody else's bucket this way.
    pub fn to_s3(
        vpc: Ref<Vpc>,
        route_tables: Vec<Ref<RouteTable>>,
        region: &str,
        account: &str,
        buckets: &[String],
    ) -> VpcEndpoint {
        // Packages are fetched without a signature, so by nobody in particular.
        let packages = format!("arn:aws:s3:::al2023-repos-{region}-de612dc2/*");
        let packages = Statement::allow("AmazonLinux", &["s3:GetObject"]).to("*").on(packages);
        let mut policy = vec![packages];
        if !buckets.is_empty() {
            let own = Statement::allow("OwnBuckets", &["s3:*"]).to("*");
            let own = own.when("StringEquals", "aws:PrincipalAccount", account);
            let arn = |it: &String| format!("arn:aws:s3:::{it}");
            policy.push(buckets.iter().fold(own, |own, it| own.on(arn(it)).on(arn(it) + "/*")));
        }
        VpcEndpoint { vpc, service: format!("com.amazonaws.{region}.s3"), route_tables, policy }
    }
}

impl Resource for VpcEndpoint {
    const KIND: &'static str = "vpc-endpoint";
    const EC2_TAGGED: bool = true;
    const FIXED: &'static [&'static str] = &["vpc", "service"];
    const USUALLY: Duration = Duration::from_secs(5);
    const LINGERS: bool = true;

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut pages = aws.ec2.describe_vpc_endpoints().filters(aws.ours()).into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(it) = pages.try_next().await? {
            // AWS writes states now with a capital, now without.
            let state = it.state().map(|it| it.as_str().to_lowercase()).unwrap_or_default();
            let phase = match state.as_str() {
                "deleted" => continue,
                "available" | "" => Phase::Ready,
                "failed" | "rejected" | "expired" => Phase::Failed(state),
                _ => Phase::Pending(state),
            };
            let spec = VpcEndpoint {
                vpc: Ref::id(it.vpc_id()),
                service: it.service_name().unwrap_or_default().to_owned(),
                route_tables: it.route_table_ids().iter().map(|it| Ref::id(Some(it))).collect(),
                policy: policy::parse(it.policy_document().unwrap_or_default()),
            };
            found.push(Found::new(it.vpc_endpoint_id(), Aws::from_ec2(it.tags()), spec).phase(phase));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.ec2.create_vpc_endpoint().vpc_endpoint_type(VpcEndpointType::Gateway);
        let create = create.vpc_id(cx.id(self.vpc)).service_name(&self.service);
        let create = create.set_route_table_ids(Some(cx.ids(&self.route_tables)));
        let create = create.policy_document(policy::render(&self.policy, |it| cx.text(it)));
        let made =
            create.tag_specifications(Aws::ec2_tags(cx.tags, ResourceType::VpcEndpoint)).send().await?;
        Ok(made.vpc_endpoint.and_then(|it| it.vpc_endpoint_id).unwrap_or_default())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let (want, is) = (cx.ids(&self.route_tables), cx.ids(&have.spec.route_tables));
        let only = |these: &[String], those: &[String]| -> Option<Vec<String>> {
            let rest: Vec<String> = these.iter().filter(|it| !those.contains(it)).cloned().collect();
            (!rest.is_empty()).then_some(rest)
        };
        let modify = cx.aws.ec2.modify_vpc_endpoint().vpc_endpoint_id(&have.id);
        let modify = modify.set_add_route_table_ids(only(&want, &is));
        let modify = modify.policy_document(policy::render(&self.policy, |it| cx.text(it)));
        modify.set_remove_route_table_ids(only(&is, &want)).send().await?;
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let done = aws.ec2.delete_vpc_endpoints().vpc_endpoint_ids(&have.id).send().await?;
        // This call succeeds even where it did nothing.
        match done.unsuccessful().first().and_then(|it| it.error()) {
            Some(it) if !it.code().is_some_and(|it| it.ends_with(".NotFound")) => {
                let why = it.message().or(it.code()).unwrap_or("no reason given");
                Err(aws::Error::not_yet(format!("AWS did not delete {}: {why}", have.id)))
            }
            _ => Ok(()),
        }
    }
}
