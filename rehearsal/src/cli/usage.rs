//! What the whole cloud costs this machine.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Of all processes of a cloud together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub processes: usize,
    /// Processor time since the cloud began, of what has ended as well.
    pub cpu: Duration,
    /// Bytes of memory; what several share is counted once (PSS).
    pub memory: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage { processes, cpu, memory } = self;
        write!(f, "{:.0} CPU seconds, {} MB in {processes} processes", cpu.as_secs_f64(), memory >> 20)
    }
}

/// Of a process and all that descend from it.
pub(super) fn of_tree(root: i32) -> Usage {
    let all: BTreeMap<i32, Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|it| it.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, process(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect();
    let ours = |mut pid: i32| {
        while let (false, Some(it)) = (pid == root, all.get(&pid)) {
            pid = it.parent;
        }
        pid == root
    };
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let mut sum = Usage::default();
    for (pid, it) in all.iter().filter(|it| ours(*it.0)) {
        sum.processes += 1;
        sum.cpu += Duration::from_secs_f64(it.ticks as f64 / per_second as f64);
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        sum.memory += pss(&rollup);
    }
    sum
}

struct Process {
    parent: i32,
    /// Its own and those of its children that have ended.
    ticks: u64,
}

/// A line of `/proc/<pid>/stat`; the name in it may contain anything.
fn process(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|it| it.parse::<u64>().ok()).sum();
    Some(Process { parent: fields.get(1)?.parse().ok()?, ticks })
}

fn pss(rollup: &str) -> u64 {
    let line = rollup.lines().find_map(|it| it.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_is_read() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 3 4 5 6 20 0 1 0 100 0 0";
        let it = process(stat).unwrap();
        assert_eq!((it.parent, it.ticks), (7, 18));
        assert_eq!(pss("Rss:   10 kB\nPss:    2048 kB\nPss_Dirty: 1 kB\n"), 2 << 20);
    }

    #[test]
    fn a_tree_counts_its_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let usage = of_tree(std::process::id().cast_signed());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(usage.processes >= 2 && usage.memory > 1 << 20, "{usage}");
    }
}
