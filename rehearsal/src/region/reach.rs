//! Ways into a region and out of it: commands, connections, listening sockets, forwards.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Context;

use super::Region;
use crate::command::{self, Output, Running};
use crate::forward::Forward;
use crate::wire::{Ask, Place};

impl Region {
    /// Runs a program of this machine in a place of the region and waits for its end.
    ///
    /// # Errors
    /// If it does not start, or takes longer than five minutes.
    pub fn exec(&self, place: impl Into<Place>, argv: &[&str]) -> anyhow::Result<Output> {
        command::run(self, &place.into(), command::order(argv, &[]), &[], Duration::from_secs(300))
    }

    /// Starts a program of this machine in a place of the region, with its output in the region's log.
    /// It ends when the answer is dropped.
    ///
    /// # Errors
    /// If it does not start.
    pub fn spawn(
        &self,
        place: impl Into<Place>,
        argv: &[&str],
        env: &[(&str, &str)],
    ) -> anyhow::Result<Running> {
        let path = self.0.charge.dir.join("region.log");
        let log = fs::File::options().append(true).create(true).open(&path);
        let log = log.with_context(|| format!("opening {}", path.display()))?;
        command::start(self, &place.into(), command::order(argv, env), log)
    }

    /// A connection that begins in a place of the region, usable here.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn dial(&self, from: impl Into<Place>, to: SocketAddrV4) -> anyhow::Result<TcpStream> {
        Ok(self.ask_for(Ask::Dial { place: from.into(), to })?.into())
    }

    /// A listening socket in a place of the region, usable here.
    ///
    /// # Errors
    /// If the address is taken or not the place's own.
    pub fn listen(&self, place: impl Into<Place>, at: SocketAddrV4) -> anyhow::Result<TcpListener> {
        Ok(self.ask_for(Ask::Listen { place: place.into(), at })?.into())
    }

    /// A port of this machine's loopback that leads to an address as seen from a place of the region.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn forward(&self, from: impl Into<Place>, to: SocketAddrV4) -> anyhow::Result<Forward> {
        self.forward_to_any(from, vec![to])
    }

    /// As [`Region::forward`], to the first of several addresses that answers.
    pub(crate) fn forward_to_any(
        &self,
        from: impl Into<Place>,
        to: Vec<SocketAddrV4>,
    ) -> anyhow::Result<Forward> {
        Forward::into_region(self.0.charge.socket(), from.into(), to)
    }

    /// The other way round: an address inside that leads to a port of this machine's loopback.
    ///
    /// # Errors
    /// If the address is taken.
    pub fn expose(&self, place: impl Into<Place>, at: SocketAddrV4, port: u16) -> anyhow::Result<Forward> {
        Forward::of(self.listen(place, at)?, move || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connecting to the loopback")
        })
    }
}
