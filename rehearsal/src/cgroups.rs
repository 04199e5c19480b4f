//! Control groups of a region, whether the machine has version 1, version 2 or both.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

/// The version 1 hierarchies that are of use: what a processor did and may do, and a limit of processes.
const LEGACY: [&str; 3] = ["cpu", "cpuacct", "pids"];

/// The kernel takes no smaller quota, in microseconds.
const LEAST: i64 = 1_000;

/// One directory per hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    unified: PathBuf,
    legacy: Vec<(String, PathBuf)>,
}

impl Cgroups {
    /// Makes the groups of one region.
    pub(crate) fn make(id: &str) -> anyhow::Result<Cgroups> {
        let it = Cgroups::find()?.child(&format!("lamp-{id}"));
        it.create()?;
        Ok(it)
    }

    /// The machine's hierarchies, at the place from which we may make groups.
    pub(crate) fn find() -> anyhow::Result<Cgroups> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("reading /proc/self/mounts")?;
        let own = fs::read_to_string("/proc/self/cgroup").context("reading /proc/self/cgroup")?;
        let as_root = nix::unistd::geteuid().is_root() && !in_user_namespace();
        Cgroups::from(&mounts, &own, as_root)
            .context("no cgroup2 is mounted; `mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified` brings it")
    }

    fn from(mounts: &str, own: &str, as_root: bool) -> Option<Cgroups> {
        let lines = || mounts.lines().map(|it| it.split(' ').collect::<Vec<_>>()).filter(|it| it.len() > 3);
        let unified = lines().find(|it| it[2] == "cgroup2")?;
        let mut at = PathBuf::from(unified[1]);
        if !as_root {
            // Without root only what was delegated to our own group is ours.
            let own = own.lines().find_map(|it| it.strip_prefix("0::/")).unwrap_or_default();
            at.push(own);
        }
        let legacy = LEGACY.iter().filter(|_| as_root).filter_map(|it| {
            let mount = lines().find(|m| m[2] == "cgroup" && m[3].split(',').any(|option| option == *it))?;
            Some(((*it).to_owned(), PathBuf::from(mount[1])))
        });
        Some(Cgroups { unified: at, legacy: legacy.collect() })
    }

    /// In words: `v2`, `hybrid (v1 cpu cpuacct pids)`.
    pub(crate) fn mode(&self) -> String {
        let names: Vec<&str> = self.legacy.iter().map(|it| it.0.as_str()).collect();
        if names.is_empty() { "v2".into() } else { format!("hybrid (v1 {})", names.join(" ")) }
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
            for controller in ["+cpu", "+pids", "+memory"] {
                let _ = fs::write(parent.join("cgroup.subtree_control"), controller);
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

    const HYBRID: &str = "\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
";

    #[test]
    fn a_hybrid_machine_gives_both_versions() {
        let it = Cgroups::from(HYBRID, "0::/\n", true).unwrap().child("x");
        assert_eq!(it.mode(), "hybrid (v1 cpu cpuacct pids)");
        let doors: Vec<_> = it.doors().iter().map(|it| it.display().to_string()).collect();
        assert_eq!(
            doors,
            [
                "/sys/fs/cgroup/unified/x/cgroup.procs",
                "/sys/fs/cgroup/cpu,cpuacct/x/cgroup.procs",
                "/sys/fs/cgroup/cpu,cpuacct/x/cgroup.procs",
                "/sys/fs/cgroup/pids/x/cgroup.procs"
            ]
        );
    }

    #[test]
    fn without_root_only_the_delegated_group_is_used() {
        let own = "0::/user.slice/user-1000.slice/lamp.scope\n";
        let it = Cgroups::from("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", own, false).unwrap();
        assert_eq!(it.mode(), "v2");
        assert_eq!(it.unified, Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/lamp.scope"));
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
    fn a_machine_of_version_1_alone_is_refused_in_words() {
        assert!(Cgroups::from("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n", "", true).is_none());
    }
}
