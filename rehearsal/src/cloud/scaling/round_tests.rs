//! Rounds of a group: what is seen, and what follows.

use super::*;
use crate::cloud::scaling::history::Activity;
use crate::cloud::scaling::refresh::{Refresh, State};

const PACE: Pace = Pace { clock: 60 };

/// So many seconds after ten.
fn at(second: i64) -> Timestamp {
    let ten: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    ten.checked_add(Duration::from_secs(second.unsigned_abs())).unwrap()
}

fn place(zone: &str) -> Place {
    Place { subnet: format!("subnet-{zone}"), zone: zone.to_owned() }
}

/// A group of two zones, and a cloud that does what it wants.
struct World {
    group: Group,
    seen: BTreeMap<String, Sight>,
    second: i64,
    launched: usize,
}

impl World {
    fn new(desired: u32) -> World {
        let group = Group {
            name: "asg".into(),
            min: 1,
            max: 10,
            desired,
            places: vec![place("a"), place("c")],
            target_groups: vec!["arn".into()],
            termination: vec!["Default".into()],
            ..Group::default()
        };
        World { group, seen: BTreeMap::new(), second: 0, launched: 0 }
    }

    /// With so many instances that serve.
    fn serving(count: u32) -> World {
        let mut it = World::new(count);
        it.settle();
        assert_eq!(
            it.group.members.values().filter(|it| it.stage == Stage::InService).count(),
            count as usize
        );
        it
    }

    fn round(&mut self) -> Vec<Deed> {
        self.second += 1;
        self.group.round(&self.seen, PACE, at(self.second))
    }

    /// Rounds until nobody wants anything.
    fn settle(&mut self) {
        for _ in 0..50 {
            let deeds = self.round();
            let is_over = deeds.is_empty() && self.group.is_steady();
            deeds.into_iter().for_each(|it| self.perform(it));
            if is_over {
                return;
            }
        }
        panic!("never at rest: {:#?}", self.group);
    }

    fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::Launch { activity, place } => {
                self.launched += 1;
                let id = format!("i-{}", self.launched);
                self.group.launching.remove(&activity);
                let it = Member {
                    place,
                    class: "t3.micro".into(),
                    template: self.group.template.clone(),
                    version: 1,
                    stage: Stage::Pending,
                    sick: None,
                    is_protected: false,
                    launched: at(self.second),
                    in_service: None,
                    activity,
                    was_seen: false,
                    was_ended: false,
                    registered: Default::default(),
                };
                self.group.members.insert(id.clone(), it);
                self.seen.insert(id, Sight { machine: Machine::Running, ..Sight::default() });
            }
            Deed::Register { id, into, out_of } => {
                let it = self.group.members.get_mut(&id).unwrap();
                it.registered.extend(into);
                it.registered.retain(|arn| !out_of.contains(arn));
            }
            Deed::End { id } => {
                self.group.members.get_mut(&id).unwrap().was_ended = true;
                self.seen.remove(&id);
            }
        }
    }

    fn see(&mut self, id: &str, change: impl FnOnce(&mut Sight)) {
        change(self.seen.get_mut(id).unwrap());
    }

    fn stage(&self, id: &str) -> Option<Stage> {
        self.group.members.get(id).map(|it| it.stage)
    }

    fn ids(&self) -> Vec<&str> {
        self.group.active().map(|it| it.0.as_str()).collect()
    }

    fn newest(&self) -> &Activity {
        self.group.history.newest_first().next().unwrap()
    }
}

