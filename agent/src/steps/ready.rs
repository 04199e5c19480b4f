//! The file that Apache serves at `/lamp-ready` and the balancer asks for: there only while this host is in order.

use crate::{
    converge::Step,
    host::{Host, ROOT},
};

/// Gone after a reboot, as everything in `/run`: a host is not ready until it was found to be.
pub const FILE: &str = "/run/lamp/lamp-ready";
/// What Apache serves to prove which configuration it runs with.
pub const ALIVE: &str = "/run/lamp/alive";
const TEXT: &[u8] = b"ready\n";
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
        if self.fit {
            return host.differs(FILE, TEXT, 0o644, ROOT);
        }
        Ok(host.exists(FILE).then(|| "the host is not in order and still announced".to_owned()))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        if !self.fit {
            return host.remove(FILE);
        }
        folder(host)?;
        host.write(FILE, TEXT, 0o644, Some(ROOT))
    }
}
