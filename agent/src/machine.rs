//! The real thing behind [`Commands`]: programs, sockets, names, file systems.

use std::{
    collections::BTreeSet,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, bail};
use futures::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::host::{Commands, Host, Output};

/// The machine that we run on.
#[derive(Default)]
pub struct Machine {
    /// Mounts that were asked and have not answered yet: a second question would hang as well. By the mount and not by
    /// its place, where another file system may lie by now.
    asked: Arc<Mutex<BTreeSet<String>>>,
}

/// A host whose side effects are real.
pub fn real() -> Host {
    Host::new("/", Arc::new(Machine::default()))
}

impl Commands for Machine {
    fn run<'a>(&'a self, argv: &'a [&'a str], limit: Duration) -> BoxFuture<'a, anyhow::Result<Output>> {
        Box::pin(run(argv, limit))
    }

    fn http<'a>(&'a self, path: &'a str) -> BoxFuture<'a, anyhow::Result<u16>> {
        Box::pin(get("127.0.0.1:80", path))
    }

    fn connects<'a>(&'a self, place: &'a str) -> BoxFuture<'a, bool> {
        let connect = async move {
            match place.starts_with('/') {
                true => UnixStream::connect(place).await.map(drop),
                false => TcpStream::connect(place).await.map(drop),
            }
        };
        Box::pin(async move { matches!(timeout(SHORT, connect).await, Ok(Ok(()))) })
    }

    fn resolves<'a>(&'a self, name: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let found = timeout(SHORT, tokio::net::lookup_host((name, 2049))).await;
            found.is_ok_and(|it| it.is_ok_and(|mut addresses| addresses.next().is_some()))
        })
    }

    fn answers<'a>(&'a self, path: &'a str) -> BoxFuture<'a, bool> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mount = mount(&table, path);
        if !self.asked.lock().is_ok_and(|mut it| it.insert(mount.clone())) {
            return Box::pin(async { false });
        }
        let (asked, owned) = (self.asked.clone(), path.to_owned());
        // The call cannot be interrupted: its thread stays until the server is back, and only one ever waits.
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let fine = nix::sys::statfs::statfs(owned.as_str()).is_ok();
            if let Ok(mut it) = asked.lock() {
                it.remove(&mount);
            }
            let _ = tell.send(fine);
        });
        Box::pin(async move { matches!(timeout(SHORT, told).await, Ok(Ok(true))) })
    }
}

const SHORT: Duration = Duration::from_secs(2);
/// For an Apache with a crowd in front of it: what the balancer allows by default (5 s), and a second for the way.
const CROWDED: Duration = Duration::from_secs(4);

/// A name of the file system at a path that no later one there has: by number as long as it is mounted.
fn mount(table: &str, path: &str) -> String {
    let mut parts = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let newest = parts.rfind(|it| it.get(4) == Some(&path));
    newest.map_or_else(|| path.to_owned(), |it| format!("{path} {}", it[0]))
}

/// No environment of ours reaches a child: it holds credentials in tests and sockets of systemd.
async fn run(argv: &[&str], limit: Duration) -> anyhow::Result<Output> {
    let (program, args) = argv.split_first().context("empty command")?;
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .envs([("LC_ALL", "C.UTF-8"), ("HOME", "/root"), ("DEBIAN_FRONTEND", "noninteractive")])
        .envs([("NEEDRESTART_MODE", "l"), ("APT_LISTCHANGES_FRONTEND", "none")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A package manager has children of its own: the whole group ends together.
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let group = Group(child.id());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (status, stdout, stderr) = tokio::join!(child.wait(), text(stdout), text(stderr));
        let status = status.with_context(|| format!("waiting for {program}"))?;
        use std::os::unix::process::ExitStatusExt;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        anyhow::Ok(Output { code, stdout, stderr })
    };
    match timeout(limit, work).await {
        Ok(done) => {
            std::mem::forget(group);
            done
        }
        Err(_) => bail!("`{}` did not end within {} s", argv.join(" "), limit.as_secs()),
    }
}

/// Ends a command's process group when its future is dropped: on a timeout and when the agent stops.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(pid) = self.0.and_then(|it| i32::try_from(it).ok()) else { return };
        let group = nix::unistd::Pid::from_raw(pid);
        // TERM lets dpkg finish the package at hand; whatever ignores it is gone a little later.
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGTERM);
        std::thread::spawn(move || {
            for _ in 0..50 {
                std::thread::park_timeout(Duration::from_millis(100));
                if nix::sys::signal::killpg(group, None).is_err() {
                    return;
                }
            }
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        });
    }
}

/// What a pipe says, its last 64 KiB at most.
async fn text(pipe: Option<impl AsyncReadExt + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..n]);
        if kept.len() > 128 * 1024 {
            kept.drain(..64 * 1024);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Status of one path at a local server.
pub async fn get(address: &str, path: &str) -> anyhow::Result<u16> {
    let work = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: lampd\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        std::io::Result::Ok(head)
    };
    let head = timeout(CROWDED, work)
        .await
        .with_context(|| format!("{address} does not answer within {} s", CROWDED.as_secs()))?
        .with_context(|| format!("asking {address} for {path}"))?;
    let status =
        std::str::from_utf8(&head).ok().and_then(|it| it.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok());
    status.with_context(|| format!("{address} does not speak HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_in_the_place_of_another_is_asked_for_itself() {
        let old = "21 1 0:5 / / rw - ext4 x rw\n40 21 0:50 / /srv/files rw - nfs4 x rw\n";
        let new = format!("{old}57 21 0:51 / /srv/files rw - nfs4 y rw\n");
        assert_eq!(mount(old, "/srv/files"), "/srv/files 40");
        assert_eq!(mount(&new, "/srv/files"), "/srv/files 57");
        assert_eq!(mount(old, "/srv"), "/srv");
    }
}
