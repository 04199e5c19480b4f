//! The hosts' health in their target groups, and where the site can be seen.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::future::try_join_all;

use super::Session;
use crate::{
    config::{Behind, Config, Process},
    engine::{Observed, Resource},
    kinds::{Distribution, LoadBalancer, Target, TargetGroup, TargetState, target_health, website_of},
    ui::{TargetStatus, Ui},
};

/// Installing packages, joining and three checks take a few minutes; an image that is made of a host
/// has been waited for already.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
const PAUSE: Duration = Duration::from_secs(5);

/// The stack's target groups: names by ARN.
type Groups = BTreeMap<String, String>;

fn groups(observed: &Observed) -> Groups {
    let groups = observed.nodes.values().filter(|it| it.kind.name == TargetGroup::KIND);
    let name = |it: &crate::engine::Seen| it.fields["name"].as_str().unwrap_or_default().to_owned();
    groups.map(|it| (it.id.clone(), name(it))).collect()
}

/// Every target of the stack's groups, those of its scaling group among them.
pub(super) async fn targets(session: &Session, observed: &Observed) -> anyhow::Result<Vec<TargetStatus>> {
    targets_of(session, &groups(observed)).await
}

async fn targets_of(session: &Session, groups: &Groups) -> anyhow::Result<Vec<TargetStatus>> {
    let all = groups.iter().map(async |(arn, name)| {
        let states = target_health(&session.aws, arn).await?.into_iter();
        Ok::<_, crate::aws::Error>(states.map(|it| status(name, it)).collect::<Vec<_>>())
    });
    Ok(try_join_all(all).await.context("asking for the targets' health")?.concat())
}

fn status(group: &str, it: TargetState) -> TargetStatus {
    TargetStatus {
        group: group.to_owned(),
        target: format!("{}:{}", it.id, it.port),
        state: it.state,
        reason: if it.description.is_empty() { it.reason } else { it.description },
    }
}

/// Waits until every target is healthy; says whether that came true. Groups that were just seen healthy, or have been
/// seen so meanwhile, are not asked again.
pub(super) async fn wait(session: &Session, observed: &Observed, ui: &mut Ui) -> anyhow::Result<bool> {
    if session.config.entrances().is_empty() {
        return Ok(true);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut said = String::new();
    let mut left = groups(observed);
    let mut healthy = 0;
    for (group, health) in registered(observed) {
        if health.iter().all(|it| it == TargetState::HEALTHY) && left.remove(&group).is_some() {
            healthy += health.len();
        }
    }
    loop {
        let mut all = targets_of(session, &left).await?;
        all.retain(|it| !it.is_leaving());
        let ill: Vec<&TargetStatus> = all.iter().filter(|it| !it.is_healthy()).collect();
        let now = healthy + all.len() - ill.len();
        if ill.is_empty() && 0 < now {
            ui.note(&format!("all {now} targets are healthy"));
            return Ok(true);
        }
        if all.is_empty() && now == 0 && !expects_hosts(&session.config) {
            ui.note("no host is asked for, so there is no health to wait for");
            return Ok(true);
        }
        let text = format!("{now} of {} targets are healthy", healthy + all.len());
        if text != said {
            ui.note(&text);
            said = text;
        }
        if deadline <= Instant::now() {
            for it in ill {
                ui.note(&format!("{} is {} in {}: {}", it.target, it.state, it.group, it.reason));
            }
            return Ok(false);
        }
        let ill: Vec<String> = ill.into_iter().map(|it| it.group.clone()).collect();
        healthy += all.iter().filter(|it| !ill.contains(&it.group)).count();
        // One without any target may get some.
        left.retain(|_, name| ill.contains(name) || all.iter().all(|it| it.group != *name));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether any host should come to a target group by itself.
fn expects_hosts(config: &Config) -> bool {
    let stands_still = [Process::Launch, Process::AddToLoadBalancer];
    let scaling = &config.scaling;
    let grows = config.parts.scaling_group
        && 0 < scaling.desired
        && !scaling.suspended_processes.iter().any(|it| stands_still.contains(it));
    grows || !config.public_hosts().is_empty() || !config.private_hosts().is_empty()
}

/// What the last look saw of our registrations' health, by the group's ARN.
fn registered(observed: &Observed) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for it in observed.nodes.values().filter(|it| it.kind.name == Target::KIND) {
        if let Some((group, ..)) = Target::parse(&it.id) {
            let health = it.out.get(Target::HEALTH.name()).cloned().unwrap_or_default();
            all.entry(group.to_owned()).or_default().push(health);
        }
    }
    all
}

/// What can be opened in a browser, as far as it is there.
pub(super) fn addresses(c: &Config, observed: &Observed) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let out = |node: &str, name: &str| observed.nodes.get(node).and_then(|it| it.out.get(name)).cloned();
    for it in c.entrances() {
        let label = match it.behind {
            Behind::PublicHosts => "public hosts",
            Behind::PrivateHosts => "private hosts",
            Behind::ScalingGroup => "scaling group",
        };
        if let Some(name) = out(&format!("load-balancer/{}", it.node), LoadBalancer::DNS_NAME.name()) {
            let port = match c.balancers.port {
                80 => String::new(),
                other => format!(":{other}"),
            };
            all.push((label.to_owned(), format!("http://{name}{port}/")));
        }
    }
    if let Some(name) = out("distribution/site", Distribution::DOMAIN.name()) {
        all.push(("site".to_owned(), format!("https://{name}/")));
    }
    if let (true, Some(bucket)) = (c.unsafe_choices.public_website, observed.nodes.get("bucket/site")) {
        all.push(("website".to_owned(), format!("http://{}/", website_of(&bucket.id, &c.site.region))));
    }
    all
}
