//! One instance over its life: its overlay, its starts and its ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::pty::openpty;
use nix::sys::signal::{Signal as Posix, kill};
use nix::unistd::Pid;

use super::enter::Enter;
use super::launch::{Launch, POWERED_OFF, REBOOTED};
use super::network;
use crate::cgroups::Cgroups;
use crate::roles::Role;
use crate::wire::{Exec, InstanceSpec, Phase, Signal, State};

/// Signals by which systemd is asked to end: SIGRTMIN+4 powers off, SIGRTMIN+5 reboots.
const SYSTEMD_POWER_OFF: i32 = 4;
const SYSTEMD_REBOOT: i32 = 5;

pub(super) struct Instance {
    pub(super) spec: InstanceSpec,
    dir: PathBuf,
    cgroups: Cgroups,
    rootless: bool,
    state: Mutex<State>,
    /// Held from a start until it is known whether it runs: nobody boots the same disk beside it.
    starting: Mutex<()>,
    changed: Condvar,
}

impl Instance {
    /// Mounts its root; nothing runs yet.
    pub(super) fn create(
        spec: InstanceSpec,
        dir: PathBuf,
        cgroups: Cgroups,
        rootless: bool,
    ) -> anyhow::Result<Instance> {
        for part in ["up", "work", "root"] {
            fs::create_dir_all(dir.join(part)).with_context(|| format!("making {}", dir.display()))?;
        }
        cgroups.create()?;
        if spec.cpu.is_some() {
            cgroups.limit_cpu(spec.cpu)?;
        }
        let layers: Vec<String> = spec.layers.iter().map(|it| it.display().to_string()).collect();
        let (up, work) = (dir.join("up"), dir.join("work"));
        // Volatile: what an instance wrote need not outlive a power cut of the machine below.
        let trust = if rootless { "volatile,userxattr" } else { "volatile" };
        let options = format!(
            "lowerdir={},upperdir={},workdir={},{trust}",
            layers.join(":"),
            up.display(),
            work.display()
        );
        mount(Some("overlay"), &dir.join("root"), Some("overlay"), MsFlags::MS_NODEV, Some(options.as_str()))
            .with_context(|| format!("mounting {}: {options}", spec.name))?;
        let state = Mutex::new(State { phase: Phase::Created, boots: 0, pid: None, cpu: Duration::ZERO });
        Ok(Instance {
            spec,
            dir,
            cgroups,
            rootless,
            state,
            starting: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    pub(super) fn state(&self) -> State {
        let mut state = *self.lock();
        state.cpu = self.cgroups.cpu_used().unwrap_or_default();
        state
    }

    pub(super) fn limit(&self, share: Option<f64>) -> anyhow::Result<()> {
        self.cgroups.limit_cpu(share)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Starts it and returns once its systemd has begun. `power` hears before that that it is on, and that it is off
    /// before anybody else does.
    pub(super) fn start(
        self: &Arc<Self>,
        power: impl Fn(bool) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state().phase == Phase::Running {
            return Ok(());
        }
        power(true).with_context(|| format!("giving {} its network", self.spec.name))?;
        let (say, said) = std::sync::mpsc::channel();
        let it = Arc::clone(self);
        // One thread for all its boots: the kernel ends a process with the thread that is its parent.
        thread::spawn(move || {
            let mut say = Some(say);
            loop {
                let ended = it.boot_once(&mut say);
                if matches!(ended, Ok(REBOOTED)) {
                    continue;
                }
                // What has no cable any more needs none.
                let _ = power(false);
                match ended {
                    Ok(code) => it.set(|it| {
                        it.phase = if code == POWERED_OFF { Phase::Stopped } else { Phase::Crashed };
                        it.pid = None;
                    }),
                    Err(err) => {
                        it.set(|it| {
                            it.phase = Phase::Crashed;
                            it.pid = None;
                        });
                        if let Some(say) = say.take() {
                            let _ = say.send(Err(err));
                        }
                    }
                }
                return;
            }
        });
        said.recv().unwrap_or_else(|_| bail!("{} ended before it began", self.spec.name))
    }

    /// From the first process's birth to its death.
    fn boot_once(
        &self,
        say: &mut Option<std::sync::mpsc::Sender<anyhow::Result<()>>>,
    ) -> anyhow::Result<i32> {
        let pty = openpty(None, None).context("making a console")?;
        let console = nix::unistd::ttyname(&pty.slave).context("naming the console")?;
        self.log_console(pty.master)?;
        let name = &self.spec.name;
        let id = identity(name);
        let launch = Launch {
            root: self.root(),
            hostname: crate::metadata::hostname(self.spec.address),
            ec2_uuid: format!("ec2{}-{}-{}-{}-{}", &id[..5], &id[5..9], &id[9..13], &id[13..17], &id[17..29]),
            machine_id: id,
            network: network::path(name),
            doors: self.cgroups.doors(),
            console,
            files: self.dir.with_file_name("efs"),
            aws_region: self.dir.with_file_name(crate::region::AWS_REGION),
            rootless: self.rootless,
        };
        let mut child = Role::Launch(launch)
            .command()?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.console_log()?)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let mut lines = BufReader::new(child.stdout.take().context("no pipe")?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let Some(pid) = first.strip_prefix("pid ").and_then(|it| it.parse().ok()) else {
            let _ = child.wait();
            bail!("{name} did not start: {first}");
        };
        drop(pty.slave);
        self.set(|it| {
            it.phase = Phase::Running;
            it.boots += 1;
            it.pid = Some(pid);
        });
        if let Some(say) = say.take() {
            let _ = say.send(Ok(()));
        }
        let ended = child.wait().context("waiting for an instance")?;
        Ok(ended.code().unwrap_or(128 + Posix::SIGKILL as i32))
    }

    fn console_log(&self) -> anyhow::Result<File> {
        let path = self.dir.join("console.log");
        let file = File::options().create(true).append(true).open(&path);
        file.with_context(|| format!("opening {}", path.display()))
    }

    /// Writes down what the console says, until nobody has it open any more.
    fn log_console(&self, master: OwnedFd) -> anyhow::Result<()> {
        let mut log = self.console_log()?;
        thread::spawn(move || {
            let mut master = File::from(master);
            let mut buffer = [0; 4096];
            while let Ok(n) = master.read(&mut buffer) {
                if n == 0 || log.write_all(&buffer[..n]).is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// Asks it to end, or ends it, and waits until it has.
    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let before = self.state();
        let Some(pid) = before.pid else {
            if signal == Signal::Reboot {
                bail!("{} is not running", self.spec.name);
            }
            return Ok(());
        };
        let pid = Pid::from_raw(pid);
        match signal {
            Signal::Kill => kill(pid, Posix::SIGKILL).context("killing an instance")?,
            Signal::Stop => real_time(pid, SYSTEMD_POWER_OFF)?,
            Signal::Reboot => real_time(pid, SYSTEMD_REBOOT)?,
        }
        let state = self.lock();
        let over = |it: &mut State| it.pid == before.pid && it.boots == before.boots;
        let patience = Duration::from_secs(120);
        let (state, late) =
            self.changed.wait_timeout_while(state, patience, over).unwrap_or_else(PoisonError::into_inner);
        drop(state);
        if late.timed_out() {
            bail!("{} did not end within {} s; `kill` would", self.spec.name, patience.as_secs());
        }
        Ok(())
    }

    /// A command that runs inside it.
    pub(super) fn enter(&self, command: Exec) -> anyhow::Result<Role> {
        let pid = self.state().pid.with_context(|| format!("{} is not running", self.spec.name))?;
        Ok(Role::Enter(Enter { pid, doors: self.cgroups.guest_doors()?, command }))
    }

    /// Copies its layer, as a snapshot of a running machine's volume does.
    pub(super) fn snapshot(&self, layer: &Path) -> anyhow::Result<()> {
        let said = std::process::Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([&self.dir.join("up"), layer])
            .output()
            .context("running cp (package coreutils)")?;
        // What vanished while it was copied was never to be kept.
        let text = String::from_utf8_lossy(&said.stderr);
        let serious: Vec<&str> =
            text.lines().filter(|it| !it.contains("No such file or directory")).collect();
        if !said.status.success() && !serious.is_empty() {
            bail!("copying the disk of {}: {}", self.spec.name, serious.join("; "));
        }
        Ok(())
    }

    /// Ends it and removes all it had, but for its layer if somebody wants it. Can be repeated until it succeeds.
    pub(super) fn remove(
        &self,
        layer: Option<&Path>,
        unplug: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.signal(Signal::Kill)?;
        match umount2(&self.root(), MntFlags::MNT_DETACH) {
            // An attempt that failed later has unmounted it already.
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(err) => return Err(err).context("unmounting an instance"),
        }
        unplug()?;
        self.cgroups.remove();
        if let Some(layer) = layer {
            fs::rename(self.dir.join("up"), layer)
                .with_context(|| format!("keeping the layer as {}", layer.display()))?;
        }
        crate::keeper::remove_dir(&self.dir);
        if self.dir.exists() {
            bail!("the files of {} cannot be removed", self.spec.name);
        }
        Ok(())
    }
}

/// Thirty-two hexadecimal digits that a name always gets again.
fn identity(name: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut digits = String::new();
    for round in 0..2u8 {
        for byte in name.bytes().chain([round]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        digits.push_str(&format!("{hash:016x}"));
    }
    digits
}

fn real_time(pid: Pid, offset: i32) -> anyhow::Result<()> {
    // SAFETY: a plain system call on numbers; the crate that wraps signals knows no real-time ones.
    let done = unsafe { nix::libc::kill(pid.as_raw(), nix::libc::SIGRTMIN() + offset) };
    nix::errno::Errno::result(done).context("signalling an instance's systemd")?;
    Ok(())
}
