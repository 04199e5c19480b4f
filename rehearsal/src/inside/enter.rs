//! One command inside a running instance, as if somebody had logged in there.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use serde::{Deserialize, Serialize};

use super::launch::join;
use crate::wire::Exec;

/// What a process that was started again needs to know to enter an instance.
#[derive(Serialize, Deserialize)]
pub(crate) struct Enter {
    /// The instance's first process.
    pub(crate) pid: i32,
    /// Control groups to join, so that what the command uses counts as the instance's.
    pub(crate) doors: Vec<PathBuf>,
    pub(crate) command: Exec,
}

impl Enter {
    /// Runs the command and ends with its exit code.
    pub(crate) fn run(self) -> anyhow::Result<i32> {
        set_pdeathsig(Signal::SIGKILL).context("binding the command's life to the region's")?;
        join(&self.doors)?;
        // All are opened before the first is entered: afterwards /proc is the instance's.
        let kinds = [
            ("cgroup", CloneFlags::CLONE_NEWCGROUP),
            ("uts", CloneFlags::CLONE_NEWUTS),
            ("ipc", CloneFlags::CLONE_NEWIPC),
            ("net", CloneFlags::CLONE_NEWNET),
            ("pid", CloneFlags::CLONE_NEWPID),
            ("mnt", CloneFlags::CLONE_NEWNS),
        ];
        let mut open = Vec::new();
        for (name, flag) in kinds {
            let file = File::open(format!("/proc/{}/ns/{name}", self.pid));
            open.push((file.with_context(|| format!("finding the instance's {name} namespace"))?, flag));
        }
        for (file, flag) in &open {
            setns(file.as_fd(), *flag).context("entering the instance")?;
        }
        drop(open);
        // SAFETY: we have no threads.
        match unsafe { fork() }.context("forking")? {
            ForkResult::Child => {
                set_pdeathsig(Signal::SIGKILL).context("binding the command's life to its caller's")?;
                super::rights::give_up()?;
                Err(start(&self.command)).with_context(|| format!("starting {}", self.command.argv.join(" ")))
            }
            ForkResult::Parent { child } => loop {
                match waitpid(child, None) {
                    Err(nix::errno::Errno::EINTR) => {}
                    Ok(WaitStatus::Exited(_, code)) => return Ok(code),
                    Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
                    other => bail!("waiting for the command: {other:?}"),
                }
            },
        }
    }
}

fn start(it: &Exec) -> std::io::Error {
    let Some((program, args)) = it.argv.split_first() else {
        return std::io::Error::new(std::io::ErrorKind::InvalidInput, "no program was named");
    };
    let base =
        [("PATH", crate::PATH), ("HOME", "/root"), ("TERM", "dumb"), ("DEBIAN_FRONTEND", "noninteractive")];
    Command::new(program).args(args).env_clear().envs(base).envs(it.env.iter().cloned()).exec()
}
