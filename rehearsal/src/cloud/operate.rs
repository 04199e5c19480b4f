//! What an operator asks of the cloud: what runs, ways to it, and what shall break.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, bail};

use super::Cloud;
use crate::balancer::Health;
use crate::forward::Forward;
use crate::instance::Instance;
use crate::wire::{Phase, Place};

/// What runs, for people and programs.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Status {
    /// Phase and address by instance.
    pub instances: BTreeMap<String, (String, Ipv4Addr)>,
    /// The `Name` tag by instance.
    pub names: BTreeMap<String, String>,
    /// The primary's and the standby's address by database.
    pub databases: BTreeMap<String, (Ipv4Addr, Option<Ipv4Addr>)>,
    pub replicas: BTreeSet<String>,
    /// The state of each target by group.
    pub targets: BTreeMap<String, BTreeMap<String, String>>,
    pub balancers: BTreeSet<String>,
    /// The `Name` tag and the number of mount targets by file system.
    pub file_systems: BTreeMap<String, (String, usize)>,
    /// Zones without power.
    pub broken_zones: BTreeSet<String>,
    /// What is being done.
    pub busy: BTreeSet<String>,
    /// What failed, and will be tried again.
    pub problems: BTreeMap<String, String>,
}

impl Cloud {
    /// The machine of a host, by its id or by its `Name` tag if only one has that.
    ///
    /// # Errors
    /// If there is none or more than one.
    pub fn host(&self, name: &str) -> anyhow::Result<Instance> {
        let running = self.sync.running();
        if let Some(it) = running.machines.get(name) {
            return Ok(it.clone());
        }
        let same = running.known_as.iter().filter(|it| it.1.0 == name).map(|it| it.0);
        let ids: Vec<&String> = same.filter(|it| running.machines.contains_key(*it)).collect();
        match ids[..] {
            [id] => Ok(running.machines[id].clone()),
            [] => {
                let all: Vec<&str> = running.known_as.values().map(|it| it.0.as_str()).collect();
                bail!("there is no host {name}; there are {}", all.join(", "))
            }
            _ => bail!("{name} could be any of {ids:?}; use the id"),
        }
    }

    /// The id of a file system, by its id or by its `Name` tag if only one has that.
    ///
    /// # Errors
    /// If there is none or more than one.
    pub fn file_system(&self, name: &str) -> anyhow::Result<String> {
        let running = self.sync.running();
        let all = &running.file_systems;
        if all.contains_key(name) {
            return Ok(name.to_owned());
        }
        let same: Vec<&String> = all.iter().filter(|it| it.1 == name).map(|it| it.0).collect();
        match same[..] {
            [id] => Ok(id.clone()),
            [] => {
                let known: Vec<String> = all.iter().map(|(id, name)| format!("{id} {name}")).collect();
                bail!("there is no file system {name}; there are: {}", known.join(", "))
            }
            _ => bail!("{name} could be any of {same:?}; use the id"),
        }
    }

    /// Pulls the cables of a file system's mount targets, or plugs them in; whoever has mounted it feels it, too.
    ///
    /// # Errors
    /// If there is no such file system.
    pub fn link_file_system(&self, name: &str, up: bool) -> anyhow::Result<()> {
        let id = &self.file_system(name)?;
        let targets = self.sync.running().mount_targets.get(id).cloned();
        let targets = targets.with_context(|| format!("there is no file system {id} with mount targets"))?;
        let system = self.region().file_system(id)?;
        // First what a machine may not be able to do: it is broken whole or not at all.
        if !up && let Err(err) = system.answers(false) {
            let _ = system.answers(true);
            return Err(err);
        }
        targets.iter().try_for_each(|it| self.region().link(it, up))?;
        if up { system.answers(true) } else { Ok(()) }
    }

    /// The machine of an instance, by its id.
    pub fn instance(&self, id: &str) -> Option<Instance> {
        self.sync.running().machines.get(id).cloned()
    }

    /// A database by its identifier.
    pub fn database(&self, name: &str) -> Option<crate::Database> {
        self.sync.running().databases.get(name).cloned()
    }

    /// A port of this machine's loopback that leads to a load balancer as the internet sees it.
    ///
    /// # Errors
    /// If there is no such load balancer.
    pub fn open(&self, balancer: &str, port: u16) -> anyhow::Result<Forward> {
        let nodes = self.nodes(balancer, port)?;
        let nodes = nodes.with_context(|| format!("there is no load balancer {balancer}"))?;
        self.region().forward_to_any(Place::Internet, nodes)
    }

    /// A URL of this machine that leads to what has this name in the region: a distribution, a bucket or its website.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn site(&self, name: &str) -> anyhow::Result<Option<String>> {
        let _guard = self.runtime.as_ref().map(|it| it.enter());
        self.edge.url(name)
    }

    /// Where a load balancer listens, by its name or DNS name; `None` if there is no such thing.
    pub(crate) fn nodes(&self, what: &str, port: u16) -> anyhow::Result<Option<Vec<SocketAddrV4>>> {
        let running = self.sync.running();
        let spec = running.balancers.get(what).map(|it| it.spec());
        let by_name = running.nodes.get(what).cloned();
        drop(running);
        let nodes: Vec<Ipv4Addr> = match (by_name, spec) {
            (Some(public), _) => public,
            (None, Some(spec)) => spec
                .addresses
                .iter()
                .map(|it| self.public_address(&format!("{}{what}", crate::balancer::PLACE), *it))
                .collect::<anyhow::Result<_>>()?,
            (None, None) => return Ok(None),
        };
        Ok(Some(nodes.into_iter().map(|it| SocketAddrV4::new(it, port)).collect()))
    }

    /// What the internet calls a place's private address.
    fn public_address(&self, place: &str, private: Ipv4Addr) -> anyhow::Result<Ipv4Addr> {
        let public = self.sync.public_of(place, private);
        public.with_context(|| format!("{private} has no public address"))
    }

    /// What runs.
    pub fn status(&self) -> Status {
        let known = self.sync.shared.lock();
        let state = |it: &Health| format!("{:?}", it.state).to_lowercase();
        let targets = known.health.iter().map(|(group, all)| {
            (group.clone(), all.iter().map(|(target, it)| (target.clone(), state(it))).collect())
        });
        let targets = targets.collect();
        let broken_zones = known.outages.keys().cloned().collect();
        drop(known);
        let running = self.sync.running();
        let machines = running.machines.iter().map(|(id, it)| {
            let phase = it.phase().unwrap_or(Phase::Crashed);
            (id.clone(), (format!("{phase:?}").to_lowercase(), it.address()))
        });
        Status {
            instances: machines.collect(),
            names: running.known_as.iter().map(|(id, it)| (id.clone(), it.0.clone())).collect(),
            databases: running
                .databases
                .iter()
                .map(|(name, it)| (name.clone(), (it.primary(), it.standby())))
                .collect(),
            replicas: running.replicas.keys().cloned().collect(),
            targets,
            balancers: running.balancers.keys().cloned().collect(),
            file_systems: running
                .file_systems
                .iter()
                .map(|(id, name)| {
                    (id.clone(), (name.clone(), running.mount_targets.get(id).map_or(0, Vec::len)))
                })
                .collect(),
            broken_zones,
            busy: running.busy.clone(),
            problems: running.problems.iter().map(|(what, it)| (what.clone(), it.1.clone())).collect(),
        }
    }
}
