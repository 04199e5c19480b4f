//! A zone without power: everything in it goes, nothing starts there, and it comes back when it is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use anyhow::{Context, bail};

use super::Cloud;
use super::picture::Picture;
use super::sync::Sync;
use crate::instance::Instance;
use crate::wire::Phase;

/// What a zone has lost, so that it gets that back and nothing else.
#[derive(Default)]
pub(super) struct Outage {
    killed: BTreeMap<String, Instance>,
    unplugged: BTreeSet<String>,
}

impl Cloud {
    /// Cuts off everything in a zone, and whatever comes there until it is mended.
    ///
    /// # Errors
    /// If nobody has a subnet there.
    pub fn break_zone(&self, zone: &str) -> anyhow::Result<()> {
        let picture = self.sync.runtime.block_on(Picture::read(&self.sync.clients))?;
        let zones: BTreeSet<&str> = picture.subnets.values().map(|it| it.zone.as_str()).collect();
        if !zones.contains(zone) {
            let known = zones.into_iter().collect::<Vec<_>>().join(", ");
            bail!("there is nothing in zone {zone}; there are subnets in: {known}");
        }
        self.sync.shared.lock().outages.entry(zone.to_owned()).or_default();
        keep_down(&self.sync, &picture)
    }

    /// Gives a zone its power and its cables back.
    ///
    /// # Errors
    /// If it was not broken.
    pub fn mend_zone(&self, zone: &str) -> anyhow::Result<()> {
        let outage = {
            // What is about to be cut off must be among what comes back.
            let _turn = self.sync.power.lock().unwrap_or_else(PoisonError::into_inner);
            self.sync.shared.lock().outages.remove(zone)
        };
        let outage = outage.with_context(|| format!("zone {zone} is not broken"))?;
        for id in &outage.unplugged {
            // What was removed meanwhile has no cable any more.
            let _ = self.region().link(id, true);
        }
        for (name, machine) in outage.killed {
            self.sync.work(&format!("mend/{name}"), move |_| match machine.phase() {
                Ok(Phase::Crashed) => machine.start().and_then(|()| machine.wait_until_running()),
                _ => Ok(()),
            });
        }
        Ok(())
    }
}

/// Cuts off what is, or has come, where there is no power.
pub(super) fn keep_down(sync: &Arc<Sync>, picture: &Picture) -> anyhow::Result<()> {
    let _turn = sync.power.lock().unwrap_or_else(PoisonError::into_inner);
    let broken: BTreeSet<String> = sync.shared.lock().outages.keys().cloned().collect();
    if broken.is_empty() {
        return Ok(());
    }
    for (zone, machine) in machines(sync, picture).into_iter().filter(|it| broken.contains(&it.0)) {
        if matches!(machine.phase(), Ok(Phase::Running)) {
            machine.kill()?;
            let mut known = sync.shared.lock();
            let outage = known.outages.get_mut(&zone);
            // Databases and balancers start their machines themselves, which have to learn what they missed.
            if let (Some(it), true) = (outage, picture.machines.contains_key(machine.name())) {
                it.killed.insert(machine.name().to_owned(), machine);
            }
        }
    }
    let zone = |subnet: &str| picture.subnets.get(subnet).map(|it| it.zone.clone());
    let gateways = picture.nat_gateways.iter().map(|(id, it)| (id, zone(&it.0)));
    let targets = picture.mount_targets.iter().map(|(id, it)| (id, zone(&it.subnet)));
    for (id, zone) in gateways.chain(targets) {
        let Some(zone) = zone.filter(|it| broken.contains(it)) else { continue };
        let is_cut = sync.shared.lock().outages.get(&zone).is_none_or(|it| it.unplugged.contains(id));
        // One that is being made gets its cable, and loses it in the next round.
        if !is_cut && sync.region.link(id, false).is_ok() {
            let mut known = sync.shared.lock();
            known.outages.get_mut(&zone).map(|it| it.unplugged.insert(id.clone()));
        }
    }
    Ok(())
}

/// Every machine that there is, with its zone.
fn machines(sync: &Sync, picture: &Picture) -> Vec<(String, Instance)> {
    let running = sync.running();
    let zone = |subnet: &str| picture.subnets.get(subnet).map(|it| it.zone.clone());
    let hosts = running.machines.iter();
    let hosts = hosts.filter_map(|(id, it)| Some((zone(&picture.machines.get(id)?.subnet)?, it.clone())));
    let servers = running.databases.values().flat_map(crate::Database::machines);
    let servers = servers.filter_map(|it| Some((running.zones.get(&it.address())?.clone(), it)));
    let nodes = running.balancers.iter().flat_map(|(name, it)| {
        let subnets = picture.balancers.get(name).map(|it| it.subnets.as_slice()).unwrap_or_default();
        it.nodes().into_iter().zip(subnets).filter_map(|(it, subnet)| Some((zone(subnet)?, it)))
    });
    hosts.chain(servers).chain(nodes).collect()
}
