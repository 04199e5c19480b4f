//! How a run ended, as text and as an object.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::paint::{Paint, count, tame, words};
use crate::engine::{Outcome, Report};

pub(super) fn text(report: &Report, took: Option<Duration>, paint: Paint) -> String {
    let changed = report.count(|it| *it == Outcome::Changed);
    let unchanged = report.count(|it| *it == Outcome::Unchanged);
    let failures: Vec<(&str, &str)> = (report.nodes.iter())
        .filter_map(|(node, it)| match it {
            Outcome::Failed { why } => Some((node.as_str(), why.as_str())),
            _ => None,
        })
        .collect();
    let skipped: Vec<(&str, &str)> = (report.nodes.iter())
        .filter_map(|(node, it)| match it {
            Outcome::Skipped { because } => Some((node.as_str(), because.as_str())),
            _ => None,
        })
        .collect();

    let mut text = String::new();
    for (node, why) in &failures {
        text += &format!("{} {}\n", paint.red(&format!("✗ {node}:")), tame(why));
        text += &because(&skipped, node, "skipped because of it", paint);
    }
    // What was not tried for another reason than a failure: the run was interrupted.
    let mut reasons: Vec<&str> = skipped.iter().map(|(_, why)| *why).collect();
    reasons.retain(|why| failures.iter().all(|(node, _)| node != why));
    reasons.dedup();
    for why in reasons {
        text += &because(&skipped, why, &format!("not tried, since {why}"), paint);
    }

    let took = took.map(|it| format!(" in {}", words(it))).unwrap_or_default();
    let done = changed + unchanged;
    let all_kept = if 0 < unchanged {
        format!(" ({changed} changed, {unchanged} as wanted before)")
    } else {
        String::new()
    };
    let line = if report.is_ok() {
        paint.green(&format!("{} done{took}{all_kept}", count(done, "resource")))
    } else {
        paint.red(&format!("{done} done, {} failed, {} skipped{took}", failures.len(), skipped.len()))
    };
    text + &line + "\n"
}

fn because(skipped: &[(&str, &str)], why: &str, title: &str, paint: Paint) -> String {
    let them: Vec<&str> = skipped.iter().filter(|(_, it)| *it == why).map(|(node, _)| *node).collect();
    match them.as_slice() {
        [] => String::new(),
        them => format!("  {}\n", paint.dim(&format!("{title}: {}", them.join(", ")))),
    }
}

pub(super) fn object(report: &Report, took: Option<Duration>) -> Json {
    let nodes: Vec<Json> = (report.nodes.iter())
        .map(|(node, outcome)| {
            let mut object = json!(outcome);
            object["node"] = json!(node);
            object
        })
        .collect();
    json!({
        "event": "report",
        "ok": report.is_ok(),
        "done": report.count(|it| matches!(it, Outcome::Changed | Outcome::Unchanged)),
        "changed": report.count(|it| *it == Outcome::Changed),
        "failed": report.count(|it| matches!(it, Outcome::Failed { .. })),
        "skipped": report.count(|it| matches!(it, Outcome::Skipped { .. })),
        "seconds": took.map(|it| it.as_secs_f64()),
        "nodes": nodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_says_why_and_whom_it_stopped() {
        let failed = |why: &str| Outcome::Failed { why: why.into() };
        let skipped = |because: &str| Outcome::Skipped { because: because.into() };
        let nodes = [
            ("vpc/lab-vpc", Outcome::Unchanged),
            ("nat-gateway/nat-gw-a1", failed("ec2:CreateNatGateway: NatGatewayLimitExceeded: 5 are allowed")),
            ("route-table/private-subnet-a1-rt", skipped("nat-gateway/nat-gw-a1")),
            ("instance/private-ec2-a1", skipped("nat-gateway/nat-gw-a1")),
            ("distribution/lab", skipped("the run was interrupted")),
            ("file-system/lab-vpc-efs", Outcome::Changed),
        ];
        let nodes = nodes.map(|(node, outcome)| (node.to_owned(), outcome)).into();
        let took = Some(Duration::from_secs(62));
        insta::assert_snapshot!(text(&Report { nodes }, took, Paint { colours: false }));
    }

    #[test]
    fn a_run_without_failures_is_one_line() {
        let report = Report { nodes: vec![("vpc/lab-vpc".into(), Outcome::Changed)] };
        assert_eq!(text(&report, None, Paint { colours: false }), "1 resource done\n");
    }
}
