//! The group that every VPC comes with: emptied, so that what forgets to name a group reaches nothing.

use aws_sdk_ec2::types::{Filter, IpPermission};
use serde::Serialize;

use super::{
    Vpc,
    security_group::{Rule, rules_of},
};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Ref, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct DefaultGroup {
    pub vpc: Ref<Vpc>,
    pub inbound: Vec<Rule>,
    pub outbound: Vec<Rule>,
}

impl DefaultGroup {
    /// No rules at all.
    pub fn empty(vpc: Ref<Vpc>) -> DefaultGroup {
        DefaultGroup { vpc, inbound: Vec::new(), outbound: Vec::new() }
    }
}

impl Resource for DefaultGroup {
    const KIND: &'static str = "default-group";
    const EC2_TAGGED: bool = true;
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["vpc"];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let seen = aws.security_groups().await?;
        let groups = seen.iter().filter(|it| it.group_name() == Some("default"));
        let found = groups.map(|it| {
            let spec = DefaultGroup {
                vpc: Ref::id(it.vpc_id()),
                inbound: it.ip_permissions().iter().flat_map(rules_of).collect(),
                outbound: it.ip_permissions_egress().iter().flat_map(rules_of).collect(),
            };
            Found::new(it.group_id(), Aws::from_ec2(it.tags()), spec)
        });
        Ok(found.collect())
    }

    /// Tags the group that AWS made, and empties it.
    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let filter = |name: &str, value: String| Filter::builder().name(name).values(value).build();
        let find = cx.aws.ec2.describe_security_groups().filters(filter("vpc-id", cx.id(self.vpc)));
        let seen = find.filters(filter("group-name", "default".into())).send().await?;
        let Some(group) = seen.security_groups().first() else {
            return Err(aws::Error::not_yet("the VPC's default group to show up"));
        };
        let id = group.group_id().unwrap_or_default();
        cx.aws.tag_ec2(id, cx.tags).await?;
        empty(id, group.ip_permissions(), group.ip_permissions_egress(), cx.aws).await?;
        Ok(id.to_owned())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let seen = cx.aws.ec2.describe_security_groups().group_ids(&have.id).send().await?;
        match seen.security_groups().first() {
            Some(it) => empty(&have.id, it.ip_permissions(), it.ip_permissions_egress(), cx.aws).await,
            None => Ok(()),
        }
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    /// It goes with its VPC.
    async fn delete(_have: &Found<Self>, _aws: &Aws) -> aws::Result<()> {
        Ok(())
    }
}

async fn empty(id: &str, inbound: &[IpPermission], outbound: &[IpPermission], aws: &Aws) -> aws::Result<()> {
    if !inbound.is_empty() {
        let revoke = aws.ec2.revoke_security_group_ingress().group_id(id);
        revoke.set_ip_permissions(Some(inbound.to_vec())).send().await?;
    }
    if !outbound.is_empty() {
        let revoke = aws.ec2.revoke_security_group_egress().group_id(id);
        revoke.set_ip_permissions(Some(outbound.to_vec())).send().await?;
    }
    Ok(())
}