#[test]
fn as_many_come_as_there_shall_be_spread_over_the_zones() {
    let mut world = World::new(3);
    let zones: Vec<String> = world
        .round()
        .into_iter()
        .map(|it| match it {
            Deed::Launch { place, .. } => place.zone,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(zones, ["a", "c", "a"]);
    assert_eq!(world.round(), [], "what is under way is not begun again");
}

#[test]
fn a_host_is_registered_while_it_boots_and_in_service_when_it_has() {
    let mut world = World::new(1);
    let launch = world.round().remove(0);
    world.perform(launch);
    world.see("i-1", |it| it.machine = Machine::Booting);
    let deeds = world.round();
    assert_eq!(deeds, [Deed::Register { id: "i-1".into(), into: vec!["arn".into()], out_of: vec![] }]);
    assert_eq!(world.stage("i-1"), Some(Stage::Pending));
    world.see("i-1", |it| it.machine = Machine::Running);
    world.round();
    assert_eq!(world.stage("i-1"), Some(Stage::InService));
    assert_eq!(world.newest().status, Status::Successful);
}

#[test]
fn what_the_control_plane_does_not_show_yet_is_waited_for() {
    let mut world = World::new(1);
    let launch = world.round().remove(0);
    world.perform(launch);
    world.seen.clear();
    world.round();
    assert_eq!(world.stage("i-1"), Some(Stage::Pending));
}

#[test]
fn who_goes_is_drained_before_it_ends() {
    let mut world = World::serving(2);
    world.group.want(1, |from, to| cause::set(at(0), from, to));
    world.see("i-1", |it| it.is_in_balancer = true);
    let deeds = world.round();
    assert_eq!(deeds, [Deed::Register { id: "i-1".into(), into: vec![], out_of: vec!["arn".into()] }]);
    assert_eq!(world.newest().status, Status::Draining);
    assert!(world.newest().cause.contains("explicitly set group desired capacity changing"));
    assert!(world.newest().cause.ends_with("instance i-1 was selected for termination."));
    deeds.into_iter().for_each(|it| world.perform(it));
    assert_eq!(world.round(), [], "requests are still served");
    world.see("i-1", |it| it.is_in_balancer = false);
    assert_eq!(world.round(), [Deed::End { id: "i-1".into() }]);
    world.settle();
    assert_eq!(world.ids(), ["i-2"]);
}

#[test]
fn a_dead_machine_is_replaced_at_once_and_where_it_was() {
    let mut world = World::serving(2);
    let zone = world.group.members["i-1"].place.zone.clone();
    world.see("i-1", |it| it.machine = Machine::Dead);
    world.settle();
    assert_eq!(world.ids(), ["i-2", "i-3"]);
    assert_eq!(world.group.members["i-3"].place.zone, zone);
    let mut causes = world.group.history.newest_first().map(|it| it.cause.as_str());
    assert!(causes.any(|it| it.contains("in response to an EC2 health check")));
}

#[test]
fn an_unhealthy_target_is_replaced_after_the_grace_and_only_if_targets_are_trusted() {
    let mut world = World::serving(2);
    world.group.grace = 60;
    world.see("i-1", |it| it.is_unhealthy = true);
    world.second += 120;
    world.round();
    assert_eq!(world.stage("i-1"), Some(Stage::InService), "EC2's checks know nothing of targets");
    world.group.trusts_targets = true;
    world.group.members.get_mut("i-1").unwrap().in_service = Some(at(world.second));
    world.round();
    assert_eq!(world.stage("i-1"), Some(Stage::InService), "within the grace");
    world.second += 61;
    world.round();
    assert_eq!(world.stage("i-1"), Some(Stage::Terminating));
}

#[test]
fn suspended_processes_stand_still() {
    for process in ["HealthCheck", "ReplaceUnhealthy", "Terminate"] {
        let mut world = World::serving(2);
        world.group.suspended.insert(process.into());
        world.see("i-1", |it| it.machine = Machine::Dead);
        world.round();
        assert_eq!(world.stage("i-1"), Some(Stage::InService), "{process}");
    }
    let mut world = World::serving(2);
    world.group.suspended.insert("Launch".into());
    world.group.desired = 3;
    assert_eq!(world.round(), []);
    let mut world = World::new(1);
    world.group.suspended.insert("AddToLoadBalancer".into());
    world.settle();
    assert!(world.group.members["i-1"].registered.is_empty());
}

#[test]
fn a_failed_launch_is_not_repeated_at_once() {
    let mut world = World::new(1);
    let Deed::Launch { activity, .. } = world.round().remove(0) else { panic!("no launch") };
    world.group.launching.remove(&activity);
    world.group.hold = Some(at(world.second + 10));
    assert_eq!(world.round(), []);
    world.second += 10;
    assert_eq!(world.round().len(), 1);
}

#[test]
fn who_is_protected_stays_even_if_too_many_are() {
    let mut world = World::serving(2);
    world.group.members.values_mut().for_each(|it| it.is_protected = true);
    world.group.desired = 1;
    assert_eq!(world.round(), []);
    world.group.is_going = true;
    world.group.desired = 0;
    world.settle();
    assert!(world.group.members.is_empty(), "nothing protects from the group's own end");
}

#[test]
fn zones_out_of_balance_are_evened_by_one_more_and_then_one_less() {
    let mut world = World::serving(4);
    world.group.members.values_mut().for_each(|it| it.place = place("a"));
    world.settle();
    let in_a = world.group.active().filter(|it| it.1.place.zone == "a").count();
    assert_eq!((world.group.count(), in_a), (4, 2));
    let mut causes = world.group.history.newest_first().map(|it| it.cause.as_str());
    assert!(causes.any(|it| it.contains("availability zones a c had 4 0 instances respectively")));
}

#[test]
fn a_zone_that_is_no_longer_wanted_is_left() {
    let mut world = World::serving(2);
    world.group.places = vec![place("c")];
    world.settle();
    assert!(world.group.active().all(|it| it.1.place.zone == "c"));
    assert_eq!(world.group.count(), 2);
}

#[test]
fn the_oldest_goes_when_its_life_is_over() {
    let mut world = World::serving(2);
    world.group.lifetime = 86_400;
    world.second += 1_500;
    let old = world.group.members.keys().next().unwrap().clone();
    world.round();
    assert_eq!(world.stage(&old), Some(Stage::Terminating));
    let mut causes = world.group.history.newest_first().map(|it| it.cause.as_str());
    assert!(causes.any(|it| it.contains("maximum instance lifetime")));
    assert_eq!(world.group.active().count(), 1, "one at a time");
}

#[test]
fn a_refresh_replaces_all_and_keeps_half_in_service() {
    let mut world = World::serving(4);
    let old: Vec<String> = world.group.members.keys().cloned().collect();
    world.group.refreshes.push(Refresh {
        id: "1".into(),
        state: State::InProgress,
        start: at(world.second),
        end: None,
        min_healthy: 50,
        warmup: 0,
        skips_matching: false,
        left: old.iter().cloned().collect(),
        total: 4,
    });
    for _ in 0..50 {
        let deeds = world.round();
        deeds.into_iter().for_each(|it| world.perform(it));
        let serving = world.group.members.values().filter(|it| it.stage == Stage::InService).count();
        assert!(serving >= 2, "{:#?}", world.group.members);
    }
    assert_eq!(world.group.refreshes[0].state, State::Successful);
    assert_eq!((world.group.count(), world.group.refreshes[0].percentage()), (4, 100));
    assert!(old.iter().all(|id| !world.group.members.contains_key(id)));
}

#[test]
fn load_grows_the_group_at_once_and_calm_shrinks_it_step_by_step() {
    use crate::cloud::scaling::alarm::{Alarm, Sample};
    use crate::cloud::scaling::tracking::{Policy, Rule};
    let mut world = World::serving(2);
    let (high, low) = Alarm::pair("asg", 50.0, || "1".into());
    let rule = Rule::Target { percent: 50.0, only_grows: false, high, low };
    let policy = Policy { name: "cpu".into(), id: "1".into(), rule, warmup: Some(60), is_enabled: true };
    world.group.policies.insert("cpu".into(), policy);
    let measure = |world: &mut World, value: f64| {
        world.second += 5;
        let warm = world.group.warm(PACE, at(world.second)).len();
        world.group.measured(Sample { at: at(world.second), value }, warm, PACE);
    };
    world.second += 20;
    measure(&mut world, 90.0);
    measure(&mut world, 90.0);
    assert_eq!(world.group.desired, 2, "twice is no trend");
    world.group.suspended.insert("AlarmNotification".into());
    measure(&mut world, 90.0);
    assert_eq!(world.group.desired, 2, "nobody hears the alarm");
    world.group.suspended.clear();
    measure(&mut world, 90.0);
    assert_eq!(world.group.desired, 4);
    measure(&mut world, 90.0);
    assert_eq!(world.group.desired, 4, "what comes is not there yet, but counted");
    world.settle();
    assert!(world.newest().cause.contains("triggered policy cpu changing the desired capacity from 2 to 4."));
    for _ in 0..15 {
        measure(&mut world, 1.0);
    }
    assert_eq!(world.group.desired, 3);
    measure(&mut world, 1.0);
    world.settle();
    measure(&mut world, 1.0);
    assert_eq!(world.group.desired, 2, "one less while all serve");
}
