//! The hosts' health in their target groups, and where the site can be seen.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::Session;
use crate::{
    aws::patiently,
    config::{Behind, Config},
    engine::Observed,
    kinds::{Distribution, LoadBalancer, all_target_health},
    ui::{TargetStatus, Ui},
};

/// Installing packages, joining and three checks take a few minutes; an image that is made of a host
/// has been waited for already.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
const PAUSE: Duration = Duration::from_secs(5);

/// Every target of the stack's groups.
pub(super) async fn targets(session: &Session) -> anyhow::Result<Vec<TargetStatus>> {
    session.aws.look_again();
    let all = patiently(|| all_target_health(&session.aws)).await.map_err(anyhow::Error::from);
    let all = all.context("asking for the targets' health")?;
    let status = |(group, it): (String, crate::kinds::TargetState)| TargetStatus {
        group,
        target: format!("{}:{}", it.id, it.port),
        state: it.state,
        reason: if it.description.is_empty() { it.reason } else { it.description },
    };
    Ok(all.into_iter().map(status).collect())
}

pub(super) fn is_healthy(it: &TargetStatus) -> bool {
    it.state == "healthy"
}

/// A host that leaves is let go for five minutes, which is no illness: a policy that shrinks its group
/// would otherwise make every stack look ill.
pub(super) fn is_leaving(it: &TargetStatus) -> bool {
    it.state == "draining"
}

/// Waits until every target is healthy; says whether that came true.
pub(super) async fn wait(session: &Session, ui: &mut Ui) -> anyhow::Result<bool> {
    if session.config.entrances().is_empty() {
        return Ok(true);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut said = String::new();
    loop {
        let mut all = targets(session).await?;
        all.retain(|it| !is_leaving(it));
        let healthy = all.iter().filter(|it| is_healthy(it)).count();
        if healthy == all.len() && !all.is_empty() {
            ui.note(&format!("all {healthy} targets are healthy"));
            return Ok(true);
        }
        let text = format!("{healthy} of {} targets are healthy", all.len());
        if text != said {
            ui.note(&text);
            said = text;
        }
        if deadline <= Instant::now() {
            for it in all.iter().filter(|it| !is_healthy(it)) {
                ui.note(&format!("{} is {} in {}: {}", it.target, it.state, it.group, it.reason));
            }
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
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
            all.push((label.to_owned(), format!("http://{name}/")));
        }
    }
    if let Some(name) = out("distribution/site", Distribution::DOMAIN.name()) {
        all.push(("site".to_owned(), format!("https://{name}/")));
    }
    all
}
