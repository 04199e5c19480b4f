//! Who is what: machines that join, standbys that take over, replicas that become databases of their own.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::bail;

use super::server::Server;
use super::{Database, DatabaseSpec, Inner, State, watch};
use crate::authority::Certificate;

const PATIENCE: Duration = Duration::from_secs(20);

impl Database {
    /// A new machine, which joins when it is ready, or goes again.
    pub(super) fn grow(
        &self,
        spec: &DatabaseSpec,
        certificate: &Certificate,
        address: Ipv4Addr,
        get_ready: impl FnOnce(&Server) -> anyhow::Result<()>,
        join: impl FnOnce(&mut State, Server),
    ) -> anyhow::Result<()> {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let server = Server::create(&self.0.region, spec, certificate, id, address)?;
        self.state().growing.push(server.clone());
        let ready =
            server.boot().and_then(|()| (self.0.around.plugged_in)()).and_then(|()| get_ready(&server));
        let mut state = self.state();
        state.growing.retain(|it| it.name() != server.name());
        if ready.is_ok() && !state.is_over {
            join(&mut state, server);
            return Ok(());
        }
        drop(state);
        self.discard(server);
        ready.and_then(|()| bail!("{} is being deleted", self.0.spec.name))
    }

    /// Ends a machine that is part of it no more. If that fails, it is tried again until it is gone.
    pub(super) fn discard(&self, server: Server) {
        self.state().leftover.push(server);
        self.clear();
    }

    pub(super) fn clear(&self) {
        let all = self.state().leftover.clone();
        for it in all {
            if it.remove().is_ok() {
                self.state().leftover.retain(|other| other.name() != it.name());
            }
        }
    }

    /// Makes a replica a database of its own, which follows nobody and takes rows.
    ///
    /// # Errors
    /// If there is no such replica, or it does not get through what it was sent.
    pub(crate) fn promote_replica(&self, name: &str, endpoint: &str) -> anyhow::Result<Database> {
        let _turn = self.turn();
        let server = self.of_replica(name)?;
        server.promote()?;
        self.state().replicas.remove(name);
        self.note(&format!("replica {name} was promoted"));
        let spec = DatabaseSpec {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            primary: server.address(),
            port: server.port(),
            standby: None,
            ..self.spec()
        };
        let own = Database(Arc::new(Inner {
            region: self.0.region.clone(),
            state: Mutex::new(State::new(server, &spec)),
            spec,
            certificate: self.0.certificate.clone(),
            turn: Mutex::default(),
            next_id: Arc::clone(&self.0.next_id),
            around: Arc::clone(&self.0.around),
        }));
        watch::start(&own.0);
        Ok(own)
    }

    /// Whoever asks for a failover has been told yes: a standby that is only slow to answer gets the time.
    pub(super) fn wait_for_standby(&self) -> anyhow::Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while self.state().standby.clone().is_some_and(|it| !it.answers(&self.0.region)) {
            if Instant::now() > give_up {
                bail!("the standby of {} does not answer", self.0.spec.name);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Makes the standby, which answers, the primary and moves the endpoint's name. Whose turn it is does that.
    pub(super) fn fail_over(&self, why: &str) -> anyhow::Result<()> {
        let (old, new) = {
            let state = self.state();
            let Some(new) = state.standby.clone() else { bail!("{} has no standby", self.0.spec.name) };
            (state.primary.clone(), new)
        };
        self.note(&format!("failover begins: {why}"));
        self.take_over(&old, &new)?;
        self.note("failover completed");
        // Whatever the old primary wrote that nobody acknowledged must go with it: a standby from nothing takes its place.
        self.discard(old);
        Ok(())
    }

    fn take_over(&self, old: &Server, new: &Server) -> anyhow::Result<()> {
        // Nobody may still write there when the name moves.
        old.kill()?;
        std::thread::sleep(self.0.spec.failover_delay);
        new.promote()?;
        {
            let mut state = self.state();
            (state.primary, state.standby) = (new.clone(), None);
        }
        self.0.region.name(&self.0.spec.endpoint, &[new.address()])
    }

    /// A standby from nothing, up to date when it counts.
    pub(super) fn seed_standby(&self, address: Ipv4Addr) -> anyhow::Result<()> {
        let (spec, primary) = (self.spec(), self.state().primary.clone());
        let follow = |server: &Server| {
            server.follow(&primary.address().to_string(), spec.port, true)?;
            server.catch_up_with(&primary)
        };
        let join = |state: &mut State, server| state.standby = Some(server);
        self.grow(&spec, &self.0.certificate, address, follow, join)?;
        self.note("the standby is in step");
        Ok(())
    }
}
