//! Control groups of machines as they are, and where quotas are written.

use super::*;

/// As Debian 12 mounts them with `systemd.unified_cgroup_hierarchy=0`.
const HYBRID: &str = "\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,nodev,noexec,relatime,xattr,name=systemd 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,nosuid,nodev,noexec,relatime,pids 0 0
";
const HYBRID_OWN: &str = "5:pids:/user.slice/user-1000.slice/session-2.scope
3:cpu,cpuacct:/user.slice
1:name=systemd:/user.slice/user-1000.slice/session-2.scope
0::/user.slice/user-1000.slice/session-2.scope
";
const V2: &str = "\
sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0
cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0
";
const V2_OWN: &str = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-u3.scope\n";
const V1: &str = "\
tmpfs /sys/fs/cgroup tmpfs ro,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/cpuacct cgroup rw,relatime,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
";

fn doors(it: &Cgroups) -> Vec<String> {
    it.doors().iter().map(|it| it.display().to_string()).collect()
}

#[test]
fn a_hybrid_machine_gives_both_versions() {
    let it = Cgroups::from(HYBRID, HYBRID_OWN, true).unwrap().child("x");
    assert_eq!(it.mode(), "hybrid (v1 cpu cpuacct pids)");
    assert_eq!(
        doors(&it),
        [
            "/sys/fs/cgroup/unified/x/cgroup.procs",
            "/sys/fs/cgroup/cpu,cpuacct/x/cgroup.procs",
            "/sys/fs/cgroup/cpu,cpuacct/x/cgroup.procs",
            "/sys/fs/cgroup/pids/x/cgroup.procs"
        ]
    );
}

#[test]
fn a_machine_of_version_2_gives_that_alone() {
    let it = Cgroups::from(V2, V2_OWN, true).unwrap().child("x");
    assert_eq!((it.mode().as_str(), doors(&it)), ("v2", vec!["/sys/fs/cgroup/x/cgroup.procs".to_owned()]));
}

/// What is in the file of a group after it was limited.
fn limited(file: &str, mounts: impl Fn(&str) -> String, share: Option<f64>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "").unwrap();
    let it = Cgroups::from(&mounts(&dir.path().display().to_string()), "0::/\n", true).unwrap();
    it.child("x").limit_cpu(share).unwrap();
    fs::read_to_string(file).unwrap()
}

#[test]
fn a_quota_is_written_where_the_machine_has_its_controller() {
    let pure = |dir: &str| format!("cgroup2 {dir}/two cgroup2 rw 0 0\n");
    let both = |dir: &str| pure(dir) + &format!("cgroup {dir}/cpu cgroup rw,cpu,cpuacct 0 0\n");
    assert_eq!(limited("two/x/cpu.max", pure, Some(0.25)), "25000 100000");
    assert_eq!(limited("two/x/cpu.max", pure, None), "max 100000");
    assert_eq!(limited("cpu/x/cpu.cfs_quota_us", both, Some(0.25)), "25000");
    assert_eq!(limited("cpu/x/cpu.cfs_quota_us", both, None), "-1");
    assert_eq!(limited("cpu/x/cpu.cfs_quota_us", both, Some(0.0)), "1000");
    // Nobody delegated the controller.
    assert_eq!(limited("elsewhere/cpu.max", pure, Some(0.25)), "");
}

#[test]
fn a_machine_of_version_1_gets_a_version_2_of_the_regions_own() {
    let it = Cgroups::from(V1, "3:cpu:/\n", true).unwrap();
    assert_eq!(it.mode(), "v1 (cpu cpuacct)");
    // Which an ordinary user cannot mount.
    assert!(Cgroups::from(V1, "3:cpu:/\n", false).is_none());
    assert!(Cgroups::from("proc /proc proc rw 0 0\n", "", true).is_none());
}

#[test]
fn without_root_only_the_delegated_group_is_used() {
    for (mounts, own, at) in [
        (V2, V2_OWN, "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-u3.scope"),
        (HYBRID, HYBRID_OWN, "/sys/fs/cgroup/unified/user.slice/user-1000.slice/session-2.scope"),
    ] {
        let it = Cgroups::from(mounts, own, false).unwrap();
        assert_eq!((it.mode().as_str(), it.unified.as_path()), ("v2", Path::new(at)));
    }
}
