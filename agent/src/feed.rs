//! What the agent tells the page, and how.
//!
//! Root converges, an unprivileged process serves: the second needs the database's password and the state of the
//! host from the first. They share one file, `/run/lamp/page.json`, mode 0640, owned by root and the group
//! `lamp-page`, whose only member is the page's service. Why a file: it outlives either process, so both restart
//! in any order and the page never waits for the agent; it is replaced by a rename, so it is never half there; the
//! file system checks who reads it; nothing listens, nothing is passed in an environment or an argument. (A
//! credential of systemd would be read once, at the start of the page, and could not follow a new password.)
//! `/run` is memory: the password reaches no disk this way.
//!
//! A second file, `/run/lamp/beat`, holds the time of the loop's last turn by the clock that counts since boot, which
//! nobody can set.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use shared::agent::{AgentConfig, Database, Transport};

use crate::{
    converge::{self, Reports},
    host::{Host, ROOT},
    identity::Identity,
    steps::ready,
};

pub const FILE: &str = "/run/lamp/page.json";
pub const BEAT: &str = "/run/lamp/beat";
/// Group of the page's service.
pub const GROUP: &str = "lamp-page";

/// All that the page knows of the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Feed {
    pub identity: Identity,
    pub os: String,
    pub agent_version: String,
    pub generation: Option<String>,
    /// Whether a configuration has ever been read.
    pub configured: bool,
    /// Why the configuration may be out of date.
    pub trouble: Option<String>,
    pub database: Option<DatabaseFeed>,
    pub files: Option<FilesFeed>,
    pub share_ms: u64,
    pub steps: Reports,
    pub converged: bool,
}

/// The database as the page must know it; its `Debug` hides the password.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseFeed {
    pub endpoint: String,
    pub port: u16,
    pub name: String,
    pub user: String,
    pub password: String,
    /// Certificates to verify the server with (PEM); `None` without TLS.
    pub roots: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilesFeed {
    pub id: String,
    pub transport: String,
}

impl std::fmt::Debug for DatabaseFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DatabaseFeed {{ {}@{}:{}/{} }}", self.user, self.endpoint, self.port, self.name)
    }
}

impl DatabaseFeed {
    /// The database of the stack, with the certificates to verify it.
    pub fn of(it: &Database, roots: &str) -> DatabaseFeed {
        DatabaseFeed {
            endpoint: it.endpoint.clone(),
            port: it.port,
            name: it.name.clone(),
            user: it.user.clone(),
            password: it.password.clone(),
            roots: it.tls.then(|| roots.to_owned()),
        }
    }
}

impl Feed {
    /// Puts together what the page gets.
    pub fn new(
        identity: &Identity,
        os: &str,
        config: Option<&AgentConfig>,
        trouble: Option<&str>,
        roots: &str,
        steps: Reports,
    ) -> Feed {
        let database = config.and_then(|it| it.database.as_ref()).map(|it| DatabaseFeed::of(it, roots));
        let files = config.and_then(|it| it.files.as_ref()).map(|it| FilesFeed {
            id: it.id.clone(),
            transport: match it.transport {
                Transport::Tls => "TLS".to_owned(),
                Transport::Nfs => "NFS 4.1".to_owned(),
            },
        });
        Feed {
            identity: identity.clone(),
            os: os.to_owned(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: config.and_then(|it| it.generation.clone()),
            configured: config.is_some(),
            trouble: trouble.map(str::to_owned),
            database,
            files,
            share_ms: config.map_or(shared::agent::SHARE_MS, |it| it.share_ms),
            converged: converge::is_converged(&steps),
            steps,
        }
    }

    /// Publishes it where it is not there yet; the page sees it within a second.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&self, host: &Host) -> anyhow::Result<()> {
        ready::folder(host)?;
        let text = serde_json::to_vec(self).context("writing the page's feed")?;
        // Without the group (not installed by `lampd install`) only root can read it.
        let owner = host.group(GROUP).map_or(ROOT, |(gid, _)| crate::host::Owner { gid, ..ROOT });
        host.put(FILE, &text, 0o640, owner).map(drop)
    }
}

/// Notes that the loop turns.
///
/// # Errors
/// When the file cannot be written.
pub fn beat(host: &Host) -> anyhow::Result<()> {
    ready::folder(host)?;
    host.write(BEAT, since_boot().as_secs().to_string().as_bytes(), 0o644, None)
}

/// How long ago the loop turned; `None` when it never did.
pub fn silence(beat: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(beat).ok()?;
    let at = Duration::from_secs(text.trim().parse().ok()?);
    Some(since_boot().saturating_sub(at))
}

/// The clock that counts since boot; both processes read the same one.
fn since_boot() -> Duration {
    let mut time = nix::libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills in the structure that it is given, which lives longer than the call.
    unsafe { nix::libc::clock_gettime(nix::libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What `lampd status` shows: the feed without what is secret.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Status {
    pub identity: Identity,
    pub agent_version: String,
    pub os: String,
    pub generation: Option<String>,
    pub converged: bool,
    pub trouble: Option<String>,
    pub steps: Reports,
    pub versions: BTreeMap<String, String>,
}
