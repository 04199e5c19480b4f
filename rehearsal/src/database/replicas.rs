//! A database's replicas: servers that follow its endpoint, each with a name of its own.

use std::net::Ipv4Addr;

use anyhow::Context;

use super::server::Server;
use super::{Database, DatabaseSpec, State};
use crate::authority::Authority;

impl Database {
    /// Runs SQL on a replica as its root; rows as tab-separated lines.
    ///
    /// # Errors
    /// If there is no such replica, or the server refuses it.
    pub fn replica_sql(&self, replica: &str, sql: &str) -> anyhow::Result<String> {
        self.of_replica(replica)?.sql(sql)
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
        let spec = DatabaseSpec { name: name.to_owned(), ..self.spec() };
        let upstream = self.state().primary.clone();
        let follow = |server: &Server| {
            server.follow(&self.0.spec.endpoint, spec.port, false)?;
            server.catch_up_with(&upstream)?;
            self.0.region.name(endpoint, &[address])
        };
        let join = |state: &mut State, server| drop(state.replicas.insert(name.to_owned(), server));
        self.grow(&spec, &authority.sign(&[endpoint])?, address, follow, join)?;
        self.note(&format!("replica {name} is available"));
        Ok(())
    }

    pub(super) fn of_replica(&self, name: &str) -> anyhow::Result<Server> {
        let server = self.state().replicas.get(name).cloned();
        server.with_context(|| format!("{} has no replica {name}", self.0.spec.name))
    }

    /// Cuts a replica's power.
    ///
    /// # Errors
    /// If there is no such replica.
    pub fn kill_replica(&self, name: &str) -> anyhow::Result<()> {
        self.of_replica(name)?.kill()
    }

    /// Reboots a replica.
    ///
    /// # Errors
    /// If there is no such replica.
    pub fn reboot_replica(&self, name: &str) -> anyhow::Result<()> {
        let _turn = self.turn();
        self.of_replica(name)?.reboot(false)?;
        self.note(&format!("replica {name} was rebooted"));
        Ok(())
    }

    /// Where a replica listens, if there is such a one.
    pub(crate) fn port_of(&self, name: &str) -> Option<u16> {
        self.state().replicas.get(name).map(Server::port)
    }

    /// Restarts a replica at another port.
    pub(crate) fn change_port_of(&self, name: &str, port: u16) -> anyhow::Result<()> {
        let _turn = self.turn();
        let moved = self.of_replica(name)?.moved(&DatabaseSpec { port, ..self.spec() }, false)?;
        self.state().replicas.insert(name.to_owned(), moved);
        self.note(&format!("replica {name} listens at port {port}"));
        Ok(())
    }

    /// Ends a replica.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn remove_replica(&self, name: &str) -> anyhow::Result<()> {
        let _turn = self.turn();
        let server = self.state().replicas.get(name).cloned();
        server.map_or(Ok(()), |it| it.remove())?;
        self.state().replicas.remove(name);
        Ok(())
    }
}
