//! The index page's port is open, now and after the next boot: whoever connects to it wakes the page.

use std::time::Duration;

use crate::{converge::Step, host::Host};

pub const SERVICE: &str = "lampd-page.service";
pub const SOCKET: &str = "lampd-page.socket";

const ADDRESS: &str = "127.0.0.1:8080";

pub struct Page;

impl Step for Page {
    const NAME: &'static str = "page";
    // The balancer asks the page itself; Apache serves without it.
    const REQUIRED: bool = false;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        if !host.exists(&format!("/etc/systemd/system/sockets.target.wants/{SOCKET}")) {
            return Ok(Some(format!("{SOCKET} does not start at boot")));
        }
        Ok((!host.connects(ADDRESS).await).then(|| format!("nobody listens on {ADDRESS}")))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let limit = Duration::from_secs(20);
        host.run(&["systemctl", "enable", SOCKET, SERVICE], limit).await?;
        host.run(&["systemctl", "start", SOCKET, SERVICE], limit).await.map(drop)
    }
}
