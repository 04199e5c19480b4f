//! Who may talk to whom.

use std::time::Duration;

use aws_sdk_ec2::types::{IpPermission, IpRange, ResourceType, SecurityGroup as Sdk, UserIdGroupPair};
use serde::Serialize;

use super::{Vpc, listed};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Ref, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct SecurityGroup {
    pub vpc: Ref<Vpc>,
    /// The name that AWS knows it by, unique in its VPC.
    pub name: String,
    pub description: String,
    /// What may come in.
    pub inbound: Vec<Rule>,
    /// What may go out.
    pub outbound: Vec<Rule>,
}

/// One thing that may come in, or go out.
#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    /// `tcp`, or `-1` for everything.
    pub protocol: String,
    pub from_port: i32,
    pub to_port: i32,
    /// From where, or where to.
    pub source: Source,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Cidr(String),
    Group(Ref<SecurityGroup>),
    /// An IPv6 range or a prefix list, which only a person can have added.
    Other(String),
}

impl Rule {
    /// One TCP port.
    pub fn tcp(port: u16, source: Source) -> Rule {
        Rule { protocol: "tcp".into(), from_port: port.into(), to_port: port.into(), source }
    }

    /// Everything, everywhere: what AWS lets out of a new group.
    pub fn everything() -> Rule {
        let source = Source::Cidr("0.0.0.0/0".into());
        Rule { protocol: "-1".into(), from_port: -1, to_port: -1, source }
    }
}

