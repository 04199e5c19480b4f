//! Files that are written whole or not at all: beside the old one, which a rename then replaces.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes `bytes` with these permissions. Where it fails, what was there is as it was.
///
/// # Errors
/// The file system's own.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut fresh = path.clone().into_os_string();
    fresh.push(format!(".new-{}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().inspect_err(|_| {
        // Nothing half done is left behind; that removing may fail as well changes nothing.
        let _ = fs::remove_file(&fresh);
    })
}
