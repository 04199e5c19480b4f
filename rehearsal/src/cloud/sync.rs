//! Compares what should run with what does, and starts, changes and ends things until they agree.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Options;
use super::book::Book;
use super::clients::Clients;
use super::picture::Picture;
use super::promotion;
use super::shared::Shared;
use super::wanted::{self, Addresses};
use super::work;
use crate::authority::Authority;
use crate::balancer::Balancer;
use crate::database::Database;
use crate::image::Image;
use crate::instance::Instance;
use crate::metadata::Metadata;
use crate::region::Region;
use crate::vpc::Network;
use crate::wire::Near;

/// How long something that failed is left alone.
const RETRY: Duration = Duration::from_secs(5);

/// The data plane.
pub(super) struct Sync {
    pub(super) region: Region,
    pub(super) options: Options,
    pub(super) shared: Shared,
    pub(super) authority: Arc<Authority>,
    pub(super) clients: Arc<Clients>,
    pub(super) runtime: tokio::runtime::Handle,
    /// What the operator calls the cloud's interface, and what instances call it.
    pub(super) api: (u16, String),
    pub(super) running: Mutex<Running>,
    /// What the router was told last; held while it is told anew.
    network: Mutex<Network>,
    /// Held by whoever cuts a zone off or mends it.
    pub(super) power: Mutex<()>,
}

#[derive(Default)]
pub(super) struct Running {
    pub(super) machines: BTreeMap<String, Instance>,
    /// What each instance's metadata service says.
    pub(super) described: BTreeMap<String, Metadata>,
    /// Instances that the control plane wants stopped.
    pub(super) stopped: BTreeSet<String>,
    /// NAT gateways and mount targets.
    pub(super) places: BTreeSet<String>,
    /// File systems whose folders were made here.
    pub(super) folders: BTreeSet<String>,
    pub(super) databases: BTreeMap<String, Database>,
    /// Sources by replica.
    pub(super) replicas: BTreeMap<String, String>,
    pub(super) balancers: BTreeMap<String, Balancer>,
    /// Images that were made here.
    pub(super) images: BTreeMap<String, Image>,
    pub(super) busy: BTreeSet<String>,
    pub(super) problems: BTreeMap<String, (Instant, String)>,
    /// Each instance's name and zone.
    pub(super) known_as: BTreeMap<String, (String, String)>,
    /// The `Name` tag by file system.
    pub(super) file_systems: BTreeMap<String, String>,
    /// Mount targets by file system.
    pub(super) mount_targets: BTreeMap<String, Vec<String>>,
    /// Each database's zones: the primary's at first, and the standby's.
    pub(super) zones: BTreeMap<Ipv4Addr, String>,
    pub(super) names: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Names of file systems.
    pub(super) near: BTreeMap<String, Vec<Near>>,
    /// The public addresses of all nodes, dead ones too, by their balancer's DNS name.
    pub(super) nodes: BTreeMap<String, Vec<Ipv4Addr>>,
    book: Book,
}

impl Sync {
    pub(super) fn new(
        region: &Region,
        options: Options,
        shared: Shared,
        clients: Arc<Clients>,
        runtime: tokio::runtime::Handle,
        api: (u16, String),
    ) -> anyhow::Result<Sync> {
        Ok(Sync {
            region: region.clone(),
            options,
            shared,
            authority: Arc::new(Authority::new()?),
            clients,
            runtime,
            api,
            running: Mutex::default(),
            network: Mutex::default(),
            power: Mutex::default(),
        })
    }

    pub(super) fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something on a thread of its own, unless it is being done or has just failed; says whether it begins.
    pub(super) fn work(
        self: &Arc<Self>,
        what: &str,
        doing: impl FnOnce(&Arc<Sync>) -> anyhow::Result<()> + Send + 'static,
    ) -> bool {
        let mut running = self.running();
        let failed_just_now = running.problems.get(what).is_some_and(|it| it.0.elapsed() < RETRY);
        if failed_just_now || !running.busy.insert(what.to_owned()) {
            return false;
        }
        drop(running);
        let (it, what) = (Arc::clone(self), what.to_owned());
        thread::spawn(move || {
            let done = doing(&it);
            let mut running = it.running();
            running.busy.remove(&what);
            match done {
                Ok(()) => drop(running.problems.remove(&what)),
                Err(err) => drop(running.problems.insert(what, (Instant::now(), format!("{err:#}")))),
            }
        });
        true
    }

    /// One round.
    pub(super) fn reconcile(self: &Arc<Self>, picture: &Picture) -> anyhow::Result<()> {
        let addresses = Addresses::of(picture, &mut self.running().book);
        self.shared.lock().public.clone_from(&addresses.public);
        *self.network.lock().unwrap_or_else(PoisonError::into_inner) = wanted::network(picture, &addresses);
        // Places are plugged in where the plan says, and then the plan knows their cables.
        self.apply_network()?;
        if self.places(picture, &addresses)? {
            self.apply_network()?;
        }
        self.names(picture, &addresses)?;
        self.remember(picture, &addresses);
        work::machines(self, picture, &addresses);
        work::databases(self, picture, &addresses);
        promotion::go_on(self);
        work::balancers(self, picture, &addresses);
        self.forget_problems(picture);
        Ok(())
    }

