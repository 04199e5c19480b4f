//! Starting an instance: namespaces of its own around a real systemd, and a parent that says how it ended.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, clone, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use serde::{Deserialize, Serialize};

use super::{rights, rootfs};

/// Exit codes of the parent: the kernel tells a reboot from a power-off by the signal that ended process 1.
pub(crate) const REBOOTED: i32 = 128 + Signal::SIGHUP as i32;
pub(crate) const POWERED_OFF: i32 = 128 + Signal::SIGINT as i32;

/// What a process that was started again needs to know to become an instance.
#[derive(Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) root: PathBuf,
    pub(crate) hostname: String,
    pub(crate) machine_id: String,
    pub(crate) ec2_uuid: String,
    pub(crate) network: PathBuf,
    /// Control groups to join.
    pub(crate) doors: Vec<PathBuf>,
    pub(crate) console: PathBuf,
    /// Where the region's file systems lie.
    pub(crate) files: PathBuf,
    /// A file that says which of AWS's regions is played, if one is.
    pub(crate) aws_region: PathBuf,
    pub(crate) rootless: bool,
}

impl Launch {
    /// Says on standard output `pid <n>` and `ready`, or what went wrong; ends when the instance does.
    pub(crate) fn run(self) -> anyhow::Result<i32> {
        set_pdeathsig(Signal::SIGKILL).context("binding the instance's life to the region's")?;
        join(&self.doors)?;
        let network = File::open(&self.network).context("opening the instance's network")?;
        setns(network.as_fd(), CloneFlags::CLONE_NEWNET).context("entering the instance's network")?;
        let (report, mut failure) = std::io::pipe().context("making a pipe")?;
        let flags = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWCGROUP;
        let mut stack = vec![0; 1 << 20];
        let child = Box::new(|| {
            let Err(err) = self.become_machine();
            let _ = write!(failure, "{err:#}");
            1
        });
        // SAFETY: we have no threads, and the child gets its own copy of our memory.
        let pid = unsafe { clone(child, &mut stack, flags, Some(nix::libc::SIGCHLD)) }
            .context("making the instance's namespaces")?;
        drop(failure);
        let mut problem = String::new();
        // The pipe ends by itself when the instance's own first program has started.
        { report }.read_to_string(&mut problem).context("listening to the instance")?;
        {
            let mut out = std::io::stdout();
            if problem.is_empty() { writeln!(out, "pid {pid}\nready") } else { writeln!(out, "{problem}") }
                .and_then(|()| out.flush())
                .context("reporting to the region")?;
        }
        if let Ok(null) = File::open("/dev/null") {
            let _ = nix::unistd::dup2_stdout(&null);
        }
        loop {
            match waitpid(pid, None) {
                Err(nix::errno::Errno::EINTR) => {}
                Ok(WaitStatus::Exited(_, code)) => return Ok(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
                other => bail!("waiting for the instance: {other:?}"),
            }
        }
    }

    /// In the new namespaces: mounts, then systemd.
    fn become_machine(&self) -> anyhow::Result<std::convert::Infallible> {
        set_pdeathsig(Signal::SIGKILL).context("binding the instance's life to the region's")?;
        let console =
            File::options().read(true).write(true).open(&self.console).context("opening the console")?;
        rootfs::enter(self)?;
        nix::unistd::sethostname(&self.hostname).context("naming the instance")?;
        rights::give_up()?;
        nix::unistd::setsid().context("starting a session")?;
        nix::unistd::dup2_stdin(&console).context("using the console")?;
        nix::unistd::dup2_stdout(&console).context("using the console")?;
        nix::unistd::dup2_stderr(&console).context("using the console")?;
        let err = Command::new("/lib/systemd/systemd")
            .args(["systemd.unit=multi-user.target", "systemd.show_status=1", "systemd.log_target=journal"])
            .env_clear()
            .env("PATH", crate::PATH)
            .env("TERM", "dumb")
            .env("container", "lamp")
            .env("container_uuid", &self.machine_id)
            .exec();
        Err(err).context("starting systemd; is it in the image?")
    }
}

/// Moves this process into control groups.
pub(super) fn join(doors: &[PathBuf]) -> anyhow::Result<()> {
    for door in doors {
        fs::write(door, "0").with_context(|| format!("joining {}", door.display()))?;
    }
    Ok(())
}
