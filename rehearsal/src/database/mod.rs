//! A database as RDS runs one: a primary, a standby that never lags, replicas, and names that follow the primary.

mod server;
mod watch;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::authority::{Authority, Certificate};
use crate::instance::Instance;
use crate::region::Region;
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
            parameters: BTreeMap::new(),
            failover_delay: Duration::ZERO,
        }
    }
}

/// Something that happened to a database.
#[derive(Clone, Debug)]
pub struct DatabaseEvent {
    pub at: Instant,
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
    next_id: AtomicU32,
    plugged_in: Box<dyn Fn() -> anyhow::Result<()> + Send + Sync>,
}

struct State {
    primary: Server,
    standby: Option<Server>,
    replicas: BTreeMap<String, Server>,
    events: Vec<DatabaseEvent>,
    /// While somebody changes roles, nobody else does.
    busy: bool,
}

impl Region {
    /// Starts a database and returns when its endpoint answers.
    ///
    /// # Errors
    /// If a machine of it does not start.
    pub fn database(&self, spec: DatabaseSpec, authority: &Authority) -> anyhow::Result<Database> {
        self.database_with(spec, authority, || Ok(()))
    }

    /// The same, with something to be done whenever a machine of it has been plugged in.
    pub(crate) fn database_with(
        &self,
        spec: DatabaseSpec,
        authority: &Authority,
        plugged_in: impl Fn() -> anyhow::Result<()> + Send + Sync + 'static,
    ) -> anyhow::Result<Database> {
        let certificate = authority.sign(&[&spec.endpoint, &format!("{}.replicas.internal", spec.name)])?;
        let primary = Server::start(self, &spec, &certificate, 1, spec.primary)?;
        let state =
            State { primary, standby: None, replicas: BTreeMap::new(), events: Vec::new(), busy: false };
        let region = self.clone();
        let next_id = AtomicU32::new(2);
        let it = Database(Arc::new(Inner {
            region,
            spec,
            certificate,
            state: Mutex::new(state),
            next_id,
            plugged_in: Box::new(plugged_in),
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
        primary.found(spec)?;
        (self.0.plugged_in)()?;
        self.0.region.name(&spec.endpoint, &[spec.primary])?;
        self.note("the primary is available");
        spec.standby.map_or(Ok(()), |it| self.seed_standby(it))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, what: &str) {
        self.state().events.push(DatabaseEvent { at: Instant::now(), what: what.to_owned() });
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

    /// The machines of the primary, the standby and the replicas.
    pub(crate) fn machines(&self) -> Vec<Instance> {
        let state = self.state();
        let all = [&state.primary].into_iter().chain(&state.standby).chain(state.replicas.values());
        all.map(|it| it.machine().clone()).collect()
    }

    /// Runs SQL on the primary as its root; rows as tab-separated lines.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let server = self.state().primary.clone();
        server.sql(sql)
    }

    /// The same on a replica.
    ///
    /// # Errors
    /// If there is no such replica, or the server refuses it.
    pub fn replica_sql(&self, replica: &str, sql: &str) -> anyhow::Result<String> {
        let server = self.state().replicas.get(replica).cloned();
        server.with_context(|| format!("{} has no replica {replica}", self.0.spec.name))?.sql(sql)
    }

    /// Adds a replica that follows the endpoint, wherever it leads, and has a name of its own.
    ///
    /// # Errors
    /// If its machine does not start or does not catch up.
    pub fn replica(
        &self,
        name: &str,
        endpoint: &str,
        address: Ipv4Addr,
        authority: &Authority,
    ) -> anyhow::Result<()> {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let spec = DatabaseSpec { name: name.to_owned(), ..self.0.spec.clone() };
        let server = Server::start(&self.0.region, &spec, &authority.sign(&[endpoint])?, id, address)?;
        let upstream = self.state().primary.clone();
        let followed = (self.0.plugged_in)()
            .and_then(|()| server.follow(&self.0.spec.endpoint, false))
            .and_then(|()| server.catch_up_with(&upstream))
            .and_then(|()| self.0.region.name(endpoint, &[address]));
        if let Err(err) = followed {
            server.remove()?;
            return Err(err);
        }
        self.state().replicas.insert(name.to_owned(), server);
        self.note(&format!("replica {name} is available"));
        Ok(())
    }

    /// Makes a replica a database of its own, which follows nobody and takes rows.
    ///
    /// # Errors
    /// If there is no such replica, or it does not get through what it was sent.
    pub(crate) fn promote_replica(&self, name: &str, endpoint: &str) -> anyhow::Result<Database> {
        let server = self.state().replicas.remove(name);
        let server = server.with_context(|| format!("{} has no replica {name}", self.0.spec.name))?;
        if let Err(err) = server.promote() {
            self.state().replicas.insert(name.to_owned(), server);
            return Err(err);
        }
        self.note(&format!("replica {name} was promoted"));
        let spec = DatabaseSpec {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            primary: server.address(),
            standby: None,
            ..self.0.spec.clone()
        };
        let state = State {
            primary: server,
            standby: None,
            replicas: BTreeMap::new(),
            events: Vec::new(),
            busy: false,
        };
        Ok(Database(Arc::new(Inner {
            region: self.0.region.clone(),
            spec,
            certificate: self.0.certificate.clone(),
            state: Mutex::new(state),
            next_id: AtomicU32::new(2),
            plugged_in: Box::new(|| Ok(())),
        })))
    }

    /// Cuts a replica's power.
    ///
    /// # Errors
    /// If there is no such replica.
    pub fn kill_replica(&self, name: &str) -> anyhow::Result<()> {
        let server = self.state().replicas.get(name).cloned();
        server.with_context(|| format!("{} has no replica {name}", self.0.spec.name))?.kill()
    }

    /// What was written to a file of the primary from there on, whole lines, and how long the file is.
    pub(crate) fn log(&self, path: &str, from: u64, most: usize) -> anyhow::Result<(String, u64)> {
        let server = self.state().primary.clone();
        server.read(path, from, most)
    }

    /// Ends a replica.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn remove_replica(&self, name: &str) -> anyhow::Result<()> {
        let server = self.state().replicas.remove(name);
        server.map_or(Ok(()), |it| it.remove())
    }

    /// Ends all its machines; their rows are gone.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let (servers, endpoint) = {
            let mut state = self.state();
            // Nobody shall fail over what is being taken away.
            state.busy = true;
            let replicas = std::mem::take(&mut state.replicas).into_values();
            let standby = state.standby.take();
            let servers: Vec<Server> = replicas.chain(standby).chain([state.primary.clone()]).collect();
            (servers, self.0.spec.endpoint.clone())
        };
        self.0.region.name(&endpoint, &[])?;
        servers.iter().try_for_each(Server::remove)
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

    /// Reboots the primary; with failover the standby takes over meanwhile.
    ///
    /// # Errors
    /// If there is no standby to fail over to.
    pub fn reboot(&self, failover: bool) -> anyhow::Result<()> {
        if failover {
            return self.fail_over("reboot with failover was asked for");
        }
        let server = self.state().primary.clone();
        server.reboot()?;
        self.note("the primary was rebooted");
        Ok(())
    }

    /// Makes the standby the primary and moves the endpoint's name.
    fn fail_over(&self, why: &str) -> anyhow::Result<()> {
        let (old, new) = {
            let mut state = self.state();
            if state.busy {
                bail!("{} is failing over already", self.0.spec.name);
            }
            let Some(new) = state.standby.take() else { bail!("{} has no standby", self.0.spec.name) };
            state.busy = true;
            (state.primary.clone(), new)
        };
        self.note(&format!("failover begins: {why}"));
        let done = self.take_over(&old, &new);
        self.state().busy = false;
        done?;
        self.note("failover completed");
        // Whatever the old primary wrote that nobody acknowledged must go with it: it comes back empty.
        old.remove()?;
        let it = self.clone();
        std::thread::spawn(move || {
            if let Err(err) = it.seed_standby(old.address()) {
                it.note(&format!("no new standby: {err:#}"));
            }
        });
        Ok(())
    }

    fn take_over(&self, old: &Server, new: &Server) -> anyhow::Result<()> {
        // Nobody may still write there when the name moves.
        old.kill()?;
        std::thread::sleep(self.0.spec.failover_delay);
        new.promote()?;
        self.0.region.name(&self.0.spec.endpoint, &[new.address()])?;
        self.state().primary = new.clone();
        Ok(())
    }

    /// A standby from nothing, up to date when it counts.
    fn seed_standby(&self, address: Ipv4Addr) -> anyhow::Result<()> {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let server = Server::start(&self.0.region, &self.0.spec, &self.0.certificate, id, address)?;
        let primary = self.state().primary.clone();
        let followed = (self.0.plugged_in)()
            .and_then(|()| server.follow(&primary.address().to_string(), true))
            .and_then(|()| server.catch_up_with(&primary));
        if let Err(err) = followed {
            server.remove()?;
            return Err(err);
        }
        self.state().standby = Some(server);
        self.note("the standby is in step");
        Ok(())
    }
}
