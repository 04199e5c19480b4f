//! How a node gets to where it should be.

use std::time::Duration;

use tokio::time::Instant;

use super::{failure, outcome, small_lab};
use crate::engine::{
    Action, Outcome, Ref, Stop, What, clock,
    toys::{FULL, Precious, Toy, cloud, down, empty, hasty, planned, play, timed, up, up_until},
};

fn one(size: u32) -> crate::engine::Stack {
    let mut s = empty();
    let _: Ref<Toy<false>> = s.toy("it", size, &[]);
    s
}

fn data(size: u32) -> crate::engine::Stack {
    let mut s = empty();
    let _: Ref<Precious> = s.toy("data", size, &[]);
    s
}

#[test]
fn a_second_up_changes_nothing_and_the_plan_is_empty() {
    play(async {
        let s = small_lab();
        assert!(up(&s).await.is_ok());
        assert!(planned(&s).await.is_empty());
        let state = cloud(|it| {
            it.calls.clear();
            it.state()
        });
        let again = up(&s).await;
        assert_eq!(cloud(|it| it.calls.clone()), Vec::<String>::new());
        assert!(again.nodes.iter().all(|(_, it)| *it == Outcome::Unchanged), "{again:?}");
        assert_eq!(cloud(|it| it.state()), state);
    });
}

#[test]
fn what_was_changed_by_hand_is_named_and_repaired() {
    play(async {
        let s = small_lab();
        up(&s).await;
        cloud(|it| {
            it.thing("toy/host").size = 9;
            it.thing("toy/nat").tags.insert("Name".into(), "mine".into());
            it.calls.clear();
        });
        let plan = planned(&s).await;
        let changed: Vec<_> =
            plan.steps.iter().filter(|it| it.action != Action::Keep).map(|it| it.node.as_str()).collect();
        assert_eq!(changed, ["toy/nat", "toy/host"]);
        assert!(up(&s).await.is_ok());
        assert_eq!(cloud(|it| it.calls.len()), 2);
        assert!(planned(&s).await.is_empty());
    });
}

#[test]
fn a_crash_between_create_and_configure_heals() {
    play(async {
        let s = one(7);
        up(&s).await;
        cloud(|it| it.thing("toy/it").size = 0);
        assert!(up(&s).await.is_ok());
        assert_eq!(cloud(|it| it.state()), [("toy/it".to_owned(), 7, vec![])]);
    });
}

#[test]
fn a_change_that_met_a_passing_error_goes_on_from_what_it_left() {
    play(async {
        // It had its effect before the error, as the first of two calls has.
        cloud(|it| it.fault("configure it", "Throttling", true, 1));
        assert!(up(&one(7)).await.is_ok());
        assert_eq!(cloud(|it| it.calls.clone()), ["create it", "configure it"]);
        // Without effect it is made again, and not only three times.
        cloud(|it| {
            it.thing("toy/it").size = 9;
            it.fault("configure it", "Throttling", false, 9);
            it.calls.clear();
        });
        assert!(up(&one(7)).await.is_ok());
        assert_eq!(cloud(|it| it.calls.len()), 10);
    });
}

#[test]
fn a_change_that_never_shows_ends_with_what_aws_said_to_it() {
    play(async {
        up(&one(1)).await;
        cloud(|it| it.fault("configure it", "Unreachable", false, 100));
        let report = up(&one(2)).await;
        let why = failure(&report, "toy/it");
        assert!(why.contains("Unreachable") && why.contains("still shows size: 1 → 2"), "{why}");
    });
}

#[test]
fn what_an_interrupted_run_is_still_deleting_is_waited_out_and_made_anew() {
    play(async {
        let mut s = empty();
        let _: Ref<Precious> = s.toy("data", 3, &[]);
        up(&s).await;
        cloud(|it| {
            let going = it.thing("precious/data");
            (going.gone, going.size) = (Some(clock::now() + Duration::from_secs(600)), 9);
            it.calls.clear();
        });
        let plan = planned(&s).await;
        assert!(matches!(&plan.steps[0].action, Action::Wait { state } if state == "deleting"), "{plan:?}");
        let (took, report) = timed(up(&s)).await;
        assert!(report.is_ok(), "{report:?}");
        assert_eq!(cloud(|it| it.calls.clone()), ["create data", "configure data"]);
        assert_eq!(cloud(|it| it.state()), [("precious/data".to_owned(), 3, vec![])]);
        assert!(took < Duration::from_secs(620), "{took:?}");
    });
}

