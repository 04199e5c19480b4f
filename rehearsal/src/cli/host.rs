//! This terminal's own input and output, joined with a command or a port in the region.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};

use crate::region::ask_at;
use crate::wire::{Answer, Ask, Exec, Place, Reply, receive, send};

/// Runs it to its end; its exit code is ours.
pub(super) fn attach(socket: &Path, place: Place, argv: Vec<String>) -> anyhow::Result<i32> {
    let line = UnixStream::connect(socket).context("the region is gone")?;
    let fds = [std::io::stdin().as_raw_fd(), std::io::stdout().as_raw_fd(), std::io::stderr().as_raw_fd()];
    // What draws on a terminal has to know which one it is.
    let env = std::env::var("TERM").map(|it| ("TERM".to_owned(), it)).into_iter().collect();
    send(&line, &Ask::Exec { place, command: Exec { argv, env } }, &fds)?;
    loop {
        match receive::<Reply>(&line)?.context("the region ended")?.0 {
            Ok(Answer::Exited(code)) => return Ok(code),
            Ok(_) => {}
            Err(err) => bail!(err),
        }
    }
}

/// Copies both ways until the other side has said all.
pub(super) fn pipe(socket: &Path, to: SocketAddrV4) -> anyhow::Result<()> {
    let (_, mut fds) = ask_at(socket, &Ask::Dial { place: Place::Internet, to }, &[])?;
    let line = TcpStream::from(fds.pop().context("the region handed nothing out")?);
    let sending = line.try_clone().context("copying a connection")?;
    std::thread::spawn(move || {
        let _ = copy(&mut std::io::stdin().lock(), &mut &sending);
        let _ = sending.shutdown(Shutdown::Write);
    });
    copy(&mut &line, &mut std::io::stdout().lock()).with_context(|| format!("talking with {to}"))
}

/// Passes every piece on at once: a conversation does not wait for a full buffer.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => to.write_all(&buffer[..n]).and_then(|()| to.flush())?,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}
