//! A file server that has stopped answering, also for those who have mounted its files: whoever looks below the mount
//! point waits, as a hard NFS mount lets them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};

use super::supervise::Instance;
use crate::wire::Exec;

/// Covers every mount of a file system with one that nobody serves; the process that could serve it says how many there
/// are, and sleeps. What is open stays open.
const COVER: &str = r#"
list=$(awk -v end="/efs/$1" '$4 ~ end "(/.*)?$" && $5 !~ "^/run/lamp/" { print $5 }' /proc/self/mountinfo)
[ -n "$list" ] || { echo 0; exit; }
while read -r at; do
  exec {fd}<>/dev/fuse || exit
  mount -i -t fuse -o "fd=$fd,rootmode=40000,user_id=0,group_id=0,allow_other" cut "$(printf %b "$at")" || exit
done <<<"$list"
echo "$list" | wc -l
exec sleep infinity
"#;
/// Takes the covers away.
const UNCOVER: &str = r#"
awk '/ - fuse cut /{ print $5 }' /proc/self/mountinfo | while read -r at; do umount -l "$(printf %b "$at")"; done
"#;

/// Who covers which file system in which instance.
#[derive(Default)]
pub(super) struct Outages(Mutex<BTreeMap<(String, String), Child>>);

impl Outages {
    /// Begins an outage of a file system for an instance that runs.
    pub(super) fn begin(&self, of: &str, on: &Instance) -> anyhow::Result<()> {
        let key = (of.to_owned(), on.spec.name.clone());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.contains_key(&key) {
            return Ok(());
        }
        let mut child =
            shell(on, COVER, of)?.stdout(Stdio::piped()).spawn().context("entering an instance")?;
        let mut said = String::new();
        let out = child.stdout.take().context("no pipe")?;
        BufReader::new(out).read_line(&mut said).context("listening to an instance")?;
        match said.trim() {
            "0" => drop(child.wait()),
            "" => {
                let _ = child.wait();
                bail!("the mounts of {of} on {} cannot be covered: /dev/fuse is not usable", on.spec.name);
            }
            _ => drop(all.insert(key, child)),
        }
        Ok(())
    }

    /// Ends it for everybody; those who waited get an error, and those who ask again an answer.
    pub(super) fn end(
        &self,
        of: &str,
        on: impl Fn(&str) -> Option<std::sync::Arc<Instance>>,
    ) -> anyhow::Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over: Vec<_> = all.keys().filter(|it| it.0 == of).cloned().collect();
        for key in over {
            let Some(mut child) = all.remove(&key) else { continue };
            let _ = child.kill();
            let _ = child.wait();
            // One that has ended since has no mounts.
            if let Some(instance) = on(&key.1).filter(|it| it.state().pid.is_some()) {
                let done = shell(&instance, UNCOVER, of)?.stdout(Stdio::null()).status();
                done.with_context(|| format!("uncovering {of} on {}", key.1))?;
            }
        }
        Ok(())
    }
}

fn shell(on: &Instance, script: &str, argument: &str) -> anyhow::Result<std::process::Command> {
    let argv = ["bash", "-c", script, "bash", argument].map(str::to_owned).to_vec();
    let mut command = on.enter(Exec { argv, env: Vec::new() })?.command()?;
    command.stdin(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}
