//! The MariaDB server on the host itself, as the lab's script had it. Off unless the stack asks for it.

use std::time::Duration;

use crate::{converge::Step, host::Host, os::Os, steps::web::is_enabled};

pub struct LocalDatabase {
    pub os: &'static Os,
}

impl Step for LocalDatabase {
    const NAME: &'static str = "local-database";
    // The site's database is RDS: a host without its own one still serves.
    const REQUIRED: bool = false;
    const TIMEOUT: Duration = Duration::from_secs(120);

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let it = &self.os.local_database;
        if !is_enabled(host, it.unit) {
            return Ok(Some(format!("{} does not start at boot", it.unit)));
        }
        Ok((!host.connects(it.socket).await).then(|| format!("{} does not listen on {}", it.unit, it.socket)))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let unit = self.os.local_database.unit;
        host.run(&["systemctl", "enable", "--now", unit], Duration::from_secs(100)).await.map(drop)
    }
}
