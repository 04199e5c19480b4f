//! Both services of this program start at the next boot, with the program and its settings in their places, and the index
//! page's port is open: whoever connects to it wakes the page.

use std::time::Duration;

use crate::{
    commands::install::{self, BINARY},
    converge::Step,
    host::Host,
    settings::{self, Settings},
    units::{self, SERVICE, SOCKET},
};

const ADDRESS: &str = "127.0.0.1:8080";

pub struct Page<'a> {
    pub settings: &'a Settings,
}

impl Step for Page<'_> {
    const NAME: &'static str = "page";
    // The balancer asks the page itself; Apache serves without it.
    const REQUIRED: bool = false;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        // What runs now would not notice, and the next start would fail.
        if let Some(path) = [BINARY, settings::PATH].into_iter().find(|it| !host.exists(it)) {
            return Ok(Some(format!("{path} is missing")));
        }
        if let Some(wrong) = units::differ(host)? {
            return Ok(Some(wrong));
        }
        Ok((!host.connects(ADDRESS).await).then(|| format!("nobody listens on {ADDRESS}")))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        if !host.exists(settings::PATH) {
            self.settings.write(host)?;
        }
        if host.exists(BINARY) {
            units::write(host)?;
        } else {
            install::place(host)?;
        }
        units::enable(host).await?;
        host.run(&["systemctl", "start", SOCKET, SERVICE], Duration::from_secs(20)).await.map(drop)
    }
}
