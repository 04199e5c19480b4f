//! A database as RDS runs one: a primary, a standby that never lags, replicas, and names that follow the primary.

mod changes;
mod part;
mod replicas;
mod roles;
mod server;
mod watch;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;

use crate::authority::{Authority, Certificate};
use crate::instance::Instance;
use crate::region::Region;
use part::Part;
pub(crate) use server::PLACE;
use server::Server;

/// What a database shall be.
#[derive(Clone)]
pub struct DatabaseSpec {
    /// Names its machines.
    pub name: String,
    /// The name by which clients find the primary.
    pub endpoint: String,
    pub user: String,
    pub password: String,
    /// Created at first.
    pub database: String,
    pub primary: Ipv4Addr,
    /// In the other zone.
    pub standby: Option<Ipv4Addr>,
    pub port: u16,
    /// Settings of the server, such as `require_secure_transport`.
    pub parameters: BTreeMap<String, String>,
    /// How long a standby waits before it takes over, beyond what it needs.
    pub failover_delay: Duration,
}

impl Default for DatabaseSpec {
    fn default() -> DatabaseSpec {
        DatabaseSpec {
            name: "db".into(),
            endpoint: "db.ap-northeast-2.rds.amazonaws.com".into(),
            user: "admin".into(),
            password: "administrator".into(),
            database: "labvpcrds".into(),
            primary: Ipv4Addr::new(10, 1, 5, 21),
            standby: None,
            port: 3306,
            parameters: BTreeMap::new(),
            failover_delay: Duration::ZERO,
        }
    }
}

/// Something that happened to a database.
#[derive(Clone, Debug)]
pub struct DatabaseEvent {
    pub at: Timestamp,
    pub what: String,
}

/// A running database. It is watched, and fails over, as long as a value for it exists.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    region: Region,
    spec: DatabaseSpec,
    certificate: Certificate,
    state: Mutex<State>,
    /// Held by whoever changes roles or ends machines; nobody else does meanwhile.
    turn: Mutex<()>,
    /// Shared with replicas that were promoted.
    next_id: Arc<AtomicU32>,
    around: Arc<Around>,
}

/// What a database needs of whoever runs it.
pub struct Around {
    /// Whenever a machine of it has been plugged in.
    pub plugged_in: Box<dyn Fn() -> anyhow::Result<()> + Send + Sync>,
    /// Whether a machine at this address can be started.
    pub has_power: Box<dyn Fn(Ipv4Addr) -> bool + Send + Sync>,
}

struct State {
    primary: Server,
    standby: Option<Server>,
    replicas: BTreeMap<String, Server>,
    /// Machines that are not ready to be part of it.
    growing: Vec<Server>,
    /// Machines that are part of it no more and whose end did not come yet.
    leftover: Vec<Server>,
    /// Where the primary and its standby may be; empty if there shall be no standby.
    pair: Vec<Ipv4Addr>,
    port: u16,
    password: String,
    parameters: BTreeMap<String, String>,
    events: Vec<DatabaseEvent>,
    /// It is being taken away.
    is_over: bool,
}

impl State {
    fn new(primary: Server, spec: &DatabaseSpec) -> State {
        State {
            primary,
            standby: None,
            replicas: BTreeMap::new(),
            growing: Vec::new(),
            leftover: Vec::new(),
            pair: spec.standby.map(|it| vec![spec.primary, it]).unwrap_or_default(),
            port: spec.port,
            password: spec.password.clone(),
            parameters: spec.parameters.clone(),
            events: Vec::new(),
            is_over: false,
        }
    }

    /// Every machine that belongs to it in any way.
    fn servers(&self) -> Vec<Server> {
        let others = self.standby.iter().chain(&self.growing).chain(&self.leftover);
        self.replicas.values().chain(others).chain([&self.primary]).cloned().collect()
    }
}

impl Region {
    /// Starts a database and returns when its endpoint answers.
    ///
    /// # Errors
    /// If a machine of it does not start.
    pub fn database(&self, spec: DatabaseSpec, authority: &Authority) -> anyhow::Result<Database> {
        let around = Around { plugged_in: Box::new(|| Ok(())), has_power: Box::new(|_| true) };
        self.database_with(spec, authority, around)
    }

