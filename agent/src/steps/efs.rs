//! The shared files at `/var/www/html/efs`. A dead file server hangs whoever touches it, so nobody here does without a limit.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, bail};
use shared::agent::{Files, Transport};

use crate::{
    converge::Step,
    host::{Host, ROOT},
};

/// Where the shared files are mounted.
pub const AT: &str = "/var/www/html/efs";
/// systemd's name for a mount there.
const UNIT: &str = "var-www-html-efs.mount";
const UNIT_FILE: &str = "/etc/systemd/system/var-www-html-efs.mount";
/// How a unit of ours begins: what somebody else mounts there is not ours to take away.
const OURS: &str = "# Written by lampd";
const HELPER: &str = "/sbin/mount.efs";

pub struct Efs<'a> {
    pub files: &'a Files,
    pub region: &'a str,
    pub zone: Option<&'a str>,
    /// For how many looks in a row the server has been silent; what is mounted stays for a short outage.
    pub silent: &'a AtomicU32,
}

/// After this many silent looks nobody shall hang on a server any longer: every visitor of `/efs` occupies one of
/// Apache's workers until it answers, and soon there is none left for the balancer's question.
const PATIENCE: u32 = 3;

impl Efs<'_> {
    fn name(&self) -> String {
        format!("{}.efs.{}.amazonaws.com", self.files.id, self.region)
    }

    /// Address of the mount target in this host's zone.
    fn target(&self) -> Option<&str> {
        self.files.targets.get(self.zone?).map(String::as_str)
    }

    /// The mount unit, by name or, with an address, past the name.
    ///
    /// It belongs to no boot target: the boot never waits for the file server, the agent starts it.
    fn unit(&self, address: Option<&str>) -> String {
        let (what, kind, options) = match self.files.transport {
            Transport::Tls => {
                let past = address.map(|it| format!(",mounttargetip={it}")).unwrap_or_default();
                (format!("{}:/", self.files.id), "efs", format!("tls,_netdev,noresvport{past}"))
            }
            Transport::Nfs => {
                let server = address.map_or_else(|| self.name(), str::to_owned);
                // What Amazon recommends; hard, so that a server's restart loses no write.
                let options =
                    "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,_netdev";
                (format!("{server}:/"), "nfs4", options.to_owned())
            }
        };
        format!(
            "{OURS} from the stack's parameters; a change here is undone within a minute.\n\
             [Unit]\nDescription=Shared files of the site ({id})\n\n\
             [Mount]\nWhat={what}\nWhere={AT}\nType={kind}\nOptions={options}\n\
             # A server that does not answer fails the mount instead of holding it up.\nTimeoutSec=25s\n\
             # At shutdown a dead server must not hold up the host.\nLazyUnmount=yes\nForceUnmount=yes\n",
            id = self.files.id
        )
    }

    fn is_ours(&self, unit: &str) -> bool {
        unit == self.unit(None) || self.target().is_some_and(|it| unit == self.unit(Some(it)))
    }
}

impl Step for Efs<'_> {
    const NAME: &'static str = "efs";
    const TIMEOUT: Duration = Duration::from_secs(90);
    // The site serves without its shared files; an outage there must not take every host out of the balancer.
    const REQUIRED: bool = false;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        if !host.read(UNIT_FILE)?.is_some_and(|it| self.is_ours(&it)) {
            return Ok(Some(format!("{UNIT} does not say {}", self.files.id)));
        }
        if !host.is_mounted(AT) {
            return Ok(Some(format!("{} is not mounted at {AT}", self.files.id)));
        }
        if !host.answers(AT).await {
            return Ok(Some(format!("the file server of {} does not answer", self.files.id)));
        }
        self.silent.store(0, Relaxed);
        Ok(None)
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let have = host.read(UNIT_FILE)?;
        let right = have.is_some_and(|it| self.is_ours(&it));
        if right && host.is_mounted(AT) && self.silent.fetch_add(1, Relaxed) + 1 < PATIENCE {
            // Mounting anew would only hang as well; the kernel goes on by itself once the server is back.
            return Ok(());
        }
        if self.files.transport == Transport::Tls && !host.exists(HELPER) {
            bail!(
                "{HELPER} is missing: install amazon-efs-utils into the image, or set files/transport to nfs"
            );
        }
        if host.is_mounted(AT) {
            if right {
                tracing::warn!("efs: unmounting {}, so that nobody hangs on it", self.files.id);
            }
            unmount(host).await.context("unmounting the former files")?;
            self.silent.store(0, Relaxed);
        }
        let address = if host.resolves(&self.name()).await { None } else { self.target() };
        if host.put(UNIT_FILE, self.unit(address).as_bytes(), 0o644, ROOT)? {
            host.run(&["systemctl", "daemon-reload"], Duration::from_secs(20)).await?;
        }
        // What is written while nothing is mounted would vanish below the files when they are back: it has to fail.
        host.mkdir(AT, 0o555)?;
        host.give(AT, ROOT)?;
        // A mount that failed before would refuse to start again at once.
        host.try_run(&["systemctl", "reset-failed", UNIT], Duration::from_secs(10)).await?;
        let how = address.map_or_else(|| format!("as {}", self.name()), |it| format!("at {it}"));
        let start = host.run(&["systemctl", "start", UNIT], Duration::from_secs(40)).await;
        start.map(drop).with_context(|| format!("mounting {} {how}", self.files.id))
    }
}

