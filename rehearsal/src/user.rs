//! Being root without being root: a user namespace with the subordinate ids of whoever runs the region.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{ForkResult, Gid, Uid, fork, setgid, setgroups, setuid};

/// Puts this process, which must have no threads, into a new user namespace as its root.
pub(crate) fn become_root_of_a_user_namespace() -> anyhow::Result<()> {
    let (uid, gid) = (Uid::current(), Gid::current());
    let (mut ours, mut theirs) = UnixStream::pair().context("making a line to the helper")?;
    let target = std::process::id();
    // SAFETY: we have no threads.
    match unsafe { fork() }.context("forking the helper that writes the id maps")? {
        ForkResult::Child => {
            drop(ours);
            let code = i32::from(write_maps(&mut theirs, target, uid, gid).is_err());
            std::process::exit(code);
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            unshare(CloneFlags::CLONE_NEWUSER)
                .context("making a user namespace; `lamp rehearsal doctor` says how to allow it")?;
            ours.write_all(b"m").context("talking to the helper")?;
            let mut answer = String::new();
            ours.read_to_string(&mut answer).context("talking to the helper")?;
            let _ = nix::sys::wait::waitpid(child, None);
            if answer != "ok" {
                bail!("mapping subordinate ids: {answer}");
            }
        }
    }
    setgroups(&[]).context("leaving groups")?;
    setgid(Gid::from_raw(0)).context("becoming group 0")?;
    setuid(Uid::from_raw(0)).context("becoming user 0")?;
    Ok(())
}

/// Runs outside of the new namespace, as the set-uid helpers must.
fn write_maps(line: &mut UnixStream, target: u32, uid: Uid, gid: Gid) -> anyhow::Result<()> {
    let mut go = [0];
    line.read_exact(&mut go)?;
    let done = (|| {
        for (program, own, file) in
            [("newuidmap", uid.as_raw(), "/etc/subuid"), ("newgidmap", gid.as_raw(), "/etc/subgid")]
        {
            let (start, count) = subordinate(file, uid)?;
            let map = ["0", &own.to_string(), "1", "1", &start.to_string(), &count.min(65535).to_string()];
            let said = Command::new(program).arg(target.to_string()).args(map).output();
            let said = said.with_context(|| format!("running {program} (package uidmap)"))?;
            if !said.status.success() {
                bail!("{program}: {}", String::from_utf8_lossy(&said.stderr).trim());
            }
        }
        Ok(())
    })();
    match done {
        Ok(()) => line.write_all(b"ok")?,
        Err(err) => write!(line, "{err:#}")?,
    }
    Ok(())
}

/// The first range of subordinate ids of this user.
pub(crate) fn subordinate(file: &str, uid: Uid) -> anyhow::Result<(u32, u32)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {file} (package uidmap)"))?;
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|it| it.name).unwrap_or_default();
    let range = text.lines().find_map(|line| {
        let mut parts = line.split(':');
        let owner = parts.next()?;
        let mine = owner == name || owner == uid.to_string();
        let range = (parts.next()?.parse().ok()?, parts.next()?.trim().parse().ok()?);
        mine.then_some(range)
    });
    range.with_context(|| format!("{file} gives user {uid} no ids; `usermod --add-subuids 200000-265535 --add-subgids 200000-265535 {name}` does"))
}
