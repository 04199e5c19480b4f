//! What Auto Scaling knows: groups, who is in them, and what is wanted of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use super::alarm::Sample;
use super::cause;
use super::history::History;
use super::refresh::Refresh;
use super::tracking::Policy;

/// All of it.
#[derive(Default)]
pub(in crate::cloud) struct Scaling {
    /// AWS's durations are divided by this.
    pub(in crate::cloud) clock: u32,
    pub(super) groups: BTreeMap<String, Group>,
}

impl Scaling {
    pub(in crate::cloud) fn names(&self) -> BTreeSet<String> {
        self.groups.keys().cloned().collect()
    }
}

/// A subnet and its zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) subnet: String,
    pub(super) zone: String,
}

/// Which launch template, and which version of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) id: String,
    pub(super) name: String,
    /// As it was given; AWS shows none where none was.
    pub(super) version: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
    /// Whether new instances get it.
    pub(super) propagates: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) name: String,
    /// The part of its ARN that nobody chooses.
    pub(super) id: String,
    pub(super) created: Timestamp,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) desired: u32,
    pub(super) places: Vec<Place>,
    pub(super) template: Template,
    /// ARNs.
    pub(super) target_groups: Vec<String>,
    /// Whether a target that is unhealthy is replaced, and not only a machine that is dead.
    pub(super) trusts_targets: bool,
    pub(super) grace: u32,
    pub(super) cooldown: u32,
    /// Of every instance, unless a policy says otherwise.
    pub(super) warmup: Option<u32>,
    /// 0: without limit.
    pub(super) lifetime: u32,
    pub(super) termination: Vec<String>,
    pub(super) suspended: BTreeSet<String>,
    pub(super) protects_new: bool,
    pub(super) metrics: BTreeSet<String>,
    pub(super) tags: Vec<Tag>,
    pub(super) policies: BTreeMap<String, Policy>,
    pub(super) members: BTreeMap<String, Member>,
    /// What is being launched, by activity.
    pub(super) launching: BTreeMap<String, Place>,
    pub(super) refreshes: Vec<Refresh>,
    pub(super) history: History,
    /// Why its size is what it is, until it is.
    pub(super) why: String,
    pub(super) is_going: bool,
    /// The launch that shall bring the zones into balance.
    pub(super) rebalancing: Option<String>,
    /// No launch before then: the last one failed.
    pub(super) hold: Option<Timestamp>,
    /// Zones that had no machine left, and until when they are left alone.
    pub(super) starved: BTreeMap<String, Timestamp>,
    /// When an instance last came or went.
    pub(super) scaled: Option<Timestamp>,
    /// Newest last.
    pub(super) samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Pending,
    InService,
    Terminating,
}

/// Why an instance is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sickness {
    Machine,
    Target,
    /// Somebody said so.
    Said,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) place: Place,
    pub(super) class: String,
    pub(super) template: Template,
    /// The number behind the template's version.
    pub(super) version: i64,
    pub(super) stage: Stage,
    pub(super) sick: Option<Sickness>,
    pub(super) is_protected: bool,
    pub(super) launched: Timestamp,
    pub(super) in_service: Option<Timestamp>,
    /// What is being done with it, or was last.
    pub(super) activity: String,
    /// Whether the control plane was ever seen to have it.
    pub(super) was_seen: bool,
    /// Whether the control plane was told to end it.
    pub(super) was_ended: bool,
    /// The target groups that it is in; ARNs.
    pub(super) registered: BTreeSet<String>,
}

impl Group {
    pub(super) fn is_suspended(&self, process: &str) -> bool {
        self.suspended.contains(process)
    }

    /// Those who stay.
    pub(super) fn active(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter().filter(|it| it.1.stage != Stage::Terminating)
    }

    /// How many there will be when all that was begun is done.
    pub(super) fn count(&self) -> usize {
        self.active().count() + self.launching.len()
    }

    /// Whether nobody comes or goes.
    pub(super) fn is_steady(&self) -> bool {
        self.launching.is_empty() && self.members.values().all(|it| it.stage == Stage::InService)
    }

    /// Changes how many there shall be; `why` is told both numbers.
    pub(super) fn want(&mut self, desired: u32, why: impl FnOnce(u32, u32) -> String) {
        if desired != self.desired {
            let sentence = why(self.desired, desired);
            self.why = cause::join([self.why.as_str(), &sentence]);
            self.desired = desired;
        }
    }

    /// Seconds until a new instance counts.
    pub(super) fn warmup(&self) -> u32 {
        let of_policies = self.policies.values().filter_map(|it| it.warmup).max();
        of_policies.or(self.warmup).unwrap_or(self.cooldown)
    }
}