/// The shared files of a stack that has none any more: each visitor of them would occupy one of Apache's workers.
pub struct Gone;

impl Step for Gone {
    const NAME: &'static str = Efs::<'_>::NAME;
    const REQUIRED: bool = false;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let ours = host.read(UNIT_FILE)?.is_some_and(|it| it.starts_with(OURS));
        Ok(ours.then(|| format!("the stack has no shared files any more, and {UNIT} is still there")))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        remove(host).await
    }
}

/// Whether what lies at [`AT`] is not the site's own: the shared files, or the place where they belong.
pub fn is_taken(host: &Host) -> bool {
    host.is_mounted(AT) || host.exists(UNIT_FILE)
}

/// Unmounts, whether the server answers or not, and forgets how it was mounted.
///
/// # Errors
/// When it stays mounted, or the unit's file stays.
pub async fn remove(host: &Host) -> anyhow::Result<()> {
    if Gone.check(host).await?.is_none() {
        return Ok(());
    }
    // The file goes last: as long as it is there, the next pass tries again.
    if host.is_mounted(AT) {
        unmount(host).await.context("unmounting the former files")?;
    }
    host.remove(UNIT_FILE)?;
    host.run(&["systemctl", "daemon-reload"], Duration::from_secs(20)).await?;
    // Their place goes too, unless something of the site's own lies there.
    host.try_run(&["rmdir", AT], Duration::from_secs(5)).await.map(drop)
}