#[test]
fn a_new_thing_that_listings_do_not_show_yet_is_waited_for() {
    play(async {
        cloud(|it| it.shows_after = Duration::from_secs(20));
        assert!(up(&one(1)).await.is_ok());
        assert_eq!(cloud(|it| it.calls.clone()), ["create it", "configure it"]);
    });
}

#[test]
fn what_is_used_before_a_listing_shows_it_is_seen_and_finished_in_the_end() {
    play(async {
        let s = hasty(&small_lab());
        cloud(|it| it.shows_after = Duration::from_secs(20));
        let (took, report) = timed(up(&s)).await;
        assert!(report.is_ok(), "{report:?}");
        assert!(took < Duration::from_secs(40), "nothing waited for a listing but the end: {took:?}");
        assert!(planned(&s).await.is_empty());
    });
}

#[test]
fn a_pending_node_is_waited_for_and_says_what_aws_says() {
    play(async {
        up(&one(0)).await;
        cloud(|it| it.thing("toy/it").ready = clock::now() + Duration::from_secs(60));
        let (report, events) = up_until(&one(0), &Stop::default()).await;
        assert_eq!(*outcome(&report, "toy/it"), Outcome::Changed);
        assert!(events.iter().any(|it| matches!(&it.what, What::Waiting { why } if why == "pending")));
        assert_eq!(cloud(|it| it.calls.clone()), ["create it"], "nothing was created again");
    });
}

#[test]
fn what_waits_for_its_own_change_is_changed_first() {
    play(async {
        up(&data(2)).await;
        cloud(|it| it.thing("precious/data").stuck_at = Some(2));
        let (took, report) = timed(up(&data(1))).await;
        assert_eq!(*outcome(&report, "precious/data"), Outcome::Changed);
        assert!(took < Duration::from_secs(10), "{took:?}");
        // A passing error is no reason to wait for what cannot come by itself.
        cloud(|it| {
            it.thing("precious/data").stuck_at = Some(1);
            it.fault("configure data", "Throttling", false, 3);
        });
        assert!(up(&data(3)).await.is_ok());
        assert_eq!(cloud(|it| it.state()), [("precious/data".to_owned(), 3, vec![])]);
    });
}

#[test]
fn a_failed_node_is_made_anew_unless_it_holds_data() {
    play(async {
        let mut s = one(0);
        let _: Ref<Precious> = s.toy("data", 0, &[]);
        up(&s).await;
        cloud(|it| {
            it.thing("toy/it").failed = Some("no address".into());
            it.thing("precious/data").failed = Some(FULL.into());
            it.calls.clear();
        });
        assert_eq!(planned(&s).await.refusals().count(), 1);
        let report = up(&s).await;
        assert_eq!(*outcome(&report, "toy/it"), Outcome::Changed);
        assert!(failure(&report, "precious/data").contains("storage-full"));
        assert_eq!(cloud(|it| it.calls.clone()), ["delete it", "create it"]);
    });
}

#[test]
fn a_failure_that_the_configuration_cures_is_no_end() {
    play(async {
        up(&data(1)).await;
        cloud(|it| it.thing("precious/data").failed = Some(FULL.into()));
        assert_eq!(planned(&data(2)).await.refusals().count(), 0);
        assert_eq!(*outcome(&up(&data(2)).await, "precious/data"), Outcome::Changed);
        assert!(planned(&data(2)).await.is_empty());
    });
}

#[test]
fn what_fails_once_it_was_made_is_made_once_more() {
    for (times, calls) in [(1, 3), (2, 3)] {
        play(async {
            cloud(|it| it.fail_when_made = times);
            let report = up(&one(0)).await;
            match times {
                1 => assert_eq!(*outcome(&report, "toy/it"), Outcome::Changed),
                _ => assert!(failure(&report, "toy/it").contains("too young")),
            }
            assert_eq!(cloud(|it| it.calls.len()), calls);
        });
    }
}

