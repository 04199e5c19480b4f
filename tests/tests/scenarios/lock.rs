//! Two operators at once: one works, the other is told who does.

use std::time::Duration;

use scenarios::{Fault, Lab};

#[test]
fn the_second_operator_is_told_who_holds_the_lock_and_since_when() {
    let lab = Lab::new("");
    lab.proxy.fail("elasticfilesystem:CreateFileSystem", 1, Fault::Late(Duration::from_secs(6)));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| lab.lamp("--on aws up --yes"));
        lab.eventually("the first one builds", || {
            lab.proxy.calls().iter().any(|it| it.action == "CreateFileSystem")
        });
        let (config, home) = (lab.path("lamp.toml"), lab.folder());
        let mark = lab.proxy.mark();
        let words = ["--on", "aws", "--config", config.to_str().unwrap(), "up", "--yes"];
        let second = scenarios::lamp::command(home, &lab.proxy.url(), &words);
        let second = scenarios::lamp::run(second, Duration::from_secs(30), None).expect(1);
        second.says(&["lock", "since"]);
        // A reader needs no lock.
        let plan = scenarios::lamp::command(home, &lab.proxy.url(), &["--on", "aws", "plan"]);
        let plan = scenarios::lamp::run(plan, Duration::from_secs(30), None);
        assert!(matches!(plan.code, Some(0 | 2)), "{plan}");
        assert!(lab.proxy.mark() > mark);
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
    lab.proxy.fail("ssm:PutParameter", 1, Fault::Late(Duration::from_secs(8)));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| lab.lamp("--on aws up --yes"));
        lab.eventually("the second one asks for the lock", || {
            lab.proxy.calls().iter().any(|it| it.action == "PutParameter")
        });
        let (config, home) = (lab.path("lamp.toml"), lab.folder());
        let words = ["--on", "aws", "--config", config.to_str().unwrap(), "up", "--yes"];
        let first = scenarios::lamp::command(home, &lab.proxy.url(), &words);
        scenarios::lamp::run(first, Duration::from_secs(30), None).ok();
        late.join().unwrap().expect(1).says(&["the account changed since the plan was made"]);
    });
    assert_eq!(lab.snapshot().all("distribution").len(), 1);
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