impl Resource for SecurityGroup {
    const KIND: &'static str = "security-group";
    const EC2_TAGGED: bool = true;
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["vpc", "name", "description"];
    // The interfaces of a removed load balancer live on for minutes; others have waited up to 35.
    const PATIENCE: Duration = Duration::from_secs(35 * 60);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let seen = aws.security_groups().await?;
        let groups = seen.iter().filter(|it| it.group_name() != Some("default"));
        let found = groups.map(|it| {
            let spec = SecurityGroup {
                vpc: Ref::id(it.vpc_id()),
                name: it.group_name().unwrap_or_default().to_owned(),
                description: it.description().unwrap_or_default().to_owned(),
                inbound: it.ip_permissions().iter().flat_map(rules_of).collect(),
                outbound: it.ip_permissions_egress().iter().flat_map(rules_of).collect(),
            };
            Found::new(it.group_id(), Aws::from_ec2(it.tags()), spec)
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.ec2.create_security_group().vpc_id(cx.id(self.vpc)).group_name(&self.name);
        let create = create.description(&self.description);
        let made =
            create.tag_specifications(Aws::ec2_tags(cx.tags, ResourceType::SecurityGroup)).send().await?;
        let id = made.group_id.unwrap_or_default();
        let new = SecurityGroup { inbound: Vec::new(), outbound: vec![Rule::everything()], ..self.clone() };
        self.configure(&Found::new(Some(&id), Tags::new(), new), cx).await?;
        Ok(id)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let ec2 = &cx.aws.ec2;
        let (extra, missing) = differing(&have.spec.inbound, &self.inbound, cx);
        if !extra.is_empty() {
            let revoke = ec2.revoke_security_group_ingress().group_id(&have.id);
            revoke.set_ip_permissions(Some(extra)).send().await?;
        }
        if !missing.is_empty() {
            let allow = || {
                let allow = ec2.authorize_security_group_ingress().group_id(&have.id);
                allow.set_ip_permissions(Some(missing.clone())).send()
            };
            aws::follow_up(allow).await?;
        }
        let (extra, missing) = differing(&have.spec.outbound, &self.outbound, cx);
        if !extra.is_empty() {
            let revoke = ec2.revoke_security_group_egress().group_id(&have.id);
            revoke.set_ip_permissions(Some(extra)).send().await?;
        }
        if !missing.is_empty() {
            let allow = ec2.authorize_security_group_egress().group_id(&have.id);
            allow.set_ip_permissions(Some(missing)).send().await?;
        }
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let Err(err) = aws.ec2.delete_security_group().group_id(&have.id).send().await else { return Ok(()) };
        let err = aws::Error::from(err);
        if err.is_in_use() {
            // Another group that waits for this one to go may be named in our own rules.
            let seen = aws.ec2.describe_security_groups().group_ids(&have.id).send().await?;
            let cross = |rules: fn(&Sdk) -> &[IpPermission]| -> Vec<IpPermission> {
                let rules = seen.security_groups().iter().flat_map(rules);
                rules.filter(|it| !it.user_id_group_pairs().is_empty()).cloned().collect()
            };
            let (inbound, outbound) = (cross(Sdk::ip_permissions), cross(Sdk::ip_permissions_egress));
            // That a rule was revoked already is not to be taken for the group's own absence.
            if !inbound.is_empty() {
                let revoke = aws.ec2.revoke_security_group_ingress().group_id(&have.id);
                aws::gone(revoke.set_ip_permissions(Some(inbound)).send().await)?;
            }
            if !outbound.is_empty() {
                let revoke = aws.ec2.revoke_security_group_egress().group_id(&have.id);
                aws::gone(revoke.set_ip_permissions(Some(outbound)).send().await)?;
            }
        }
        Err(err)
    }

    async fn holders(have: &Found<Self>, aws: &Aws) -> aws::Result<Option<String>> {
        let wearing = aws.interfaces_in("group-id", &have.id).await?;
        let naming = aws.groups_naming(&have.id, listed(have.spec.vpc)).await?;
        let all: Vec<String> = wearing.into_iter().chain(naming).collect();
        Ok(if all.is_empty() { None } else { Some(all.join(", ")) })
    }
}

impl Rule {
    fn permission(&self, cx: &Cx<'_>) -> IpPermission {
        let rule = IpPermission::builder().ip_protocol(&self.protocol);
        // AWS answers "everything" without ports.
        let rule = match self.protocol.as_str() {
            "-1" => rule,
            _ => rule.from_port(self.from_port).to_port(self.to_port),
        };
        match &self.source {
            Source::Cidr(cidr) => rule.ip_ranges(IpRange::builder().cidr_ip(cidr).build()).build(),
            Source::Group(it) => {
                rule.user_id_group_pairs(UserIdGroupPair::builder().group_id(cx.id(*it)).build()).build()
            }
            Source::Other(it) if it.starts_with("pl-") => rule
                .prefix_list_ids(aws_sdk_ec2::types::PrefixListId::builder().prefix_list_id(it).build())
                .build(),
            Source::Other(it) => {
                rule.ipv6_ranges(aws_sdk_ec2::types::Ipv6Range::builder().cidr_ipv6(it).build()).build()
            }
        }
    }
}

/// What is there and not wanted, and what is wanted and not there.
fn differing(is: &[Rule], want: &[Rule], cx: &Cx<'_>) -> (Vec<IpPermission>, Vec<IpPermission>) {
    let permissions = |rules: &[Rule]| rules.iter().map(|it| it.permission(cx)).collect::<Vec<_>>();
    let (is, want) = (permissions(is), permissions(want));
    let only = |these: &[IpPermission], those: &[IpPermission]| {
        these.iter().filter(|it| !those.contains(it)).cloned().collect()
    };
    (only(&is, &want), only(&want, &is))
}

/// AWS groups sources by protocol and ports; a rule of ours has one source.
pub(super) fn rules_of(it: &IpPermission) -> Vec<Rule> {
    let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
    let cidrs = it.ip_ranges().iter().map(|it| Source::Cidr(text(it.cidr_ip())));
    let groups = it.user_id_group_pairs().iter().map(|it| Source::Group(Ref::id(it.group_id())));
    let v6 = it.ipv6_ranges().iter().map(|it| Source::Other(text(it.cidr_ipv6())));
    let lists = it.prefix_list_ids().iter().map(|it| Source::Other(text(it.prefix_list_id())));
    let rule = |source| Rule {
        protocol: text(it.ip_protocol()),
        from_port: it.from_port().unwrap_or(-1),
        to_port: it.to_port().unwrap_or(-1),
        source,
    };
    cidrs.chain(groups).chain(v6).chain(lists).map(rule).collect()
}

impl Aws {
    /// The stack's groups, the VPC's default one among them once it is tagged; read by two kinds.
    pub(super) async fn security_groups(&self) -> aws::Result<std::sync::Arc<Vec<Sdk>>> {
        self.once("security groups", || async {
            let pages = self.ec2.describe_security_groups().filters(self.ours()).into_paginator().items();
            Ok(pages.send().collect::<Result<Vec<Sdk>, _>>().await?)
        })
        .await
    }
}
