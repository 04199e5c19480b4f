//! Two operators at once: one works, the other is told who does.

use std::time::Duration;

use scenarios::slow::Slow;
use scenarios::{Fault, Lab, lamp::LIMIT};
use serde_json::json;

#[test]
fn the_second_operator_is_told_who_holds_the_lock_and_since_when() {
    let lab = Lab::new("");
    let hold = lab.hold("elasticfilesystem:CreateFileSystem");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| lab.lamp("--on aws up --yes"));
        lab.until_held(&hold);
        let (config, home) = (lab.path("lamp.toml"), lab.folder());
        let mark = lab.proxy.mark();
        let words = ["--on", "aws", "--config", config.to_str().unwrap(), "up", "--yes"];
        let second = scenarios::lamp::command(home, &lab.proxy.url(), &words);
        let second = scenarios::lamp::run(second, LIMIT, None).expect(1);
        second.says(&["lock", "since"]);
        // A reader needs no lock.
        let plan = scenarios::lamp::command(home, &lab.proxy.url(), &["--on", "aws", "plan"]);
        let plan = scenarios::lamp::run(plan, LIMIT, None);
        assert!(matches!(plan.code, Some(0 | 2)), "{plan}");
        assert!(lab.proxy.mark() > mark);
        drop(hold);
        first.join().unwrap().ok();
    });
    lab.lamp("--on aws plan").ok();
    // The lock goes with its holder.
    assert!(!lab.snapshot().names("parameter").iter().any(|it| it.ends_with("/lock")));
}

/// A site alone: no network, no hosts.
const SITE: &str = "[parts]\nnetwork = false\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\n\
                    files = false\ndatabase = false\nreplica = false\n";

#[test]
fn two_who_saw_nothing_make_one_distribution() {
    let lab = Lab::new(SITE);
    // The second one has made its plan, and waits for the lock until the first one is done.
    let hold = lab.hold("ssm:PutParameter");
    std::thread::scope(|scope| {
        let late = scope.spawn(|| lab.lamp("--on aws up --yes"));
        lab.until_held(&hold);
        let (config, home) = (lab.path("lamp.toml"), lab.folder());
        let words = ["--on", "aws", "--config", config.to_str().unwrap(), "up", "--yes"];
        let first = scenarios::lamp::command(home, &lab.proxy.url(), &words);
        scenarios::lamp::run(first, LIMIT, None).ok();
        drop(hold);
        // All that it was to make is there.
        late.join().unwrap().ok();
    });
    assert_eq!(lab.snapshot().all("distribution").len(), 1);
    lab.lamp("--on aws plan").ok();
}

/// The network and a database.
const NETWORK: &str = "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\n\
                       replica = false\nsite = false\n";

#[test]
fn what_aws_gets_done_before_the_lock_is_had_is_no_other_plan() {
    let lab = Lab::new(NETWORK);
    lab.proxy.slow(Slow { database: Duration::from_secs(3600), ..Slow::default() });
    let mut is_made = false;
    lab.proxy.fail_if(1, Fault::Denied, move |call| {
        is_made |= call.action == "CreateDBInstance";
        is_made && call.action == "DescribeDBInstances"
    });
    lab.lamp("--on aws up --yes").expect(1);
    let hold = lab.hold("ssm:PutParameter");
    std::thread::scope(|scope| {
        let up = scope.spawn(|| lab.up());
        lab.until_held(&hold);
        // By now it has seen that the database is being made.
        lab.proxy.slow(Slow::default());
        drop(hold);
        up.join().unwrap().says(&["creating"]);
    });
    lab.lamp("--on aws plan").ok();
}

#[test]
fn what_somebody_changed_before_the_lock_is_had_is_another_plan() {
    let lab = Lab::new(NETWORK);
    lab.up();
    let seen = lab.snapshot();
    let rename = |kind: &str, key: &str| {
        let id =
            &seen.all(kind).iter().find(|it| it["Tags"].to_string().contains("lamp:stack")).unwrap()[key];
        let tags = json!({ "Resources": [id], "Tags": [{ "Key": "Name", "Value": "mine" }] });
        lab.account().call("ec2", "create_tags", tags);
    };
    rename("vpc", "VpcId");
    let hold = lab.hold("ssm:PutParameter");
    std::thread::scope(|scope| {
        let late = scope.spawn(|| lab.lamp("--on aws up --yes"));
        lab.until_held(&hold);
        rename("subnet", "SubnetId");
        drop(hold);
        late.join().unwrap().expect(1).says(&["the account changed since the plan was made"]);
    });
    lab.up();
    lab.lamp("--on aws plan").ok();
}

#[test]
fn a_lock_that_could_not_be_given_back_hides_no_other_error() {
    let lab = Lab::new(SITE);
    let mut is_locked = false;
    lab.proxy.fail_if(usize::MAX, Fault::Denied, move |call| {
        is_locked |= call.action == "PutParameter";
        is_locked && call.action == "ListDistributions"
    });
    lab.proxy.fail("ssm:DeleteParameter", usize::MAX, Fault::Denied);
    let up = lab.lamp("--on aws up --yes").expect(1);
    let up = up.says(&["cloudfront:ListDistributions", "the lock could not be given back", "lamp unlock"]);
    let at = |it: &str| up.stderr.find(it);
    assert!(at("cloudfront:ListDistributions") < at("the lock could not be given back"), "{up}");
    // Nor does it pass in silence after a run that went well.
    lab.proxy.heal();
    lab.lamp("--on aws unlock --yes").ok();
    lab.proxy.fail("ssm:DeleteParameter", usize::MAX, Fault::Denied);
    lab.lamp("--on aws up --yes").expect(1).says(&["the lock could not be given back", "lamp unlock"]);
}

#[test]
fn whose_lock_was_broken_begins_nothing_new_and_is_told_why() {
    let lab = Lab::new("");
    // Longer than a holder needs to notice.
    lab.proxy.fail("elasticfilesystem:CreateFileSystem", 1, Fault::Late(Duration::from_secs(40)));
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| lab.lamp("--on aws up --yes"));
        lab.eventually("it builds", || lab.proxy.calls().iter().any(|it| it.action == "CreateFileSystem"));
        let words = ["--on", "aws", "unlock", "--yes"];
        let unlock = scenarios::lamp::command(lab.folder(), &lab.proxy.url(), &words);
        scenarios::lamp::run(unlock, LIMIT, None).ok().says(&["the lock is broken"]);
        let up = holder.join().unwrap().expect(1);
        up.says(&["the run was interrupted", "the lock was lost", "somebody broke it with `lamp unlock`"]);
    });
    assert!(lab.snapshot().all("mount-target").is_empty());
    lab.up();
}

#[test]
fn unlock_explains_and_frees() {
    let lab = Lab::new("");
    // Nobody holds it.
    lab.lamp("--on aws unlock --yes").ok();
    let killed = lab.lamp_killed_after("--on aws up --yes", 3);
    assert_eq!(killed.code, None);
    let said = lab.lamp("--on aws unlock --yes").ok();
    said.says(&[
        "has been running `lamp up` since",
        "its process is gone",
        "breaking it is safe",
        "the lock is broken",
    ]);
    lab.up();
}
