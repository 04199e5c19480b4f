//! Where images, packages and the regions that run keep their files: below one directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::fcntl::{Flock, FlockArg};

/// The one directory; everything in it can be deleted while nothing runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State(PathBuf);

impl State {
    /// `LAMP_STATE`, else `lamplighter` in the user's cache directory.
    pub fn from_env() -> State {
        let var = |it| std::env::var_os(it).filter(|it| !it.is_empty()).map(PathBuf::from);
        let cache = || var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")));
        let dir = var("LAMP_STATE")
            .or_else(|| Some(cache()?.join("lamplighter")))
            .unwrap_or_else(|| PathBuf::from("/var/cache/lamplighter"));
        State(dir)
    }

    /// Another directory.
    pub fn at(dir: impl Into<PathBuf>) -> State {
        State(dir.into())
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn images(&self) -> anyhow::Result<PathBuf> {
        self.made("images")
    }

    pub(crate) fn packages(&self) -> anyhow::Result<PathBuf> {
        self.made("packages")
    }

    pub(crate) fn regions(&self) -> anyhow::Result<PathBuf> {
        self.made("regions")
    }

    fn made(&self, part: &str) -> anyhow::Result<PathBuf> {
        let dir = self.0.join(part);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        dir.canonicalize().with_context(|| format!("finding {}", dir.display()))
    }

    /// Waits until nobody else makes this thing; dropping the answer lets the next one in.
    pub(crate) fn lock(&self, name: &str) -> anyhow::Result<Flock<File>> {
        let path = self.images()?.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, err)| anyhow::anyhow!("locking {}: {err}", path.display()))
    }
}
