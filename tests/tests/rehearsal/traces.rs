//! All that could stay behind of a region, as this machine sees it.

use std::fs;
use std::path::Path;

/// In words, with what lies where the cloud keeps its files; empty when nothing is left.
pub(crate) fn of(region: &str, state: &Path) -> Vec<String> {
    let text = |it: &str| fs::read_to_string(it).unwrap_or_default();
    let files = [state.join("regions").join(region), state.join("cloud.sock")];
    let files = files.iter().filter(|it| it.exists());
    let mut left: Vec<String> = files.map(|it| format!("file {}", it.display())).collect();
    for mount in text("/proc/self/mounts").lines() {
        if mount.contains(region) {
            left.push(format!("mount {mount}"));
        }
        if let [_, at, kind, ..] = mount.split(' ').collect::<Vec<_>>()[..]
            && kind.starts_with("cgroup")
            && Path::new(at).join(format!("lamp-{region}")).exists()
        {
            left.push(format!("control group {at}/lamp-{region}"));
        }
    }
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let base = entry.path();
        let reads = |name: &str| {
            String::from_utf8_lossy(&fs::read(base.join(name)).unwrap_or_default()).replace('\0', " ")
        };
        let is_inside = reads("cgroup").contains(&format!("lamp-{region}"));
        let is_keeper = reads("environ").contains(&format!("/regions/{region}"));
        if is_inside || is_keeper || reads("mounts").contains(&format!("/{region}/")) {
            left.push(format!("process {} {}", base.display(), reads("cmdline")));
        }
    }
    left
}
