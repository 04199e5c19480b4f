//! What is known about each step, for whoever tells others.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Step;

/// How a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Holds.
    Ok,
    /// Being applied.
    #[default]
    Working,
    /// Nothing to do yet: something outside of the host has to happen first.
    Waiting,
    /// Does not hold, and the next pass tries again.
    Failed,
}

/// What is known about one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub state: State,
    /// Whether it held when it was last done with; stays so while it is being mended where that takes but a moment, so
    /// that a new password in `dbinfo.inc` takes no host out of the balancer.
    #[serde(default)]
    pub held: bool,
    pub required: bool,
    /// Whether the last try failed: the next one is no news.
    #[serde(default)]
    pub failing: bool,
    /// What is missing, what is waited for, or what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// What the last repair had to mend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<String>,
    /// When that was (seconds since 1970).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired_at: Option<u64>,
    /// What went wrong last, and when it began to (seconds since 1970); stays when the step holds again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<u64>,
    /// How often it was applied since the agent started.
    pub applied: u32,
    /// How long the last repair took; the first look, where nothing was to mend since.
    pub millis: u64,
}

pub type Reports = BTreeMap<String, Report>;

/// The steps' reports, followed by whoever publishes them.
#[derive(Clone)]
pub struct Log(pub(super) Arc<watch::Sender<Reports>>);

impl Default for Log {
    fn default() -> Log {
        Log(Arc::new(watch::Sender::default()))
    }
}

impl Log {
    pub fn follow(&self) -> watch::Receiver<Reports> {
        self.0.subscribe()
    }

    pub(super) fn set(&self, name: &str, required: bool, change: impl FnOnce(&mut Report)) {
        self.0.send_if_modified(|all| {
            let report = all.entry(name.to_owned()).or_default();
            let before = report.clone();
            report.required = required;
            change(report);
            *report != before
        });
    }

    /// Notes that a step has to wait for something outside, and whether the host is unfit until then.
    pub(super) fn waits<S: Step>(&self, what: &str, unfit: bool) {
        self.set(S::NAME, unfit, |it| {
            it.state = State::Waiting;
            it.held = false;
            it.failing = false;
            it.required = unfit;
            it.words = Some(what.to_owned());
        });
    }

    /// A step that this configuration does not have.
    pub(super) fn drop<S: Step>(&self) {
        self.0.send_if_modified(|all| all.remove(S::NAME).is_some());
    }
}

/// Whether every step that the host needs holds.
pub fn is_converged(reports: &Reports) -> bool {
    !reports.is_empty() && reports.values().all(|it| !it.required || it.held)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |it| it.as_secs())
}