/// By force, so that who hangs on a dead server comes back with an error; and lazily, since somebody may still be there.
async fn unmount(host: &Host) -> anyhow::Result<()> {
    host.run(&["umount", "-f", "-l", AT], Duration::from_secs(15)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        converge::{Log, State, run},
        host::{
            Output,
            script::{Script, scripted},
        },
    };

    fn files(transport: Transport) -> Files {
        let targets = [("ap-northeast-2a".to_owned(), "10.1.3.7".to_owned())].into();
        Files { id: "fs-1".into(), transport, targets }
    }

    fn machine() -> (Host, std::sync::Arc<Script>) {
        let (host, script) = scripted();
        host.write(HELPER, b"", 0o755, None).unwrap();
        script.on(|host, line| {
            if line == "systemctl start var-www-html-efs.mount" {
                let table = format!("1 2 0:1 / {AT} rw - nfs4 x rw\n");
                host.write("/proc/self/mountinfo", table.as_bytes(), 0o644, None).unwrap();
            }
            Output::default()
        });
        (host, script)
    }

    fn step(files: &Files) -> Efs<'_> {
        let silent = Box::leak(Box::default());
        Efs { files, region: "ap-northeast-2", zone: Some("ap-northeast-2a"), silent }
    }

    #[tokio::test]
    async fn it_mounts_once_by_name_with_tls() {
        let (host, script) = machine();
        let files = files(Transport::Tls);
        assert!(run(&host, &Log::default(), &step(&files)).await);
        let unit = host.read(UNIT_FILE).unwrap().unwrap();
        assert!(
            unit.contains("What=fs-1:/\n") && unit.contains("Options=tls,_netdev,noresvport\n"),
            "{unit}"
        );
        script.log();
        assert!(run(&host, &Log::default(), &step(&files)).await);
        assert_eq!(script.log(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_yet_is_bypassed_by_the_own_zones_address_and_kept_so() {
        for (transport, expected) in
            [(Transport::Tls, "mounttargetip=10.1.3.7"), (Transport::Nfs, "What=10.1.3.7:/")]
        {
            let (host, script) = machine();
            *script.names.lock().unwrap() = false;
            let files = files(transport);
            assert!(run(&host, &Log::default(), &step(&files)).await);
            assert!(host.read(UNIT_FILE).unwrap().unwrap().contains(expected));
            *script.names.lock().unwrap() = true;
            script.log();
            assert!(run(&host, &Log::default(), &step(&files)).await);
            assert_eq!(script.log(), Vec::<String>::new());
        }
    }

    #[tokio::test]
    async fn a_dead_server_is_reported_and_not_mounted_again_until_it_was_silent_for_long() {
        let (host, script) = machine();
        let (files, log) = (files(Transport::Tls), Log::default());
        let step = step(&files);
        assert!(run(&host, &log, &step).await);
        *script.alive.lock().unwrap() = false;
        script.log();
        for _ in 1..PATIENCE {
            assert!(!run(&host, &log, &step).await);
            assert_eq!(script.log(), Vec::<String>::new());
        }
        let report = log.follow().borrow()["efs"].clone();
        assert_eq!((report.state, report.required), (State::Failed, false));
        assert!(!run(&host, &log, &step).await);
        let lines = script.log();
        assert_eq!(lines[0], format!("umount -f -l {AT}"), "{lines:#?}");
        assert_eq!(lines.last().map(String::as_str), Some("systemctl start var-www-html-efs.mount"));
        // One that answers in between is not silent in a row.
        for alive in [false, true, false, true, false] {
            *script.alive.lock().unwrap() = alive;
            run(&host, &log, &step).await;
        }
        assert_eq!(script.log(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn files_that_the_stack_no_longer_has_are_unmounted_and_a_failure_is_tried_again() {
        let (host, script) = machine();
        let (files, log) = (files(Transport::Tls), Log::default());
        assert!(run(&host, &log, &step(&files)).await);
        script.log();
        script.on(|_, _| Output { code: 32, stderr: "target is busy".into(), ..Output::default() });
        assert!(!run(&host, &log, &Gone).await);
        let words = log.follow().borrow()["efs"].words.clone().unwrap();
        assert!(words.contains("unmounting the former files") && words.contains("busy"), "{words}");
        assert!(host.exists(UNIT_FILE));
        script.on(|_, _| Output::default());
        script.log();
        assert!(run(&host, &log, &Gone).await);
        let rmdir = format!("rmdir {AT}");
        assert_eq!(script.log(), [&format!("umount -f -l {AT}"), "systemctl daemon-reload", &rmdir]);
        assert!(!host.exists(UNIT_FILE));
        // What somebody else mounts there stays.
        host.write(UNIT_FILE, b"[Mount]\nWhat=tmpfs\n", 0o644, None).unwrap();
        assert!(run(&host, &log, &Gone).await);
        assert_eq!(script.log(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_link_in_the_place_of_the_files_leads_nowhere() {
        use std::os::unix::fs::PermissionsExt;
        let (host, script) = machine();
        host.mkdir("/root", 0o700).unwrap();
        host.mkdir("/var/www/html", 0o2775).unwrap();
        std::os::unix::fs::symlink(host.at("/root"), host.at(AT)).unwrap();
        let (files, log) = (files(Transport::Tls), Log::default());
        assert!(!run(&host, &log, &step(&files)).await);
        let words = log.follow().borrow()["efs"].words.clone().unwrap();
        assert!(words.contains(&format!("making folder {AT}")), "{words}");
        assert_eq!(std::fs::metadata(host.at("/root")).unwrap().permissions().mode() & 0o7777, 0o700);
        assert!(!script.log().iter().any(|it| it.starts_with("systemctl start")));
    }

    #[tokio::test]
    async fn another_file_system_replaces_the_mounted_one() {
        let (host, script) = machine();
        let mut files = files(Transport::Tls);
        assert!(run(&host, &Log::default(), &step(&files)).await);
        files.id = "fs-2".into();
        script.log();
        assert!(run(&host, &Log::default(), &step(&files)).await);
        assert_eq!(script.log()[0], format!("umount -f -l {AT}"));
    }
}
