//! The file that Apache serves at `/lamp-ready` and the balancer asks for: there only while this host is in order.

use crate::{converge::Step, host::Host};

/// Gone after a reboot, as everything in `/run`: a host is not ready until it was found to be.
pub const FILE: &str = "/run/lamp/lamp-ready";
/// What Apache serves to prove which configuration it runs with.
pub const ALIVE: &str = "/run/lamp/alive";
/// Of what the agent publishes.
pub const FOLDER: &str = "/run/lamp";

pub struct Ready {
    pub fit: bool,
}

/// Everybody may enter; what is not for everybody says so itself.
///
/// # Errors
/// When it cannot be made.
pub fn folder(host: &Host) -> anyhow::Result<()> {
    host.mkdir(FOLDER, 0o755)
}

impl Step for Ready {
    const NAME: &'static str = "ready";

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        Ok(match (self.fit, host.exists(FILE)) {
            (true, false) => Some("the host is in order and not announced".to_owned()),
            (false, true) => Some("the host is not in order and still announced".to_owned()),
            _ => None,
        })
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        if !self.fit {
            return host.remove(FILE);
        }
        folder(host)?;
        host.write(FILE, b"ready\n", 0o644, None)
    }
}
