//! The machine: every side effect of the agent goes through here, so that tests can put a script in its place.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use futures::future::BoxFuture;

/// A machine whose files lie below `root`: `/` in earnest, a temporary folder in tests.
#[derive(Clone)]
pub struct Host {
    root: PathBuf,
    commands: Arc<dyn Commands>,
}

/// What happens outside of the file system.
pub trait Commands: Send + Sync {
    /// Runs a program to its end. An error means that it could not be run or took longer than `limit`.
    fn run<'a>(&'a self, argv: &'a [&'a str], limit: Duration) -> BoxFuture<'a, anyhow::Result<Output>>;
    /// Asks the local Apache for a path and returns the status.
    fn http<'a>(&'a self, path: &'a str) -> BoxFuture<'a, anyhow::Result<u16>>;
    /// Whether somebody listens on a Unix socket (a path) or at an address with its port.
    fn connects<'a>(&'a self, place: &'a str) -> BoxFuture<'a, bool>;
    /// Whether a name resolves.
    fn resolves<'a>(&'a self, name: &'a str) -> BoxFuture<'a, bool>;
    /// Whether the file system at a path answers; `false` after two seconds of silence.
    fn answers<'a>(&'a self, path: &'a str) -> BoxFuture<'a, bool>;
}

/// What a program left behind.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Exit code; 128 and more for a signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Whether the program came to an end of its own, good or bad: no signal ended it halfway.
    pub fn is_own_end(&self) -> bool {
        (0..128).contains(&self.code)
    }

    /// Fine after a success.
    ///
    /// # Errors
    /// The program's name, its exit code and its last words.
    pub fn succeeded(&self, argv: &[&str]) -> anyhow::Result<()> {
        if self.code == 0 {
            return Ok(());
        }
        let words = argv.iter().skip_while(|it| **it == "env" || it.contains('='));
        let shown = words.take(3).copied().collect::<Vec<_>>().join(" ");
        bail!("`{shown}` failed with exit code {}: {}", self.code, last_words(self));
    }
}

/// A user and a group by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

pub const ROOT: Owner = Owner { uid: 0, gid: 0 };

impl Host {
    pub fn new(root: impl Into<PathBuf>, commands: Arc<dyn Commands>) -> Host {
        Host { root: root.into(), commands }
    }

    /// Runs a program that has to succeed and returns what it printed.
    ///
    /// # Errors
    /// Its name, its exit code and its last words.
    pub async fn run(&self, argv: &[&str], limit: Duration) -> anyhow::Result<String> {
        let out = self.try_run(argv, limit).await?;
        out.succeeded(argv)?;
        Ok(out.stdout)
    }

    /// Runs a program whose exit code the caller judges.
    ///
    /// # Errors
    /// When it cannot be run or does not end in time.
    pub async fn try_run(&self, argv: &[&str], limit: Duration) -> anyhow::Result<Output> {
        self.commands.run(argv, limit).await
    }

    /// Status of a path at the local Apache.
    pub async fn http(&self, path: &str) -> anyhow::Result<u16> {
        self.commands.http(path).await
    }

    pub async fn connects(&self, place: &str) -> bool {
        self.commands.connects(place).await
    }

    pub async fn resolves(&self, name: &str) -> bool {
        self.commands.resolves(name).await
    }

    pub async fn answers(&self, path: &str) -> bool {
        self.commands.answers(path).await
    }

    /// The text of a file, `None` where there is none.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub fn read(&self, path: &str) -> anyhow::Result<Option<String>> {
        Ok(self.read_bytes(path)?.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }

