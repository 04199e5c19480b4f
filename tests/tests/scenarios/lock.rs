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
