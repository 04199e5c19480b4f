//! Where a load balancer sends requests, and how it finds out which hosts are fit.

use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::{
    Matcher, ProtocolEnum, TargetGroup as Sdk, TargetGroupAttribute, TargetTypeEnum,
};
use serde::Serialize;

use super::{
    Vpc,
    balancing::{Listed, look, unless_gone},
};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Ref, Resource},
};

/// Its id is its ARN. Targets are machines, reached over HTTP/1.1.
#[derive(Clone, Debug, Serialize)]
pub struct TargetGroup {
    /// Unique in the account and region.
    pub name: String,
    pub vpc: Ref<Vpc>,
    pub port: u16,
    pub check: Check,
    /// Seconds that a host which leaves may finish its requests.
    pub deregistration_delay: u32,
}

/// A health check over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    pub path: String,
    /// A port, or `traffic-port`: that of the group.
    pub port: String,
    /// Answers that count as healthy, such as `200-299`.
    pub codes: String,
    pub interval: u32,
    pub timeout: u32,
    pub healthy: u32,
    pub unhealthy: u32,
}

/// The port that the requests go to.
pub const TRAFFIC_PORT: &str = "traffic-port";

/// The attribute, AWS's value for it, and the tag of groups that have another one. Attributes cost a
/// call for each group and look, so they are read only where they were ever set.
const DELAY: &str = "deregistration_delay.timeout_seconds";
const USUAL_DELAY: u32 = 300;
const DELAY_TAG: &str = "lamp:deregistration-delay";

impl Resource for TargetGroup {
    const KIND: &'static str = "target-group";
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["name", "vpc", "port"];
    const USUALLY: Duration = Duration::from_secs(2);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        for (it, tags) in look::<Sdk>(aws).await? {
            let delay = match tags.contains_key(DELAY_TAG) {
                true => delay(it.target_group_arn().unwrap_or_default(), aws).await?,
                false => Some(USUAL_DELAY),
            };
            // Gone while it was looked at.
            let Some(delay) = delay else { continue };
            found.push(Found::new(it.target_group_arn(), tags, spec(&it, delay)));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let mut tags = cx.tags.clone();
        if self.deregistration_delay != USUAL_DELAY {
            tags.insert(DELAY_TAG.to_owned(), self.deregistration_delay.to_string());
        }
        let create = cx.aws.elb.create_target_group().name(&self.name).vpc_id(cx.id(self.vpc));
        let create = create
            .port(self.port.into())
            .protocol(ProtocolEnum::Http)
            .protocol_version("HTTP1")
            .target_type(TargetTypeEnum::Instance)
            .health_check_enabled(true)
            .health_check_protocol(ProtocolEnum::Http)
            .health_check_port(&self.check.port)
            .health_check_path(&self.check.path)
            .matcher(Matcher::builder().http_code(&self.check.codes).build())
            .health_check_interval_seconds(number(self.check.interval))
            .health_check_timeout_seconds(number(self.check.timeout))
            .healthy_threshold_count(number(self.check.healthy))
            .unhealthy_threshold_count(number(self.check.unhealthy))
            .set_tags(Some(Aws::to_elb(&tags)));
        let made = cx.aws.sure::<Self, _, _>(create.send().await)?;
        let arn = made.target_groups().first().and_then(|it| it.target_group_arn());
        let arn = arn.unwrap_or_default().to_owned();
        cx.aws.made(Self::KIND, &arn, &tags);
        if self.deregistration_delay != USUAL_DELAY {
            set_delay(&arn, self.deregistration_delay, cx.aws).await?;
        }
        Ok(arn)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        if self.check != have.spec.check {
            let modify = cx.aws.elb.modify_target_group().target_group_arn(&have.id);
            modify
                .health_check_enabled(true)
                .health_check_protocol(ProtocolEnum::Http)
                .health_check_port(&self.check.port)
                .health_check_path(&self.check.path)
                .matcher(Matcher::builder().http_code(&self.check.codes).build())
                .health_check_interval_seconds(number(self.check.interval))
                .health_check_timeout_seconds(number(self.check.timeout))
                .healthy_threshold_count(number(self.check.healthy))
                .unhealthy_threshold_count(number(self.check.unhealthy))
                .send()
                .await?;
        }
        if self.deregistration_delay != have.spec.deregistration_delay {
            // First the tag: without it, nobody would look at what was set.
            let tag = Tags::from([(DELAY_TAG.to_owned(), self.deregistration_delay.to_string())]);
            cx.aws.tag_balancing(&have.id, &tag, Self::KIND).await?;
            set_delay(&have.id, self.deregistration_delay, cx.aws).await?;
        }
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_balancing(id, tags, Self::KIND).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.elb.delete_target_group().target_group_arn(&have.id).send().await?;
        Ok(())
    }

    async fn holders(have: &Found<Self>, aws: &Aws) -> aws::Result<Option<String>> {
        aws.balancers_of(&have.id).await
    }
}

impl Listed for Sdk {
    const KIND: &'static str = TargetGroup::KIND;

    fn arn(&self) -> Option<&str> {
        self.target_group_arn()
    }

    async fn by_arn(aws: &Aws, arns: Vec<String>) -> aws::Result<Vec<Sdk>> {
        let ask = aws.elb.describe_target_groups().set_target_group_arns(Some(arns));
        Ok(ask.send().await?.target_groups.unwrap_or_default())
    }

    async fn ours(aws: &Aws) -> aws::Result<Vec<(Sdk, Tags)>> {
        let seen = aws.balancing().await?;
        let ours = seen.groups.iter().map(|it| (it, seen.ours(it.target_group_arn(), aws)));
        Ok(ours.filter_map(|(it, tags)| Some((it.clone(), tags?))).collect())
    }
}

fn spec(it: &Sdk, deregistration_delay: u32) -> TargetGroup {
    let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
    let count = |it: Option<i32>| it.and_then(|it| u32::try_from(it).ok()).unwrap_or_default();
    TargetGroup {
        name: text(it.target_group_name()),
        vpc: Ref::id(it.vpc_id()),
        port: it.port().and_then(|it| u16::try_from(it).ok()).unwrap_or_default(),
        check: Check {
            path: text(it.health_check_path()),
            port: text(it.health_check_port()),
            codes: text(it.matcher().and_then(|it| it.http_code())),
            interval: count(it.health_check_interval_seconds()),
            timeout: count(it.health_check_timeout_seconds()),
            healthy: count(it.healthy_threshold_count()),
            unhealthy: count(it.unhealthy_threshold_count()),
        },
        deregistration_delay,
    }
}

async fn delay(arn: &str, aws: &Aws) -> aws::Result<Option<u32>> {
    let seen = aws.elb.describe_target_group_attributes().target_group_arn(arn).send().await;
    let seen = unless_gone(seen.map(|it| it.attributes.unwrap_or_default()).map_err(aws::Error::from))?;
    let value = seen.iter().find(|it| it.key() == Some(DELAY)).and_then(|it| it.value());
    Ok(value.map(|it| it.parse().unwrap_or_default()))
}

async fn set_delay(arn: &str, seconds: u32, aws: &Aws) -> aws::Result<()> {
    let attribute = TargetGroupAttribute::builder().key(DELAY).value(seconds.to_string()).build();
    aws.elb.modify_target_group_attributes().target_group_arn(arn).attributes(attribute).send().await?;
    Ok(())
}

fn number(it: u32) -> i32 {
    i32::try_from(it).unwrap_or(i32::MAX)
}