    /// The bytes of a file, `None` where there is none.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub fn read_bytes(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let read = || -> anyhow::Result<Vec<u8>> {
            // A pipe would block whoever opens it, a device would never end.
            let flags = nix::libc::O_NONBLOCK;
            let mut file = fs::OpenOptions::new().read(true).custom_flags(flags).open(self.at(path))?;
            if !file.metadata()?.is_file() {
                bail!("it is no regular file");
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(err) if is_missing(&err) => Ok(None),
            Err(err) => Err(err).with_context(|| format!("reading {path}")),
        }
    }

    /// Writes beside the target, syncs and renames: readers see the old file or the new one, also after a power cut.
    ///
    /// # Errors
    /// For instance on a full disk; the old file is still there then.
    pub fn write(&self, path: &str, bytes: &[u8], mode: u32, owner: Option<Owner>) -> anyhow::Result<()> {
        let target = self.at(path);
        let folder = target.parent().unwrap_or(Path::new("/"));
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let fresh = folder.join(format!(".{name}.lampd"));
        let write = || -> std::io::Result<()> {
            if !folder.exists() {
                fs::create_dir_all(folder)?;
            }
            // Left behind by an earlier run that was killed.
            match fs::remove_file(&fresh) {
                Err(err) if err.kind() != ErrorKind::NotFound => return Err(err),
                _ => (),
            }
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(bytes)?;
            if let Some(owner) = owner.filter(|_| self.is_real()) {
                std::os::unix::fs::fchown(&file, Some(owner.uid), Some(owner.gid))?;
            }
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.sync_all()?;
            fs::rename(&fresh, &target)?;
            fs::File::open(folder)?.sync_all()
        };
        write().inspect_err(|_| drop(fs::remove_file(&fresh))).with_context(|| format!("writing {path}"))
    }

    /// What is wrong with a file, in words; `None` when content, mode and owner are as wanted.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub fn differs(
        &self,
        path: &str,
        bytes: &[u8],
        mode: u32,
        owner: Owner,
    ) -> anyhow::Result<Option<String>> {
        // Others may write to some of these folders: what they put there is neither followed nor waited for, and read
        // only as far as it can be what is wanted.
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let mut file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(self.at(path)) {
            Ok(file) => file,
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Some(format!("{path} is missing"))),
            // A link, or a socket.
            Err(err) if matches!(err.raw_os_error(), Some(nix::libc::ELOOP | nix::libc::ENXIO)) => {
                return Ok(Some(format!("{path} is no regular file")));
            }
            Err(err) => return Err(err).with_context(|| format!("reading {path}")),
        };
        let meta = file.metadata().with_context(|| format!("looking at {path}"))?;
        if !meta.is_file() {
            return Ok(Some(format!("{path} is no regular file")));
        }
        let mut have = vec![0; bytes.len()];
        if meta.len() != bytes.len() as u64 || file.read_exact(&mut have).is_err() || have != bytes {
            return Ok(Some(format!("{path} has other content")));
        }
        Ok(self.differing(path, &meta, mode, owner))
    }

    /// Writes a file that is not as it should be; whether it was not.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn put(&self, path: &str, bytes: &[u8], mode: u32, owner: Owner) -> anyhow::Result<bool> {
        let wrong = self.differs(path, bytes, mode, owner)?.is_some();
        if wrong {
            self.write(path, bytes, mode, Some(owner))?;
        }
        Ok(wrong)
    }

    /// What is wrong with a folder, in words; `None` when mode and owner are as wanted.
    pub fn folder_differs(&self, path: &str, mode: u32, owner: Owner) -> Option<String> {
        let Ok(meta) = fs::symlink_metadata(self.at(path)) else { return Some(format!("{path} is missing")) };
        if !meta.is_dir() {
            return Some(format!("{path} is no folder"));
        }
        self.differing(path, &meta, mode, owner)
    }

    fn differing(&self, path: &str, meta: &fs::Metadata, mode: u32, owner: Owner) -> Option<String> {
        if meta.mode() & 0o7777 != mode {
            return Some(format!("{path} has mode {:o} instead of {mode:o}", meta.mode() & 0o7777));
        }
        let owned = !self.is_real() || (meta.uid(), meta.gid()) == (owner.uid, owner.gid);
        (!owned).then(|| format!("{path} belongs to {}:{}", meta.uid(), meta.gid()))
    }

    /// A folder with this mode.
    ///
    /// # Errors
    /// When it cannot be made, or something else is there.
    pub fn mkdir(&self, path: &str, mode: u32) -> anyhow::Result<()> {
        let make = || {
            fs::create_dir_all(self.at(path))?;
            // Where others may write, a link could lead to any folder.
            let flags = nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW;
            let folder = fs::OpenOptions::new().read(true).custom_flags(flags).open(self.at(path))?;
            folder.set_permissions(fs::Permissions::from_mode(mode))
        };
        make().with_context(|| format!("making folder {path}"))
    }

    /// Gives a file or folder to somebody.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn give(&self, path: &str, owner: Owner) -> anyhow::Result<()> {
        if !self.is_real() {
            return Ok(());
        }
        std::os::unix::fs::lchown(self.at(path), Some(owner.uid), Some(owner.gid))
            .with_context(|| format!("giving {path} to {}:{}", owner.uid, owner.gid))
    }

    /// Removes a file; fine when there is none.
    ///
    /// # Errors
    /// When it exists and stays.
    pub fn remove(&self, path: &str) -> anyhow::Result<()> {
        match fs::remove_file(self.at(path)) {
            Err(err) if err.kind() != ErrorKind::NotFound => {
                Err(err).with_context(|| format!("removing {path}"))
            }
            _ => Ok(()),
        }
    }

    /// Removes a folder and all that is in it; fine when there is none.
    ///
    /// # Errors
    /// When something stays.
    pub fn remove_all(&self, path: &str) -> anyhow::Result<()> {
        match fs::remove_dir_all(self.at(path)) {
            Err(err) if err.kind() != ErrorKind::NotFound => {
                Err(err).with_context(|| format!("removing {path}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether something is there, without asking any file system below a mount point that hangs.
    pub fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    /// The names in a folder; none where there is no folder.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub fn list(&self, path: &str) -> anyhow::Result<Vec<String>> {
        let names = match fs::read_dir(self.at(path)) {
            Ok(entries) => entries.map(|it| Ok(it?.file_name().to_string_lossy().into_owned())).collect(),
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(err) => Err(err),
        };
        names.with_context(|| format!("listing {path}"))
    }

    /// Whether another process holds a lock on a file, as package managers do.
    pub fn is_locked(&self, path: &str) -> bool {
        let Ok(file) = fs::File::open(self.at(path)) else { return false };
        let l_type = nix::libc::F_RDLCK as i16;
        let mut lock = nix::libc::flock { l_type, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        let asked = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETLK(&mut lock));
        asked.is_ok() && i32::from(lock.l_type) != nix::libc::F_UNLCK
    }

    /// Where a link leads.
    pub fn link(&self, path: &str) -> Option<PathBuf> {
        fs::read_link(self.at(path)).ok()
    }

    /// Size of a file.
    pub fn size(&self, path: &str) -> Option<u64> {
        fs::metadata(self.at(path)).ok().map(|it| it.len())
    }

    /// Size and time of the last change, as one comparable text.
    pub fn stamp(&self, path: &str) -> String {
        match fs::metadata(self.at(path)) {
            Ok(it) => format!("{}:{}.{}", it.len(), it.mtime(), it.mtime_nsec()),
            Err(_) => "-".to_owned(),
        }
    }

    /// Where a path of the machine lies.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Tests don't run as root: ownership is only set and compared on a real machine.
    pub fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }
}

fn is_missing(err: &anyhow::Error) -> bool {
    let kind = err.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// The end of what a program said, short enough for a status line.
pub fn last_words(out: &Output) -> String {
    let text = if out.stderr.trim().is_empty() { &out.stdout } else { &out.stderr };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    // apt and dnf mark what matters; dpkg names a package and says in the next line what is wrong with it.
    let names = |it: &str| it.starts_with("dpkg: error");
    let marked =
        |it: &str| it.starts_with("E:") || it.starts_with("Error:") || it.contains("rror:") || names(it);
    let follows = |at: usize| 0 < at && names(lines[at - 1]);
    let picked = lines.iter().enumerate().filter(|(at, it)| marked(it) || follows(*at));
    let mut picked: Vec<&str> = picked.map(|(_, it)| *it).collect();
    if picked.is_empty() {
        picked = lines;
    }
    let tail = picked[picked.len().saturating_sub(3)..].join("; ");
    if tail.is_empty() { "it said nothing".to_owned() } else { tail.chars().take(400).collect() }
}

mod tables;

#[cfg(test)]
pub mod script;
