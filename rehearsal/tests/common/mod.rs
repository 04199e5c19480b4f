//! What could stay behind of a region, as this machine sees it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(dead_code, reason = "not every test needs all of it")]

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rehearsal::State;

/// Processes, mounts, control groups and files.
pub(crate) fn left_of(id: &str, state: &State) -> Vec<String> {
    let mut left = Vec::new();
    let text = |it: &str| fs::read_to_string(it).unwrap_or_default();
    for mount in text("/proc/self/mounts").lines().filter(|it| it.contains(id)) {
        left.push(format!("mount {mount}"));
    }
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let base = entry.path();
        let reads = |name: &str| fs::read_to_string(base.join(name)).unwrap_or_default();
        if reads("cgroup").contains(&format!("lamp-{id}")) || reads("mounts").contains(&format!("/{id}/")) {
            left.push(format!("process {} {}", base.display(), reads("cmdline").replace('\0', " ")));
        }
    }
    for root in text("/proc/self/mounts").lines().filter(|it| it.contains(" cgroup")) {
        find_groups(Path::new(root.split(' ').nth(1).unwrap()), &format!("lamp-{id}"), 6, &mut left);
    }
    let dir = state.dir().join("regions").join(id);
    if dir.exists() {
        left.push(format!("files {}", dir.display()));
    }
    left
}

/// A region of an ordinary user has its groups wherever that user was put.
fn find_groups(dir: &Path, name: &str, depth: u32, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|it| it.is_dir()) {
            continue;
        }
        if entry.file_name() == name {
            found.push(format!("control group {}", entry.path().display()));
        } else if depth > 0 {
            find_groups(&entry.path(), name, depth - 1, found);
        }
    }
}

pub(crate) fn wait_until_nothing_is_left_of(id: &str, state: &State) {
    for _ in 0..300 {
        if left_of(id, state).is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("left after 30 s: {:#?}", left_of(id, state));
}
