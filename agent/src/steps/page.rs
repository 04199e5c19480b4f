//! Both services of this program start at the next boot, and the index page's port is open: whoever connects to it
//! wakes the page.

use std::time::Duration;

use crate::{
    converge::Step,
    host::Host,
    units::{self, SERVICE, SOCKET},
};

const ADDRESS: &str = "127.0.0.1:8080";

pub struct Page;

impl Step for Page {
    const NAME: &'static str = "page";
    // The balancer asks the page itself; Apache serves without it.
    const REQUIRED: bool = false;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        if let Some(wrong) = units::differ(host)? {
            return Ok(Some(wrong));
        }
        Ok((!host.connects(ADDRESS).await).then(|| format!("nobody listens on {ADDRESS}")))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        units::write(host)?;
        units::enable(host).await?;
        host.run(&["systemctl", "start", SOCKET, SERVICE], Duration::from_secs(20)).await.map(drop)
    }
}