    /// Notes what went wrong with the round itself.
    pub(super) fn report(&self, what: &str, done: anyhow::Result<()>) {
        let mut running = self.running();
        match done {
            Ok(()) => drop(running.problems.remove(what)),
            Err(err) => drop(running.problems.insert(what.to_owned(), (Instant::now(), format!("{err:#}")))),
        }
    }

    /// In which zones each database's primary and standby are at this moment.
    pub(super) fn database_zones(&self) -> BTreeMap<String, (String, Option<String>)> {
        let running = self.running();
        let zone = |it: &Ipv4Addr| running.zones.get(it).cloned();
        let both = |it: &Database| Some((zone(&it.primary())?, it.standby().and_then(|it| zone(&it))));
        running.databases.iter().filter_map(|(name, it)| Some((name.clone(), both(it)?))).collect()
    }

    /// Whether a database's machine can be started at this address.
    pub(super) fn has_power(&self, address: Ipv4Addr) -> bool {
        let zone = self.running().zones.get(&address).cloned();
        zone.is_none_or(|it| !self.shared.lock().outages.contains_key(&it))
    }

    /// The public address that the router gives a place's private one.
    pub(super) fn public_of(&self, place: &str, private: Ipv4Addr) -> Option<Ipv4Addr> {
        let network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        network.ports.iter().find(|it| it.place == place && it.address == private)?.public
    }

    /// Tells the router again; what has been plugged in since is in it then.
    pub(super) fn apply_network(&self) -> anyhow::Result<()> {
        let network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        self.region.network(&network).context("telling the router")
    }

    /// NAT gateways and mount targets are nothing but places. Says whether anything changed.
    fn places(&self, picture: &Picture, addresses: &Addresses) -> anyhow::Result<bool> {
        let mut changed = false;
        let mut running = self.running();
        for (id, address) in &addresses.nat_gateways {
            if !running.places.contains(id) {
                self.region.namespace(id, *address)?;
                changed |= running.places.insert(id.clone());
            }
        }
        for (id, it) in &picture.mount_targets {
            if !running.places.contains(id) {
                self.region.file_system(&it.file_system)?.mount_target(id, it.address)?;
                running.folders.insert(it.file_system.clone());
                changed |= running.places.insert(id.clone());
            }
        }
        let wanted =
            |id: &String| addresses.nat_gateways.contains_key(id) || picture.mount_targets.contains_key(id);
        let gone: Vec<String> = running.places.iter().filter(|it| !wanted(it)).cloned().collect();
        for id in gone {
            self.region.remove_namespace(&id)?;
            changed |= running.places.remove(&id);
        }
        let gone = running.folders.iter().filter(|it| !picture.file_systems.contains_key(*it));
        for id in gone.cloned().collect::<Vec<_>>() {
            self.region.file_system(&id)?.delete()?;
            running.folders.remove(&id);
        }
        Ok(changed)
    }

    /// What the operator may name things by.
    fn remember(&self, picture: &Picture, addresses: &Addresses) {
        let zone = |subnet: &str| picture.subnets.get(subnet).map(|it| it.zone.clone()).unwrap_or_default();
        let mut running = self.running();
        running.known_as = picture
            .machines
            .iter()
            .map(|(id, it)| {
                (id.clone(), (it.tags.get("Name").cloned().unwrap_or_default(), zone(&it.subnet)))
            })
            .collect();
        running.file_systems.clone_from(&picture.file_systems);
        running.mount_targets.clear();
        for (id, it) in &picture.mount_targets {
            running.mount_targets.entry(it.file_system.clone()).or_default().push(id.clone());
        }
        running.zones.clear();
        for (name, it) in &picture.databases {
            let own = addresses.databases.get(name).into_iter().flatten();
            running.zones.extend(own.zip(&it.subnets).map(|(address, subnet)| (*address, zone(subnet))));
        }
    }

    /// Problems of what nobody wants any more are none, unless it does not go.
    fn forget_problems(&self, picture: &Picture) {
        let groups = self.shared.lock().scaling.names();
        let mut running = self.running();
        let mut problems = std::mem::take(&mut running.problems);
        problems.retain(|what, _| {
            // The round's own end with a round that goes well.
            let Some(name) = what.split('/').nth(1) else { return true };
            if what.starts_with("scaling/") {
                return groups.contains(name);
            }
            let is_there = running.machines.contains_key(name)
                || running.databases.contains_key(name)
                || running.replicas.contains_key(name)
                || running.balancers.contains_key(name);
            let goes = what.starts_with("end/") && is_there;
            goes || picture.machines.contains_key(name)
                || picture.databases.contains_key(name)
                || picture.balancers.contains_key(name)
                || picture.images.contains_key(name)
        });
        running.problems = problems;
    }
}
