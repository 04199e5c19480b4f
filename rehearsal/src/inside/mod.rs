//! The region from within: its first process, and the daemon that does what the outside asks.

pub(crate) mod enter;
mod imds;
pub(crate) mod launch;
pub(crate) mod names;
pub(crate) mod network;
mod outage;
mod places;
mod rights;
mod rootfs;
pub(crate) mod router;
mod run;
mod serve;
mod supervise;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use crate::cgroups::Cgroups;
use crate::keeper::Charge;

/// Process 1 of the region: prepares its private machine, starts the daemon and buries the orphans.
pub(crate) fn first(charge: &Charge, cgroups: &Cgroups) -> isize {
    match prepare() {
        Ok(()) => {}
        Err(err) => return serve::refuse(&err),
    }
    // SAFETY: this process has no threads.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => serve::daemon(charge, cgroups),
        Ok(ForkResult::Parent { child }) => {
            // Only the daemon holds the line to the outside.
            if let Ok(null) = fs::File::open("/dev/null") {
                let _ = nix::unistd::dup2_stdin(&null);
            }
            loop {
                match waitpid(None, None) {
                    Ok(WaitStatus::Exited(pid, code)) if pid == child => return code as isize,
                    Ok(WaitStatus::Signaled(pid, ..)) if pid == child => return 1,
                    Err(nix::errno::Errno::ECHILD) => return 1,
                    _ => {}
                }
            }
        }
        Err(err) => serve::refuse(&anyhow::Error::new(err).context("forking the region's daemon")),
    }
}

fn prepare() -> anyhow::Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("binding the region's life to its keeper's")?;
    // SAFETY: no handler of ours runs.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.context("ignoring SIGPIPE")?;
    private_mounts()?;
    nix::unistd::sethostname("region").context("naming the region")
}

/// From here on nothing that is mounted shows outside, and all of it goes with the last process.
fn private_mounts() -> anyhow::Result<()> {
    remount("/", MsFlags::MS_REC | MsFlags::MS_PRIVATE).context("making mounts private")?;
    let proc = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    new_mount("proc", "/proc", proc, "")?;
    // Where resolv.conf leads is asked before /run is hidden.
    let resolver = fs::read_link("/etc/resolv.conf").ok().map(|it| Path::new("/etc").join(it));
    new_mount("tmpfs", "/run", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=755")?;
    new_mount("tmpfs", "/dev/shm", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=1777")?;
    // Consoles of instances are terminals of this file system and of no other.
    new_mount(
        "devpts",
        "/dev/pts",
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=620",
    )?;
    fs::create_dir_all(network::NAMESPACES).context("making a place for network namespaces")?;
    let names = "/run/lamp-resolv.conf";
    fs::write(names, format!("nameserver {}\n", router::RESOLVER)).context("writing resolv.conf")?;
    match resolver {
        None => bind(Path::new(names), Path::new("/etc/resolv.conf")),
        Some(link) => {
            let target = normal(&link);
            if let Some(dir) = target.parent().filter(|_| target.starts_with("/run")) {
                fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
                return symlink(names, &target).with_context(|| format!("making {}", target.display()));
            }
            bind(Path::new(names), &target)
        }
    }
}

/// Without `..`, as far as names tell.
fn normal(path: &Path) -> PathBuf {
    let mut done = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(done.pop()),
            other => done.push(other),
        }
    }
    done
}

/// Mounts a new file system of a kind.
fn new_mount(kind: &str, at: impl AsRef<Path>, flags: MsFlags, options: &str) -> anyhow::Result<()> {
    let at = at.as_ref();
    mount(Some(kind), at, Some(kind), flags, Some(options))
        .with_context(|| format!("mounting {kind} at {}", at.display()))
}

/// Shows a file or directory at a second place.
fn bind(from: &Path, to: &Path) -> anyhow::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("binding {} to {}", from.display(), to.display()))
}

/// Changes how an existing mount is propagated or may be used.
fn remount(at: impl AsRef<Path>, flags: MsFlags) -> anyhow::Result<()> {
    let at = at.as_ref();
    mount(None::<&str>, at, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("remounting {}", at.display()))
}

/// Runs something on a thread that has moved to another network namespace; sockets stay where they were made.
fn within<T: Send>(namespace: &Path, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    let file = fs::File::open(namespace)
        .with_context(|| format!("there is no network namespace {}", namespace.display()))?;
    std::thread::scope(|scope| {
        let done = scope.spawn(move || {
            nix::sched::setns(file.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET)
                .context("entering a network namespace")?;
            work()
        });
        done.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of the region broke")))
    })
}
