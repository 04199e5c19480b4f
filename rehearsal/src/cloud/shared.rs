//! What the front door and the reconciler tell each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::Fault;
use super::guards::Interface;
use super::life::Lives;
use super::outage::Outage;
use super::picture::Picture;
use super::scaling::Scaling;
use super::unseen::Unseen;
use crate::balancer::Health;

#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Known>>);

#[derive(Default)]
pub(super) struct Known {
    /// Counts calls that may have changed something, so that idle accounts need not be read.
    pub(super) changes: u64,
    /// Passwords that were given and that no answer contains, by database.
    pub(super) passwords: BTreeMap<String, String>,
    /// Ports that were changed, which the control plane does not do, by database.
    pub(super) ports: BTreeMap<String, u16>,
    /// What stands for each address that the control plane made up.
    pub(super) public: BTreeMap<Ipv4Addr, Ipv4Addr>,
    /// By target group and target.
    pub(super) health: BTreeMap<String, BTreeMap<String, Health>>,
    /// Databases whose machines do not serve yet.
    pub(super) pending_databases: BTreeSet<String>,
    /// Balancers whose nodes do not serve yet.
    pub(super) pending_balancers: BTreeSet<String>,
    /// Which databases shall be rebooted, and whether with failover.
    pub(super) reboots: BTreeMap<String, bool>,
    /// Which instances shall be started, even if they run as far as the control plane knows.
    pub(super) instance_starts: BTreeSet<String>,
    /// Which instances shall be rebooted.
    pub(super) instance_reboots: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
    /// States between asked for and there.
    pub(super) lives: Lives,
    /// What nobody knows yet, by order.
    pub(super) unseen: Unseen,
    /// Replicas that have become databases of their own.
    pub(super) promoted: BTreeSet<String>,
    /// NAT gateways that were deleted: what leads there leads nowhere.
    pub(super) gone_gateways: BTreeSet<String>,
    /// The zones of each database's primary and standby.
    pub(super) zones: BTreeMap<String, (String, Option<String>)>,
    /// Interfaces of balancers that are gone; until when in AWS's time.
    pub(super) lingering: Vec<(Duration, Interface)>,
    /// The access controls that each distribution's origins have.
    pub(super) access_controls: BTreeMap<String, Vec<String>>,
    /// The target groups that a listener leads to, with their ports.
    pub(super) listened: BTreeMap<String, u16>,
    /// Instances that shall not run.
    pub(super) stopped: BTreeSet<String>,
    /// Zones without power, and what they have lost.
    pub(super) outages: BTreeMap<String, Outage>,
    /// Whether nobody's Systems Manager agent can be reached.
    pub(super) ssm_broken: bool,
    pub(super) scaling: Scaling,
}

impl Known {
    /// What targets' states depend on besides their balancers.
    pub(super) fn see(&mut self, picture: &Picture) {
        let groups = picture.balancers.values().flat_map(|it| &it.groups);
        self.listened = groups.map(|it| (it.name.clone(), it.port)).collect();
        let stopped = picture.machines.iter().filter(|it| !it.1.running);
        self.stopped = stopped.map(|it| it.0.clone()).collect();
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
