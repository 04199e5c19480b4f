//! One host behind one target group.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    time::Duration,
};

use aws_sdk_ec2::types::{Filter, Instance as Host};
use aws_sdk_elasticloadbalancingv2::types::{
    TargetDescription, TargetGroup as Group, TargetHealthDescription,
};
use futures::future::try_join_all;
use serde::Serialize;
use shared::tags::NODE;

use super::{
    Instance, TargetGroup,
    balancing::look,
    instance::{host_name, is_of_scaling_group},
};
use crate::{
    aws::{self, Aws, Tags, tag_value},
    engine::{Cx, Found, Output, Ref, Resource},
};

/// Registrations have no tags and no ids: the node is named by [`Target::node`], the id made of ours.
/// A scaling group registers its hosts itself.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    pub group: Ref<TargetGroup>,
    pub host: Ref<Instance>,
    pub port: u16,
}

impl Target {
    /// What the balancer says of the host's health.
    pub const HEALTH: Output<Target> = Output::new("health");

    /// The name of the node for a host (the second half of its node's name) in the group of this name.
    pub fn node(host: &str, group: &str) -> String {
        format!("{host}.{group}")
    }

    fn id(group: &str, host: &str, port: i32) -> String {
        format!("{group} {host} {port}")
    }

    /// Group, host and port of an id.
    pub fn parse(id: &str) -> Option<(&str, &str, i32)> {
        let mut parts = id.split(' ');
        Some((parts.next()?, parts.next()?, parts.next()?.parse().ok()?))
    }
}

impl Resource for Target {
    const KIND: &'static str = "target";
    const GOES_WITH: Option<&str> = Some("instance");
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["group", "host", "port"];
    const USUALLY: Duration = Duration::from_secs(1);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        if let Some(known) = aws.known(Self::KIND) {
            return of_known(&known, aws).await;
        }
        let doubts = aws.doubts(Self::KIND);
        let found = of_all(aws).await?;
        let known = found.iter().map(|it| (it.id.clone(), Tags::from([(NODE.to_owned(), it.node.clone())])));
        aws.knows(Self::KIND, doubts, known.collect());
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let (group, host, port) = (cx.id(self.group), cx.id(self.host), i32::from(self.port));
        let register = cx.aws.elb.register_targets().target_group_arn(&group);
        let register = register.targets(TargetDescription::builder().id(&host).port(port).build());
        cx.aws.sure::<Self, _, _>(register.send().await)?;
        let id = Target::id(&group, &host, port);
        cx.aws.made(Self::KIND, &id, &Tags::from([(NODE.to_owned(), cx.node.to_owned())]));
        Ok(id)
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let Some((group, host, port)) = Target::parse(&have.id) else { return Ok(()) };
        let deregister = aws.elb.deregister_targets().target_group_arn(group);
        deregister.targets(TargetDescription::builder().id(host).port(port).build()).send().await?;
        Ok(())
    }
}

/// One call for each group that hosts are registered with by us.
async fn of_known(known: &BTreeMap<String, Tags>, aws: &Aws) -> aws::Result<Vec<Found<Target>>> {
    let groups: BTreeSet<&str> = known.keys().filter_map(|it| Some(Target::parse(it)?.0)).collect();
    let states = try_join_all(groups.into_iter().map(async |group| {
        let states = target_health(aws, group).await?.into_iter();
        Ok::<_, aws::Error>(states.map(|it| (group.to_owned(), it)).collect::<Vec<_>>())
    }));
    let found = states.await?.into_iter().flatten().filter_map(|(group, state)| {
        let tags = known.get(&Target::id(&group, &state.id, state.port))?;
        found(&group, &state, tag_value(tags, NODE))
    });
    Ok(found.collect())
}

/// One call for each group of ours but those of a scaling group.
async fn of_all(aws: &Aws) -> aws::Result<Vec<Found<Target>>> {
    let (scaling, groups, instances) =
        tokio::join!(aws.scaling_groups(), look::<Group>(aws), aws.instances());
    let (scaling, groups, instances) = (scaling?, groups?, instances?);
    let scaled: BTreeSet<&str> =
        scaling.iter().flat_map(|it| it.target_group_arns()).map(String::as_str).collect();
    let fixed = groups.iter().filter(|(it, _)| it.target_group_arn().is_some_and(|it| !scaled.contains(it)));
    let states = try_join_all(fixed.map(async |(group, _)| {
        let states = target_health(aws, group.target_group_arn().unwrap_or_default()).await?.into_iter();
        Ok::<_, aws::Error>(states.map(|it| (group, it)).collect::<Vec<_>>())
    }));
    let states = states.await?.concat();
    let ids = states.iter().map(|(_, it)| it.id.as_str()).collect();
    let names = names(ids, &instances, aws).await?;
    let found = states.iter().filter_map(|(group, state)| {
        let host = names.get(state.id.as_str())?;
        let elsewhere = Some(state.port) != group.port();
        let host = if elsewhere { format!("{host}:{}", state.port) } else { host.clone() };
        let name = Target::node(&host, group.target_group_name().unwrap_or_default());
        found(group.target_group_arn().unwrap_or_default(), state, format!("{}/{name}", Target::KIND))
    });
    Ok(found.collect())
}

