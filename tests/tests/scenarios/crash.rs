//! `kill -9` right after any call that changes something: the next run finishes, without a double and without
//! a remainder. A spread in every run, all of them with `scripts/crash-all`.

use scenarios::Lab;
use scenarios::lab::undisturbed;

/// The calls to die after: all of them when `LAMP_CRASH_ALL` is set, otherwise a spread that holds the first and
/// the last ones, where locks are taken and given back. `LAMP_CRASH_AT=17,18` names some.
fn moments(calls: usize) -> Vec<usize> {
    if let Ok(some) = std::env::var("LAMP_CRASH_AT") {
        return some.split(',').filter_map(|it| it.parse().ok()).collect();
    }
    let all = std::env::var_os("LAMP_CRASH_ALL").is_some();
    (1..=calls).filter(|it| all || it % 32 == 3 || *it == 1 || *it == calls).collect()
}

#[test]
fn an_up_killed_after_any_change_is_finished_by_the_next() {
    let want = undisturbed();
    let mut lab = Lab::new("");
    let mut failures = Vec::new();
    for n in moments(want.up.changes().len()) {
        lab.renew();
        let killed = lab.lamp_killed_after("--on aws up --yes", n);
        let last = killed.changes().last().map(|it| it.name()).unwrap_or_default();
        let context = format!("up killed after change {n}, {last}");
        failures.extend(finish(&lab, &context, want));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_down_killed_after_any_change_can_be_built_again_and_taken_down() {
    let want = undisturbed();
    let mut lab = Lab::new("");
    let mut failures = Vec::new();
    for n in moments(want.down.changes().len()) {
        lab.renew();
        lab.up();
        let killed = lab.lamp_killed_after("--on aws down --yes", n);
        let last = killed.changes().last().map(|it| it.name()).unwrap_or_default();
        let context = format!("down killed after change {n}, {last}");
        // Half of them go on with `down`, half come back with `up`.
        if n % 2 == 0 {
            let down = lab.lamp("--on aws down --yes");
            if down.code != Some(0) {
                failures.push(format!("{context}: the next down: {down}"));
                continue;
            }
            let left = lab.snapshot().not_in(&lab.before);
            if !left.is_empty() {
                failures.push(format!("{context}: left behind:\n{}", left.join("\n")));
            }
        } else {
            failures.extend(finish(&lab, &context, want));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The next `up` reaches the undisturbed state, and the next `down` an empty account; otherwise what went wrong.
fn finish(lab: &Lab, context: &str, want: &scenarios::lab::Undisturbed) -> Option<String> {
    eprintln!("{context}");
    lab.free_addresses();
    let up = lab.lamp("--on aws up --yes");
    if up.code != Some(0) {
        return Some(format!("{context}: the next up: {up}"));
    }
    let mut differs = lab.snapshot().differs(&want.snapshot);
    // A dead run's lock is no part of the stack; who next changes something takes it over.
    differs.retain(|it| !it.starts_with("+ parameter /lamp/lab-vpc/lock"));
    // A host goes on when the image is gone that it was made from, and an image when its first host is.
    let origins = ["ImageId", "SourceInstanceId", "Description: \"Created by CreateImage"];
    differs.retain(|it| !context.starts_with("down") || !origins.iter().any(|origin| it.contains(origin)));
    if !differs.is_empty() {
        return Some(format!("{context}: not as undisturbed:\n{}", differs.join("\n")));
    }
    let down = lab.lamp("--on aws down --yes");
    if down.code != Some(0) {
        return Some(format!("{context}: the next down: {down}"));
    }
    let left = lab.snapshot().not_in(&lab.before);
    if !left.is_empty() {
        return Some(format!("{context}: left behind:\n{}", left.join("\n")));
    }
    None
}
