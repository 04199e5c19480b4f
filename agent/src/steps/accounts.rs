//! The lab's accounts and permissions: the login user in the web server's group, `/var/www` shared between them.

use std::{
    fs,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::Path,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use crate::{
    converge::Step,
    host::{Host, Owner, ROOT},
    os::Os,
    steps::efs,
};

/// The tree that the lab hands to the login user and the web server.
const TREE: &str = "/var/www";
/// Directories keep the group for what is made in them.
const FOLDER: u32 = 0o2775;
const FILE: u32 = 0o664;

pub struct Accounts {
    os: &'static Os,
    /// When its mending began: what the site itself has made since then is a matter of the next pass.
    mended: OnceLock<SystemTime>,
}

/// Linux dates changes by a clock that lags a little.
const LAG: Duration = Duration::from_secs(1);

impl Accounts {
    pub fn new(os: &'static Os) -> Accounts {
        Accounts { os, mended: OnceLock::new() }
    }

    fn login_user(os: &Os, host: &Host) -> Option<&'static str> {
        os.login_users.iter().copied().find(|it| host.user(it).is_some())
    }

    /// The login user who is not in the web server's group.
    fn outsider(&self, host: &Host) -> Option<&'static str> {
        let (_, members) = host.group(self.os.web_user).unwrap_or_default();
        Self::login_user(self.os, host).filter(|user| !members.iter().any(|it| it == user))
    }

    /// The tree's owner: the login user where there is one.
    pub fn owner(os: &'static Os, host: &Host) -> anyhow::Result<Owner> {
        let (gid, _) = host.group(os.web_user).with_context(|| {
            format!("group {} does not exist yet: the web server is not installed", os.web_user)
        })?;
        let user = Self::login_user(os, host).and_then(|it| host.user(it)).unwrap_or(ROOT);
        Ok(Owner { uid: user.uid, gid })
    }

    /// Whether all is as it should be; mends what is not if asked.
    async fn tree(&self, host: &Host, mend: bool) -> anyhow::Result<bool> {
        let owner = Self::owner(self.os, host)?;
        let until = self.mended.get().map_or(i64::MAX, |it| {
            let since = it.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(LAG);
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        });
        let host = host.clone();
        let walk = move || {
            let tree = host.at(TREE);
            let mut walk = Walk { host: &host, owner, mend, until, fine: true };
            if tree.exists() {
                walk.down(&fs::File::open("/")?, &tree)?;
            }
            anyhow::Ok(walk.fine)
        };
        tokio::task::spawn_blocking(walk).await.context("walking /var/www")?
    }
}

impl Step for Accounts {
    const NAME: &'static str = "accounts";

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        if let Some(user) = self.outsider(host) {
            return Ok(Some(format!("{user} is not in group {}", self.os.web_user)));
        }
        if !host.exists("/var/www/html") {
            return Ok(Some("/var/www/html is missing".to_owned()));
        }
        let fine = self.tree(host, false).await?;
        Ok((!fine).then(|| format!("files below {TREE} have another owner or mode")))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        if let Some(user) = self.outsider(host) {
            host.run(&["usermod", "-a", "-G", self.os.web_user, user], Duration::from_secs(20)).await?;
        }
        if !host.exists("/var/www/html") {
            host.mkdir("/var/www/html", FOLDER)?;
        }
        let began = SystemTime::now();
        self.tree(host, true).await?;
        let _ = self.mended.set(began);
        Ok(())
    }
}

/// Goes down the tree from descriptor to descriptor: whoever may write here could exchange any folder of a path for a
/// link to elsewhere, between the look and the change. What is mounted below (the shared files) is not even touched,
/// since its server may be dead. Not among [`Host`]'s own effects, which go by path.
struct Walk<'a> {
    host: &'a Host,
    owner: Owner,
    mend: bool,
    /// Whatever changed later, in seconds since 1970, is not looked at.
    until: i64,
    fine: bool,
}

