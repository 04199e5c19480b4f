//! What the machine's own tables say: mounts, users, groups. No directory service may hold up convergence.

use super::{Host, Owner};

impl Host {
    /// Whether a file system is mounted exactly there.
    pub fn is_mounted(&self, path: &str) -> bool {
        let table = self.read("/proc/self/mountinfo").ok().flatten().unwrap_or_default();
        table.lines().any(|line| line.split(' ').nth(4) == Some(path))
    }

    /// A user's number, from the machine's own files: no directory service may hold up convergence.
    pub fn user(&self, name: &str) -> Option<Owner> {
        let line = self.account("/etc/passwd", name)?;
        let mut parts = line.split(':').skip(2);
        Some(Owner { uid: parts.next()?.parse().ok()?, gid: parts.next()?.parse().ok()? })
    }

    /// A group's number and members.
    pub fn group(&self, name: &str) -> Option<(u32, Vec<String>)> {
        let line = self.account("/etc/group", name)?;
        let mut parts = line.split(':').skip(2);
        let gid = parts.next()?.parse().ok()?;
        Some((gid, parts.next().unwrap_or_default().split(',').map(str::to_owned).collect()))
    }

    fn account(&self, file: &str, name: &str) -> Option<String> {
        let text = self.read(file).ok().flatten()?;
        text.lines().find(|it| it.split(':').next() == Some(name)).map(str::to_owned)
    }
}
