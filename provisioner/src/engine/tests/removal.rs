//! How things go.

use std::time::Duration;

use super::{failure, outcome, small_lab};
use crate::engine::{
    Outcome, Ref,
    toys::{Toy, cloud, down, empty, play, timed, up},
};

#[test]
fn dependents_go_first_and_nothing_stays() {
    play(async {
        let s = small_lab();
        up(&s).await;
        cloud(|it| it.calls.clear());
        assert!(down().await.is_ok());
        assert_eq!(cloud(|it| it.state()), []);
        let calls = cloud(|it| it.calls.clone());
        let at = |node: &str| calls.iter().position(|it| *it == format!("delete {node}")).unwrap();
        for node in &s.nodes {
            let name = |it: &str| it.trim_start_matches("toy/").to_owned();
            for need in &node.needs {
                assert!(at(&name(&node.name)) < at(&name(&s.nodes[*need].name)), "{calls:?}");
            }
        }
        assert_eq!(calls.len(), s.nodes.len(), "nothing was tried before its time: {calls:?}");
    });
}

#[test]
fn a_thing_that_goes_on_vanishing_is_waited_for_before_what_it_needs_goes() {
    play(async {
        up(&small_lab()).await;
        cloud(|it| it.gone_after.insert("nat".into(), Duration::from_secs(90)));
        let (took, report) = timed(down()).await;
        assert!(report.is_ok(), "{report:?}");
        assert!((90..100).contains(&took.as_secs()), "{took:?}");
    });
}

#[test]
fn a_resource_that_something_foreign_holds_says_what_holds_it() {
    play(async {
        up(&small_lab()).await;
        cloud(|it| {
            let mut foreign = it.thing("toy/target").clone();
            let subnet = it.things.iter().find(|(_, it)| it.node == "toy/subnet").unwrap().0.clone();
            (foreign.kind, foreign.node, foreign.needs) = ("foreign", "somebody's host".into(), vec![subnet]);
            it.put(foreign);
        });
        let report = down().await;
        assert!(failure(&report, "toy/subnet").contains("held by somebody's host"), "{report:?}");
        assert_eq!(*outcome(&report, "toy/vpc"), Outcome::Skipped { because: "toy/subnet".into() });
        assert_eq!(*outcome(&report, "toy/group"), Outcome::Changed, "siblings went");
    });
}

#[test]
fn things_that_refer_to_each_other_in_a_circle_are_all_tried() {
    play(async {
        let mut s = empty();
        let one: Ref<Toy<false>> = s.toy("one", 0, &[]);
        let _: Ref<Toy<false>> = s.toy("two", 0, &[one]);
        up(&s).await;
        // By hand: the first refers to the second, too. The cloud lets neither go, as AWS does with groups
        // until their rules are revoked; here somebody revokes one after a while.
        let id = |node: &str| cloud(|it| it.things.iter().find(|(_, it)| it.node == node).unwrap().0.clone());
        let two = id("toy/two");
        cloud(|it| it.thing("toy/one").needs.push(two));
        let revoke = async {
            crate::engine::clock::sleep(Duration::from_secs(30)).await;
            cloud(|it| it.thing("toy/one").needs.clear());
        };
        let (report, ()) = futures::future::join(down(), revoke).await;
        assert!(report.is_ok(), "{report:?}");
        assert_eq!(cloud(|it| it.state()), []);
    });
}

#[test]
fn a_removal_whose_answer_says_nothing_goes_on_from_what_is_left() {
    play(async {
        up(&small_lab()).await;
        cloud(|it| {
            it.fault("delete host", "Unreachable", false, 1);
            it.calls.clear();
        });
        // The first of its calls has come through.
        let half = async {
            while !cloud(|it| it.calls.contains(&"delete host".to_owned())) {
                crate::engine::clock::sleep(Duration::from_millis(10)).await;
            }
            cloud(|it| it.thing("toy/host").size = 0);
        };
        let (report, ()) = futures::future::join(down(), half).await;
        assert!(report.is_ok(), "{report:?}");
        assert_eq!(cloud(|it| it.state()), []);
    });
}

#[test]
fn what_is_gone_already_counts_as_removed() {
    play(async {
        up(&small_lab()).await;
        cloud(|it| it.fault("delete site", "Toy.NotFound", true, 1));
        let report = down().await;
        assert_eq!(*outcome(&report, "toy/site"), Outcome::Changed);
        assert!(report.is_ok());
    });
}
