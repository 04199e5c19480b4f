//! The whole small cloud: a control plane that says what should be, and a data plane that makes it so.

mod answers;
mod book;
mod call;
mod clients;
mod door;
mod fault;
mod moto;
mod picture;
mod refusal;
mod scaling;
mod shared;
mod ssm;
mod sync;
mod wanted;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::balancer::Health;
use crate::command::Running as Process;
use crate::edge::Edge;
use crate::forward::Forward;
use crate::image::Image;
use crate::instance::Instance;
use crate::region::Region;
use crate::state::State;
use crate::wire::{Phase, Place};
use clients::Clients;
use door::Door;
pub use fault::{Fault, FaultKind};
use picture::Picture;
use scaling::Keeper;
use shared::Shared;
use sync::Sync;

/// Where the cloud's interface is for instances.
const INSIDE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 4566);
/// How often something is looked at; and how often the account is read although nobody changed it.
const TICK: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_secs(10);

/// How the cloud shall be.
#[derive(Clone, Debug)]
pub struct Options {
    pub state: State,
    /// AWS's name for where it pretends to be.
    pub region: String,
    /// The loopback port of its interface; 0 for any.
    pub port: u16,
    /// AWS's durations are divided by this.
    pub clock: u32,
    /// What instances start from, unless from an image that was made here.
    pub image: Image,
    /// moto's virtual environment.
    pub moto: PathBuf,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            state: State::from_env(),
            region: "ap-northeast-2".into(),
            port: 0,
            clock: 60,
            image: Image::web(),
            moto: moto::venv(),
        }
    }
}

/// A running cloud. Dropping it ends everything in it.
pub struct Cloud {
    sync: Arc<Sync>,
    port: u16,
    over: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
    edge: Arc<Edge>,
    _moto: Process,
    _control: Forward,
    runtime: Option<tokio::runtime::Runtime>,
}

/// What runs, for people and programs.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Status {
    /// Phase and address by instance.
    pub instances: BTreeMap<String, (String, Ipv4Addr)>,
    /// The `Name` tag by instance.
    pub names: BTreeMap<String, String>,
    /// The primary's and the standby's address by database.
    pub databases: BTreeMap<String, (Ipv4Addr, Option<Ipv4Addr>)>,
    pub replicas: BTreeSet<String>,
    /// The state of each target by group.
    pub targets: BTreeMap<String, BTreeMap<String, String>>,
    pub balancers: BTreeSet<String>,
    /// What is being done.
    pub busy: BTreeSet<String>,
    /// What failed, and will be tried again.
    pub problems: BTreeMap<String, String>,
}

