//! What happens while the engine acts, for whoever shows it.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

/// Something happened to a node.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    #[serde(serialize_with = "unix")]
    pub at: SystemTime,
    pub node: String,
    #[serde(flatten)]
    pub what: What,
}

fn unix<S: serde::Serializer>(at: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    s.serialize_f64((since.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn seconds<S: serde::Serializer>(it: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64((it.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    Started {
        verb: Verb,
    },
    Waiting {
        why: String,
    },
    Done {
        /// Seconds.
        #[serde(serialize_with = "seconds")]
        took: Duration,
    },
    Failed {
        why: String,
    },
    /// Not tried, since `because` failed or the run was interrupted.
    Skipped {
        because: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Create,
    Configure,
    Delete,
}

/// Where the engine tells what it does. Nobody has to listen.
#[derive(Clone)]
pub struct Events(pub UnboundedSender<Event>);

impl Events {
    pub(super) fn send(&self, node: &str, what: What) {
        // A listener that went away must not stop the work.
        let _ = self.0.send(Event { at: SystemTime::now(), node: node.to_owned(), what });
    }
}

/// How a run ended, node by node, in the stack's order.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub nodes: Vec<(String, Outcome)>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was as wanted already.
    Unchanged,
    Changed,
    Failed {
        why: String,
    },
    Skipped {
        because: String,
    },
}

impl Report {
    pub fn count(&self, of: impl Fn(&Outcome) -> bool) -> usize {
        self.nodes.iter().filter(|(_, it)| of(it)).count()
    }

    /// Whether every node ended as wanted.
    pub fn is_ok(&self) -> bool {
        self.count(|it| matches!(it, Outcome::Failed { .. } | Outcome::Skipped { .. })) == 0
    }
}
