//! The MariaDB server on the host itself, as the lab's script had it. Off unless the stack asks for it.

use std::time::Duration;

use crate::{converge::Step, host::Host, os::Os, steps::web::is_enabled};

/// Says that it was us who switched the server on: one that somebody else runs is not ours to switch off.
const NOTE: &str = "/var/lib/lamp/local-database";
const LIMIT: Duration = Duration::from_secs(100);

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
        host.write(NOTE, unit.as_bytes(), 0o644, None)?;
        host.run(&["systemctl", "enable", "--now", unit], LIMIT).await.map(drop)
    }
}

/// The server of a stack that does not ask for it any more; its packages and its data stay.
pub struct Gone {
    pub os: &'static Os,
}

impl Step for Gone {
    const NAME: &'static str = LocalDatabase::NAME;
    const REQUIRED: bool = false;
    const TIMEOUT: Duration = LocalDatabase::TIMEOUT;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let unit = self.os.local_database.unit;
        Ok(host.exists(NOTE).then(|| format!("the stack does not ask for {unit} any more")))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let unit = self.os.local_database.unit;
        if is_enabled(host, unit) {
            host.run(&["systemctl", "disable", "--now", unit], LIMIT).await?;
        }
        host.remove(NOTE)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        converge::{Log, run},
        host::{
            Output,
            script::{Script, scripted},
        },
    };

    fn machine(id: &str) -> (Host, Arc<Script>, &'static Os) {
        let (host, script) = scripted();
        host.write("/etc/os-release", format!("ID={id}\n").as_bytes(), 0o644, None).unwrap();
        script.on(|host, line| {
            let link = "/etc/systemd/system/multi-user.target.wants/mariadb.service";
            match line.split(' ').nth(1) {
                Some("enable") => host.write(link, b"", 0o644, None).unwrap(),
                Some("disable") => host.remove(link).unwrap(),
                _ => (),
            }
            Output::default()
        });
        let os = crate::os::detect(&host).unwrap();
        (host, script, os)
    }

    #[tokio::test]
    async fn only_what_we_switched_on_is_switched_off() {
        let (host, script, os) = machine("debian");
        script.answer.lock().unwrap()(&host, "systemctl enable");
        assert!(run(&host, &Log::default(), &Gone { os }).await);
        assert_eq!(script.log(), Vec::<String>::new());
        script.answer.lock().unwrap()(&host, "systemctl disable");
        assert!(run(&host, &Log::default(), &LocalDatabase { os }).await);
        assert!(run(&host, &Log::default(), &Gone { os }).await);
        let lines = script.log();
        assert_eq!(
            lines,
            ["systemctl enable --now mariadb.service", "systemctl disable --now mariadb.service"]
        );
        assert!(run(&host, &Log::default(), &Gone { os }).await);
        assert_eq!(script.log(), Vec::<String>::new());
    }
}
