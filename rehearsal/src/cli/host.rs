//! A command in the region with this terminal's own input and output.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};

use crate::wire::{Answer, Ask, Exec, Place, Reply, receive, send};

/// Runs it to its end; its exit code is ours.
pub(super) fn attach(socket: &Path, place: Place, argv: Vec<String>) -> anyhow::Result<i32> {
    let line = UnixStream::connect(socket).context("the region is gone")?;
    let fds = [std::io::stdin().as_raw_fd(), std::io::stdout().as_raw_fd(), std::io::stderr().as_raw_fd()];
    send(&line, &Ask::Exec { place, command: Exec { argv, env: Vec::new() } }, &fds)?;
    loop {
        match receive::<Reply>(&line)?.context("the region ended")?.0 {
            Ok(Answer::Exited(code)) => return Ok(code),
            Ok(_) => {}
            Err(err) => bail!(err),
        }
    }
}
