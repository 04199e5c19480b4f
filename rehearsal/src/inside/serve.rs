//! The region's daemon: takes what the outside asks, one thread per question, and ends when the line is cut.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use super::imds::Imds;
use super::names::Names;
use super::outage::Outages;
use super::places::Places;
use super::router::INTERNET;
use super::supervise::Instance;
use super::{network, run};
use crate::accept;
use crate::cgroups::Cgroups;
use crate::keeper::Charge;
use crate::wire::{Answer, Ask, InstanceSpec, Phase, Place, Reply, Service, receive, send};

/// How long a connection from inside may take.
const DIAL: Duration = Duration::from_secs(5);

struct Region {
    charge: Charge,
    cgroups: Cgroups,
    instances: Mutex<BTreeMap<String, Arc<Instance>>>,
    places: Arc<Places>,
    names: Names,
    imds: Imds,
    outages: Outages,
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
    let (names, imds) = (Names::default(), Imds::default());
    let begun = Places::new(&names, &imds).and_then(|places| {
        let listener = UnixListener::bind(charge.socket()).context("listening for the outside")?;
        Ok((places, listener))
    });
    let (places, listener) = match begun {
        Ok(it) => it,
        Err(err) => return refuse(&err),
    };
    let (charge, cgroups, places) = (charge.clone(), cgroups.clone(), Arc::new(places));
    let (instances, outages) = (Mutex::default(), Outages::default());
    let region = Arc::new(Region { charge, cgroups, instances, places, names, imds, outages });
    thread::spawn(|| {
        let mut line = line();
        let _ = line.write_all(b"ready\n");
        let mut buffer = [0; 64];
        while line.read(&mut buffer).is_ok_and(|n| n > 0) {}
        // Nobody wants the region any more.
        std::process::exit(0);
    });
    accept::each(
        || listener.accept(),
        |(connection, _)| {
            let region = Arc::clone(&region);
            thread::spawn(move || {
                let _ = region.converse(&connection);
            });
        },
    );
    0
}

impl Region {
    fn converse(&self, line: &UnixStream) -> anyhow::Result<()> {
        while let Some((ask, fds)) = receive::<Ask>(line)? {
            if let Ask::Exec { place, command } = ask {
                let instance = match &place {
                    Place::Named(name) => self.instance(name).ok(),
                    Place::Router | Place::Internet => None,
                };
                return match run::spawn(instance.as_deref(), &place, command, fds) {
                    Ok(child) => run::accompany(line, child),
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
            Ask::Namespace { name, address } => self.places.plug(&name, address)?,
            Ask::RemoveNamespace { name } => self.places.unplug(&name)?,
            Ask::Greet { place, at, text } => {
                let listen = || TcpListener::bind(at).with_context(|| format!("listening at {at}"));
                let listener = self.at(&place, listen)?;
                thread::spawn(move || {
                    accept::each(
                        || listener.accept(),
                        |(mut line, _)| {
                            let _ = line.write_all(text.as_bytes());
                        },
                    );
                });
            }
            Ask::Create(spec) => self.create(spec)?,
            Ask::Put { name, path, mode } => {
                let from = fds.pop().context("no file came with the order to write one")?;
                self.put(&name, &path, mode, from)?;
            }
            Ask::Start { name } => {
                let (places, place) = (Arc::clone(&self.places), name.clone());
                self.instance(&name)?.start(move |on| places.power(&place, on))?;
            }
            Ask::State { name } => return Ok((Answer::State(self.instance(&name)?.state()), None)),
            Ask::Signal { name, signal } => self.instance(&name)?.signal(signal)?,
            Ask::Snapshot { name, layer } => self.instance(&name)?.snapshot(&layer)?,
            Ask::Remove { name, layer } => match (self.instance(&name), layer) {
                // Whoever repeats it finds that it is done.
                (Err(_), None) => {}
                (instance, layer) => {
                    instance?.remove(layer.as_deref(), || self.unplug(&name))?;
                    self.instances.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                }
            },
            Ask::Discard { dir } => {
                if !dir.starts_with(&self.charge.dir) {
                    bail!("{} is not the region's", dir.display());
                }
                crate::keeper::remove_dir(&dir);
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
            Ask::NearName { name, near } => self.names.set_near(&name, near),
            Ask::Limit { name, share } => self.instance(&name)?.limit(share)?,
            Ask::Link { name, up } => self.places.link(&name, up)?,
            Ask::Metadata { name, it } => self.imds.set(self.places.cable(&name)?.owner(), it.map(|it| *it)),
            Ask::Erase { name, path } => self.within_root(&name, "rm -f \"$1\"", &[&path], None)?,
            Ask::Break { service: Service::Metadata, broken } => self.imds.break_it(broken),
            Ask::Break { service: Service::Names, broken } => self.names.break_it(broken),
            Ask::Outage { of, over: false } => self.begin_outage(&of)?,
            Ask::Outage { of, over: true } => self.outages.end(&of, |name| self.instance(name).ok())?,
            Ask::Network(want) => self.places.apply(want)?,
            Ask::Exec { .. } => bail!("a command has its own conversation"),
        }
        Ok((if handed.is_some() { Answer::Handed } else { Answer::Done }, handed))
    }

    fn create(&self, spec: InstanceSpec) -> anyhow::Result<()> {
        let name = spec.name.clone();
        self.places.plug(&name, spec.address)?;
        let dir = self.charge.dir.join(&name);
        let made = Instance::create(spec, dir, self.cgroups.child(&name), self.charge.rootless);
        let made = made.inspect_err(|_| drop(self.places.unplug(&name)))?;
        self.instances.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(made));
        Ok(())
    }

    /// Takes an instance's place away, as far as it still has one, and what was to be told there.
    fn unplug(&self, name: &str) -> anyhow::Result<()> {
        let Ok(cable) = self.places.cable(name) else { return Ok(()) };
        self.imds.set(cable.owner(), None);
        self.places.unplug(name)
    }

    fn instance(&self, name: &str) -> anyhow::Result<Arc<Instance>> {
        let all = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).cloned().with_context(|| format!("the region has no instance {name}"))
    }

    /// Those who could have mounted it are those who run.
    fn begin_outage(&self, of: &str) -> anyhow::Result<()> {
        let all: Vec<_> = {
            let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
            instances.values().filter(|it| it.state().phase == Phase::Running).cloned().collect()
        };
        all.iter().try_for_each(|it| self.outages.begin(of, it))
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
}
