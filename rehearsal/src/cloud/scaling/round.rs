//! One round of a group's life: from what is seen of its instances to what is to be done. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::cause;
use super::choose::{self, Candidate};
use super::group::{Group, Member, Place, Sickness, Stage};
use super::history::Status;
use super::pace::{Pace, is_over};

/// How long the control plane may take to show what it has launched.
const UNSEEN: Duration = Duration::from_secs(60);
/// An instance lives at least so long, however short its longest life is on a fast clock.
const SHORTEST_LIFE: Duration = Duration::from_secs(120);

/// Nobody is waited for longer: AWS's own default.
const DRAINING: Duration = Duration::from_secs(300);

/// What is seen of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) machine: Machine,
    /// Whether a load balancer finds it unhealthy.
    pub(super) is_unhealthy: bool,
    /// Whether a load balancer still has it, if only to let it finish.
    pub(super) is_in_balancer: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Machine {
    #[default]
    Absent,
    Booting,
    Running,
    Dead,
}

/// Something that a group wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Launch {
        activity: String,
        place: Place,
    },
    /// Into some target groups and out of others.
    Register {
        id: String,
        into: Vec<String>,
        out_of: Vec<String>,
    },
    End {
        id: String,
    },
}

impl Group {
    pub(super) fn round(&mut self, seen: &BTreeMap<String, Sight>, pace: Pace, now: Timestamp) -> Vec<Deed> {
        self.advance(seen, now);
        self.judge(seen, pace, now);
        self.retire(pace, now);
        self.refresh(pace, now);
        let mut deeds = self.balance(pace, now);
        deeds.extend(self.follow(seen, now));
        deeds
    }

    /// Launched becomes in service, and ended becomes gone.
    fn advance(&mut self, seen: &BTreeMap<String, Sight>, now: Timestamp) {
        let mut gone = Vec::new();
        for (id, it) in &mut self.members {
            let machine = seen.get(id).copied().unwrap_or_default().machine;
            it.was_seen |= machine != Machine::Absent;
            if machine == Machine::Absent && (it.was_seen || is_over(now, it.launched, UNSEEN)) {
                gone.push(id.clone());
            }
            if (it.stage, machine) == (Stage::Pending, Machine::Running) {
                (it.stage, it.in_service) = (Stage::InService, Some(now));
                self.history.end(&it.activity, Status::Successful, None, now);
                self.scaled = Some(now);
            }
        }
        for id in gone {
            let Some(it) = self.members.get(&id) else { continue };
            match it.stage {
                Stage::Terminating => {}
                // Nobody looks.
                _ if self.is_suspended("HealthCheck") && !self.is_going => continue,
                Stage::Pending => {
                    let said = "the instance ended before it was in service".to_owned();
                    self.history.end(&it.activity, Status::Failed, Some(said), now);
                    self.members.remove(&id);
                    continue;
                }
                Stage::InService => self.terminate(&id, cause::sick(now, Sickness::Machine), now),
            }
            if let Some(it) = self.members.remove(&id) {
                self.history.end(&it.activity, Status::Successful, None, now);
                self.scaled = Some(now);
            }
        }
    }

    fn judge(&mut self, seen: &BTreeMap<String, Sight>, pace: Pace, now: Timestamp) {
        if self.is_suspended("HealthCheck") {
            return;
        }
        let (grace, trusts_targets) = (pace.grace(self.grace), self.trusts_targets);
        for (id, it) in &mut self.members {
            let sight = seen.get(id).copied().unwrap_or_default();
            let is_judged = it.in_service.is_some_and(|since| is_over(now, since, grace));
            // A machine that does not run is replaced at once, grace or not.
            if sight.machine == Machine::Dead {
                it.sick = it.sick.or(Some(Sickness::Machine));
            } else if trusts_targets && is_judged && sight.is_unhealthy {
                it.sick = it.sick.or(Some(Sickness::Target));
            }
        }
    }

    /// Who is sick or too old goes; another comes because one is missing.
    fn retire(&mut self, pace: Pace, now: Timestamp) {
        if self.is_suspended("Terminate") || self.is_suspended("ReplaceUnhealthy") {
            return;
        }
        let sick = self.active().filter_map(|(id, it)| Some((id.clone(), it.sick?)));
        for (id, why) in sick.collect::<Vec<_>>() {
            self.terminate(&id, cause::sick(now, why), now);
        }
        if self.lifetime > 0 && self.is_steady() && self.count() >= self.desired as usize {
            let life = pace.span(self.lifetime).max(SHORTEST_LIFE);
            let oldest = self.active().min_by_key(|it| it.1.launched);
            let oldest = oldest.filter(|it| is_over(now, it.1.launched, life)).map(|it| it.0.clone());
            if let Some(id) = oldest {
                self.terminate(&id, cause::too_old(now), now);
            }
        }
    }

    /// Begins to take one out of service.
    pub(super) fn terminate(&mut self, id: &str, cause: String, now: Timestamp) {
        let Some(it) = self.members.get_mut(id).filter(|it| it.stage != Stage::Terminating) else { return };
        it.stage = Stage::Terminating;
        let drains = !it.registered.is_empty();
        let wait = if drains { " - Waiting For ELB Connection Draining." } else { "" };
        let words = format!("Terminating EC2 instance: {id}{wait}");
        it.activity = self.history.begin(words, cause, it.place.clone(), now);
        if drains {
            self.history.change(&it.activity, |it| it.status = Status::Draining);
        }
    }

