//! Who this process is, and which other processes of this machine still live.

use std::{fs, process};

/// This machine as the lock sees it.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) owner: String,
    pub(super) pid: u32,
    /// This boot and this process namespace, in which process numbers count.
    pub(super) boot: Option<String>,
}

impl Machine {
    pub(super) fn this() -> Self {
        let host = nix::unistd::gethostname().ok().and_then(|it| it.into_string().ok());
        let host = host.unwrap_or_else(|| "unknown-host".to_owned());
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|it| it.name);
        let user = user.unwrap_or_else(|| nix::unistd::getuid().to_string());
        Machine { owner: format!("{user}@{host}"), pid: process::id(), boot: boot(&host) }
    }

    /// When the process with this number began; `None` if there is none, or only its remains.
    pub(super) fn started(&self, pid: u32) -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before the last parenthesis may contain anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
    }
}

fn boot(host: &str) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // Containers share the boot, but count processes on their own.
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{host} {} {}", boot.trim(), space.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_has_a_start_and_a_dead_one_has_none() {
        let machine = Machine::this();
        assert!(machine.started(process::id()).is_some());
        let mut child = process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(machine.started(child.id()), None);
    }

    #[test]
    fn the_owner_is_user_at_host() {
        let owner = Machine::this().owner;
        assert!(
            owner.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()),
            "{owner}"
        );
    }
}
