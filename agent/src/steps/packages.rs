//! Apache, PHP, the database client, and what mounting the shared files needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use shared::agent::{AgentConfig, Transport};

use super::{
    heal::heal,
    torn::{self, Note},
};
use crate::{converge::Step, host::Host, os::Os};

/// Package managers take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub struct Packages<'a> {
    os: &'static Os,
    want: Vec<&'static str>,
    note: Note,
    seen: &'a Mutex<Option<Seen>>,
    versions: &'a Mutex<BTreeMap<String, String>>,
}

/// The state of the package database in which all of these were installed.
#[derive(PartialEq)]
pub struct Seen {
    stamps: Vec<String>,
    want: Vec<&'static str>,
}

/// What only some stacks ask for: a mirror that is down must not take a host of a web site out of the balancer for it.
pub struct More<'a>(Packages<'a>);

impl<'a> More<'a> {
    /// `None` where the configuration asks for nothing of the kind.
    pub fn new(
        os: &'static Os,
        config: Option<&AgentConfig>,
        seen: &'a Mutex<Option<Seen>>,
        versions: &'a Mutex<BTreeMap<String, String>>,
    ) -> Option<More<'a>> {
        let config = config?;
        let mut want = Vec::new();
        if config.files.as_ref().is_some_and(|it| it.transport == Transport::Nfs) {
            want.extend(os.packages.nfs);
        }
        if config.local_database {
            want.extend(os.local_database.packages);
        }
        let note = Note("/var/lib/lamp/unsynced-more-packages");
        (!want.is_empty()).then_some(More(Packages { os, want, note, seen, versions }))
    }
}

impl<'a> Packages<'a> {
    /// What every host of the stack needs.
    pub fn new(
        os: &'static Os,
        config: Option<&AgentConfig>,
        seen: &'a Mutex<Option<Seen>>,
        versions: &'a Mutex<BTreeMap<String, String>>,
    ) -> Packages<'a> {
        let mut want = os.packages.base.to_vec();
        // Most hosts mount with TLS: not waiting for the parameters makes one transaction instead of two.
        if config.and_then(|it| it.files.as_ref()).is_none_or(|it| it.transport == Transport::Tls) {
            want.extend(os.packages.efs);
        }
        Packages { os, want, note: Note("/var/lib/lamp/unsynced-packages"), seen, versions }
    }

    fn now(&self, host: &Host) -> Seen {
        let stamps = self.os.packages.stamps.iter().map(|it| host.stamp(it)).collect();
        Seen { stamps, want: self.want.clone() }
    }

    /// Names of those that are not installed, and whether all of them are being set up by somebody else: who upgrades them
    /// lets them run until then, and the site with them.
    async fn missing(&self, host: &Host) -> anyhow::Result<(Vec<&'static str>, bool)> {
        let argv = [self.os.packages.query, &self.want].concat();
        // Fails as soon as one is missing, and prints the others.
        let out = host.try_run(&argv, Duration::from_secs(30)).await?;
        let (mut found, mut halfway) = (BTreeMap::new(), BTreeSet::new());
        for line in out.stdout.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                [name, "installed", version] => drop(found.insert(name.to_owned(), version.to_owned())),
                [name, "unpacked" | "half-configured" | "triggers-awaited" | "triggers-pending", _] => {
                    halfway.insert(name.to_owned());
                }
                _ => (),
            }
        }
        let missing: Vec<_> = self.want.iter().copied().filter(|it| !found.contains_key(*it)).collect();
        let others = !missing.is_empty()
            && missing.iter().all(|it| halfway.contains(*it))
            && self.os.packages.lock.is_some_and(|it| host.is_locked(it));
        if let Ok(mut it) = self.versions.lock() {
            it.retain(|name, _| !self.want.contains(&name.as_str()));
            it.extend(found);
        }
        Ok((missing, others))
    }

    async fn install(&self, host: &Host, names: &[&str]) -> anyhow::Result<()> {
        self.note.begin(host)?;
        let argv = [self.os.packages.install, names].concat();
        let out = host.try_run(&argv, Self::TIMEOUT).await?;
        if out.code != 0 && out.is_own_end() {
            // It cleaned up behind itself: nothing is torn, and nothing has to be installed anew.
            self.note.end(host).await?;
        }
        out.succeeded(&argv)?;
        self.wake(host).await?;
        self.note.end(host).await
    }

    /// What the packages themselves may have left undone: where they start nothing, nobody else does.
    async fn wake(&self, host: &Host) -> anyhow::Result<()> {
        let limit = Duration::from_secs(60);
        host.run(&["systemctl", "daemon-reload"], limit).await?;
        host.run(&["systemctl", "start", "--no-block", "timers.target"], limit).await?;
        // One that runs has to load its new modules. One that is not there yet comes with what is still to be installed.
        if let Ok(php) = self.os.php(host) {
            host.try_run(&["systemctl", "try-reload-or-restart", &php.unit], limit).await?;
        }
        Ok(())
    }
}