impl Walk<'_> {
    fn down(&mut self, folder: &fs::File, path: &Path) -> anyhow::Result<()> {
        let host = self.host;
        // The tree itself is found by its path, whose folders are root's alone.
        let at_top = path == host.at(TREE);
        let (name, within) = match path.file_name() {
            Some(name) if !at_top => {
                (Path::new(name), ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_XDEV)
            }
            _ => (path, ResolveFlag::empty()),
        };
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
            .resolve(within | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let file = match openat2(folder.as_fd(), name, how) {
            Ok(file) => fs::File::from(file),
            Err(err @ (nix::Error::ENOSYS | nix::Error::EPERM)) if at_top => {
                return Err(err).with_context(|| format!("opening {TREE}"));
            }
            // A link, a socket, another file system, or gone meanwhile.
            Err(_) => return Ok(()),
        };
        let meta = file.metadata()?;
        let mode = match meta.file_type() {
            it if it.is_dir() => FOLDER,
            // A second name of a file may lie anywhere, so its mode is not ours to change.
            it if it.is_file() && meta.nlink() == 1 => FILE,
            _ => return Ok(()),
        };
        let owner = self.owner;
        let owned = !host.is_real() || (meta.uid(), meta.gid()) == (owner.uid, owner.gid);
        if (!owned || meta.mode() & 0o7777 != mode) && meta.ctime() < self.until {
            self.fine = false;
            if self.mend {
                if host.is_real() {
                    std::os::unix::fs::fchown(&file, Some(owner.uid), Some(owner.gid))?;
                }
                file.set_permissions(fs::Permissions::from_mode(mode))?;
            }
        }
        if meta.is_dir() {
            for entry in fs::read_dir(format!("/proc/self/fd/{}", file.as_raw_fd()))? {
                let below = path.join(entry?.file_name());
                // The name is compared before the entry is touched.
                if below == host.at(efs::AT) && efs::is_taken(self.host) {
                    continue;
                }
                self.down(&file, &below)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        converge::{Log, run},
        host::{Output, script::scripted},
    };

    fn machine() -> (Host, std::sync::Arc<crate::host::script::Script>, Accounts) {
        let (host, script) = scripted();
        host.write("/etc/os-release", b"ID=amzn\n", 0o644, None).unwrap();
        host.write("/etc/passwd", b"ec2-user:x:1000:1000::/home/ec2-user:/bin/bash\n", 0o644, None).unwrap();
        host.write("/etc/group", b"apache:x:48:\n", 0o644, None).unwrap();
        host.write("/var/www/html/pictures/a.png", b"", 0o600, None).unwrap();
        script.on(|host, line| {
            if line == "usermod -a -G apache ec2-user" {
                host.write("/etc/group", b"apache:x:48:ec2-user\n", 0o644, None).unwrap();
            }
            Output::default()
        });
        let os = crate::os::detect(&host).unwrap();
        (host, script, Accounts::new(os))
    }

    fn mode(host: &Host, path: &str) -> u32 {
        fs::metadata(host.at(path)).unwrap().mode() & 0o7777
    }

    #[tokio::test]
    async fn the_login_user_joins_and_the_tree_gets_the_labs_modes() {
        let (host, script, step) = machine();
        assert!(run(&host, &Log::default(), &step).await);
        assert_eq!(mode(&host, "/var/www/html/pictures"), 0o2775);
        assert_eq!(mode(&host, "/var/www/html/pictures/a.png"), 0o664);
        script.log();
        assert!(run(&host, &Log::default(), &step).await);
        assert_eq!(script.log(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_site_that_writes_files_all_the_time_keeps_its_host_in_order() {
        let (host, _, step) = machine();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (ended, at) = (stop.clone(), host.clone());
        let writing = std::thread::spawn(move || {
            let mut n = 0;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                n += 1;
                at.write(&format!("/var/www/html/cache/{n}"), b"", 0o644, None).unwrap();
            }
        });
        let log = Log::default();
        for _ in 0..20 {
            assert!(run(&host, &log, &Accounts::new(step.os)).await, "{:?}", log.follow().borrow());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writing.join().unwrap();
        assert!(run(&host, &log, &Accounts::new(step.os)).await);
        assert_eq!(mode(&host, "/var/www/html/cache/1"), 0o664);
    }

    #[tokio::test]
    async fn what_lies_on_the_shared_files_and_behind_links_stays_as_it_is() {
        let (host, _, step) = machine();
        host.write("/var/www/html/efs/theirs", b"", 0o600, None).unwrap();
        host.write("/etc/shadow", b"", 0o600, None).unwrap();
        std::os::unix::fs::symlink(host.at("/etc/shadow"), host.at("/var/www/html/link")).unwrap();
        let table = b"1 2 0:1 / /var/www/html/efs rw - nfs4 x rw\n";
        host.write("/proc/self/mountinfo", table, 0o644, None).unwrap();
        assert!(run(&host, &Log::default(), &step).await);
        assert_eq!(mode(&host, "/var/www/html/efs/theirs"), 0o600);
        assert_eq!(mode(&host, "/etc/shadow"), 0o600);
    }

    #[tokio::test]
    async fn a_folder_that_is_exchanged_for_a_link_during_the_walk_leads_nowhere() {
        let (host, _, step) = machine();
        for n in 0..40 {
            host.write(&format!("/var/www/html/a/b/{n}"), b"", 0o664, None).unwrap();
            host.write(&format!("/etc/a/b/{n}"), b"", 0o600, None).unwrap();
        }
        std::os::unix::fs::symlink(host.at("/etc/a"), host.at("/var/www/html/link")).unwrap();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (folder, link) = (host.at("/var/www/html/a"), host.at("/var/www/html/link"));
        let ended = stop.clone();
        let swapping = std::thread::spawn(move || {
            let (here, flags) = (nix::fcntl::AT_FDCWD, nix::fcntl::RenameFlags::RENAME_EXCHANGE);
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                nix::fcntl::renameat2(here, &folder, here, &link, flags).unwrap();
            }
        });
        for _ in 0..300 {
            step.tree(&host, true).await.unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        swapping.join().unwrap();
        for n in 0..40 {
            assert_eq!(mode(&host, &format!("/etc/a/b/{n}")), 0o600);
        }
    }
}
