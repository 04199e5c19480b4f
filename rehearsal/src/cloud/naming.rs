//! Which names lead where: those of balancers and file systems. Databases set theirs themselves.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::life::Kind;
use super::picture::Picture;
use super::sync::Sync;
use super::wanted::Addresses;
use crate::balancer::Balancer;
use crate::wire::Near;

impl Sync {
    /// Names that belong to no machine of their own: databases set theirs themselves.
    pub(super) fn names(&self, picture: &Picture, addresses: &Addresses) -> anyhow::Result<()> {
        let mut want: BTreeMap<String, Vec<Ipv4Addr>> = BTreeMap::new();
        let mut all = BTreeMap::new();
        let balancers = self.running().balancers.clone();
        for (name, plan) in &picture.balancers {
            let nodes: Vec<_> = addresses.balancers.get(name).into_iter().flatten().collect();
            let dead = balancers.get(name).map(Balancer::dead).unwrap_or_default();
            // Where nobody lives, everybody is named, as on AWS.
            let live = nodes.iter().filter(|it| dead.len() == nodes.len() || !dead.contains(&it.0));
            want.insert(plan.dns_name.clone(), live.map(|it| it.1).collect());
            all.insert(plan.dns_name.clone(), nodes.iter().map(|it| it.1).collect());
        }
        let near = self.near(picture);
        let mut running = self.running();
        for (name, addresses) in &want {
            if running.names.get(name) != Some(addresses) {
                self.region.name(name, addresses)?;
            }
        }
        for name in running.names.keys().filter(|it| !want.contains_key(*it)) {
            self.region.name(name, &[])?;
        }
        for (name, near) in near.iter().filter(|it| running.near.get(it.0) != Some(it.1)) {
            self.region.near_name(name, near)?;
        }
        for name in running.near.keys().filter(|it| !near.contains_key(*it)) {
            self.region.near_name(name, &[])?;
        }
        running.near = near;
        (running.names, running.nodes) = (want, all);
        Ok(())
    }

    /// A file system's name leads everybody to the mount target of the own zone, as soon as it is available.
    fn near(&self, picture: &Picture) -> BTreeMap<String, Vec<Near>> {
        let mut all: BTreeMap<String, Vec<Near>> = BTreeMap::new();
        let known = self.shared.lock();
        let available = |id: &String| known.lives.word(Kind::MountTarget, id).is_none();
        for it in picture.mount_targets.iter().filter(|it| available(it.0)).map(|it| it.1) {
            let Some(own) = picture.subnets.get(&it.subnet) else { continue };
            let zone = picture.subnets.values().filter(|it| (&it.vpc, &it.zone) == (&own.vpc, &own.zone));
            let near =
                zone.map(|subnet| Near { vpc: own.vpc.clone(), block: subnet.cidr, address: it.address });
            let name = format!("{}.efs.{}.amazonaws.com", it.file_system, self.options.region);
            all.entry(name).or_default().extend(near);
        }
        all
    }
}
