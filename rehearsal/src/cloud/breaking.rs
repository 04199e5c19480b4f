//! What else can be broken: the calls themselves, Systems Manager, replicas.

use std::time::Duration;

use anyhow::Context;

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
