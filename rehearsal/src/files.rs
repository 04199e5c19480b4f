//! Shared file systems: a directory of this machine behind mount targets with addresses of their own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::region::Region;
use crate::wire::{Ask, Place};

const NFS: u16 = 2049;

/// A file system that instances mount with `mount -t efs`.
#[derive(Clone)]
pub struct FileSystem {
    region: Region,
    id: String,
}

impl FileSystem {
    pub(crate) fn create(region: &Region, id: &str) -> anyhow::Result<FileSystem> {
        let plain = id.starts_with("fs-") && id[3..].bytes().all(|it| it.is_ascii_alphanumeric());
        if !plain {
            bail!("{id} is no id of a file system; they look like fs-0123456789abcdef0");
        }
        let it = FileSystem { region: region.clone(), id: id.to_owned() };
        fs::create_dir_all(it.dir()).with_context(|| format!("making file system {id}"))?;
        Ok(it)
    }

    /// Where the files lie on this machine.
    pub fn dir(&self) -> PathBuf {
        self.region.dir().join("efs").join(&self.id)
    }

    /// A place where the file system can be reached. Names that lead there are the caller's.
    ///
    /// # Errors
    /// If the name or the address is taken.
    pub fn mount_target(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<Place> {
        let place = self.region.namespace(name, address)?;
        // What answers says what it serves: all that the mount helper needs to know.
        let at = SocketAddrV4::new(address, NFS);
        self.region.ask(Ask::Greet { place: place.clone(), at, text: format!("{}\n", self.id) })?;
        Ok(place)
    }
}

impl FileSystem {
    /// Deletes its files.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn delete(&self) -> anyhow::Result<()> {
        self.region.discard(self.dir())
    }

    /// Lets it answer nobody any more, who has mounted it included: they wait, as with NFS. Or lets it answer again.
    /// Cables of mount targets, which decide whether it can be mounted anew, are the caller's.
    ///
    /// # Errors
    /// If an instance cannot be entered, or this machine lets its user have no FUSE.
    pub fn answers(&self, answers: bool) -> anyhow::Result<()> {
        self.region.ask(Ask::Outage { of: self.id.clone(), over: answers }).map(drop)
    }
}

impl Region {
    /// Makes a file system, or finds it again.
    ///
    /// # Errors
    /// If the id is none.
    pub fn file_system(&self, id: &str) -> anyhow::Result<FileSystem> {
        FileSystem::create(self, id)
    }
}
