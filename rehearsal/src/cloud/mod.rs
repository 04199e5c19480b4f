//! The whole small cloud: a control plane that says what should be, and a data plane that makes it so.

mod answers;
mod book;
mod breaking;
mod call;
mod cbor;
mod clients;
mod control;
mod door;
mod events;
mod exports;
mod fault;
mod guards;
mod life;
mod moto;
mod naming;
mod operate;
mod outage;
mod picture;
mod promotion;
mod refusal;
mod scaling;
mod shared;
mod ssm;
mod states;
mod sync;
mod time;
mod unseen;
mod wanted;
mod work;
mod xml;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::edge::Edge;
use crate::image::Image;
use crate::region::{AWS_REGION, Region};
use crate::state::State;
use clients::Clients;
use control::Control;
pub use control::ControlPlane;
use door::Door;
use exports::Exports;
pub use fault::{Fault, FaultKind};
pub use operate::Status;
use picture::Picture;
use scaling::Keeper;
use shared::Shared;
use sync::Sync;

/// Where the cloud's interface is for instances.
const INSIDE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 4566);
/// How often something is looked at; and how often the account is read although nobody changed it.
const TICK: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_secs(10);
/// How often the databases' logs are sent on.
const EXPORT: Duration = Duration::from_secs(3);

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
    pub control_plane: ControlPlane,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            state: State::from_env(),
            region: "ap-northeast-2".into(),
            port: 0,
            clock: 60,
            image: Image::web(),
            control_plane: ControlPlane::from_env(),
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
    _control: Control,
    runtime: Option<tokio::runtime::Runtime>,
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
        std::fs::write(region.dir().join(AWS_REGION), format!("{}\n", options.region))
            .context("noting the region's name")?;
        let control = Control::start(&region, &options.control_plane)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("starting the cloud's runtime")?;
        let shared = Shared::default();
        shared.lock().scaling.clock = options.clock;
        shared.lock().lives.time.set(options.clock.max(1));
        let clients = Arc::new(Clients::new(&control, &options.region));
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
        Ok(Cloud { sync, port, over, ticker: Some(ticker), edge, _control: control, runtime: Some(runtime) })
    }

    /// The endpoint for `AWS_ENDPOINT_URL` on this machine.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// By what the time that things take to come and to go is divided from now on; at 0 it stands still.
    pub fn set_clock(&self, clock: u32) {
        self.sync.shared.lock().lives.time.set(clock);
    }

    /// The region that it runs in.
    pub fn region(&self) -> &Region {
        &self.sync.region
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
    let (mut exports, mut exported) = (Exports::default(), Instant::now());
    let mut keeper = Keeper::default();
    while !over.load(Ordering::Relaxed) {
        let changes = sync.shared.lock().changes;
        let read = if changes != seen.0 || seen.1.elapsed() > IDLE {
            match sync.runtime.block_on(Picture::read(&sync.clients)) {
                Ok(new) => {
                    seen = (changes, Instant::now());
                    picture = new;
                    sync.shared.lock().see(&picture);
                    Ok(())
                }
                Err(err) => Err(err),
            }
        } else {
            Ok(())
        };
        let done = read.and_then(|()| sync.reconcile(&picture));
        sync.report("reconciling", done);
        sync.report("keeping a zone down", outage::keep_down(sync, &picture));
        work::health(sync);
        if exported.elapsed() > EXPORT {
            sync.report("exporting logs", exports.round(sync));
            exported = Instant::now();
        }
        keeper.round(sync, &picture);
        thread::sleep(TICK);
    }
}
