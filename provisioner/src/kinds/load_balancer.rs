//! The page's address: it spreads requests over the hosts of a target group.

use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::{
    IpAddressType, LoadBalancer as Sdk, LoadBalancerAttribute, LoadBalancerSchemeEnum, LoadBalancerStateEnum,
    LoadBalancerTypeEnum,
};
use futures::future::try_join_all;
use serde::Serialize;

use super::{
    InternetGateway, SecurityGroup, Subnet,
    balancing::{Listed, look, unless_gone},
};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Output, Phase, Ref, Resource},
};

/// An application load balancer that faces the internet. Its id is its ARN.
#[derive(Clone, Debug, Serialize)]
pub struct LoadBalancer {
    /// Unique in the account and region.
    pub name: String,
    pub subnets: Vec<Ref<Subnet>>,
    pub groups: Vec<Ref<SecurityGroup>>,
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// What AWS keeps in a list of keys and values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attributes {
    /// Malformed headers can smuggle requests past the balancer.
    pub drop_invalid_headers: bool,
    pub deletion_protection: bool,
    /// Seconds without traffic after which a connection is closed.
    pub idle_timeout: u32,
}

const DROP: &str = "routing.http.drop_invalid_header_fields.enabled";
const PROTECTION: &str = "deletion_protection.enabled";
const IDLE: &str = "idle_timeout.timeout_seconds";

/// AWS's own for a new balancer.
const USUAL: Attributes =
    Attributes { drop_invalid_headers: false, deletion_protection: false, idle_timeout: 60 };

impl LoadBalancer {
    /// The host part of its address.
    pub const DNS_NAME: Output<LoadBalancer> = Output::new("dns_name");
}

impl Resource for LoadBalancer {
    const KIND: &'static str = "load-balancer";
    const FIXED: &'static [&'static str] = &["name"];
    // A subnet that leads nowhere is refused.
    const AFTER: &'static [&'static str] = &[InternetGateway::KIND];
    const USUALLY: Duration = Duration::from_secs(150);
    const PATIENCE: Duration = Duration::from_secs(15 * 60);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let ours = look::<Sdk>(aws).await?;
        let found = ours.into_iter().map(|(it, tags)| async move {
            let arn = it.load_balancer_arn().unwrap_or_default();
            Ok::<_, aws::Error>(
                Attributes::of(arn, aws).await?.map(|attributes| found(&it, tags, attributes)),
            )
        });
        Ok(try_join_all(found).await?.into_iter().flatten().collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.elb.create_load_balancer().name(&self.name);
        let create = create
            .set_subnets(Some(cx.ids(&self.subnets)))
            .set_security_groups(Some(cx.ids(&self.groups)))
            .scheme(LoadBalancerSchemeEnum::InternetFacing)
            .r#type(LoadBalancerTypeEnum::Application)
            .ip_address_type(IpAddressType::Ipv4)
            .set_tags(Some(Aws::to_elb(cx.tags)));
        let made = cx.aws.sure::<Self, _, _>(create.send().await)?;
        let arn = made.load_balancers().first().and_then(|it| it.load_balancer_arn());
        let arn = arn.unwrap_or_default().to_owned();
        cx.aws.made(Self::KIND, &arn, cx.tags);
        self.attributes.set(&arn, &USUAL, cx.aws).await?;
        Ok(arn)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let sorted = |mut ids: Vec<String>| {
            ids.sort();
            ids
        };
        let subnets = sorted(cx.ids(&self.subnets));
        if subnets != sorted(cx.ids(&have.spec.subnets)) {
            let set = cx.aws.elb.set_subnets().load_balancer_arn(&have.id);
            set.set_subnets(Some(subnets)).send().await?;
        }
        let groups = sorted(cx.ids(&self.groups));
        if groups != sorted(cx.ids(&have.spec.groups)) {
            let set = cx.aws.elb.set_security_groups().load_balancer_arn(&have.id);
            set.set_security_groups(Some(groups)).send().await?;
        }
        self.attributes.set(&have.id, &have.spec.attributes, cx.aws).await
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_balancing(id, tags, Self::KIND).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        if let Some(why) = Self::protected(have) {
            return Err(aws::Error::refused(why));
        }
        aws.elb.delete_load_balancer().load_balancer_arn(&have.id).send().await?;
        Ok(())
    }

    fn protected(have: &Found<Self>) -> Option<String> {
        have.spec.attributes.deletion_protection.then(|| {
            format!(
                "{} is protected from deletion: with it still in the configuration, set balancers.deletion_protection = false \
                 and run `lamp up`, then this again",
                have.spec.name
            )
        })
    }
}