impl Step for Packages<'_> {
    const NAME: &'static str = "packages";
    const TIMEOUT: Duration = Duration::from_secs(900);
    // Pages are broken until the last package is there again, and that may take minutes.
    const KEEPS: bool = false;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        if let Some(torn) = self.note.check(host)? {
            return Ok(Some(torn));
        }
        let now = self.now(host);
        if self.seen.lock().is_ok_and(|it| it.as_ref() == Some(&now)) {
            return Ok(None);
        }
        let (missing, others) = self.missing(host).await?;
        if others {
            return Ok(None);
        }
        if !missing.is_empty() {
            return Ok(Some(format!("not installed: {}", missing.join(", "))));
        }
        if let Ok(mut it) = self.seen.lock() {
            *it = Some(now);
        }
        Ok(None)
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let packages = &self.os.packages;
        // A second manager at the same time would be refused.
        let _turn = TURN.lock().await;
        let was_torn = self.note.check(host)?.is_some();
        let healed = heal(packages, host).await?;
        self.note.mend(packages, host).await?;
        let (missing, _) = self.missing(host).await?;
        if packages.heal.is_none() && self.note.check(host)?.is_some() {
            // Killed within an installation of this boot: what is noted as installed may never have been set up.
            let there: Vec<&str> = self.want.iter().copied().filter(|it| !missing.contains(it)).collect();
            if !there.is_empty() {
                // A version that no mirror has any more must not stop everything else for ever.
                if let Err(err) = torn::anew(&packages.damage, &there, host).await {
                    tracing::warn!("packages: {err:#}");
                }
            }
        }
        // Also what somebody else installed: whoever is killed between installing and this comes by here again.
        if was_torn || healed || missing.is_empty() {
            self.wake(host).await?;
        }
        if missing.is_empty() {
            return self.note.end(host).await;
        }
        let fresh = packages.lists.is_some_and(|it| {
            host.list(it).is_ok_and(|names| !names.iter().any(|name| name.ends_with("_Packages")))
        });
        if fresh {
            host.run(packages.refresh, Duration::from_secs(300)).await?;
            return self.install(host, &missing).await;
        }
        // Lists that came with the image may be too old: they are refreshed only when that shows.
        match self.install(host, &missing).await {
            Ok(()) => Ok(()),
            Err(err) => {
                tracing::warn!("packages: {err:#}; once more with new lists");
                host.run(packages.refresh, Duration::from_secs(300)).await?;
                self.install(host, &missing).await
            }
        }
    }
}