    /// As many as there shall be, and as many in each zone as in the others.
    fn balance(&mut self, pace: Pace, now: Timestamp) -> Vec<Deed> {
        let (count, desired) = (self.count(), self.desired as usize);
        let launches = !self.is_suspended("Launch") && self.hold.is_none_or(|it| it <= now);
        if self.rebalancing.as_ref().is_some_and(|it| !self.is_coming(it)) {
            self.rebalancing = None;
        }
        if count < desired && launches {
            let why = cause::join([self.why.as_str(), &cause::started(now, count, self.desired)]);
            return (count..desired).filter_map(|_| self.launch(why.clone(), now)).collect();
        }
        if count > desired && (self.is_going || self.rebalancing.is_none() && !self.is_suspended("Terminate"))
        {
            self.shrink(count, desired, pace, now);
        }
        if count != desired {
            return Vec::new();
        }
        self.why.clear();
        let moves = launches && self.is_steady() && !self.is_suspended("AZRebalance");
        let taken: Vec<&Place> = self.active().map(|it| &it.1.place).collect();
        // Where nobody can be put, nobody is moved.
        let moves = moves && self.starved.values().all(|it| *it <= now);
        match choose::unbalanced(&self.places, &taken) {
            Some(zones) if moves && !self.is_suspended("Terminate") && self.refreshing().is_none() => {
                let deed = self.launch(cause::rebalanced(now, &zones), now);
                if let Some(Deed::Launch { activity, .. }) = &deed {
                    self.rebalancing = Some(activity.clone());
                }
                deed.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether what an activity launches is not in service yet.
    fn is_coming(&self, activity: &str) -> bool {
        let pending = |it: &Member| it.stage == Stage::Pending && it.activity == activity;
        self.launching.contains_key(activity) || self.members.values().any(pending)
    }

    fn launch(&mut self, why: String, now: Timestamp) -> Option<Deed> {
        let taken: Vec<&Place> = self.active().map(|it| &it.1.place).chain(self.launching.values()).collect();
        let place = choose::place(&self.open_places(now), &taken)?.clone();
        let activity = self.history.begin("Launching a new EC2 instance".into(), why, place.clone(), now);
        self.launching.insert(activity.clone(), place.clone());
        Some(Deed::Launch { activity, place })
    }

    /// The subnets of the zones that have machines left; all of them where none has.
    pub(super) fn open_places(&self, now: Timestamp) -> Vec<Place> {
        let is_open = |it: &&Place| self.starved.get(&it.zone).is_none_or(|until| *until <= now);
        let open: Vec<Place> = self.places.iter().filter(is_open).cloned().collect();
        if open.is_empty() { self.places.clone() } else { open }
    }

    fn shrink(&mut self, count: usize, desired: usize, pace: Pace, now: Timestamp) {
        let mut candidates: Vec<Candidate> = self
            .active()
            .map(|(id, it)| Candidate {
                id: id.clone(),
                zone: it.place.zone.clone(),
                launched: it.launched,
                is_of_current_template: it.template.id == self.template.id,
                version: it.version,
                is_protected: it.is_protected && !self.is_going,
            })
            .collect();
        let mut chosen = Vec::new();
        for _ in desired..count {
            let hour = pace.span(3600);
            let Some(id) = choose::victim(&self.termination, &candidates, &self.places, hour, now) else {
                break;
            };
            candidates.retain(|it| it.id != id);
            chosen.push(id);
        }
        let why = cause::join([self.why.as_str(), &cause::surplus(now, count, self.desired, &chosen)]);
        for id in &chosen {
            self.terminate(id, why.clone(), now);
        }
    }

    /// Registrations, and the end of those who have nothing left to do.
    fn follow(&self, seen: &BTreeMap<String, Sight>, now: Timestamp) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for (id, it) in &self.members {
            let stays = it.stage != Stage::Terminating;
            let wanted = |arn: &&String| stays && self.target_groups.contains(*arn);
            let out_of: Vec<String> = it.registered.iter().filter(|it| !wanted(it)).cloned().collect();
            let missing = |arn: &&String| !it.registered.contains(*arn);
            let into: Vec<String> = match stays && !self.is_suspended("AddToLoadBalancer") {
                true => self.target_groups.iter().filter(missing).cloned().collect(),
                false => Vec::new(),
            };
            if !into.is_empty() || !out_of.is_empty() {
                deeds.push(Deed::Register { id: id.clone(), into, out_of });
                continue;
            }
            let sight = seen.get(id).copied().unwrap_or_default();
            let began = self.history.find(&it.activity).map(|it| it.start);
            let waited = began.is_none_or(|it| is_over(now, it, DRAINING));
            if !stays && !it.was_ended && (!sight.is_in_balancer || waited) {
                deeds.push(Deed::End { id: id.clone() });
            }
        }
        deeds
    }
}

#[cfg(test)]
#[path = "round_tests.rs"]
mod tests;
