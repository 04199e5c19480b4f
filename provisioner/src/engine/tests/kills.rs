//! `kill -9` right after every single changing call.

use super::small_lab;
use crate::engine::{
    Stack,
    toys::{cloud, down, hasty, killed_at, planned, play, up},
};

/// The small lab twice: each thing waited for, and each used as soon as it is made.
fn labs() -> [fn() -> Stack; 2] {
    [small_lab, || hasty(&small_lab())]
}

#[test]
fn an_up_killed_after_any_call_is_completed_by_the_next_without_a_duplicate() {
    for lab in labs() {
        play(async {
            let s = lab();
            up(&s).await;
            let (undisturbed, calls) = cloud(|it| (it.state(), it.calls.len()));
            assert!(10 < calls, "{calls} calls prove little");
            for nth in 1..=calls {
                cloud(|it| it.things.clear());
                assert!(killed_at(nth, up(&s)).await.is_none(), "call {nth} was never made");
                assert!(up(&s).await.is_ok(), "after call {nth}");
                assert_eq!(cloud(|it| it.state()), undisturbed, "after call {nth}");
                assert!(planned(&s).await.is_empty(), "after call {nth}");
            }
        });
    }
}

#[test]
fn a_down_killed_after_any_call_is_completed_by_the_next() {
    for lab in labs() {
        play(async {
            let s = lab();
            up(&s).await;
            for nth in 1..=s.nodes.len() {
                up(&s).await;
                assert!(killed_at(nth, down()).await.is_none(), "call {nth} was never made");
                assert!(down().await.is_ok(), "after call {nth}");
                assert_eq!(cloud(|it| it.state()), [], "after call {nth}");
            }
        });
    }
}

#[test]
fn an_up_killed_anywhere_leaves_nothing_that_down_does_not_find() {
    for lab in labs() {
        play(async {
            let s = lab();
            up(&s).await;
            let calls = cloud(|it| it.calls.len());
            down().await;
            for nth in 1..=calls {
                assert!(killed_at(nth, up(&s)).await.is_none(), "call {nth} was never made");
                assert!(down().await.is_ok(), "after call {nth}");
                assert_eq!(cloud(|it| it.state()), [], "after call {nth}");
            }
        });
    }
}