    /// The same, where more than the region is around it.
    ///
    /// # Errors
    /// If a machine of it does not start.
    pub fn database_with(
        &self,
        spec: DatabaseSpec,
        authority: &Authority,
        around: Around,
    ) -> anyhow::Result<Database> {
        let certificate = authority.sign(&[&spec.endpoint, &format!("{}.replicas.internal", spec.name)])?;
        let primary = Server::create(self, &spec, &certificate, 1, spec.primary)?;
        let it = Database(Arc::new(Inner {
            region: self.clone(),
            state: Mutex::new(State::new(primary, &spec)),
            spec,
            certificate,
            turn: Mutex::default(),
            next_id: Arc::new(AtomicU32::new(2)),
            around: Arc::new(around),
        }));
        match it.establish() {
            Ok(()) => {
                watch::start(&it.0);
                Ok(it)
            }
            Err(err) => {
                // Names and addresses must be free for the next attempt.
                it.terminate()?;
                Err(err)
            }
        }
    }
}

impl Database {
    fn establish(&self) -> anyhow::Result<()> {
        let spec = &self.0.spec;
        let primary = self.state().primary.clone();
        primary.boot()?;
        primary.found(spec)?;
        (self.0.around.plugged_in)()?;
        self.0.region.name(&spec.endpoint, &[spec.primary])?;
        self.note("the primary is available");
        // Where there is no power, the standby follows when there is.
        let standby = spec.standby.filter(|it| (self.0.around.has_power)(*it));
        standby.map_or(Ok(()), |it| self.seed_standby(it))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it shall be by now.
    fn spec(&self) -> DatabaseSpec {
        let state = self.state();
        let (port, password, parameters) = (state.port, state.password.clone(), state.parameters.clone());
        DatabaseSpec { port, password, parameters, ..self.0.spec.clone() }
    }

    fn note(&self, what: &str) {
        self.state().events.push(DatabaseEvent { at: Timestamp::now(), what: what.to_owned() });
    }

    /// What happened so far.
    pub fn events(&self) -> Vec<DatabaseEvent> {
        self.state().events.clone()
    }

    /// Where the primary is now.
    pub fn primary(&self) -> Ipv4Addr {
        self.state().primary.address()
    }

    /// Where the standby is, if there is one that is ready to take over.
    pub fn standby(&self) -> Option<Ipv4Addr> {
        self.state().standby.as_ref().map(Server::address)
    }

    /// The machines of the primary, the standby and the replicas, and those that become one.
    pub(crate) fn machines(&self) -> Vec<Instance> {
        let state = self.state();
        let all = [&state.primary].into_iter().chain(&state.standby).chain(state.replicas.values());
        all.chain(&state.growing).map(|it| it.machine().clone()).collect()
    }

    /// Runs SQL on the primary as its root; rows as tab-separated lines.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let server = self.state().primary.clone();
        server.sql(sql)
    }

    /// Cuts the standby's power.
    ///
    /// # Errors
    /// If there is none.
    pub fn kill_standby(&self) -> anyhow::Result<()> {
        let server = self.state().standby.clone();
        server.with_context(|| format!("{} has no standby", self.0.spec.name))?.kill()
    }

    /// What was written to a file of the primary from byte `from` on.
    pub(crate) fn log(&self, path: &str, from: u64, most: usize) -> anyhow::Result<Part> {
        let server = self.state().primary.clone();
        server.read(path, from, most)
    }

    /// Ends all its machines; their rows are gone. Can be repeated until it succeeds.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn terminate(&self) -> anyhow::Result<()> {
        // Nobody shall fail over what is being taken away.
        self.state().is_over = true;
        let _turn = self.turn();
        self.0.region.name(&self.0.spec.endpoint, &[])?;
        let servers = self.state().servers();
        servers.iter().try_for_each(Server::remove)
    }

    /// Whether its end has begun.
    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over
    }

    /// Cuts the primary's power. If there is a standby, it notices by itself.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn kill_primary(&self) -> anyhow::Result<()> {
        let server = self.state().primary.clone();
        self.note("the primary was killed");
        server.kill()
    }
}
