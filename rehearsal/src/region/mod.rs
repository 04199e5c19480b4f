//! A region from outside: started, asked, and ended with the value that stands for it.

mod reach;
mod start;

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::builder::Builder;
use crate::keeper::{Charge, PACKAGES};
use crate::packages::{self, Mirrors};
use crate::state::State;
use crate::vpc::Network;
use crate::wire::{Answer, Ask, Near, Place, Reply, Service, receive, send};
pub(crate) use start::sweep;

/// The file of a region that says which of AWS's it plays.
pub(crate) const AWS_REGION: &str = "aws-region";

/// A running region. It and everything in it end with [`Region::stop`] or with the last value that stands for it.
#[derive(Clone)]
pub struct Region(Arc<Inner>);

struct Inner {
    charge: Charge,
    state: State,
    keeper: Mutex<Child>,
    keeper_pid: u32,
    /// The region lives as long as this line.
    line: Mutex<Option<UnixStream>>,
    /// Addresses that somebody chose.
    chosen: Mutex<BTreeSet<Ipv4Addr>>,
}

impl Region {
    /// Names the region among others on this machine.
    pub fn id(&self) -> &str {
        &self.0.charge.id
    }

    /// Where the region's files lie until it ends.
    pub fn dir(&self) -> &Path {
        &self.0.charge.dir
    }

    /// Ends it and everything in it, whoever else holds a value for it.
    pub fn stop(&self) {
        self.0.end();
    }

    pub(crate) fn state(&self) -> &State {
        &self.0.state
    }

    /// The process outside of the region that watches over it.
    pub fn keeper_pid(&self) -> u32 {
        self.0.keeper_pid
    }

    /// Begins an instance; nothing happens before it is created or booted.
    pub fn instance(&self, name: &str) -> Builder {
        Builder::new(self, name)
    }

    /// An address in 10.1.3.0/24 that nobody has yet.
    pub fn free_address(&self) -> Ipv4Addr {
        let mut chosen = self.0.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = (11..=u8::MAX).map(|it| Ipv4Addr::new(10, 1, 3, it));
        // When all are gone, the region says whose the last one is.
        let free = all.find(|it| !chosen.contains(it)).unwrap_or(Ipv4Addr::new(10, 1, 3, u8::MAX));
        chosen.insert(free);
        free
    }

    pub(crate) fn choose(&self, address: Ipv4Addr) {
        self.0.chosen.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
    }

    /// A place with an address but no machine: for servers that a test runs itself.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn namespace(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<Place> {
        self.choose(address);
        self.ask(Ask::Namespace { name: name.to_owned(), address })?;
        Ok(Place::from(name))
    }

    /// Takes a place away, with everything that listens there.
    ///
    /// # Errors
    /// If there is no such place.
    pub fn remove_namespace(&self, name: &str) -> anyhow::Result<()> {
        self.ask(Ask::RemoveNamespace { name: name.to_owned() }).map(drop)
    }

    /// Ends an instance that an attempt which failed may have left.
    pub(crate) fn clear(&self, instance: &str) -> anyhow::Result<()> {
        self.ask(Ask::Remove { name: instance.to_owned(), layer: None }).map(drop)
    }

    /// Deletes a directory of the region's, which may belong to users that only the region knows.
    pub(crate) fn discard(&self, dir: PathBuf) -> anyhow::Result<()> {
        self.ask(Ask::Discard { dir }).map(drop)
    }

    /// Makes a name resolve inside the region, with a time to live of 5 s; no address at all forgets it.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn name(&self, name: &str, addresses: &[Ipv4Addr]) -> anyhow::Result<()> {
        self.ask(Ask::Name { name: name.to_owned(), addresses: addresses.to_vec() }).map(drop)
    }

    /// Makes a name resolve to what is near to whoever asks; to nobody where nothing is.
    pub(crate) fn near_name(&self, name: &str, near: &[Near]) -> anyhow::Result<()> {
        self.ask(Ask::NearName { name: name.to_owned(), near: near.to_vec() }).map(drop)
    }

    /// Pulls the cable of an instance or place, or plugs it in.
    ///
    /// # Errors
    /// If there is no such place.
    pub fn link(&self, name: &str, up: bool) -> anyhow::Result<()> {
        self.ask(Ask::Link { name: name.to_owned(), up }).map(drop)
    }

    /// Whether the package mirror answers; it does until told otherwise.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn packages(&self, available: bool) -> anyhow::Result<()> {
        let file = packages::closed_sign(&self.0.charge.dir);
        let done = if available { fs::remove_file(&file) } else { fs::write(&file, "") };
        match done {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound && available => Ok(()),
            other => other.context("telling the package proxy"),
        }
    }

    /// Silences a service that every instance relies on, or lets it speak again.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn break_service(&self, service: Service, broken: bool) -> anyhow::Result<()> {
        self.ask(Ask::Break { service, broken }).map(drop)
    }

    /// Makes the router behave like a virtual private cloud, instead of letting everybody talk to everybody.
    /// Replaces what an earlier call said; connections that are established stay so.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn network(&self, want: &Network) -> anyhow::Result<()> {
        self.ask(Ask::Network(want.clone())).map(drop)
    }

    /// Where packages come from.
    pub(crate) fn mirrors(&self) -> &Mirrors {
        &self.0.charge.mirrors
    }

    /// The keeper opens the proxy when the region has begun, so whoever is very quick waits.
    pub(crate) fn wait_for_packages(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while let Err(err) = self.dial(Place::Internet, PACKAGES) {
            if began.elapsed() > Duration::from_secs(30) {
                return Err(err.context("waiting for the package proxy"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(crate) fn ask(&self, ask: Ask) -> anyhow::Result<Answer> {
        Ok(ask_at(&self.0.charge.socket(), &ask, &[])?.0)
    }

    pub(crate) fn ask_with(&self, ask: &Ask, fd: i32) -> anyhow::Result<Answer> {
        Ok(ask_at(&self.0.charge.socket(), ask, &[fd])?.0)
    }

    fn ask_for(&self, ask: Ask) -> anyhow::Result<OwnedFd> {
        let (_, mut fds) = ask_at(&self.0.charge.socket(), &ask, &[])?;
        fds.pop().context("the region handed nothing out")
    }

    pub(crate) fn connect(&self) -> anyhow::Result<UnixStream> {
        connect(&self.0.charge.socket())
    }
}

impl Inner {
    fn end(&self) {
        // The daemon inside ends when the line does, and everything with it; the keeper cleans up.
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).wait();
        // Only if the keeper was killed is there anything left.
        if self.charge.dir.exists() {
            start::clean_up(&self.charge.dir);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

fn connect(socket: &Path) -> anyhow::Result<UnixStream> {
    UnixStream::connect(socket).context("the region is gone")
}

/// One question on a connection of its own.
pub(crate) fn ask_at(socket: &Path, ask: &Ask, fds: &[i32]) -> anyhow::Result<(Answer, Vec<OwnedFd>)> {
    let line = connect(socket)?;
    send(&line, ask, fds)?;
    match receive::<Reply>(&line)?.context("the region ended")? {
        (Ok(answer), fds) => Ok((answer, fds)),
        (Err(err), _) => bail!(err),
    }
}