impl Cloud {
    /// What it starts machines from, and which.
    pub(crate) fn images(options: &Options) -> [(&'static str, Image); 3] {
        let hosts = options.image.clone();
        [("hosts", hosts), ("databases", Image::mariadb()), ("load balancers", Image::balancer())]
    }

    /// Starts an empty cloud.
    ///
    /// # Errors
    /// If a part of it does not start; in words what is missing.
    pub fn start(options: Options) -> anyhow::Result<Cloud> {
        // Images first: nobody should wait for them with a half-built stack. Upon the same Debian, all at once.
        let images = Cloud::images(&options);
        thread::scope(|scope| {
            let all = images.each_ref().map(|(_, it)| scope.spawn(|| it.prepare(&options.state)));
            all.into_iter().try_for_each(|it| it.join().unwrap_or_else(|_| bail!("building an image broke")))
        })?;
        let region = Region::start_in(options.state.clone())?;
        let moto = moto::start(&region, &options.moto)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("starting the cloud's runtime")?;
        let shared = Shared::default();
        shared.lock().scaling.clock = options.clock;
        let control = region.forward(Place::Internet, moto::ADDRESS)?;
        let clients = Arc::new(Clients::new(&control.url(), &options.region));
        let door = Door::new(&region, &shared, &clients)?;
        let guard = runtime.enter();
        let port = door.open_outside(options.port)?;
        door.open_inside(INSIDE)?;
        drop(guard);
        let api = (port, format!("http://{INSIDE}"));
        let sync = Arc::new(Sync::new(&region, options, shared, clients, runtime.handle().clone(), api)?);
        door.serves(&sync);
        let edge = {
            let _guard = runtime.enter();
            let shared = sync.shared.clone();
            let changes = move || shared.lock().changes;
            let authority = Arc::clone(&sync.authority);
            Edge::start(&region, sync.clients.cloudfront.clone(), control.url(), authority, changes)?
        };
        let over = Arc::new(AtomicBool::new(false));
        let ticker = {
            let (sync, over) = (Arc::clone(&sync), Arc::clone(&over));
            thread::spawn(move || tick(&sync, &over))
        };
        Ok(Cloud {
            sync,
            port,
            over,
            ticker: Some(ticker),
            edge,
            _moto: moto,
            _control: control,
            runtime: Some(runtime),
        })
    }

    /// The endpoint for `AWS_ENDPOINT_URL` on this machine.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The region that it runs in.
    pub fn region(&self) -> &Region {
        &self.sync.region
    }

    /// The root certificate of the databases, PEM.
    pub fn database_root(&self) -> String {
        self.sync.authority.pem()
    }

    /// The machine of a host, by its id or by its `Name` tag if only one has that.
    ///
    /// # Errors
    /// If there is none or more than one.
    pub fn host(&self, name: &str) -> anyhow::Result<Instance> {
        let running = self.sync.running();
        if let Some(it) = running.machines.get(name) {
            return Ok(it.clone());
        }
        let same = running.known_as.iter().filter(|it| it.1.0 == name).map(|it| it.0);
        let ids: Vec<&String> = same.filter(|it| running.machines.contains_key(*it)).collect();
        match ids[..] {
            [id] => Ok(running.machines[id].clone()),
            [] => {
                let all: Vec<&str> = running.known_as.values().map(|it| it.0.as_str()).collect();
                bail!("there is no host {name}; there are {}", all.join(", "))
            }
            _ => bail!("{name} could be any of {ids:?}; use the id"),
        }
    }

    /// Cuts the power of every host and database of a zone.
    ///
    /// # Errors
    /// If there is nothing in that zone.
    pub fn kill_zone(&self, zone: &str) -> anyhow::Result<()> {
        let (machines, databases): (Vec<Instance>, Vec<crate::Database>) = {
            let running = self.sync.running();
            let ours = |id: &String| running.known_as.get(id).is_some_and(|it| it.1 == zone);
            let machines = running.machines.iter().filter(|it| ours(it.0)).map(|it| it.1.clone());
            let there = |it: &&crate::Database| running.zones.get(&it.primary()).is_some_and(|it| it == zone);
            (machines.collect(), running.databases.values().filter(there).cloned().collect())
        };
        if machines.is_empty() && databases.is_empty() {
            bail!("there is nothing in zone {zone}");
        }
        machines.iter().try_for_each(Instance::kill)?;
        databases.iter().try_for_each(crate::Database::kill_primary)
    }

    /// Pulls the cables of a file system's mount targets, or plugs them in; whoever has mounted it feels it, too.
    ///
    /// # Errors
    /// If there is no such file system.
    pub fn link_file_system(&self, id: &str, up: bool) -> anyhow::Result<()> {
        let targets = self.sync.running().mount_targets.get(id).cloned();
        let targets = targets.with_context(|| format!("there is no file system {id} with mount targets"))?;
        targets.iter().try_for_each(|it| self.region().link(it, up))?;
        self.region().file_system(id)?.answers(up)
    }

    /// The machine of an instance, by its id.
    pub fn instance(&self, id: &str) -> Option<Instance> {
        self.sync.running().machines.get(id).cloned()
    }

    /// A database by its identifier.
    pub fn database(&self, name: &str) -> Option<crate::Database> {
        self.sync.running().databases.get(name).cloned()
    }

    /// A port of this machine's loopback that leads to a load balancer as the internet sees it.
    ///
    /// # Errors
    /// If there is no such load balancer.
    pub fn open(&self, balancer: &str, port: u16) -> anyhow::Result<Forward> {
        let nodes = self.nodes(balancer, port)?;
        let nodes = nodes.with_context(|| format!("there is no load balancer {balancer}"))?;
        self.region().forward_to_any(Place::Internet, nodes)
    }

    /// A URL of this machine that leads to what has this name in the region: a distribution, a bucket or its website.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn site(&self, name: &str) -> anyhow::Result<Option<String>> {
        let _guard = self.runtime.as_ref().map(|it| it.enter());
        self.edge.url(name)
    }

