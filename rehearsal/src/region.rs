//! A region from outside: started, asked, and ended with the value that stands for it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use nix::unistd::geteuid;

use crate::builder::Builder;
use crate::cgroups::Cgroups;
use crate::command::{self, Output, Running};
use crate::forward::Forward;
use crate::keeper::{self, Charge};
use crate::packages::{self, Mirrors};
use crate::roles::Role;
use crate::state::State;
use crate::vpc::Network;
use crate::wire::{Answer, Ask, Place, Reply, Service, receive, send};

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
    next: AtomicU32,
}

impl Region {
    /// Starts a region whose files lie below [`State::from_env`].
    ///
    /// # Errors
    /// In words what the machine lacks; [`crate::doctor`] knows more.
    pub fn start() -> anyhow::Result<Region> {
        Region::start_in(State::from_env())
    }

    /// Starts a region whose files lie below the given directory.
    ///
    /// # Errors
    /// As [`Region::start`].
    pub fn start_in(state: State) -> anyhow::Result<Region> {
        let regions = state.regions()?;
        sweep(&regions);
        let id = new_id();
        let dir = regions.join(&id);
        fs::create_dir_all(dir.join("efs")).with_context(|| format!("making {}", dir.display()))?;
        let charge = Charge {
            dir: dir.clone(),
            id,
            package_cache: state.packages()?,
            mirrors: Mirrors::of_this_machine(),
            rootless: !geteuid().is_root(),
        };
        let (ours, theirs) = UnixStream::pair().context("making a line to the region")?;
        let log = dir.join("region.log");
        let stderr = fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let keeper = Role::Keeper(charge.clone())
            .command()?
            .stdin(OwnedFd::from(theirs))
            .stdout(stderr.try_clone().context("opening the region's log")?)
            .stderr(stderr)
            .spawn()
            .context("starting the region's keeper")?;
        let waiting = ours.try_clone().context("copying the line to the region")?;
        let region = Region(Arc::new(Inner {
            charge,
            state,
            keeper_pid: keeper.id(),
            keeper: Mutex::new(keeper),
            line: Mutex::new(Some(ours)),
            next: AtomicU32::new(11),
        }));
        region.wait_until_ready(waiting, &log)?;
        Ok(region)
    }

    fn wait_until_ready(&self, line: UnixStream, log: &Path) -> anyhow::Result<()> {
        let mut said = String::new();
        BufReader::new(&line).read_line(&mut said).context("listening to the region")?;
        if said == "ready\n" {
            return Ok(());
        }
        let mut rest = String::new();
        let _ = (&line).read_to_string(&mut rest);
        let log = fs::read_to_string(log).unwrap_or_default();
        bail!("the region did not start: {}", [said, rest, log].concat().trim());
    }

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
        let [.., last] = self.0.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        Ipv4Addr::new(10, 1, 3, last)
    }

    /// A place with an address but no machine: for servers that a test runs itself.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn namespace(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<Place> {
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

    /// Makes a name resolve inside the region, with a time to live of 5 s; no address at all forgets it.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn name(&self, name: &str, addresses: &[Ipv4Addr]) -> anyhow::Result<()> {
        self.ask(Ask::Name { name: name.to_owned(), addresses: addresses.to_vec() }).map(drop)
    }

    /// Pulls the cable of an instance or place, or plugs it in.
    ///
    /// # Errors
    /// If there is no such place.
    pub fn link(&self, name: &str, up: bool) -> anyhow::Result<()> {
        self.ask(Ask::Link { name: name.to_owned(), up }).map(drop)
    }

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
            clean_up(&self.charge.dir);
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

/// Eight characters that no other region of this machine has.
fn new_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mix = (now.as_nanos() as u64 ^ (u64::from(std::process::id()) << 32))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(u64::from(count));
    format!("{:08x}", (mix >> 32) ^ (mix & 0xffff_ffff))
}

/// Removes what regions left behind whose keeper was killed as well.
fn sweep(regions: &Path) {
    let dirs = fs::read_dir(regions).into_iter().flatten().flatten().map(|it| it.path());
    for dir in dirs.filter(|it| it.join("lock").exists()) {
        clean_up(&dir);
    }
}

/// Removes files and control groups of a region, unless its keeper lives.
fn clean_up(dir: &Path) {
    let Ok(_lock) = keeper::lock(dir) else { return };
    let id = dir.file_name().unwrap_or_default().to_string_lossy();
    if let Ok(all) = Cgroups::find() {
        all.child(&format!("lamp-{id}")).remove();
    }
    keeper::remove_dir(dir);
}
