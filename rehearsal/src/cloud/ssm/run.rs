//! A command on one host, as Amazon's agent would run it there: as root, from a file, with a limit.

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;

use super::ledger::{Command, Ledger, Status};
use super::managed::Managed;
use crate::cloud::sync::Sync;
use crate::command;
use crate::wire::{Phase, Place};

/// What `GetCommandInvocation` shows of the output and of the errors.
const OUTPUT: usize = 24_000;
const ERRORS: usize = 8_000;
const CUT: &str = "\n---Output truncated---";

const LOOK: Duration = Duration::from_millis(100);
/// How often a command is killed that does not end.
const ATTEMPTS: usize = 50;

/// One delivery: which command, with which limits.
pub(super) struct Delivery {
    pub(super) command: Command,
    pub(super) script: String,
    pub(super) directory: Option<String>,
    /// How long it may take until the host has got it, and then until it has ended.
    pub(super) delivery: Duration,
    pub(super) execution: Duration,
}

/// Runs it to its end, on so many hosts at once as it may, and spares the rest once it has failed on too many.
pub(super) fn dispatch(sync: Arc<Sync>, ledger: Ledger, hosts: Vec<Managed>, it: Delivery) {
    thread::spawn(move || {
        let at_once = it.command.at_once.of(hosts.len()).clamp(1, hosts.len().max(1));
        let left = Mutex::new(hosts.into_iter());
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            while let Some(to) = next() {
                deliver(&sync, &ledger, &to, &it);
            }
        };
        thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(work);
            }
        });
    });
}

/// Runs it to its end on one host, with everything noted.
fn deliver(sync: &Sync, ledger: &Ledger, to: &Managed, it: &Delivery) {
    let (id, instance) = (&it.command.id, &to.about.instance_id);
    let end = match ledger.find(id).is_some_and(|it| it.is_over()) {
        true => Ok(End { status: Status::Terminated, ..End::default() }),
        false => perform(sync, ledger, to, it),
    };
    let end = end.unwrap_or_else(|err| End {
        status: Status::Failed,
        code: -1,
        stderr: format!("{err:#}"),
        ..End::default()
    });
    ledger.note(id, instance, |it| {
        it.ended = Some(Timestamp::now());
        (it.status, it.code, it.stdout, it.stderr) = (end.status, end.code, end.stdout, end.stderr);
    });
}

struct End {
    status: Status,
    code: i32,
    stdout: String,
    stderr: String,
}

impl Default for End {
    fn default() -> End {
        End { status: Status::Cancelled, code: -1, stdout: String::new(), stderr: String::new() }
    }
}

fn perform(sync: &Sync, ledger: &Ledger, to: &Managed, it: &Delivery) -> anyhow::Result<End> {
    let (id, instance) = (&it.command.id, &to.about.instance_id);
    let began = Instant::now();
    loop {
        if it.command.is_cancelled() {
            return Ok(End::default());
        }
        if to.is_online(sync) {
            break;
        }
        // Whoever is gone for good will not be reached any more.
        to.machine.phase()?;
        if began.elapsed() > it.delivery {
            return Ok(End { status: Status::DeliveryTimedOut, ..End::default() });
        }
        thread::sleep(LOOK);
    }
    ledger.note(id, instance, |it| {
        it.status = Status::InProgress;
        it.began = Some(Timestamp::now());
    });
    // Where Amazon's agent keeps it, so that paths in scripts and messages are as they will be.
    let dir = format!(
        "/var/lib/amazon/ssm/{instance}/document/orchestration/{id}/awsrunShellScript/0.awsrunShellScript"
    );
    to.machine
        .put(&format!("{dir}/_script.sh"), it.script.as_bytes(), 0o700)
        .context("handing over the script")?;
    let files = sync.region.dir().join("commands");
    fs::create_dir_all(&files).context("making a directory for the output of commands")?;
    let (out, err) = (files.join(format!("{id}-{instance}.out")), files.join(format!("{id}-{instance}.err")));
    let create = |path: &Path| File::create(path).with_context(|| format!("creating {}", path.display()));
    // A session of its own, so that all of it can be ended.
    let start = "echo $$ > \"$1/pid\"; cd \"$2\" && exec setsid --wait sh -c \"$1/_script.sh\"";
    let argv = ["sh", "-c", start, "sh", &dir, it.directory.as_deref().unwrap_or(&dir)];
    let env = [("AWS_SSM_INSTANCE_ID", instance.as_str()), ("AWS_SSM_REGION_NAME", &to.about.region)];
    let place = Place::Named(to.machine.name().to_owned());
    let running = command::start_apart(
        &sync.region,
        &place,
        command::order(&argv, &env),
        create(&out)?,
        create(&err)?,
    )?;
    let began = Instant::now();
    let (status, code) = loop {
        if let Some(code) = running.ended_within(LOOK)? {
            let is_up = matches!(to.machine.phase(), Ok(Phase::Running));
            break match code {
                0 => (Status::Success, 0),
                code if is_up => (Status::Failed, code),
                // The host went away under it.
                _ => (Status::Failed, -1),
            };
        }
        let status = match (it.command.is_cancelled(), began.elapsed() > it.execution) {
            (true, _) => Status::Cancelled,
            (_, true) => Status::ExecutionTimedOut,
            _ => continue,
        };
        // Again until it is over: it may just have begun.
        for _ in 0..ATTEMPTS {
            let _ =
                to.machine.exec(&["sh", "-c", "kill -s KILL -- \"-$(cat \"$0\")\"", &format!("{dir}/pid")]);
            if running.ended_within(LOOK)?.is_some() {
                break;
            }
        }
        break (status, -1);
    };
    let stdout = shown(&out, OUTPUT)?;
    let mut stderr = shown(&err, ERRORS)?;
    if status == Status::Failed {
        stderr.push_str(&format!("failed to run commands: exit status {code}"));
    }
    let _ = (fs::remove_file(&out), fs::remove_file(&err));
    Ok(End { status, code, stdout, stderr })
}

/// The beginning of a file, and a mark if that is not all of it.
fn shown(path: &Path, limit: usize) -> anyhow::Result<String> {
    use std::io::Read;
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut bytes = Vec::new();
    // A character takes four bytes at most.
    file.take(limit as u64 * 4 + 4).read_to_end(&mut bytes).context("reading the output of a command")?;
    Ok(cut(&String::from_utf8_lossy(&bytes), limit))
}

/// The first so many characters, the mark among them.
pub(super) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit - CUT.chars().count()).chain(CUT.chars()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_output_is_cut_at_the_limit_and_says_so() {
        assert_eq!(cut("short", 24_000), "short");
        let long = cut(&"ä".repeat(30_000), 24_000);
        assert_eq!(long.chars().count(), 24_000);
        assert!(long.ends_with(CUT));
        let exact = "x".repeat(24_000);
        assert_eq!(cut(&exact, 24_000), exact);
    }
}