    /// Where a load balancer listens, by its name or DNS name; `None` if there is no such thing.
    pub(crate) fn nodes(&self, what: &str, port: u16) -> anyhow::Result<Option<Vec<SocketAddrV4>>> {
        let running = self.sync.running();
        let spec = running.balancers.get(what).map(|it| it.spec());
        let by_name = running.names.get(what).cloned();
        drop(running);
        let nodes: Vec<Ipv4Addr> = match (by_name, spec) {
            (Some(public), _) => public,
            (None, Some(spec)) => spec
                .addresses
                .iter()
                .map(|it| self.public_address(what, *it))
                .collect::<anyhow::Result<_>>()?,
            (None, None) => return Ok(None),
        };
        Ok(Some(nodes.into_iter().map(|it| SocketAddrV4::new(it, port)).collect()))
    }

    /// What the internet calls a place's private address.
    fn public_address(&self, place: &str, private: Ipv4Addr) -> anyhow::Result<Ipv4Addr> {
        let public = self.sync.public_of(place, private);
        public.with_context(|| format!("{private} has no public address"))
    }

    /// Makes calls go wrong at the front door.
    pub fn inject(&self, fault: Fault) {
        self.sync.shared.lock().faults.push(fault);
    }

    /// What runs.
    pub fn status(&self) -> Status {
        let known = self.sync.shared.lock();
        let state = |it: &Health| format!("{:?}", it.state).to_lowercase();
        let targets = known.health.iter().map(|(group, all)| {
            (group.clone(), all.iter().map(|(target, it)| (target.clone(), state(it))).collect())
        });
        let targets = targets.collect();
        drop(known);
        let running = self.sync.running();
        let machines = running.machines.iter().map(|(id, it)| {
            let phase = it.phase().unwrap_or(Phase::Crashed);
            (id.clone(), (format!("{phase:?}").to_lowercase(), it.address()))
        });
        Status {
            instances: machines.collect(),
            names: running.known_as.iter().map(|(id, it)| (id.clone(), it.0.clone())).collect(),
            databases: running
                .databases
                .iter()
                .map(|(name, it)| (name.clone(), (it.primary(), it.standby())))
                .collect(),
            replicas: running.replicas.keys().cloned().collect(),
            targets,
            balancers: running.balancers.keys().cloned().collect(),
            busy: running.busy.clone(),
            problems: running.problems.iter().map(|(what, it)| (what.clone(), it.1.clone())).collect(),
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.sync.region.stop();
    }
}

/// Reads when somebody changed something, acts, and asks the balancers how the targets are.
fn tick(sync: &Arc<Sync>, over: &AtomicBool) {
    let mut seen = (u64::MAX, Instant::now());
    let mut picture = Picture::default();
    let mut keeper = Keeper::default();
    while !over.load(Ordering::Relaxed) {
        let changes = sync.shared.lock().changes;
        let read = if changes != seen.0 || seen.1.elapsed() > IDLE {
            match sync.runtime.block_on(Picture::read(&sync.clients)) {
                Ok(new) => {
                    seen = (changes, Instant::now());
                    picture = new;
                    Ok(())
                }
                Err(err) => Err(err),
            }
        } else {
            Ok(())
        };
        let done = read.and_then(|()| sync.reconcile(&picture));
        sync.report("reconciling", done);
        work::health(sync);
        keeper.round(sync, &picture);
        thread::sleep(TICK);
    }
}
