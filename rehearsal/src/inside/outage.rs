//! A file server that has stopped answering, also for those who have mounted its files: whoever looks below the mount
//! point waits, as a hard NFS mount lets them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, bail};

use super::supervise::Instance;
use crate::wire::Exec;

/// Covers every mount of a file system with one that nobody serves; the process that could serve it says how many there
/// are, and waits to be ended. What is open stays open.
const COVER: &str = r#"
list=$(awk -v end="/efs/$1" '$4 ~ end "(/.*)?$" && $5 !~ "^/run/lamp/" { print $5 }' /proc/self/mountinfo)
[ -n "$list" ] || { echo 0; exit; }
while read -r at; do
  exec {fd}<>/dev/fuse || exit
  mount -i -t fuse -o "fd=$fd,rootmode=40000,user_id=0,group_id=0,allow_other" cut "$(printf %b "$at")" || exit
done <<<"$list"
echo "$list" | wc -l
read -r
"#;
/// Takes the covers away.
const UNCOVER: &str = r#"
awk '/ - fuse cut /{ print $5 }' /proc/self/mountinfo | while read -r at; do umount -l "$(printf %b "$at")"; done
"#;

/// Who covers which file system in which instance.
#[derive(Default)]
pub(super) struct Outages(Mutex<BTreeMap<(String, String), Cover>>);

/// Hanging up ends the process that covers, and then the thread.
struct Cover {
    line: Sender<()>,
    thread: JoinHandle<()>,
}

impl Outages {
    /// Begins an outage of a file system for an instance that runs.
    pub(super) fn begin(&self, of: &str, on: &Instance) -> anyhow::Result<()> {
        let key = (of.to_owned(), on.spec.name.clone());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.contains_key(&key) {
            return Ok(());
        }
        let command = shell(on, COVER, of)?;
        let (say, said) = channel();
        let (line, end) = channel::<()>();
        // A thread of its own: the kernel ends a process with the thread that is its parent.
        let thread = thread::spawn(move || {
            let _ = say.send(cover(command, || {
                let _ = say.send(Ok(true));
                let _ = end.recv();
            }));
        });
        match said.recv().unwrap_or(Ok(false)) {
            Ok(true) => drop(all.insert(key, Cover { line, thread })),
            Ok(false) => {}
            Err(err) => return Err(err.context(format!("covering the mounts of {of} on {}", on.spec.name))),
        }
        Ok(())
    }

    /// Ends it for everybody; those who waited get an error, and those who ask again an answer.
    pub(super) fn end(&self, of: &str, on: impl Fn(&str) -> Option<Arc<Instance>>) -> anyhow::Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over: Vec<_> = all.keys().filter(|it| it.0 == of).cloned().collect();
        for key in over {
            let Some(Cover { line, thread }) = all.remove(&key) else { continue };
            drop(line);
            let _ = thread.join();
            // One that has ended since has no mounts.
            if let Some(instance) = on(&key.1).filter(|it| it.state().pid.is_some()) {
                let done = shell(&instance, UNCOVER, of)?.stdin(Stdio::null()).stdout(Stdio::null()).status();
                done.with_context(|| format!("uncovering {of} on {}", key.1))?;
            }
        }
        Ok(())
    }
}

/// Covers, and stays until the work is done; says at its end that nothing is covered.
fn cover(mut command: Command, meanwhile: impl FnOnce()) -> anyhow::Result<bool> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("entering it")?;
    let mut said = String::new();
    let out = child.stdout.take().context("no pipe")?;
    BufReader::new(out).read_line(&mut said).context("listening to it")?;
    match said.trim() {
        "0" => {}
        "" => {
            let _ = child.wait();
            bail!("/dev/fuse is not usable there");
        }
        _ => meanwhile(),
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(false)
}

fn shell(on: &Instance, script: &str, argument: &str) -> anyhow::Result<Command> {
    let argv = ["bash", "-c", script, "bash", argument].map(str::to_owned).to_vec();
    let mut command = on.enter(Exec { argv, env: Vec::new() })?.command()?;
    command.stderr(Stdio::null());
    Ok(command)
}
