//! The engine on a toy cloud, in simulated time: each test's name is the promise that it proves.

mod failures;
mod kills;
mod removal;
mod settling;
mod speed;

use super::toys::{Toy, empty};
use super::{Outcome, Ref, Report, Stack};

/// ```text
/// vpc ─┬─ subnet ─┬─ nat ─── route
///      │          └─ host ── target
///      └─ group ──────┘
/// site
/// ```
fn small_lab() -> Stack {
    let mut s = empty();
    let vpc: Ref<Toy<false>> = s.toy("vpc", 1, &[]);
    let subnet = s.toy("subnet", 0, &[vpc]);
    let group = s.toy("group", 3, &[vpc]);
    let nat = s.toy("nat", 0, &[subnet]);
    let _: Ref<Toy<false>> = s.toy("route", 1, &[nat]);
    let host = s.toy("host", 2, &[subnet, group]);
    let _: Ref<Toy<false>> = s.toy("target", 0, &[host]);
    let _: Ref<Toy<false>> = s.toy("site", 0, &[]);
    s
}

fn outcome<'a>(report: &'a Report, node: &str) -> &'a Outcome {
    &report.nodes.iter().find(|(name, _)| name == node).expect("a node of that name").1
}

fn failure(report: &Report, node: &str) -> String {
    match outcome(report, node) {
        Outcome::Failed { why } => why.clone(),
        other => panic!("{node} did not fail: {other:?}"),
    }
}
