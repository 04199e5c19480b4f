//! Who holds a lock, and whether it still does.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{entry::Written, machine::Machine};

/// Whoever holds the lock, in words.
#[derive(Clone, Debug, Serialize)]
pub struct Holder {
    /// `user@host`.
    pub owner: String,
    pub pid: u32,
    /// RFC 3339.
    pub since: String,
    /// What it is doing, such as `lamp up`.
    pub command: String,
    pub state: State,
    /// Seconds since it last said that it lives.
    pub silent: u64,
    held: u64,
}

/// Whether a holder is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its process runs on this machine.
    Alive,
    /// On another machine, and renewed lately.
    Elsewhere,
    /// Its process ran on this machine and is gone.
    Gone,
    /// It has not been renewed for longer than the lease.
    Expired,
}

impl Holder {
    pub(super) fn new(it: &Written, machine: &Machine, now: Timestamp, lease: Duration) -> Self {
        let entry = &it.entry;
        let seconds =
            |since: Timestamp| u64::try_from(now.duration_since(since).as_secs()).unwrap_or_default();
        let here = machine.boot.is_some() && entry.boot == machine.boot;
        let state = match (here, here.then(|| machine.started(entry.pid)).flatten()) {
            (true, started) if started.is_none() || started != entry.started => State::Gone,
            _ if lease.as_secs() < seconds(it.at) => State::Expired,
            (true, _) => State::Alive,
            (false, _) => State::Elsewhere,
        };
        Holder {
            owner: entry.owner.clone(),
            pid: entry.pid,
            since: entry.since.to_string(),
            command: entry.command.clone(),
            state,
            silent: seconds(it.at),
            held: seconds(entry.since),
        }
    }

    /// What breaking the lock would mean, for `lamp unlock`.
    pub fn explain(&self) -> &'static str {
        match self.state {
            State::Alive => {
                "its process is running: interrupt it instead (Ctrl-C), it then ends in a clean state; if you break the lock, it stops starting anything within half a minute"
            }
            State::Elsewhere => {
                "it said so lately, so it is probably at work: ask its owner first; if you break the lock, it stops starting anything within half a minute"
            }
            State::Gone => {
                "its process is gone: the next `lamp` takes the lock over by itself, so breaking it is safe"
            }
            State::Expired => {
                "its machine or its network has failed: the next `lamp` takes the lock over by itself, so breaking it is safe"
            }
        }
    }
}

/// `kim@desk has been running lamp up since 2026-11-22T21:10:00Z (4 min ago), process 4711 of that machine, renewed 12 s ago`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { owner, pid, since, command, .. } = self;
        let ago = |seconds: u64| match seconds {
            ..120 => format!("{seconds} s ago"),
            _ => format!("{} min ago", seconds / 60),
        };
        write!(
            f,
            "{owner} has been running `{command}` since {since} ({}), process {pid} of ",
            ago(self.held)
        )?;
        match self.state {
            State::Alive => f.write_str("this machine, still running"),
            State::Elsewhere => write!(f, "that machine, renewed {}", ago(self.silent)),
            State::Gone => f.write_str("this machine, which is gone"),
            State::Expired => write!(f, "that machine, last renewed {}", ago(self.silent)),
        }
    }
}
