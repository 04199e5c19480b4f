//! How a region begins, and how the remains of those go that were killed with everybody who would have cleaned up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use super::{Inner, Region};
use crate::keeper::{self, Charge};
use crate::packages::Mirrors;
use crate::roles::Role;
use crate::state::State;

/// Held by whoever starts a region, until its keeper has its own lock.
const STARTING: &str = "starting";

impl Region {
    /// Starts a region whose files lie below [`State::from_env`].
    ///
    /// # Errors
    /// In words what the machine lacks; [`crate::doctor`] knows more.
    pub fn start() -> anyhow::Result<Region> {
        Region::start_in(State::from_env())
    }

    /// Starts a region whose files lie below the given directory.
    ///
    /// # Errors
    /// As [`Region::start`].
    pub fn start_in(state: State) -> anyhow::Result<Region> {
        sweep(&state)?;
        let regions = state.regions()?;
        // Held until the keeper has a lock of its own.
        let (id, starting) = reserve(&regions)?;
        let dir = regions.join(&id);
        fs::create_dir_all(dir.join("efs")).with_context(|| format!("making {}", dir.display()))?;
        let charge = Charge {
            dir: dir.clone(),
            id,
            package_cache: state.packages()?,
            mirrors: Mirrors::of_this_machine(),
            rootless: rootless(),
        };
        let (ours, theirs) = UnixStream::pair().context("making a line to the region")?;
        let log = dir.join("region.log");
        let stderr = fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let keeper = Role::Keeper(charge.clone())
            .command_with_a_control_group(charge.rootless)?
            .stdin(OwnedFd::from(theirs))
            .stdout(stderr.try_clone().context("opening the region's log")?)
            .stderr(stderr)
            .spawn()
            .context("starting the region's keeper")?;
        let waiting = ours.try_clone().context("copying the line to the region")?;
        let region = Region(Arc::new(Inner {
            charge,
            state,
            keeper_pid: keeper.id(),
            keeper: Mutex::new(keeper),
            line: Mutex::new(Some(ours)),
            chosen: Mutex::default(),
        }));
        region.wait_until_ready(waiting, &log)?;
        drop(starting);
        Ok(region)
    }

    fn wait_until_ready(&self, line: UnixStream, log: &Path) -> anyhow::Result<()> {
        let mut said = String::new();
        BufReader::new(&line).read_line(&mut said).context("listening to the region")?;
        if said == "ready\n" {
            return Ok(());
        }
        let mut rest = String::new();
        let _ = (&line).read_to_string(&mut rest);
        let log = fs::read_to_string(log).unwrap_or_default();
        bail!("the region did not start: {}", [said, rest, log].concat().trim());
    }
}

/// Eight characters that no other region of this machine has.
fn new_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mix = (now.as_nanos() as u64 ^ (u64::from(std::process::id()) << 32))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(u64::from(count));
    format!("{:08x}", (mix >> 32) ^ (mix & 0xffff_ffff))
}

/// A directory of our own, with the lock that says somebody is still at work in it.
fn reserve(regions: &Path) -> anyhow::Result<(String, Flock<File>)> {
    let _alone = alone(regions)?;
    let id = new_id();
    let dir = regions.join(&id);
    fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
    let lock = keeper::lock(&dir, STARTING)?;
    Ok((id, lock))
}

/// The right to make and to sweep directories of regions, one at a time: one that is empty for a moment looks like a
/// dead region's. Ends with the value.
fn alone(regions: &Path) -> anyhow::Result<Flock<File>> {
    let opened = File::open(regions).with_context(|| format!("opening {}", regions.display()))?;
    Flock::lock(opened, FlockArg::LockExclusive)
        .map_err(|(_, err)| anyhow::anyhow!("locking {}: {err}", regions.display()))
}

/// Removes what regions left behind whose keeper was killed as well, whether they had begun or not.
pub(crate) fn sweep(state: &State) -> anyhow::Result<()> {
    let regions = state.regions()?;
    let _alone = alone(&regions)?;
    let dirs = fs::read_dir(&regions).into_iter().flatten().flatten().map(|it| it.path());
    for dir in dirs.filter(|it| it.is_dir()) {
        let Ok(_starting) = keeper::lock(&dir, STARTING) else { continue };
        if keeper::lock(&dir, keeper::LOCK).is_ok() {
            clean_up(&dir);
        }
    }
    Ok(())
}

/// Removes files and control groups of a region, unless its keeper lives.
pub(super) fn clean_up(dir: &Path) {
    let role = Role::Sweep(keeper::Remains { dir: dir.to_owned(), rootless: rootless() });
    if let Ok(mut command) = role.command() {
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Whether it takes a user namespace to be root.
fn rootless() -> bool {
    !geteuid().is_root()
}