/// What registrations are named after: our hosts by their nodes, strangers by their ids. Left out are
/// those of scaling groups, those that are gone, and hosts of ours that lost the tag with their node:
/// these are registered again under their name, which changes nothing.
async fn names(ids: BTreeSet<&str>, ours: &[Host], aws: &Aws) -> aws::Result<HashMap<String, String>> {
    let id = |it: &Host| it.instance_id().unwrap_or_default().to_owned();
    let fixed = ours.iter().filter(|it| !is_of_scaling_group(it));
    let mut names: HashMap<_, _> = fixed.filter_map(|it| Some((id(it), host_name(it)?))).collect();
    let known: BTreeSet<&str> = ours.iter().filter_map(|it| it.instance_id()).collect();
    let strange: Vec<String> = ids.difference(&known).map(|it| (*it).to_owned()).collect();
    if !strange.is_empty() {
        let these = Filter::builder().name("instance-id").set_values(Some(strange)).build();
        let alive = ["pending", "running", "stopping", "stopped"].map(String::from).to_vec();
        let alive = Filter::builder().name("instance-state-name").set_values(Some(alive)).build();
        let seen = aws.ec2.describe_instances().filters(these).filters(alive).send().await?;
        let seen = seen.reservations().iter().flat_map(|it| it.instances());
        // One of ours that was made and registered while this look was under way keeps its node's name.
        let name = |it: &Host| {
            let ours = aws.is_ours(&Aws::from_ec2(it.tags()));
            if ours { host_name(it) } else { Some(id(it)) }
        };
        names.extend(seen.filter(|it| !is_of_scaling_group(it)).filter_map(|it| Some((id(it), name(it)?))));
    }
    Ok(names)
}

/// `None` for a host that leaves: registering it again is how it stays.
fn found(group: &str, state: &TargetState, node: String) -> Option<Found<Target>> {
    if state.state == "draining" || state.reason == "Target.NotRegistered" {
        return None;
    }
    let spec = Target {
        group: Ref::id(Some(group)),
        host: Ref::id(Some(&state.id)),
        port: u16::try_from(state.port).unwrap_or_default(),
    };
    let mut found = Found::untagged("", &Target::id(group, &state.id, state.port), spec);
    found.node = node;
    Some(found.out(Target::HEALTH, state.to_string()))
}

/// What a balancer thinks of one host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetState {
    pub id: String,
    pub port: i32,
    /// `healthy`, `unhealthy`, `initial`, `draining`, `unused` …
    pub state: String,
    /// AWS's word for why, empty when healthy.
    pub reason: String,
    pub description: String,
}

/// The hosts of one target group, those of a scaling group too.
///
/// # Errors
/// What AWS answered; a group that is gone has no hosts.
pub async fn target_health(aws: &Aws, group: &str) -> aws::Result<Vec<TargetState>> {
    let seen = aws.elb.describe_target_health().target_group_arn(group).send().await;
    let seen = seen.map(|it| it.target_health_descriptions.unwrap_or_default()).map_err(aws::Error::from);
    Ok(super::balancing::unless_gone(seen)?.iter().map(TargetState::of).collect())
}

impl TargetState {
    /// AWS's word for a host that answers its checks.
    pub const HEALTHY: &str = "healthy";

    pub fn is_healthy(&self) -> bool {
        self.state == Self::HEALTHY
    }

    fn of(it: &TargetHealthDescription) -> TargetState {
        let health = it.target_health();
        let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
        TargetState {
            id: text(it.target().and_then(|it| it.id())),
            port: it.target().and_then(|it| it.port()).unwrap_or_default(),
            state: text(health.and_then(|it| it.state()).map(|it| it.as_str())),
            reason: text(health.and_then(|it| it.reason()).map(|it| it.as_str())),
            description: text(health.and_then(|it| it.description())),
        }
    }
}

/// `unhealthy (Target.FailedHealthChecks: Health checks failed)`
impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reason.as_str(), self.description.as_str()) {
            ("", "") => f.write_str(&self.state),
            (reason, "") => write!(f, "{} ({reason})", self.state),
            ("", description) => write!(f, "{} ({description})", self.state),
            (reason, description) => write!(f, "{} ({reason}: {description})", self.state),
        }
    }
}
