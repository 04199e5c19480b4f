//! Ctrl-C: what runs is finished, nothing new begins, and who only waits ends at once.

use std::time::Duration;

use scenarios::{Call, Fault, Lab};

fn has(calls: &[Call], action: &str) -> bool {
    calls.iter().any(|it| it.action == action)
}

#[test]
fn who_waits_for_hosts_can_be_interrupted() {
    let lab = Lab::new("");
    let mut is_built = false;
    // Nobody says how the hosts are once the lock has been given back.
    lab.proxy.fail_if(usize::MAX, Fault::Throttled, move |call| {
        is_built |= call.action == "DeleteParameter";
        is_built && call.action == "DescribeTargetHealth"
    });
    let waits = |calls: &[Call]| {
        let built = calls.iter().position(|it| it.action == "DeleteParameter");
        built.is_some_and(|it| has(&calls[it..], "DescribeTargetHealth"))
    };
    let up = lab.lamp_interrupted("--on aws up --yes", waits).expect(1);
    up.says(&["interrupted: all is built", "lamp status"]);
    lab.proxy.heal();
    lab.lamp("--on aws plan").ok();
    // Here no host ever says that it has taken something over.
    let waits = |calls: &[Call]| {
        let told = calls.iter().position(|it| it.action == "DeleteParameter");
        told.is_some_and(|it| has(&calls[it..], "DescribeInstances"))
    };
    let used = lab.lamp_interrupted("--on aws db use replica", waits).expect(1);
    assert!(used.took < Duration::from_secs(60), "{used}");
    used.says(&["interrupted: the hosts are told to use lab-vpc-rds-rr"]);
    lab.lamp("--on aws plan").ok();
}

#[test]
fn an_interrupted_up_finishes_what_runs_and_the_next_one_the_rest() {
    let lab = Lab::new("");
    lab.proxy.fail("elasticfilesystem:CreateFileSystem", 1, Fault::Late(Duration::from_secs(3)));
    let builds = |calls: &[Call]| has(calls, "CreateFileSystem");
    let up = lab.lamp_interrupted("--on aws up --yes", builds).expect(1);
    let account = lab.snapshot();
    assert_eq!(account.all("file-system").len(), 1, "what ran is finished: {up}");
    assert!(account.all("mount-target").is_empty(), "nothing new was begun: {up}");
    assert!(!account.names("parameter").iter().any(|it| it.ends_with("/lock")), "{up}");
    up.says(&["interrupted: what runs is finished", "the run was interrupted"]);
    lab.up();
    lab.lamp("--on aws plan").ok();
}
