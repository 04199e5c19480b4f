//! Keeps the groups: looks, measures, lets each decide, and has done what it decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::act;
use super::alarm::{Alarm, Sample};
use super::group::Group;
use super::meter::Meter;
use super::pace::Pace;
use super::round::{Machine, Sight};
use super::tracking::Policy;
use super::watch;
use crate::balancer::TargetState;
use crate::cloud::answers::group_name;
use crate::cloud::picture::Picture;
use crate::cloud::sync::Sync;
use crate::wire::Phase;

#[derive(Default)]
pub(in crate::cloud) struct Keeper {
    meter: Meter,
    measured: Option<Instant>,
}

impl Keeper {
    /// One round of all groups.
    pub(in crate::cloud) fn round(&mut self, sync: &Arc<Sync>, picture: &Picture) {
        let pace = Pace { clock: sync.options.clock };
        if self.measured.is_none_or(|it| it.elapsed() >= pace.period()) {
            self.measured = Some(Instant::now());
            self.measure(sync, picture, pace);
        }
        let ids: Vec<String> = {
            let known = sync.shared.lock();
            known.scaling.groups.values().flat_map(|it| it.members.keys().cloned()).collect()
        };
        let seen: BTreeMap<String, Sight> = ids
            .into_iter()
            .map(|id| {
                let sight = sight(sync, picture, &id);
                (id, sight)
            })
            .collect();
        let mut deeds = Vec::new();
        let mut gone = Vec::new();
        let mut alarms = Vec::new();
        {
            let mut known = sync.shared.lock();
            let now = Timestamp::now();
            for (name, group) in &mut known.scaling.groups {
                deeds.extend(group.round(&seen, pace, now).into_iter().map(|it| (name.clone(), it)));
                if group.is_going && group.members.is_empty() && group.launching.is_empty() {
                    gone.push(name.clone());
                } else if group.alarms().any(|it| !it.is_told) {
                    alarms.push(name.clone());
                }
            }
        }
        for (group, deed) in deeds {
            act::perform(sync, &group, deed);
        }
        for group in gone {
            act::forget(sync, &group);
        }
        for group in alarms {
            watch::tell_alarms(sync, &group);
        }
    }

    fn measure(&mut self, sync: &Arc<Sync>, picture: &Picture, pace: Pace) {
        let values = self.meter.read(sync, picture);
        let at = Timestamp::now();
        let mut averages = BTreeMap::new();
        let mut sizes = BTreeMap::new();
        {
            let mut known = sync.shared.lock();
            for (name, group) in &mut known.scaling.groups {
                let warm: Vec<f64> =
                    group.warm(pace, at).into_iter().filter_map(|id| values.get(id).copied()).collect();
                if !warm.is_empty() {
                    #[expect(clippy::cast_precision_loss, reason = "nobody has that many instances")]
                    let value = warm.iter().sum::<f64>() / warm.len() as f64;
                    group.measured(Sample { at, value }, warm.len(), pace);
                    averages.insert(name.clone(), value);
                }
                if !group.metrics.is_empty() {
                    sizes.insert(name.clone(), watch::sizes(group));
                }
            }
        }
        watch::publish(sync, at, values, averages, sizes);
    }
}

/// What is seen of one instance.
fn sight(sync: &Sync, picture: &Picture, id: &str) -> Sight {
    let Some(plan) = picture.machines.get(id) else {
        return Sight { is_in_balancer: in_balancer(sync, id), ..Sight::default() };
    };
    let (machine, is_busy) = {
        let running = sync.running();
        (running.machines.get(id).cloned(), running.busy.contains(&format!("instance/{id}")))
    };
    let phase = machine.map(|it| it.phase().unwrap_or(Phase::Crashed));
    let machine = match phase {
        _ if !plan.running => Machine::Dead,
        None | Some(Phase::Created) => Machine::Booting,
        Some(_) if is_busy => Machine::Booting,
        Some(Phase::Running) => Machine::Running,
        Some(Phase::Stopped | Phase::Crashed) => Machine::Dead,
    };
    let known = sync.shared.lock();
    let arns = known
        .scaling
        .groups
        .values()
        .find(|it| it.members.contains_key(id))
        .map(|it| it.target_groups.clone());
    let unhealthy = |arn: &String| {
        let health = known.health.get(group_name(arn)).and_then(|it| it.get(id));
        health.is_some_and(|it| it.state == TargetState::Unhealthy)
    };
    let is_unhealthy = arns.iter().flatten().any(unhealthy);
    drop(known);
    Sight { machine, is_unhealthy, is_in_balancer: in_balancer(sync, id) }
}

/// Whether a load balancer has it among its targets, or is letting it go.
fn in_balancer(sync: &Sync, id: &str) -> bool {
    if sync.shared.lock().health.values().any(|it| it.contains_key(id)) {
        return true;
    }
    let balancers: Vec<_> = sync.running().balancers.values().cloned().collect();
    balancers.iter().any(|it| it.spec().groups.iter().any(|it| it.targets.contains_key(id)))
}

impl Group {
    fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        self.policies.values().flat_map(Policy::alarms)
    }
}
