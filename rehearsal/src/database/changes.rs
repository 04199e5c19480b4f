//! What changes about a database while it runs, and its way back to power.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::bail;

use super::server::Server;
use super::{Database, DatabaseSpec};

impl Database {
    /// Where the primary and its standby may be from now on; empty if there shall be no standby. What is missing
    /// follows, what is too much goes.
    pub(crate) fn have_pair(&self, pair: Vec<Ipv4Addr>) {
        self.state().pair = pair;
    }

    /// The password of its user.
    pub(crate) fn password(&self) -> String {
        self.state().password.clone()
    }

    /// Gives its user another password; whoever copies it learns that, too.
    pub(crate) fn change_password(&self, password: &str) -> anyhow::Result<()> {
        let _turn = self.turn();
        let primary = self.state().primary.clone();
        primary.change_password(&self.0.spec.user, password)?;
        password.clone_into(&mut self.state().password);
        self.note("the password was changed");
        Ok(())
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.state().port
    }

    /// Restarts it at another port, where those who copy it find it again.
    pub(crate) fn change_port(&self, port: u16) -> anyhow::Result<()> {
        let _turn = self.turn();
        let spec = DatabaseSpec { port, ..self.spec() };
        let (primary, standby, replicas) = {
            let state = self.state();
            let replicas: Vec<Server> = state.replicas.values().cloned().collect();
            (state.primary.clone(), state.standby.clone(), replicas)
        };
        let primary = primary.moved(&spec, true)?;
        let standby = standby.map(|it| it.moved(&spec, false)).transpose()?;
        {
            let mut state = self.state();
            (state.primary, state.standby) = (primary, standby.clone());
        }
        replicas.iter().chain(&standby).try_for_each(|it| it.follow_to(port))?;
        // Not before: whatever fails is tried again.
        self.state().port = port;
        self.note(&format!("it listens at port {port}"));
        Ok(())
    }

    /// The settings of its servers.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        self.state().parameters.clone()
    }

    /// Gives all its servers other settings, at once and for every later start.
    pub(crate) fn configure(&self, parameters: BTreeMap<String, String>) -> anyhow::Result<()> {
        let _turn = self.turn();
        let before = self.spec();
        let after = DatabaseSpec { parameters, ..before.clone() };
        let servers: Vec<Server> = {
            let state = self.state();
            state.replicas.values().chain(&state.standby).chain([&state.primary]).cloned().collect()
        };
        servers.iter().try_for_each(|it| it.configure(&before, &after))?;
        self.state().parameters = after.parameters;
        self.note("the settings were changed");
        Ok(())
    }

    /// Starts the primary, or a replica, unless it is up.
    ///
    /// # Errors
    /// If there is no such replica, there is no power where it is, or it does not start.
    pub(crate) fn revive(&self, replica: Option<&String>) -> anyhow::Result<()> {
        let _turn = self.turn();
        let primary = || Ok(self.state().primary.clone());
        let server = replica.map_or_else(primary, |it| self.of_replica(it))?;
        if server.is_on() {
            return Ok(());
        }
        if !(self.0.around.has_power)(server.address()) {
            bail!("there is no power where {} is", server.name());
        }
        server.revive(replica.is_none())?;
        self.note(&format!("{} was restarted", server.name()));
        Ok(())
    }

    /// Reboots the primary; with failover the standby takes over meanwhile.
    ///
    /// # Errors
    /// If there is no standby to fail over to.
    pub fn reboot(&self, failover: bool) -> anyhow::Result<()> {
        let _turn = self.turn();
        if failover {
            self.wait_for_standby()?;
            return self.fail_over("reboot with failover was asked for");
        }
        let server = self.state().primary.clone();
        server.reboot(true)?;
        self.note("the primary was rebooted");
        Ok(())
    }
}
