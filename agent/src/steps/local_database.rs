//! The MariaDB server on the host itself, as the lab's script had it. Off unless the stack asks for it.

use std::time::Duration;

use crate::{
    converge::Step,
    host::{Host, ROOT},
    os::Os,
    steps::web::is_enabled,
};

/// Says that it was us who switched the server on: one that somebody else runs is not ours to switch off.
const NOTE: &str = "/var/lib/lamp/local-database";
/// It serves this host alone.
const BIND: &[u8] =
    b"# Written by lampd; a change here is undone within a minute.\n[mysqld]\nbind-address = 127.0.0.1\n";
const LIMIT: Duration = Duration::from_secs(100);

pub struct LocalDatabase {
    pub os: &'static Os,
}

impl LocalDatabase {
    /// What is wrong with the address that it listens at, in words.
    fn unbound(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let Some(path) = self.os.local_database.bind else { return Ok(None) };
        host.differs(path, BIND, 0o644, ROOT)
    }
}

impl Step for LocalDatabase {
    const NAME: &'static str = "local-database";
    // The site's database is RDS: a host without its own one still serves.
    const REQUIRED: bool = false;
    const TIMEOUT: Duration = Duration::from_secs(120);

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let it = &self.os.local_database;
        if let Some(wrong) = self.unbound(host)? {
            return Ok(Some(wrong));
        }
        if !is_enabled(host, it.unit) {
            return Ok(Some(format!("{} does not start at boot", it.unit)));
        }
        Ok((!host.connects(it.socket).await).then(|| format!("{} does not listen on {}", it.unit, it.socket)))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let unit = self.os.local_database.unit;
        if let Some(path) = self.os.local_database.bind
            && self.unbound(host)?.is_some()
        {
            host.write(path, BIND, 0o644, Some(ROOT))?;
            // One that runs already listens everywhere.
            host.run(&["systemctl", "try-restart", unit], LIMIT).await?;
        }
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
        remove(self.os, host)?;
        host.remove(NOTE)
    }
}

/// Takes back what we told the server.
///
/// # Errors
/// When the file stays.
pub fn remove(os: &Os, host: &Host) -> anyhow::Result<()> {
    os.local_database.bind.map_or(Ok(()), |it| host.remove(it))
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

    #[tokio::test]
    async fn on_amazon_linux_it_is_told_to_listen_on_loopback_alone_before_it_starts() {
        let (host, script, os) = machine("amzn");
        let path = "/etc/my.cnf.d/zz-lamp.cnf";
        assert!(run(&host, &Log::default(), &LocalDatabase { os }).await);
        let restart = "systemctl try-restart mariadb.service";
        assert_eq!(script.log(), [restart, "systemctl enable --now mariadb.service"]);
        assert!(host.read(path).unwrap().unwrap().contains("[mysqld]\nbind-address = 127.0.0.1\n"));
        assert!(run(&host, &Log::default(), &LocalDatabase { os }).await);
        assert_eq!(script.log(), Vec::<String>::new());
        assert!(run(&host, &Log::default(), &Gone { os }).await);
        assert!(!host.exists(path));
    }
}
