//! What root of an instance may not do: whatever reaches beyond the instance's namespaces.

use anyhow::bail;
use nix::errno::Errno;
use nix::libc;

/// Capabilities by number. Without them no program of an instance sets this machine's clock, loads a driver or opens
/// its disks by mistake. One that means harm is kept from it by a user namespace alone, which root's region has not.
const FORBIDDEN: [(&str, i32); 10] = [
    ("sys_module", 16),
    ("sys_rawio", 17),
    ("sys_pacct", 20),
    ("sys_time", 25),
    ("mknod", 27),
    ("mac_override", 32),
    ("mac_admin", 33),
    ("syslog", 34),
    ("wake_alarm", 35),
    ("block_suspend", 36),
];

/// Gives them up for this process and all that it starts.
pub(super) fn give_up() -> anyhow::Result<()> {
    for (name, number) in FORBIDDEN {
        // SAFETY: a plain system call on numbers.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        // A kernel that is older than a capability has nothing to drop.
        if done != 0 && Errno::last() != Errno::EINVAL {
            bail!("giving up {name}: {}", Errno::last());
        }
    }
    Ok(())
}
