//! What the operator sees of this host: a parameter below `/lamp/<stack>/hosts/`, written only when it changes.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tokio::sync::watch;

use crate::{
    converge::{self, State},
    feed::{Feed, Status},
    source::{UNREACHABLE, is_throttled},
};

/// The store takes three writes a second from the whole account: one host at most every ten seconds. A fleet that
/// changes together spreads its first attempts, and what is refused is tried again at up to five minutes' distance.
pub const GAP: Duration = Duration::from_secs(10);
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
        // What held before is mended in a moment, and what failed before may well fail again: the outcome is worth a
        // write, the work is not.
        let it = match it.state {
            State::Working if it.held => &converge::Report { state: State::Ok, words: None, ..it.clone() },
            State::Working if it.failing => {
                &converge::Report { state: State::Failed, words: it.last_error.clone(), ..it.clone() }
            }
            _ => it,
        };
        let repaired = it.repaired.as_ref().map(|it| format!(", repaired: {}", short(it)));
        let words = it.words.as_ref().map(|it| format!(": {}", short(it)));
        (
            name.as_str(),
            format!("{}{}{}", state(&it.state), words.unwrap_or_default(), repaired.unwrap_or_default()),
        )
    });
    let failed = feed.steps.iter().find(|(_, it)| it.failing);
    let failed = failed.and_then(|(name, it)| Some(format!("{name}: {}", short(it.last_error.as_ref()?))));
    // Else the last one that there was: what mended itself may come again.
    let before =
        feed.steps.iter().filter_map(|(name, it)| Some((it.last_error_at?, name, it.last_error.as_ref()?)));
    let before = before.max().map(|(_, name, words)| format!("{name}: {}", short(words)));
    // That the store was away for a moment is no news by the time it can be told.
    let trouble = feed.trouble.as_deref().filter(|it| !it.starts_with(UNREACHABLE));
    let mut all: BTreeMap<&str, &str> = versions.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    all.insert("lampd", &feed.agent_version);
    all.insert("os", &feed.os);
    let report = Report {
        generation: &feed.generation,
        converged: feed.converged,
        steps: steps.collect(),
        last_error: failed.or_else(|| trouble.map(short)).or(before),
        versions: all,
        zone: &feed.identity.zone,
        private_ip: &feed.identity.private_ip,
    };
    serde_json::to_string(&report).unwrap_or_default()
}

/// Writes every report that differs from the one before; the newest when several came in between. Ends when nobody
/// makes reports any more.
pub async fn follow<F>(publish: impl Fn(String) -> F, mut reports: watch::Receiver<String>, gap: Duration)
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut written = String::new();
    let (mut trouble, mut refusals) = (false, 0_u32);
    while reports.wait_for(|it| !it.is_empty() && *it != written).await.is_ok() {
        tokio::time::sleep(gap.mul_f64(rand::random_range(0.0..0.3))).await;
        let report = reports.borrow_and_update().clone();
        if report == written {
            continue;
        }
        // Whoever made it has begun anew, maybe under another name.
        if reports.has_changed().is_err() {
            return;
        }
        match publish(report.clone()).await {
            Ok(()) => {
                written = report;
                (trouble, refusals) = (false, 0);
            }
            Err(err) => {
                if !std::mem::replace(&mut trouble, true) {
                    tracing::warn!("{err:#}");
                }
                // A store that is away refuses nobody, and hears of us as soon as it is back.
                refusals = if is_throttled(&err) { refusals.saturating_add(1) } else { 0 };
            }
        }
        // What is refused to many at once is asked for less and less often, each at another moment.
        let wait = match refusals {
            0 => gap,
            it => (gap * (1 << it.min(5))).mul_f64(rand::random_range(0.5..1.0)),
        };
        tokio::time::sleep(wait).await;
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

    /// What a store was asked to write that refuses the second time, while others make reports.
    async fn written(others: impl AsyncFnOnce(watch::Sender<String>, watch::Receiver<usize>)) -> Vec<String> {
        let asked = std::cell::RefCell::new(Vec::new());
        let (reports, following) = watch::channel(String::new());
        let (count, counted) = watch::channel(0);
        let publish = |it: String| {
            asked.borrow_mut().push(it);
            let times = asked.borrow().len();
            count.send_replace(times);
            async move { if times == 2 { anyhow::bail!("throttled") } else { Ok(()) } }
        };
        tokio::join!(follow(publish, following, Duration::from_millis(1)), others(reports, counted));
        asked.into_inner()
    }

    #[tokio::test]
    async fn a_report_that_failed_and_is_out_of_date_is_waited_past() {
        let all = written(async |reports, mut asked| {
            for (n, report) in ["A", "B"].into_iter().enumerate() {
                reports.send_replace(report.to_owned());
                asked.wait_for(|it| *it == n + 1).await.unwrap();
            }
            reports.send_replace("A".to_owned());
            // Others have to get their turn.
            tokio::time::sleep(Duration::from_millis(100)).await;
            reports.send_replace("C".to_owned());
            asked.wait_for(|it| *it == 3).await.unwrap();
        })
        .await;
        assert_eq!(all, ["A", "B", "C"]);
    }

    #[tokio::test]
    async fn what_is_refused_is_written_later() {
        let all = written(async |reports, mut asked| {
            for (report, times) in [("A", 1), ("B", 3)] {
                reports.send_replace(report.to_owned());
                asked.wait_for(|it| *it == times).await.unwrap();
            }
        })
        .await;
        assert_eq!(all, ["A", "B", "B"]);
    }

    #[test]
    fn mending_what_held_is_no_news_and_making_what_never_held_is() {
        let mut feed = Feed::default();
        let mut step = converge::Report {
            state: State::Working,
            held: true,
            words: Some("x has other content".into()),
            ..converge::Report::default()
        };
        feed.steps.insert("dbinfo".into(), step.clone());
        assert!(text(&feed, &BTreeMap::new()).contains(r#""dbinfo":"ok""#));
        step.held = false;
        feed.steps.insert("dbinfo".into(), step.clone());
        assert!(text(&feed, &BTreeMap::new()).contains(r#""dbinfo":"working: x has other content""#));
        // What failed is tried again and again.
        let failed = converge::Report {
            state: State::Failed,
            failing: true,
            words: Some("the disk is full".into()),
            last_error: Some("the disk is full".into()),
            ..step.clone()
        };
        feed.steps.insert("dbinfo".into(), failed.clone());
        let told = text(&feed, &BTreeMap::new());
        assert!(told.contains(r#""dbinfo":"failed: the disk is full""#), "{told}");
        feed.steps
            .insert("dbinfo".into(), converge::Report { words: step.words, state: step.state, ..failed });
        assert_eq!(text(&feed, &BTreeMap::new()), told);
    }

    #[test]
    fn long_errors_are_cut_until_the_report_fits_a_parameter() {
        let mut feed = Feed::default();
        for n in 0..40 {
            let report = crate::converge::Report {
                state: State::Failed,
                failing: true,
                words: Some("ä".repeat(1000)),
                last_error: Some("ä".repeat(1000)),
                ..converge::Report::default()
            };
            feed.steps.insert(format!("step-{n}"), report);
        }
        let text = text(&feed, &BTreeMap::new());
        assert!(text.len() <= ROOM && text.contains("step-39"), "{}", text.len());
    }
}
