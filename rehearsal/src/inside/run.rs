//! Commands in the region: started where they belong, and accompanied to their end.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::network;
use super::router::INTERNET;
use super::supervise::Instance;
use crate::wire::{Answer, Exec, Place, Reply, send};

/// Starts a command in an instance, or in a place that has no machine, with three descriptors.
pub(super) fn spawn(
    instance: Option<&Instance>,
    place: &Place,
    it: Exec,
    mut fds: Vec<OwnedFd>,
) -> anyhow::Result<Child> {
    let (Some(err), Some(out), Some(input)) = (fds.pop(), fds.pop(), fds.pop()) else {
        bail!("a command needs three descriptors");
    };
    let stdio = |command: &mut Command| -> std::io::Result<Child> {
        command.stdin(Stdio::from(input)).stdout(Stdio::from(out)).stderr(Stdio::from(err)).spawn()
    };
    if let Some(instance) = instance {
        return stdio(&mut instance.enter(it)?.command()?).context("entering the instance");
    }
    let (program, args) = it.argv.split_first().context("no program was named")?;
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", crate::PATH).env("HOME", "/root").envs(it.env);
    let namespace = match place {
        Place::Router => None,
        Place::Internet => Some(INTERNET),
        Place::Named(name) => Some(name.as_str()),
    };
    if let Some(name) = namespace {
        let path = network::path(name);
        let file = std::fs::File::open(path).with_context(|| format!("the region has no place {name}"))?;
        // SAFETY: setns is a system call that is safe after a fork.
        unsafe {
            command
                .pre_exec(move || Ok(nix::sched::setns(file.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET)?));
        }
    }
    stdio(&mut command).with_context(|| format!("starting {program}"))
}

/// Waits for the command's end, or for the asker's, whichever comes first.
pub(super) fn accompany(line: &UnixStream, mut child: Child) -> anyhow::Result<()> {
    send(line, &Reply::Ok(Answer::Started), &[])?;
    let ended = pidfd(child.id())?;
    loop {
        let mut polled =
            [PollFd::new(ended.as_fd(), PollFlags::POLLIN), PollFd::new(line.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other.context("waiting for a command")?,
        };
        if polled[0].any().unwrap_or(false) {
            break;
        }
        // Nothing is ever said after the order, so this is the end of the line.
        let _ = child.kill();
    }
    let status = child.wait().context("waiting for a command")?;
    let code = std::os::unix::process::ExitStatusExt::signal(&status).map(|it| 128 + it);
    send(line, &Reply::Ok(Answer::Exited(code.or(status.code()).unwrap_or(125))), &[])
}

/// A descriptor that becomes readable when the process ends.
fn pidfd(pid: u32) -> anyhow::Result<OwnedFd> {
    // SAFETY: a plain system call; the descriptor it returns is ours alone.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) };
    let fd = nix::errno::Errno::result(i32::try_from(fd).unwrap_or(-1)).context("watching a command")?;
    // SAFETY: as above.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
}
