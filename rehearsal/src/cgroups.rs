//! Control groups of a region, whether the machine has version 1, version 2 or both.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// The version 1 hierarchies that are of use: what a processor did and may do, and a limit of processes.
const LEGACY: [&str; 3] = ["cpu", "cpuacct", "pids"];

/// Their like of version 2.
const CONTROLLERS: [&str; 3] = ["cpu", "pids", "memory"];
/// Where a machine of version 1 alone gets version 2, which every systemd needs: below the region's own directory.
const PRIVATE: &str = "cgroup2";
/// The kernel takes no smaller quota, in microseconds.
const LEAST: i64 = 1_000;

/// One directory per hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    /// Empty if the machine has version 1 alone, until [`Cgroups::complete`].
    unified: PathBuf,
    legacy: Vec<(String, PathBuf)>,
}

impl Cgroups {
    /// Finds the groups of one region, whose files lie in a directory. What this mounts is seen by nobody else if the
    /// caller has a mount namespace of its own.
    pub(crate) fn of(id: &str, dir: &Path) -> anyhow::Result<Cgroups> {
        Ok(Cgroups::find()?.complete(dir)?.child(&format!("lamp-{id}")))
    }

    /// The machine's hierarchies, at the place from which we may make groups.
    pub(crate) fn find() -> anyhow::Result<Cgroups> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("reading /proc/self/mounts")?;
        let own = fs::read_to_string("/proc/self/cgroup").context("reading /proc/self/cgroup")?;
        let as_root = nix::unistd::geteuid().is_root() && !in_user_namespace();
        Cgroups::from(&mounts, &own, as_root)
            .context("no cgroup2 is mounted; `mount -t cgroup2 cgroup2 /sys/fs/cgroup` as root brings it")
    }

    fn from(mounts: &str, own: &str, as_root: bool) -> Option<Cgroups> {
        let lines = || mounts.lines().map(|it| it.split(' ').collect::<Vec<_>>()).filter(|it| it.len() > 3);
        // A container's files may have been mounted over; the last mount is the one that is seen.
        let unified = lines().filter(|it| it[2] == "cgroup2").next_back();
        let mut at = unified.as_ref().map(|it| PathBuf::from(it[1])).unwrap_or_default();
        if !as_root {
            // Without root only what was delegated to our own group is ours.
            unified.as_ref()?;
            let own = own.lines().find_map(|it| it.strip_prefix("0::/")).unwrap_or_default();
            at.push(own);
        }
        let legacy = LEGACY.iter().filter(|_| as_root).filter_map(|it| {
            let mount = lines().find(|m| m[2] == "cgroup" && m[3].split(',').any(|option| option == *it))?;
            Some(((*it).to_owned(), PathBuf::from(mount[1])))
        });
        let legacy: Vec<_> = legacy.collect();
        (unified.is_some() || !legacy.is_empty()).then_some(Cgroups { unified: at, legacy })
    }

    /// Mounts what is missing.
    fn complete(mut self, dir: &Path) -> anyhow::Result<Cgroups> {
        if self.unified.as_os_str().is_empty() {
            self.unified = dir.join(PRIVATE);
            fs::create_dir_all(&self.unified).context("making a place for cgroup2")?;
            mount(Some("cgroup2"), &self.unified, Some("cgroup2"), MsFlags::empty(), None::<&str>)
                .context("mounting cgroup2, which this machine of cgroups v1 has nowhere")?;
        }
        Ok(self)
    }

    /// Takes away what was mounted for a region.
    pub(crate) fn unmount(dir: &Path) {
        let _ = umount2(&dir.join(PRIVATE), MntFlags::MNT_DETACH);
    }

    /// In words: `v2`, `hybrid (v1 cpu cpuacct pids)`, `v1 (cpu cpuacct pids)`.
    pub(crate) fn mode(&self) -> String {
        let names: Vec<&str> = self.legacy.iter().map(|it| it.0.as_str()).collect();
        match (self.unified.as_os_str().is_empty(), names.is_empty()) {
            (true, _) => format!("v1 ({})", names.join(" ")),
            (false, true) => "v2".into(),
            (false, false) => format!("hybrid (v1 {})", names.join(" ")),
        }
    }

    /// Where groups of version 2 are made.
    pub(crate) fn place(&self) -> &Path {
        &self.unified
    }

    /// Whether we may make groups here: as root anywhere, else only where somebody delegated a group to us.
    pub(crate) fn is_ours(&self) -> bool {
        let may_write = |it: &Path| nix::unistd::access(it, nix::unistd::AccessFlags::W_OK).is_ok();
        self.unified.as_os_str().is_empty()
            || may_write(&self.unified) && may_write(&self.unified.join("cgroup.procs"))
    }

    /// Moves this process out of the group that it was given, since only a group without processes of its own can give
    /// its children quotas.
    pub(crate) fn step_aside(&self) -> anyhow::Result<()> {
        let leaf = self.unified.join("keeper");
        fs::create_dir_all(&leaf).with_context(|| format!("making control group {}", leaf.display()))?;
        fs::write(leaf.join("cgroup.procs"), "0").context("moving the keeper to a group of its own")?;
        self.create()
    }

    /// Moves it back, so that the groups can go.
    pub(crate) fn step_back(&self) {
        let Some(given) = self.unified.parent() else { return };
        for controller in CONTROLLERS {
            let _ = fs::write(given.join("cgroup.subtree_control"), format!("-{controller}"));
        }
        let _ = fs::write(given.join("cgroup.procs"), "0");
    }

    /// Groups below these.
    pub(crate) fn child(&self, name: &str) -> Cgroups {
        Cgroups {
            unified: self.unified.join(name),
            legacy: self.legacy.iter().map(|(kind, it)| (kind.clone(), it.join(name))).collect(),
        }
    }

    pub(crate) fn create(&self) -> anyhow::Result<()> {
        if let Some(parent) = self.unified.parent() {
            // Not there in a hybrid, and not allowed where processes live: then there are no quotas.
            for controller in CONTROLLERS {
                let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
        for it in self.all() {
            fs::create_dir_all(it).with_context(|| format!("making control group {}", it.display()))?;
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.unified).chain(self.legacy.iter().map(|it| &it.1))
    }

    /// Files into which a process writes its number to belong to the groups.
    pub(crate) fn doors(&self) -> Vec<PathBuf> {
        self.all().map(|it| it.join("cgroup.procs")).collect()
    }

    /// The same for a guest beside the services of an instance: version 2 wants processes in leaves.
    pub(crate) fn guest_doors(&self) -> anyhow::Result<Vec<PathBuf>> {
        let leaf = self.unified.join("guest");
        fs::create_dir_all(&leaf).with_context(|| format!("making control group {}", leaf.display()))?;
        let legacy = self.legacy.iter().map(|it| it.1.join("cgroup.procs"));
        Ok(std::iter::once(leaf.join("cgroup.procs")).chain(legacy).collect())
    }

    /// Limits to a share of one processor, or lifts the limit; without a processor controller nothing is limited.
    pub(crate) fn limit_cpu(&self, share: Option<f64>) -> anyhow::Result<()> {
        let period = 100_000_i64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a share is small")]
        let quota = share.map(|it| ((it * period as f64) as i64).max(LEAST));
        let (file, text) = match self.legacy.iter().find(|it| it.0 == "cpu") {
            Some((_, dir)) => (dir.join("cpu.cfs_quota_us"), quota.unwrap_or(-1).to_string()),
            None => {
                let quota = quota.map_or("max".into(), |it| it.to_string());
                (self.unified.join("cpu.max"), format!("{quota} {period}"))
            }
        };
        if !file.exists() {
            return Ok(());
        }
        fs::write(&file, text).with_context(|| format!("limiting the processor in {}", file.display()))
    }

    /// Processor time used so far.
    pub(crate) fn cpu_used(&self) -> anyhow::Result<Duration> {
        let file = self.unified.join("cpu.stat");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let used = text.lines().find_map(|it| it.strip_prefix("usage_usec ")?.parse().ok());
        if let Some(used) = used {
            return Ok(Duration::from_micros(used));
        }
        // Older kernels count in version 1 alone once its controller is in use, and in nanoseconds.
        let counted = self.legacy.iter().find(|it| it.0 == "cpuacct");
        let counted = counted.and_then(|it| fs::read_to_string(it.1.join("cpuacct.usage")).ok());
        let counted = counted.and_then(|it| it.trim().parse().ok()).unwrap_or_default();
        Ok(Duration::from_nanos(counted))
    }

    /// Removes the groups; their processes must be dead or dying.
    pub(crate) fn remove(&self) {
        let give_up = Instant::now() + Duration::from_secs(5);
        while self.all().filter(|it| it.exists()).map(|it| remove_tree(it)).filter(|gone| !gone).count() > 0 {
            if Instant::now() > give_up {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Depth first, as the kernel wants it; says whether it is gone.
fn remove_tree(dir: &Path) -> bool {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    fs::remove_dir(dir).is_ok()
}

/// Whether user 0 here is not the machine's.
pub(crate) fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            (it.mode().as_str(), doors(&it)),
            ("v2", vec!["/sys/fs/cgroup/x/cgroup.procs".to_owned()])
        );
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
            (
                V2,
                V2_OWN,
                "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-u3.scope",
            ),
            (HYBRID, HYBRID_OWN, "/sys/fs/cgroup/unified/user.slice/user-1000.slice/session-2.scope"),
        ] {
            let it = Cgroups::from(mounts, own, false).unwrap();
            assert_eq!((it.mode().as_str(), it.unified.as_path()), ("v2", Path::new(at)));
        }
    }
}
