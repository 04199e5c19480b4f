//! On which port a load balancer listens, and where requests go by default.

use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::{Listener as Sdk, ProtocolEnum};
use serde::Serialize;

use super::{
    LoadBalancer, TargetGroup,
    balancing::{Listed, forward, forwards_to, look},
};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Ref, Resource},
};

/// Its id is its ARN.
#[derive(Clone, Debug, Serialize)]
pub struct Listener {
    pub balancer: Ref<LoadBalancer>,
    pub port: u16,
    /// `HTTP`
    pub protocol: String,
    /// Where everything goes that no rule claims.
    pub group: Ref<TargetGroup>,
}

impl Resource for Listener {
    const KIND: &'static str = "listener";
    const GOES_WITH: Option<&str> = Some("load-balancer");
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["balancer"];
    const USUALLY: Duration = Duration::from_secs(1);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let ours = look::<Sdk>(aws).await?;
        let found = ours.into_iter().map(|(it, tags)| {
            let spec = Listener {
                balancer: Ref::id(it.load_balancer_arn()),
                port: it.port().and_then(|it| u16::try_from(it).ok()).unwrap_or_default(),
                protocol: it.protocol().map(|it| it.as_str().to_owned()).unwrap_or_default(),
                group: Ref::id(Some(forwards_to(it.default_actions()))),
            };
            Found::new(it.listener_arn(), tags, spec)
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.elb.create_listener().load_balancer_arn(cx.id(self.balancer));
        let create = create
            .port(self.port.into())
            .protocol(ProtocolEnum::from(self.protocol.as_str()))
            .default_actions(forward(cx.id(self.group)))
            .set_tags(Some(Aws::to_elb(cx.tags)));
        let made = cx.aws.sure::<Self, _, _>(create.send().await)?;
        let arn = made.listeners().first().and_then(|it| it.listener_arn()).unwrap_or_default().to_owned();
        cx.aws.made(Self::KIND, &arn, cx.tags);
        Ok(arn)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let modify = cx.aws.elb.modify_listener().listener_arn(&have.id).port(self.port.into());
        let modify = modify.protocol(ProtocolEnum::from(self.protocol.as_str()));
        modify.default_actions(forward(cx.id(self.group))).send().await?;
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_balancing(id, tags, Self::KIND).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.elb.delete_listener().listener_arn(&have.id).send().await?;
        Ok(())
    }
}

impl Listed for Sdk {
    const KIND: &'static str = Listener::KIND;

    fn arn(&self) -> Option<&str> {
        self.listener_arn()
    }

    async fn by_arn(aws: &Aws, arns: Vec<String>) -> aws::Result<Vec<Sdk>> {
        let ask = aws.elb.describe_listeners().set_listener_arns(Some(arns));
        Ok(ask.send().await?.listeners.unwrap_or_default())
    }

    async fn ours(aws: &Aws) -> aws::Result<Vec<(Sdk, Tags)>> {
        let seen = aws.balancing().await?;
        let ours = seen.listeners.iter().map(|it| (it, seen.ours(it.listener_arn(), aws)));
        Ok(ours.filter_map(|(it, tags)| Some((it.clone(), tags?))).collect())
    }
}
