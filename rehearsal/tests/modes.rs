//! Whatever control groups a machine has - version 1, version 2, or both -, instances boot and leave nothing behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::process::Command;

use common::left_of;
use rehearsal::{Region, State, doctor};

/// Where a machine has both, the program below sees only a part of it, in a mount namespace of its own.
const V1: &str = "umount /sys/fs/cgroup/unified";
const V2: &str = "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup";

#[test]
fn instances_run_with_control_groups_of_either_version() {
    let mode = mode();
    // A machine of one version is the proof for that one, in every other test.
    if !nix::unistd::geteuid().is_root() || !mode.starts_with("hybrid") {
        eprintln!("left out: it takes root and control groups of both versions, here {mode}");
        return;
    }
    for (change, want) in [(V1, "v1 (cpu"), (V2, "v2")] {
        let program = std::env::current_exe().unwrap();
        let said = Command::new("unshare")
            .args(["--mount", "sh", "-euc", &format!("{change}; exec \"$@\""), "sh"])
            .arg(program)
            .args(["--exact", "an_instance_runs", "--ignored", "--nocapture"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.status.success(), "{want}: {text}{}", String::from_utf8_lossy(&said.stderr));
        let value = |name: &str| text.lines().find_map(|it| it.strip_prefix(name)).unwrap().to_owned();
        assert!(value("mode ").starts_with(want), "{text}");
        assert_eq!(left_of(&value("region "), &State::from_env()), [""; 0], "{want}");
    }
}

#[test]
#[ignore = "the test above runs it, with less of the machine to see"]
fn an_instance_runs() {
    println!("\nmode {}", mode());
    let region = Region::start().unwrap();
    println!("region {}", region.id());
    let web = region.instance("web1").boot().unwrap();
    assert!(web.cpu_used().unwrap().as_micros() > 0);
    assert_eq!(web.sh("systemctl show -P ControlGroup init.scope").unwrap(), "/init.scope\n");
    assert_eq!(web.sh("stat -fc %T /sys/fs/cgroup").unwrap(), "cgroup2fs\n");
    web.reboot().unwrap();
}

fn mode() -> String {
    doctor().into_iter().find(|it| it.what == "control groups").unwrap().result.unwrap()
}