impl Step for More<'_> {
    const NAME: &'static str = "more-packages";
    const TIMEOUT: Duration = Packages::TIMEOUT;
    const REQUIRED: bool = false;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        self.0.check(host).await
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        self.0.apply(host).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        converge::{Log, run},
        host::{Output, script::scripted},
    };

    fn os(host: &Host) -> &'static Os {
        host.write("/etc/os-release", b"ID=debian\n", 0o644, None).unwrap();
        crate::os::detect(host).unwrap()
    }

    /// A package manager that has `have` and installs what it is asked for, unless it fails first.
    fn dpkg(host: &Host, line: &str, failures: &mut u32) -> Output {
        let have = host.read("/var/lib/dpkg/status").unwrap().unwrap_or_default();
        if line.starts_with("dpkg-query") {
            let asked = line.split(' ').skip(5);
            let lines = asked.filter(|it| have.contains(it)).map(|it| format!("{it} installed 1.0\n"));
            return Output { code: 1, stdout: lines.collect(), stderr: String::new() };
        }
        if line.contains(" install ") && *failures > 0 {
            *failures -= 1;
            return Output { code: 100, stderr: "E: 404 Not Found".into(), ..Output::default() };
        }
        if let Some((_, names)) = line.split_once(" install ") {
            host.write("/var/lib/dpkg/status", names.as_bytes(), 0o644, None).unwrap();
        }
        Output::default()
    }

    #[tokio::test]
    async fn the_second_pass_asks_nobody() {
        let (host, script) = scripted();
        let (seen, versions) = (Mutex::default(), Mutex::default());
        let step = Packages::new(os(&host), None, &seen, &versions);
        host.write("/var/lib/apt/lists/x_Packages", b"", 0o644, None).unwrap();
        script.on(|host, line| dpkg(host, line, &mut 0));
        assert!(run(&host, &Log::default(), &step).await);
        script.log();
        assert!(run(&host, &Log::default(), &step).await);
        assert_eq!(script.log(), Vec::<String>::new());
        assert_eq!(versions.lock().unwrap().get("apache2").map(String::as_str), Some("1.0"));
    }

    #[tokio::test]
    async fn a_package_removed_by_hand_is_noticed() {
        let (host, script) = scripted();
        let (seen, versions) = (Mutex::default(), Mutex::default());
        let step = Packages::new(os(&host), None, &seen, &versions);
        script.on(|host, line| dpkg(host, line, &mut 0));
        assert!(run(&host, &Log::default(), &step).await);
        host.write("/var/lib/dpkg/status", b"apache2", 0o644, None).unwrap();
        let missing = step.check(&host).await.unwrap().unwrap();
        assert!(missing.contains("php-fpm") && !missing.contains("apache2"), "{missing}");
    }

    #[tokio::test]
    async fn what_only_some_stacks_want_takes_no_host_out_of_the_balancer() {
        let (host, script) = scripted();
        let (seen, more_seen, versions) = (Mutex::default(), Mutex::default(), Mutex::default());
        let os = os(&host);
        let config = AgentConfig {
            generation: None,
            database: None,
            files: None,
            local_database: true,
            poll_seconds: 15,
            share_ms: 50,
        };
        let log = Log::default();
        script.on(|host, line| match line.contains(" install ") && line.contains("mariadb-server") {
            true => Output { code: 100, stderr: "E: 404 Not Found".into(), ..Output::default() },
            false => dpkg(host, line, &mut 0),
        });
        assert!(run(&host, &log, &Packages::new(os, Some(&config), &seen, &versions)).await);
        let more = More::new(os, Some(&config), &more_seen, &versions).unwrap();
        assert!(!run(&host, &log, &more).await);
        let reports = log.follow().borrow().clone();
        assert_eq!(reports["more-packages"].state, crate::converge::State::Failed);
        assert!(crate::converge::fit(&reports));
        assert!(versions.lock().unwrap().contains_key("apache2"), "what the others have is still known");
        assert!(More::new(os, None, &more_seen, &versions).is_none());
        // Nor does a power cut during its installation.
        host.write(more.0.note.0, b"an earlier boot", 0o644, None).unwrap();
        script.log();
        assert!(run(&host, &log, &Packages::new(os, Some(&config), &seen, &versions)).await);
        assert_eq!(script.log(), Vec::<String>::new());
        assert!(more.check(&host).await.unwrap().is_some_and(|it| it.contains("the power went")));
    }

    #[tokio::test]
    async fn a_host_is_not_announced_while_its_packages_are_being_installed() {
        let (host, script) = scripted();
        let (seen, versions) = (Mutex::default(), Mutex::default());
        let (log, step) = (Log::default(), Packages::new(os(&host), None, &seen, &versions));
        script.on(|host, line| dpkg(host, line, &mut 0));
        assert!(run(&host, &log, &step).await);
        host.write("/var/lib/dpkg/status", b"none", 0o644, None).unwrap();
        let (steps, held) = (log.follow(), std::sync::Arc::new(Mutex::new(Vec::new())));
        let note = held.clone();
        script.on(move |host, line| {
            if line.contains(" install ") {
                note.lock().unwrap().push(crate::converge::fit(&steps.borrow()));
            }
            dpkg(host, line, &mut 0)
        });
        assert!(run(&host, &log, &step).await);
        let held = held.lock().unwrap();
        assert!(!held.is_empty() && held.iter().all(|it| !it), "{held:?}");
        assert!(crate::converge::fit(&log.follow().borrow()));
    }

    #[tokio::test]
    async fn files_are_synced_when_everything_is_unpacked() {
        let (host, script) = scripted();
        let (seen, versions) = (Mutex::default(), Mutex::default());
        let step = Packages::new(os(&host), None, &seen, &versions);
        host.write("/var/lib/apt/lists/x_Packages", b"", 0o644, None).unwrap();
        script.on(|host, line| dpkg(host, line, &mut 0));
        assert!(run(&host, &Log::default(), &step).await);
        let log = script.log();
        let at = |end: &str| log.iter().position(|it| it.contains(end)).unwrap_or_else(|| panic!("{log:#?}"));
        assert!(at("install apache2 php-fpm") < at("sync"), "{log:#?}");
    }

    #[tokio::test]
    async fn what_was_installed_before_the_agent_was_killed_is_started_all_the_same() {
        let (host, script) = scripted();
        let (seen, versions) = (Mutex::default(), Mutex::default());
        let step = Packages::new(os(&host), None, &seen, &versions);
        host.write("/var/lib/dpkg/status", step.want.join(" ").as_bytes(), 0o644, None).unwrap();
        host.mkdir("/etc/php/8.2/fpm/pool.d", 0o755).unwrap();
        host.write("/usr/sbin/php-fpm8.2", b"", 0o755, None).unwrap();
        step.note.begin(&host).unwrap();
        script.on(|host, line| dpkg(host, line, &mut 0));
        assert!(run(&host, &Log::default(), &step).await);
        let log = script.log();
        assert!(log.contains(&"systemctl try-reload-or-restart php8.2-fpm.service".to_owned()), "{log:#?}");
        assert!(!log.iter().any(|it| it.contains(" install ")), "{log:#?}");
    }

    #[tokio::test]
    async fn stale_lists_are_refreshed_and_the_installation_tried_again() {
        let (host, script) = scripted();
        let (seen, versions) = (Mutex::default(), Mutex::default());
        let step = Packages::new(os(&host), None, &seen, &versions);
        host.write("/var/lib/apt/lists/x_Packages", b"", 0o644, None).unwrap();
        let mut failures = 1;
        script.on(move |host, line| dpkg(host, line, &mut failures));
        assert!(run(&host, &Log::default(), &step).await);
        let log = script.log();
        assert_eq!(log.iter().filter(|it| it.ends_with(" update")).count(), 1, "{log:#?}");
        assert!(log[..3].iter().all(|it| it.starts_with("dpkg-query")), "nothing was to complete: {log:#?}");
    }
}