impl Listed for Sdk {
    const KIND: &'static str = LoadBalancer::KIND;

    fn arn(&self) -> Option<&str> {
        self.load_balancer_arn()
    }

    async fn by_arn(aws: &Aws, arns: Vec<String>) -> aws::Result<Vec<Sdk>> {
        let ask = aws.elb.describe_load_balancers().set_load_balancer_arns(Some(arns));
        Ok(ask.send().await?.load_balancers.unwrap_or_default())
    }

    async fn ours(aws: &Aws) -> aws::Result<Vec<(Sdk, Tags)>> {
        let seen = aws.balancing().await?;
        let ours = seen.balancers.iter().map(|it| (it, seen.ours(it.load_balancer_arn(), aws)));
        Ok(ours.filter_map(|(it, tags)| Some((it.clone(), tags?))).collect())
    }
}

impl Attributes {
    /// `None`: the balancer is gone.
    async fn of(arn: &str, aws: &Aws) -> aws::Result<Option<Attributes>> {
        let seen = aws.elb.describe_load_balancer_attributes().load_balancer_arn(arn).send().await;
        let seen = unless_gone(seen.map(|it| it.attributes.unwrap_or_default()).map_err(aws::Error::from))?;
        if seen.is_empty() {
            return Ok(None);
        }
        let value = |key: &str| seen.iter().find(|it| it.key() == Some(key)).and_then(|it| it.value());
        Ok(Some(Attributes {
            drop_invalid_headers: value(DROP) == Some("true"),
            deletion_protection: value(PROTECTION) == Some("true"),
            idle_timeout: value(IDLE).map_or(USUAL.idle_timeout, |it| it.parse().unwrap_or_default()),
        }))
    }

    /// Sets what differs, in one call.
    async fn set(&self, arn: &str, is: &Attributes, aws: &Aws) -> aws::Result<()> {
        let values = |it: &Attributes| {
            [
                (DROP, it.drop_invalid_headers.to_string()),
                (PROTECTION, it.deletion_protection.to_string()),
                (IDLE, it.idle_timeout.to_string()),
            ]
        };
        let is = values(is);
        let differing = values(self).into_iter().filter(|it| !is.contains(it));
        let differing: Vec<_> = differing
            .map(|(key, value)| LoadBalancerAttribute::builder().key(key).value(value).build())
            .collect();
        if !differing.is_empty() {
            let modify = aws.elb.modify_load_balancer_attributes().load_balancer_arn(arn);
            modify.set_attributes(Some(differing)).send().await?;
        }
        Ok(())
    }
}

fn found(it: &Sdk, tags: Tags, attributes: Attributes) -> Found<LoadBalancer> {
    let spec = LoadBalancer {
        name: it.load_balancer_name().unwrap_or_default().to_owned(),
        subnets: it.availability_zones().iter().map(|it| Ref::id(it.subnet_id())).collect(),
        groups: it.security_groups().iter().map(|it| Ref::id(Some(it))).collect(),
        attributes,
    };
    let state = it.state();
    let phase = match state.and_then(|it| it.code()) {
        // Impaired: it serves, and asks for more than its subnets have.
        Some(LoadBalancerStateEnum::Active | LoadBalancerStateEnum::ActiveImpaired) | None => Phase::Ready,
        Some(LoadBalancerStateEnum::Failed) => {
            let reason = state.and_then(|it| it.reason()).unwrap_or_default();
            Phase::Failed(format!("failed {reason}").trim().to_owned())
        }
        Some(other) => Phase::Pending(other.to_string()),
    };
    let found = Found::new(it.load_balancer_arn(), tags, spec).phase(phase);
    found.out(LoadBalancer::DNS_NAME, it.dns_name().unwrap_or_default())
}
