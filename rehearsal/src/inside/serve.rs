//! The region's daemon: takes what the outside asks, one thread per question, and ends when the line is cut.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::imds::Imds;
use super::names::Names;
use super::network;
use super::router::{INTERNET, Router};
use super::supervise::Instance;
use crate::cgroups::Cgroups;
use crate::keeper::Charge;
use crate::vpc::Cables;
use crate::wire::{Answer, Ask, Exec, InstanceSpec, Place, Reply, Service, receive, send};

/// How long a connection from inside may take.
const DIAL: Duration = Duration::from_secs(5);

struct Region {
    charge: Charge,
    cgroups: Cgroups,
    instances: Mutex<BTreeMap<String, Arc<Instance>>>,
    /// Bare namespaces: their cable's number and address.
    places: Mutex<BTreeMap<String, (u32, std::net::Ipv4Addr)>>,
    names: Names,
    imds: Imds,
    router: Mutex<Router>,
    next: AtomicU32,
}

/// Tells whoever waits why there is no region.
pub(super) fn refuse(err: &anyhow::Error) -> isize {
    let _ = writeln!(line(), "{err:#}");
    1
}

/// The line to the outside is standard input.
fn line() -> std::fs::File {
    let copy = std::io::stdin().as_fd().try_clone_to_owned();
    copy.map_or_else(|_| std::fs::File::from(dev_null()), std::fs::File::from)
}

#[expect(clippy::expect_used, reason = "a machine whose /dev/null cannot be opened runs nothing")]
fn dev_null() -> OwnedFd {
    std::fs::File::open("/dev/null").expect("opening /dev/null").into()
}

pub(super) fn daemon(charge: &Charge, cgroups: &Cgroups) -> isize {
    let region = Arc::new(Region {
        charge: charge.clone(),
        cgroups: cgroups.clone(),
        instances: Mutex::default(),
        places: Mutex::default(),
        names: Names::default(),
        imds: Imds::default(),
        router: Mutex::default(),
        next: AtomicU32::new(1),
    });
    let listener = region
        .names
        .serve(network::ROUTER)
        .and_then(|()| region.imds.serve())
        .and_then(|()| UnixListener::bind(charge.socket()).context("listening for the outside"));
    let listener = match listener {
        Ok(it) => it,
        Err(err) => return refuse(&err),
    };
    thread::spawn(|| {
        let mut line = line();
        let _ = line.write_all(b"ready\n");
        let mut buffer = [0; 64];
        while line.read(&mut buffer).is_ok_and(|n| n > 0) {}
        // Nobody wants the region any more.
        std::process::exit(0);
    });
    for connection in listener.incoming().flatten() {
        let region = Arc::clone(&region);
        thread::spawn(move || {
            let _ = region.converse(&connection);
        });
    }
    0
}

impl Region {
    fn converse(&self, line: &UnixStream) -> anyhow::Result<()> {
        while let Some((ask, fds)) = receive::<Ask>(line)? {
            if let Ask::Exec { place, command } = ask {
                return match self.spawn(&place, command, fds) {
                    Ok(child) => self.accompany(line, child),
                    Err(err) => send(line, &Reply::Err(format!("{err:#}")), &[]),
                };
            }
            match self.answer(ask, fds) {
                Ok((answer, None)) => send(line, &Reply::Ok(answer), &[])?,
                Ok((answer, Some(fd))) => send(line, &Reply::Ok(answer), &[fd.as_raw_fd()])?,
                Err(err) => send(line, &Reply::Err(format!("{err:#}")), &[])?,
            }
        }
        Ok(())
    }

