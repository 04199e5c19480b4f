//! What else can be broken: the calls themselves, Systems Manager, replicas.

use std::time::Duration;

use anyhow::{Context, bail};

use super::Cloud;
use super::fault::{Fault, FaultKind};

impl Cloud {
    /// Makes calls go wrong at the front door.
    pub fn inject(&self, fault: Fault) {
        self.sync.shared.lock().faults.push(fault);
    }

    /// Ends all faults of a kind.
    pub fn heal(&self, kind: FaultKind) {
        self.sync.shared.lock().faults.retain(|it| it.kind != kind);
    }

    /// Ends those that hit the calls whose action begins so, and leaves others of the kind.
    pub fn heal_calls(&self, kind: FaultKind, action: &str) {
        self.sync.shared.lock().faults.retain(|it| it.kind != kind || it.action != action);
    }

    /// For so long nobody knows what was made; zero ends it.
    pub fn hide_new(&self, time: Duration) {
        self.sync.shared.lock().unseen.young = time;
    }

    /// For so long lists stay as they were first read; zero ends it.
    pub fn freeze_lists(&self, time: Duration) {
        self.sync.shared.lock().unseen.stale = time;
    }

    /// Cuts every host's line to Systems Manager, or mends it.
    pub fn break_ssm(&self, broken: bool) {
        self.sync.shared.lock().ssm_broken = broken;
    }

    /// Gives a host its power back.
    ///
    /// # Errors
    /// If there is no such host, it shall be off, or it does not start.
    pub fn revive_host(&self, name: &str) -> anyhow::Result<()> {
        let machine = self.host(name)?;
        if self.sync.running().stopped.contains(machine.name()) {
            bail!("{name} was stopped by a call; `StartInstances` starts it");
        }
        machine.start()
    }

    /// Begins to give a database's primary, or a replica, its power back.
    ///
    /// # Errors
    /// If there is no such database or replica.
    pub fn revive_database(&self, name: &str) -> anyhow::Result<()> {
        let (database, replica) = {
            let running = self.sync.running();
            let source = running.replicas.get(name);
            let database = running.databases.get(source.map_or(name, String::as_str)).cloned();
            (database, source.is_some())
        };
        let database = database.with_context(|| format!("there is no database and no replica {name}"))?;
        let own = name.to_owned();
        // It takes as long as a boot, or as a failover that is under way.
        self.sync.work(&format!("mend/{name}"), move |_| database.revive(replica.then_some(&own)));
        Ok(())
    }

    /// Cuts a replica's power.
    ///
    /// # Errors
    /// If there is no such replica.
    pub fn kill_replica(&self, name: &str) -> anyhow::Result<()> {
        let source = {
            let running = self.sync.running();
            let source = running.replicas.get(name).and_then(|it| running.databases.get(it));
            source.cloned().with_context(|| format!("there is no replica {name}"))?
        };
        source.kill_replica(name)
    }
}