#[test]
fn what_cannot_change_in_place_is_refused_with_the_way_out_and_never_replaced() {
    play(async {
        let s = small_lab();
        up(&s).await;
        cloud(|it| {
            it.thing("toy/nat").shape = "square".into();
            it.calls.clear();
        });
        assert_eq!(planned(&s).await.refusals().count(), 1);
        let report = up(&s).await;
        let why = failure(&report, "toy/nat");
        assert!(why.contains("shape") && why.contains("by hand"), "{why}");
        assert_eq!(cloud(|it| it.calls.clone()), Vec::<String>::new());
        // Nobody is told to delete data.
        let mut s = empty();
        let _: Ref<Precious> = s.toy("data", 0, &[]);
        up(&s).await;
        cloud(|it| it.thing("precious/data").shape = "square".into());
        let why = failure(&up(&s).await, "precious/data");
        assert!(why.contains("keep its data elsewhere") && !why.contains("by hand"), "{why}");
    });
}

#[test]
fn two_things_that_say_they_are_one_node_make_the_plan_refuse() {
    play(async {
        let s = one(0);
        up(&s).await;
        cloud(|it| {
            let twin = it.thing("toy/it").clone();
            it.put(twin);
        });
        let plan = planned(&s).await;
        let Action::Refuse { why, .. } = &plan.steps[0].action else { panic!("{plan:?}") };
        assert!(why.contains("id-1") && why.contains("id-2"), "{why}");
    });
}

#[test]
fn what_is_no_longer_wanted_goes_last_and_only_if_all_else_went_well() {
    play(async {
        up(&small_lab()).await;
        let smaller = one(1);
        cloud(|it| {
            it.fault("create it", "UnauthorizedOperation", false, 1);
            it.calls.clear();
        });
        assert!(!up(&smaller).await.is_ok());
        assert_eq!(cloud(|it| it.calls.clone()), ["create it"], "nothing was removed");
        assert!(up(&smaller).await.is_ok());
        assert_eq!(cloud(|it| it.state()), [("toy/it".to_owned(), 1, vec![])]);
        let calls = cloud(|it| it.calls.clone());
        assert_eq!(calls[1..3], ["create it", "configure it"], "before anything is removed: {calls:?}");
    });
}

#[test]
fn a_stop_finishes_what_runs_and_starts_nothing_more() {
    play(async {
        let s = small_lab();
        let stop = Stop::default();
        let run = up_until(&s, &stop);
        let interrupt = async {
            // While the group is configured and the network gateway is made.
            while cloud(|it| it.calls.len()) < 4 {
                clock::sleep(Duration::from_millis(10)).await;
            }
            stop.ask();
        };
        let ((report, _), ()) = futures::future::join(run, interrupt).await;
        let interrupted =
            |it: &Outcome| matches!(it, Outcome::Skipped { because } if because.contains("interrupted"));
        assert!(0 < report.count(interrupted), "{report:?}");
        assert_eq!(report.count(|it| matches!(it, Outcome::Failed { .. })), 0);
        let done: Vec<_> =
            report.nodes.iter().filter(|(_, it)| *it == Outcome::Changed).map(|(node, _)| node).collect();
        for (node, size, _) in cloud(|it| it.state()) {
            assert!(done.contains(&&node), "{node} was left half made");
            let want = s.nodes.iter().find(|it| it.name == node).unwrap().resource.fields();
            assert_eq!(want["size"], size, "{node}");
        }
        assert!(up(&s).await.is_ok(), "the next run resumes");
        assert!(down().await.is_ok());
    });
}

#[test]
fn one_look_answers_all_that_wait_for_it() {
    play(async {
        let mut s = empty();
        for it in 0..50 {
            let name = format!("n{it}");
            cloud(|it| it.ready_after.insert(name.clone(), Duration::from_secs(60)));
            let _: Ref<Toy<false>> = s.toy(&name, 0, &[]);
        }
        let began: Instant = clock::now();
        assert!(up(&s).await.is_ok());
        let took = clock::now() - began;
        let reads = cloud(|it| it.reads);
        assert!(reads < 40, "{reads} listings for 50 nodes in {took:?}");
    });
}
