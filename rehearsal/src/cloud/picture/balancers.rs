//! The load balancers of the picture.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_elasticloadbalancingv2 as elb;

use super::MachinePlan;
use crate::balancer::{Check, Listener, PathRule, TargetGroup};
use crate::cloud::clients::Clients;

#[derive(Clone, Debug, PartialEq)]
pub(in crate::cloud) struct BalancerPlan {
    pub(in crate::cloud) dns_name: String,
    pub(in crate::cloud) subnets: Vec<String>,
    pub(in crate::cloud) security_groups: Vec<String>,
    pub(in crate::cloud) listeners: Vec<Listener>,
    pub(in crate::cloud) groups: Vec<TargetGroup>,
}

pub(super) async fn read(
    aws: &Clients,
    machines: &BTreeMap<String, MachinePlan>,
) -> anyhow::Result<BTreeMap<String, BalancerPlan>> {
    let mut all = BTreeMap::new();
    let balancers = aws.elb.describe_load_balancers().send().await.context("balancers")?;
    if balancers.load_balancers().is_empty() {
        return Ok(all);
    }
    let described = aws.elb.describe_target_groups().send().await.context("target groups")?;
    let mut groups = BTreeMap::new();
    for it in described.target_groups() {
        if let Some(arn) = it.target_group_arn() {
            groups.insert(arn.to_owned(), group(aws, it, arn, machines).await?);
        }
    }
    for it in balancers.load_balancers() {
        let (Some(name), Some(arn)) = (it.load_balancer_name(), it.load_balancer_arn()) else { continue };
        let listeners =
            aws.elb.describe_listeners().load_balancer_arn(arn).send().await.context("listeners")?;
        let mut plan = BalancerPlan {
            dns_name: it.dns_name().unwrap_or_default().to_owned(),
            subnets: it
                .availability_zones()
                .iter()
                .filter_map(|it| it.subnet_id())
                .map(str::to_owned)
                .collect(),
            security_groups: it.security_groups().to_vec(),
            listeners: Vec::new(),
            groups: Vec::new(),
        };
        plan.subnets.sort();
        for it in listeners.listeners() {
            plan.listeners.extend(listener(aws, it, &groups).await?);
        }
        let mut used: Vec<&str> = plan
            .listeners
            .iter()
            .flat_map(|it| it.rules.iter().map(|it| it.group.as_str()).chain([it.default.as_str()]))
            .collect();
        used.sort_unstable();
        used.dedup();
        plan.groups = groups.values().filter(|it| used.contains(&it.name.as_str())).cloned().collect();
        all.insert(name.to_owned(), plan);
    }
    Ok(all)
}

/// `None` for one that forwards to no target group.
async fn listener(
    aws: &Clients,
    it: &elb::types::Listener,
    groups: &BTreeMap<String, TargetGroup>,
) -> anyhow::Result<Option<Listener>> {
    let target = |actions: &[elb::types::Action]| {
        actions.iter().find_map(|it| Some(groups.get(it.target_group_arn()?)?.name.clone()))
    };
    let port = it.port().and_then(|it| u16::try_from(it).ok());
    let (Some(port), Some(default)) = (port, target(it.default_actions())) else { return Ok(None) };
    let read = aws.elb.describe_rules().set_listener_arn(it.listener_arn().map(str::to_owned)).send().await;
    let read = read.context("rules")?;
    let mut rules: Vec<(u32, PathRule)> = read
        .rules()
        .iter()
        .filter_map(|it| {
            let priority = it.priority()?.parse().ok()?;
            let path = it.conditions().iter().find(|it| it.field() == Some("path-pattern"))?;
            let newer = path.path_pattern_config().map(|it| it.values()).unwrap_or_default();
            let patterns = if newer.is_empty() { path.values() } else { newer };
            Some((priority, PathRule { patterns: patterns.to_vec(), group: target(it.actions())? }))
        })
        .collect();
    rules.sort_by_key(|it| it.0);
    Ok(Some(Listener { port, default, rules: rules.into_iter().map(|it| it.1).collect() }))
}

async fn group(
    aws: &Clients,
    it: &elb::types::TargetGroup,
    arn: &str,
    machines: &BTreeMap<String, MachinePlan>,
) -> anyhow::Result<TargetGroup> {
    let number = |it: Option<i32>, other| it.and_then(|it| u32::try_from(it).ok()).unwrap_or(other);
    let seconds = |it: Option<i32>, other| Duration::from_secs(u64::from(number(it, other)));
    let port = it.port().and_then(|it| u16::try_from(it).ok()).unwrap_or(80);
    let attributes = aws.elb.describe_target_group_attributes().target_group_arn(arn).send().await;
    let attributes = attributes.context("attributes of a target group")?;
    let attribute = |key: &str| {
        attributes
            .attributes()
            .iter()
            .find(|it| it.key() == Some(key))
            .and_then(|it| it.value())
            .map(str::to_owned)
    };
    let registered =
        aws.elb.describe_target_health().target_group_arn(arn).send().await.context("targets")?;
    let ids = registered.target_health_descriptions().iter().filter_map(|it| it.target()?.id());
    let targets = ids.filter_map(|id| Some((id.to_owned(), machines.get(id)?.address))).collect();
    let drain =
        attribute("deregistration_delay.timeout_seconds").and_then(|it| it.parse().ok()).unwrap_or(300);
    Ok(TargetGroup {
        name: it.target_group_name().unwrap_or_default().to_owned(),
        port,
        check: Check {
            path: it.health_check_path().unwrap_or("/").to_owned(),
            port: it.health_check_port().and_then(|it| it.parse().ok()).unwrap_or(port),
            interval: seconds(it.health_check_interval_seconds(), 30),
            timeout: seconds(it.health_check_timeout_seconds(), 5),
            healthy: number(it.healthy_threshold_count(), 5),
            unhealthy: number(it.unhealthy_threshold_count(), 2),
            codes: codes(it.matcher().and_then(|it| it.http_code()).unwrap_or("200")),
        },
        least_outstanding: attribute("load_balancing.algorithm.type").as_deref()
            == Some("least_outstanding_requests"),
        drain: Duration::from_secs(drain),
        targets,
    })
}

/// `200`, `200-299` or `200,302`; nothing else reaches HAProxy's configuration.
fn codes(text: &str) -> String {
    let code = |it: &str| it.len() == 3 && it.bytes().all(|it| it.is_ascii_digit());
    let is_range = |it: &&str| it.split('-').count() <= 2 && it.split('-').all(code);
    let all: Vec<&str> = text.split(',').map(str::trim).filter(is_range).collect();
    if all.is_empty() { "200".to_owned() } else { all.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_some_or_a_range() {
        for (asked, well) in [
            ("200", "200"),
            ("200-299", "200-299"),
            ("200, 302", "200,302"),
            ("", "200"),
            ("200\nbind :1", "200"),
        ] {
            assert_eq!(codes(asked), well);
        }
    }
}
