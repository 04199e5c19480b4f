//! `index.php` of the lab: the host's private address and the rows of SAMPLE, from PHP.

use anyhow::Context;

use crate::{converge::Step, host::Host, os::Os, steps::accounts::Accounts};

const FILE: &str = "/var/www/html/index.php";
const TEXT: &[u8] = include_bytes!("../../data/index.php");

pub struct Index {
    pub os: &'static Os,
}

impl Step for Index {
    const NAME: &'static str = "index";

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let owner = Accounts::owner(self.os, host)?;
        host.differs(FILE, TEXT, 0o664, owner)
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let owner = Accounts::owner(self.os, host)?;
        host.write(FILE, TEXT, 0o664, Some(owner)).context("index.php")
    }
}

/// Removes the page if it is still ours.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(host: &Host) -> anyhow::Result<()> {
    if host.read_bytes(FILE)?.as_deref() == Some(TEXT) { host.remove(FILE) } else { Ok(()) }
}
