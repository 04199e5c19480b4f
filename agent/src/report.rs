//! What the operator sees of this host: a parameter below `/lamp/<stack>/hosts/`, written only when it changes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::sync::watch;

use crate::{
    converge::State,
    feed::{Feed, Status},
    source::{Source, UNREACHABLE},
};

/// The store takes three writes a second from the whole account: one host at most every ten seconds, and a fleet
/// that changes together spreads itself over the same time.
const GAP: Duration = Duration::from_secs(10);
/// A standard parameter holds 4 KiB.
const ROOM: usize = 4096;

/// The report; nothing in it moves while nothing happens, so no time of day and no durations.
#[derive(Serialize)]
struct Report<'a> {
    generation: &'a Option<String>,
    converged: bool,
    steps: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    versions: BTreeMap<&'a str, &'a str>,
    zone: &'a Option<String>,
    private_ip: &'a Option<String>,
}

/// The report's text, within the room that a parameter has.
pub fn text(feed: &Feed, versions: &BTreeMap<String, String>) -> String {
    for words in [300, 100, 30, 0] {
        let text = shortened(feed, versions, words);
        if text.len() <= ROOM {
            return text;
        }
    }
    "{}".to_owned()
}

fn shortened(feed: &Feed, versions: &BTreeMap<String, String>, words: usize) -> String {
    let short = |it: &str| it.chars().take(words).collect::<String>();
    let state = |it: &State| format!("{it:?}").to_lowercase();
    let steps = feed.steps.iter().map(|(name, it)| {
        let repaired = it.repaired.as_ref().map(|it| format!(", repaired: {}", short(it)));
        let words = it.words.as_ref().map(|it| format!(": {}", short(it)));
        (
            name.as_str(),
            format!("{}{}{}", state(&it.state), words.unwrap_or_default(), repaired.unwrap_or_default()),
        )
    });
    let failed = feed.steps.iter().find(|(_, it)| it.state == State::Failed);
    let failed = failed.and_then(|(name, it)| Some(format!("{name}: {}", short(it.words.as_ref()?))));
    // That the store was away for a moment is no news by the time it can be told.
    let trouble = feed.trouble.as_deref().filter(|it| !it.starts_with(UNREACHABLE));
    let mut all: BTreeMap<&str, &str> = versions.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    all.insert("lampd", &feed.agent_version);
    all.insert("os", &feed.os);
    let report = Report {
        generation: &feed.generation,
        converged: feed.converged,
        steps: steps.collect(),
        last_error: failed.or_else(|| trouble.map(short)),
        versions: all,
        zone: &feed.identity.zone,
        private_ip: &feed.identity.private_ip,
    };
    serde_json::to_string(&report).unwrap_or_default()
}

/// Writes every report that differs from the one before; the newest when several came in between.
pub async fn follow(source: Arc<Source>, mut reports: watch::Receiver<String>) {
    let mut written = String::new();
    let mut trouble = false;
    loop {
        let report = reports.borrow_and_update().clone();
        if !report.is_empty() && report != written {
            match source.publish(&report).await {
                Ok(()) => {
                    written = report;
                    trouble = false;
                }
                Err(err) if !trouble => {
                    tracing::warn!("{err:#}");
                    trouble = true;
                }
                Err(_) => (),
            }
            tokio::time::sleep(GAP.mul_f64(rand::random_range(0.2..1.0))).await;
        }
        if !trouble && *reports.borrow() == written && reports.changed().await.is_err() {
            return;
        }
    }
}

/// What `lampd status` reads.
pub fn status(feed: &Feed, versions: &BTreeMap<String, String>) -> Status {
    Status {
        identity: feed.identity.clone(),
        agent_version: feed.agent_version.clone(),
        os: feed.os.clone(),
        generation: feed.generation.clone(),
        converged: feed.converged,
        trouble: feed.trouble.clone(),
        steps: feed.steps.clone(),
        versions: versions.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_away_for_a_moment_changes_no_report() {
        let mut feed = Feed::default();
        let before = text(&feed, &BTreeMap::new());
        feed.trouble = Some(format!("{UNREACHABLE} for x: timeout"));
        assert_eq!(text(&feed, &BTreeMap::new()), before);
    }

    #[test]
    fn long_errors_are_cut_until_the_report_fits_a_parameter() {
        let mut feed = Feed::default();
        for n in 0..40 {
            let report = crate::converge::Report {
                state: State::Failed,
                held: false,
                required: true,
                words: Some("ä".repeat(1000)),
                repaired: None,
                repaired_at: None,
                applied: 1,
                millis: 1,
            };
            feed.steps.insert(format!("step-{n}"), report);
        }
        let text = text(&feed, &BTreeMap::new());
        assert!(text.len() <= ROOM && text.contains("step-39"), "{}", text.len());
    }
}
