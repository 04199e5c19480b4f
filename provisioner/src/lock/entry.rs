//! What is written into the lock, and which of the entries count.

use std::time::Duration;

use jiff::Timestamp;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// One version of the parameter's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// `user@host`.
    pub(super) owner: String,
    pub(super) pid: u32,
    /// When the process began, in the kernel's own count: tells it from a later one of the same number.
    pub(super) started: Option<u64>,
    /// The boot of the machine and the process namespace in which `pid` counts; none where there is no way to tell.
    pub(super) boot: Option<String>,
    pub(super) since: Timestamp,
    pub(super) command: String,
    /// By the holder's clock; for people who look at the parameter.
    pub(super) expires: Timestamp,
    /// Common to all entries of one holder.
    pub(super) nonce: String,
    /// This entry's own.
    pub(super) stamp: String,
    /// The stamp of the entry that this one is written over.
    pub(super) replaces: Option<String>,
}

impl Entry {
    pub(super) fn new(machine: &Machine, command: &str, nonce: &str, lease: Duration) -> Self {
        let now = now();
        let entry = Entry {
            owner: machine.owner.clone(),
            pid: machine.pid,
            started: machine.started(machine.pid),
            boot: machine.boot.clone(),
            since: now,
            command: command.to_owned(),
            expires: now,
            nonce: nonce.to_owned(),
            stamp: String::new(),
            replaces: None,
        };
        entry.lasting(lease).replacing(None)
    }

    pub(super) fn lasting(&self, lease: Duration) -> Self {
        let expires = now().checked_add(lease).unwrap_or(Timestamp::MAX);
        Entry { expires, ..self.clone() }
    }

    /// The same under a stamp of its own, to be written over the entry with the stamp `replaces`.
    pub(super) fn replacing(&self, replaces: Option<String>) -> Self {
        let stamp = format!("{:016x}", rand::rng().random::<u64>());
        Entry { stamp, replaces, ..self.clone() }
    }

    #[expect(clippy::expect_used, reason = "plain data with text for keys, which always serialises")]
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }
}

/// Seconds will do.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// An entry as the Parameter Store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    pub(super) version: i64,
    /// By AWS's clock.
    pub(super) at: Timestamp,
    pub(super) entry: Entry,
}

/// The entry that holds the lock: the last one that replaced the one that held it before. The log
/// is in the order of writing, without what is no entry; its oldest part may be forgotten.
pub(super) fn current(log: &[Written]) -> Option<&Written> {
    let replaced =
        |it: &Written| log.iter().any(|later| later.entry.replaces.as_ref() == Some(&it.entry.stamp));
    let forgotten = log.first().is_some_and(|it| 1 < it.version);
    let is_first = |it: &&Written| if forgotten { replaced(it) } else { it.entry.replaces.is_none() };
    // Where the beginning is forgotten, whatever somebody built on was accepted.
    let start = log.iter().find(is_first).or_else(|| log.first().filter(|_| forgotten))?;
    let later = log.iter().skip_while(|it| it.version <= start.version);
    Some(later.fold(
        start,
        |held, it| if it.entry.replaces.as_ref() == Some(&held.entry.stamp) { it } else { held },
    ))
}
