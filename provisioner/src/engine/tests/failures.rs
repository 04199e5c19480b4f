//! What goes wrong with calls, and what becomes of it.

use std::time::Duration;

use super::{failure, outcome, small_lab};
use crate::engine::{
    Outcome, Ref,
    toys::{Toy, cloud, empty, planned, play, timed, up},
};

#[test]
fn a_failing_node_skips_exactly_its_dependents_and_the_next_run_resumes() {
    play(async {
        let s = small_lab();
        cloud(|it| it.fault("create subnet", "InvalidSubnet.Conflict", false, 1));
        let report = up(&s).await;
        assert!(failure(&report, "toy/subnet").contains("InvalidSubnet.Conflict"));
        for skipped in ["toy/nat", "toy/route", "toy/host", "toy/target"] {
            let because = Outcome::Skipped { because: "toy/subnet".into() };
            assert_eq!(*outcome(&report, skipped), because, "{skipped}");
        }
        for done in ["toy/vpc", "toy/group", "toy/site"] {
            assert_eq!(*outcome(&report, done), Outcome::Changed, "{done}");
        }
        cloud(|it| it.calls.clear());
        assert!(up(&s).await.is_ok());
        assert!(!cloud(|it| it.calls.contains(&"create vpc".to_owned())));
        assert!(planned(&s).await.is_empty());
    });
}

fn one() -> crate::engine::Stack {
    let mut s = empty();
    let _: Ref<Toy<false>> = s.toy("it", 1, &[]);
    s
}

#[test]
fn an_answer_that_was_lost_makes_no_second_object() {
    for call in ["create it", "configure it"] {
        play(async {
            cloud(|it| it.fault(call, "Unreachable", true, 1));
            assert!(up(&one()).await.is_ok(), "{call}");
            assert_eq!(cloud(|it| it.state()), [("toy/it".to_owned(), 1, vec![])], "{call}");
            assert!(planned(&one()).await.is_empty(), "{call}");
        });
    }
}

#[test]
fn what_aws_would_make_twice_is_looked_for_longer_after_a_lost_answer() {
    play(async {
        cloud(|it| {
            it.shows_after = Duration::from_secs(15);
            it.fault("create it", "Unreachable", true, 1);
        });
        assert!(up(&one()).await.is_ok());
        assert_eq!(cloud(|it| it.state()), [("toy/it".to_owned(), 1, vec![])]);
    });
}

#[test]
fn a_call_that_was_lost_on_the_way_is_made_again() {
    for call in ["create it", "configure it"] {
        play(async {
            cloud(|it| it.fault(call, "Unreachable", false, 4));
            assert!(up(&one()).await.is_ok(), "{call}");
            assert_eq!(cloud(|it| it.state()), [("toy/it".to_owned(), 1, vec![])], "{call}");
        });
    }
}

#[test]
fn throttling_is_waited_out() {
    play(async {
        cloud(|it| it.fault("create it", "RequestLimitExceeded", false, 6));
        assert!(up(&one()).await.is_ok());
        assert_eq!(cloud(|it| it.state().len()), 1);
    });
}

#[test]
fn what_is_not_known_everywhere_yet_is_waited_out_within_a_budget() {
    play(async {
        cloud(|it| it.fault("create it", "InvalidSubnetID.NotFound", false, 6));
        assert!(up(&one()).await.is_ok());
    });
    play(async {
        cloud(|it| it.fault("create it", "InvalidSubnetID.NotFound", false, usize::MAX));
        let (took, report) = timed(up(&one())).await;
        assert!(failure(&report, "toy/it").contains("InvalidSubnetID.NotFound"));
        assert!((300..330).contains(&took.as_secs()), "{took:?}");
    });
}

#[test]
fn a_denied_or_invalid_call_is_made_once_and_named() {
    for code in ["UnauthorizedOperation", "InvalidParameterValue"] {
        play(async {
            cloud(|it| it.fault("create it", code, false, usize::MAX));
            let (took, report) = timed(up(&one())).await;
            let why = failure(&report, "toy/it");
            assert!(why.contains("toy:Call") && why.contains(code), "{why}");
            assert_eq!(why.contains("permission"), code == "UnauthorizedOperation", "{why}");
            assert_eq!(cloud(|it| it.calls.len()), 1);
            assert!(took < Duration::from_secs(2), "{took:?}");
        });
    }
}

#[test]
fn a_change_that_does_not_stick_is_an_error_that_names_the_field() {
    play(async {
        up(&one()).await;
        cloud(|it| {
            it.thing("toy/it").size = 5;
            // Accepted, without effect, every time.
            it.fault("configure it", "Unreachable", false, usize::MAX);
        });
        let report = up(&one()).await;
        assert!(failure(&report, "toy/it").contains("size: 5 → 1"), "{report:?}");
    });
}