    fn answer(&self, ask: Ask, mut fds: Vec<OwnedFd>) -> anyhow::Result<(Answer, Option<OwnedFd>)> {
        let mut handed = None;
        match ask {
            Ask::Namespace { name, address } => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                network::add(&name, number, address)?;
                self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(name, (number, address));
            }
            Ask::RemoveNamespace { name } => {
                let (number, _) = self.cable(&name)?;
                network::unplug(number)?;
                network::remove(&name);
                self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            }
            Ask::Accept { place, at } => {
                let listen = || TcpListener::bind(at).with_context(|| format!("listening at {at}"));
                let listener = self.at(&place, listen)?;
                thread::spawn(move || while listener.accept().is_ok() {});
            }
            Ask::Create(spec) => self.create(spec)?,
            Ask::Put { name, path, mode } => {
                let from = fds.pop().context("no file came with the order to write one")?;
                self.put(&name, &path, mode, from)?;
            }
            Ask::Start { name } => self.instance(&name)?.start()?,
            Ask::State { name } => return Ok((Answer::State(self.instance(&name)?.state()), None)),
            Ask::Signal { name, signal } => self.instance(&name)?.signal(signal)?,
            Ask::Snapshot { name, layer } => self.instance(&name)?.snapshot(&layer)?,
            Ask::Remove { name, layer } => {
                self.instance(&name)?.remove(layer.as_deref())?;
                self.instances.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            }
            Ask::Dial { place, to } => {
                let connect = || {
                    TcpStream::connect_timeout(&SocketAddr::V4(to), DIAL)
                        .with_context(|| format!("connecting to {to}"))
                };
                handed = Some(self.at(&place, connect)?.into());
            }
            Ask::Listen { place, at } => {
                let listen = || TcpListener::bind(at).with_context(|| format!("listening at {at}"));
                handed = Some(self.at(&place, listen)?.into());
            }
            Ask::Name { name, addresses } => self.names.set(&name, addresses),
            Ask::Limit { name, share } => self.instance(&name)?.limit(share)?,
            Ask::Link { name, up } => {
                let (number, address) = self.cable(&name)?;
                network::link(number, address, up)?;
            }
            Ask::Metadata { address, it } => self.imds.set(address, it.map(|it| *it)),
            Ask::Erase { name, path } => self.within_root(&name, "rm -f \"$1\"", &[&path], None)?,
            Ask::Break { service: Service::Metadata, broken } => self.imds.break_it(broken),
            Ask::Break { service: Service::Names, broken } => self.names.break_it(broken),
            Ask::Network(want) => {
                let cables = self.cables();
                self.router.lock().unwrap_or_else(PoisonError::into_inner).apply(&want, &cables)?;
            }
            Ask::Exec { .. } => bail!("a command has its own conversation"),
        }
        Ok((if handed.is_some() { Answer::Handed } else { Answer::Done }, handed))
    }

    fn create(&self, spec: InstanceSpec) -> anyhow::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = spec.name.clone();
        network::add(&name, number, spec.address)?;
        let dir = self.charge.dir.join(&name);
        let cgroups = self.cgroups.child(&name);
        let made = Instance::create(spec, number, dir, cgroups, self.charge.rootless)
            .inspect_err(|_| network::remove(&name))?;
        self.instances.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(made));
        Ok(())
    }

    fn instance(&self, name: &str) -> anyhow::Result<Arc<Instance>> {
        let all = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).cloned().with_context(|| format!("the region has no instance {name}"))
    }

    fn cable(&self, name: &str) -> anyhow::Result<(u32, std::net::Ipv4Addr)> {
        if let Ok(it) = self.instance(name) {
            return Ok((it.number, it.spec.address));
        }
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(name).copied().with_context(|| format!("the region has no place {name}"))
    }

    /// Every place's end at the router, by address.
    fn cables(&self) -> Cables {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let machines = instances.values().map(|it| (it.spec.address, network::port(it.number)));
        let bare = places.values().map(|it| (it.1, network::port(it.0)));
        machines.chain(bare).collect()
    }

    fn put(&self, name: &str, path: &str, mode: u32, from: OwnedFd) -> anyhow::Result<()> {
        let script = "mkdir -p \"$(dirname \"$1\")\" && cat > \"$1\" && chmod \"$2\" \"$1\"";
        self.within_root(name, script, &[path, &format!("{mode:o}")], Some(from))
    }

    /// Changes the disk of an instance that does not run, by the instance's own shell, so that its links are followed
    /// inside its root and nowhere else.
    fn within_root(
        &self,
        name: &str,
        script: &str,
        args: &[&str],
        input: Option<OwnedFd>,
    ) -> anyhow::Result<()> {
        let root = self.instance(name)?.root();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).args(args).env_clear().env("PATH", crate::PATH);
        // SAFETY: chroot and chdir are system calls that are safe after a fork.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::chroot(&root)?;
                Ok(nix::unistd::chdir("/")?)
            });
        }
        let said = command.stdin(input.map_or(Stdio::null(), Stdio::from)).output();
        let said = said.with_context(|| format!("changing {} of {name}", args.join(" ")))?;
        if !said.status.success() {
            bail!("changing {} of {name}: {}", args.join(" "), String::from_utf8_lossy(&said.stderr).trim());
        }
        Ok(())
    }

    /// Makes a socket in the network namespace of a place.
    fn at<T: Send>(
        &self,
        place: &Place,
        make: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        match place {
            Place::Router => make(),
            Place::Internet => super::within(&network::path(INTERNET), make),
            Place::Named(name) => super::within(&network::path(name), make),
        }
    }

    fn spawn(&self, place: &Place, it: Exec, mut fds: Vec<OwnedFd>) -> anyhow::Result<Child> {
        let (Some(err), Some(out), Some(input)) = (fds.pop(), fds.pop(), fds.pop()) else {
            bail!("a command needs three descriptors");
        };
        let stdio = |command: &mut Command| -> std::io::Result<Child> {
            command.stdin(Stdio::from(input)).stdout(Stdio::from(out)).stderr(Stdio::from(err)).spawn()
        };
        let instance = match place {
            Place::Named(name) => self.instance(name).ok(),
            Place::Router | Place::Internet => None,
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
            let file =
                std::fs::File::open(path).with_context(|| format!("the region has no place {name}"))?;
            // SAFETY: setns is a system call that is safe after a fork.
            unsafe {
                command.pre_exec(move || {
                    Ok(nix::sched::setns(file.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET)?)
                });
            }
        }
        stdio(&mut command).with_context(|| format!("starting {program}"))
    }

    /// Waits for the command's end, or for the asker's, whichever comes first.
    fn accompany(&self, line: &UnixStream, mut child: Child) -> anyhow::Result<()> {
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
}

/// A descriptor that becomes readable when the process ends.
fn pidfd(pid: u32) -> anyhow::Result<OwnedFd> {
    // SAFETY: a plain system call; the descriptor it returns is ours alone.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) };
    let fd = nix::errno::Errno::result(i32::try_from(fd).unwrap_or(-1)).context("watching a command")?;
    // SAFETY: as above.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
}
