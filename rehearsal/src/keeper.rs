//! The keeper: the one process of a region that stays outside, so that it can serve packages and clean up.

use std::fs::{self, File};
use std::net::SocketAddrV4;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, clone, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use serde::{Deserialize, Serialize};

use crate::cgroups::Cgroups;
use crate::packages::{self, Mirrors};
use crate::wire::{Answer, Ask, Place, Reply, receive, send};
use crate::{inside, user};

/// Where packages are served inside every region.
pub const PACKAGES: SocketAddrV4 = SocketAddrV4::new(inside::router::SERVER, 3142);

/// Held by the keeper: as long as it is, somebody cleans up.
pub(crate) const LOCK: &str = "lock";

/// What a keeper is responsible for.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Charge {
    /// Everything that the region writes; removed at its end.
    pub(crate) dir: PathBuf,
    /// Names the region's cgroups.
    pub(crate) id: String,
    pub(crate) package_cache: PathBuf,
    pub(crate) mirrors: Mirrors,
    /// Whether to make a user namespace because we are not root.
    pub(crate) rootless: bool,
}

impl Charge {
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("ctl")
    }
}

/// Starts the region and waits for its end. Standard input is the line to whoever wants it.
pub(crate) fn keep(charge: Charge) -> anyhow::Result<i32> {
    // A terminal's Ctrl-C is for the program that wants the region; it tells us by hanging up.
    let _ = nix::unistd::setsid();
    let lock = lock(&charge.dir, LOCK)?;
    let cgroups = prepare(charge.rootless, &charge.id, &charge.dir)?;
    cgroups.create()?;
    if charge.rootless {
        cgroups.step_aside()?;
    }
    let first = start_first(&charge, &cgroups)?;
    // Only the region's own end of this line may keep it open.
    hang_up()?;
    {
        let charge = charge.clone();
        thread::spawn(move || serve_packages(&charge));
    }
    let code = loop {
        match waitpid(first, None) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, code)) => break code,
            _ => break 137,
        }
    };
    if charge.rootless {
        cgroups.step_back();
    }
    remove(&cgroups, &charge.dir);
    drop(lock);
    Ok(code)
}

/// What a region left behind whose keeper was killed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Remains {
    pub(crate) dir: PathBuf,
    pub(crate) rootless: bool,
}

impl Remains {
    /// Removes files and control groups; nothing happens if the keeper lives.
    pub(crate) fn sweep(&self) -> anyhow::Result<i32> {
        let Ok(_lock) = lock(&self.dir, LOCK) else { return Ok(0) };
        let id = self.dir.file_name().unwrap_or_default().to_string_lossy();
        let cgroups = prepare(self.rootless, &id, &self.dir)?;
        remove(&cgroups, &self.dir);
        Ok(0)
    }
}

/// Gets the rights that a region and its remains need, and finds its control groups.
fn prepare(rootless: bool, id: &str, dir: &Path) -> anyhow::Result<Cgroups> {
    if rootless {
        user::become_root_of_a_user_namespace()?;
    }
    unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| {
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        })
        .context("keeping mounts private; `lamp rehearsal doctor` says what is missing")?;
    Cgroups::of(id, dir)
}

fn remove(cgroups: &Cgroups, dir: &Path) {
    cgroups.remove();
    Cgroups::unmount(dir);
    remove_dir(dir);
}

/// Held as long as somebody still works on the region of this directory.
pub(crate) fn lock(dir: &Path, name: &str) -> anyhow::Result<Flock<File>> {
    let path = dir.join(name);
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, err)| anyhow::anyhow!("{} belongs to another region: {err}", dir.display()))
}

/// Removes a region's files; an overlay of a process just killed may need a moment to go.
pub(crate) fn remove_dir(dir: &Path) {
    let give_up = Instant::now() + Duration::from_secs(5);
    while let Err(err) = fs::remove_dir_all(dir) {
        if err.kind() == std::io::ErrorKind::NotFound || Instant::now() > give_up {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The first process of the region's own tree of namespaces; with it all others end.
fn start_first(charge: &Charge, cgroups: &Cgroups) -> anyhow::Result<nix::unistd::Pid> {
    let mut stack = vec![0; 1 << 20];
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    let work = Box::new(|| inside::first(charge, cgroups));
    // SAFETY: we have no threads, and the child gets its own copy of our memory.
    unsafe { clone(work, &mut stack, flags, Some(nix::libc::SIGCHLD)) }
        .context("making the region's namespaces; `lamp rehearsal doctor` says what is missing")
}

fn hang_up() -> anyhow::Result<()> {
    let null = File::open("/dev/null").context("opening /dev/null")?;
    nix::unistd::dup2_stdin(&null).context("letting go of the line")?;
    Ok(())
}

fn serve_packages(charge: &Charge) {
    let socket = charge.socket();
    let asked = Instant::now();
    let line = loop {
        match UnixStream::connect(&socket) {
            Ok(line) => break line,
            Err(_) if asked.elapsed() < Duration::from_secs(30) => thread::sleep(Duration::from_millis(10)),
            Err(_) => return,
        }
    };
    let ask = Ask::Listen { place: Place::Internet, at: PACKAGES };
    let Ok(()) = send(&line, &ask, &[]) else { return };
    let Ok(Some((Reply::Ok(Answer::Handed), mut fds))) = receive::<Reply>(&line) else { return };
    let Some(fd) = fds.pop() else { return };
    let closed = packages::closed_sign(&charge.dir);
    packages::serve(fd.into(), charge.mirrors.clone(), charge.package_cache.clone(), closed);
}
