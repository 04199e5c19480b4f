//! Commands in a region: run to their end, or kept running.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::region::Region;
use crate::wire::{Answer, Ask, Exec, Place, Reply, receive, send};

/// How long output of a command that has ended may still come from what it left running.
const GRACE: Duration = Duration::from_millis(300);

/// What a command said and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// As a shell would say it: above 128 is a signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Whether it ended with code 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

pub(crate) fn order(argv: &[&str], env: &[(&str, &str)]) -> Exec {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Exec { argv: argv.iter().map(|it| (*it).to_owned()).collect(), env: env.iter().map(pair).collect() }
}

/// Runs a command to its end.
pub(crate) fn run(
    region: &Region,
    place: &Place,
    command: Exec,
    input: &[u8],
    patience: Duration,
) -> anyhow::Result<Output> {
    let words = command.argv.join(" ");
    let stdin = nix::sys::memfd::memfd_create("input", nix::sys::memfd::MFdFlags::MFD_CLOEXEC);
    let mut stdin = File::from(stdin.context("making a file for the input")?);
    stdin.write_all(input).and_then(|()| stdin.rewind()).context("writing the input")?;
    let (out, to_out) = std::io::pipe().context("making a pipe")?;
    let (err, to_err) = std::io::pipe().context("making a pipe")?;
    let line = region.connect()?;
    let fds = [stdin.as_raw_fd(), to_out.as_raw_fd(), to_err.as_raw_fd()];
    send(&line, &Ask::Exec { place: place.clone(), command }, &fds)?;
    drop((stdin, to_out, to_err));
    started(&line)?;
    let mut pipes = [(Some(out), Vec::new()), (Some(err), Vec::new())];
    let mut give_up = Instant::now() + patience;
    let mut code = None;
    while code.is_none() || pipes.iter().any(|it| it.0.is_some()) {
        let left = give_up.saturating_duration_since(Instant::now());
        if left.is_zero() {
            match code {
                Some(_) => break,
                None => bail!("`{words}` took longer than {} s", patience.as_secs()),
            }
        }
        let mut polled: Vec<_> = pipes
            .iter()
            .filter_map(|it| it.0.as_ref())
            .map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN))
            .collect();
        if code.is_none() {
            polled.push(PollFd::new(line.as_fd(), PollFlags::POLLIN));
        }
        let timeout = PollTimeout::try_from(left.as_millis().max(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other.with_context(|| format!("waiting for `{words}`"))?,
        };
        let mut ready = polled.iter().map(|it| it.any().unwrap_or(false)).collect::<Vec<_>>().into_iter();
        for (pipe, said) in &mut pipes {
            if pipe.is_some() && ready.next() == Some(true) {
                let mut buffer = [0; 65536];
                let n = pipe.as_mut().map_or(Ok(0), |it| it.read(&mut buffer)).unwrap_or(0);
                said.extend(&buffer[..n]);
                if n == 0 {
                    *pipe = None;
                }
            }
        }
        if ready.next() == Some(true) {
            code = Some(exited(&line)?);
            give_up = Instant::now() + GRACE;
        }
    }
    let text = |it: &Vec<u8>| String::from_utf8_lossy(it).into_owned();
    Ok(Output { code: code.unwrap_or(125), stdout: text(&pipes[0].1), stderr: text(&pipes[1].1) })
}

/// A command that runs until this is dropped.
pub struct Running {
    line: UnixStream,
}

impl Running {
    /// Waits for its end by itself; says its exit code.
    ///
    /// # Errors
    /// If the region ended first.
    pub fn wait(self) -> anyhow::Result<i32> {
        exited(&self.line)
    }

    /// Its exit code if it ends by then.
    ///
    /// # Errors
    /// If the region ended first.
    pub(crate) fn ended_within(&self, patience: Duration) -> anyhow::Result<Option<i32>> {
        let mut polled = [PollFd::new(self.line.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::try_from(patience.as_millis()).unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => Ok(None),
            Ok(_) => exited(&self.line).map(Some),
            Err(err) => Err(err).context("waiting for a command"),
        }
    }
}

/// Starts a command whose output goes to a file.
pub(crate) fn start(region: &Region, place: &Place, command: Exec, log: File) -> anyhow::Result<Running> {
    let copy = log.try_clone().context("opening the log a second time")?;
    start_apart(region, place, command, log, copy)
}

/// The same with output and errors apart.
pub(crate) fn start_apart(
    region: &Region,
    place: &Place,
    command: Exec,
    out: File,
    err: File,
) -> anyhow::Result<Running> {
    let line = region.connect()?;
    let null = File::open("/dev/null").context("opening /dev/null")?;
    let fds = [null.as_raw_fd(), out.as_raw_fd(), err.as_raw_fd()];
    send(&line, &Ask::Exec { place: place.clone(), command }, &fds)?;
    started(&line)?;
    Ok(Running { line })
}

fn started(line: &UnixStream) -> anyhow::Result<()> {
    match receive::<Reply>(line)?.context("the region ended")?.0 {
        Ok(Answer::Started) => Ok(()),
        Ok(other) => bail!("the region answered {other:?} to a command"),
        Err(err) => bail!(err),
    }
}

fn exited(line: &UnixStream) -> anyhow::Result<i32> {
    match receive::<Reply>(line)?.context("the region ended")?.0 {
        Ok(Answer::Exited(code)) => Ok(code),
        Ok(other) => bail!("the region answered {other:?} about a command"),
        Err(err) => bail!(err),
    }
}
