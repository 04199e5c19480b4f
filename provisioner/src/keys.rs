//! Key pairs made on the operator's machine: the private half never leaves it.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use ssh_key::{Algorithm, LineEnding, PrivateKey, private::KeypairData, rand_core::OsRng};

use crate::whole;

/// Where the two files of a key pair lie: OpenSSH's format and PuTTY's.
pub fn files(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (dir.join(format!("{name}.pem")), dir.join(format!("{name}.ppk")))
}

/// The public half in OpenSSH's one-line format without its comment; `None` where no key was made here.
///
/// # Errors
/// A file that is there and cannot be read as a private key.
pub fn public(dir: &Path, name: &str) -> anyhow::Result<Option<String>> {
    read(&files(dir, name).0)?.map(|it| public_line(&it)).transpose()
}

/// Makes the key pair, or what is missing of it, and returns the public half.
///
/// # Errors
/// A folder that cannot be written, or a file that is no private key.
pub fn make(dir: &Path, name: &str) -> anyhow::Result<String> {
    let (pem, ppk) = files(dir, name);
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("making the folder {}", dir.display()))?;
    let key = match read(&pem)? {
        Some(key) => key,
        None => {
            let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
            key.set_comment(name);
            write(&pem, key.to_openssh(LineEnding::LF)?.as_bytes())?;
            key
        }
    };
    if !ppk.exists() {
        write(&ppk, putty(&key, name)?.as_bytes())?;
    }
    public_line(&key)
}

fn read(path: &Path) -> anyhow::Result<Option<PrivateKey>> {
    let text = match fs::read_to_string(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("reading the private key {}", path.display()))?,
    };
    let key = PrivateKey::from_openssh(&text);
    key.map(Some).with_context(|| {
        format!(
            "{} is not a private key in OpenSSH's format; move it away and a new one is made",
            path.display()
        )
    })
}

fn public_line(key: &PrivateKey) -> anyhow::Result<String> {
    let mut public = key.public_key().clone();
    public.set_comment("");
    Ok(public.to_openssh()?.trim_end().to_owned())
}

/// Mode 0400: ssh and PuTTY refuse keys that others can read.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    whole::write(path, bytes, 0o400).with_context(|| format!("writing the private key {}", path.display()))
}

/// The key in PuTTY's format, version 3, without a passphrase (PuTTY's manual, appendix C).
fn putty(key: &PrivateKey, comment: &str) -> anyhow::Result<String> {
    let KeypairData::Ed25519(pair) = key.key_data() else {
        bail!("only Ed25519 keys can be written for PuTTY; move the .pem away and a new one is made");
    };
    const ALGORITHM: &str = "ssh-ed25519";
    let public = [string(ALGORITHM.as_bytes()), string(&pair.public.0)].concat();
    let private = string(pair.private.to_bytes().as_slice());
    let covered = [ALGORITHM.as_bytes(), b"none", comment.as_bytes(), &public, &private].map(string).concat();
    // Without a passphrase the key of the MAC is empty.
    let mut mac = Hmac::<Sha256>::new_from_slice(b"")?;
    mac.update(&covered);
    let mac: String = mac.finalize().into_bytes().iter().map(|it| format!("{it:02x}")).collect();
    let (public_lines, public) = lines(&public);
    let (private_lines, private) = lines(&private);
    Ok(format!(
        "PuTTY-User-Key-File-3: {ALGORITHM}\nEncryption: none\nComment: {comment}\n\
         Public-Lines: {public_lines}\n{public}Private-Lines: {private_lines}\n{private}Private-MAC: {mac}\n"
    ))
}

/// SSH's string: a length of four bytes, then the bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

/// Base64 in lines of 64 characters, and how many.
fn lines(bytes: &[u8]) -> (usize, String) {
    let text = STANDARD.encode(bytes);
    let count = text.len().div_ceil(64);
    let mut out = String::new();
    for (i, it) in text.chars().enumerate() {
        if 0 < i && i % 64 == 0 {
            out.push('\n');
        }
        out.push(it);
    }
    out.push('\n');
    (count, out)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_nobody_else_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = make(dir.path(), "ec2-public").unwrap();
        assert_eq!(make(dir.path(), "ec2-public").unwrap(), first);
        assert_eq!(public(dir.path(), "ec2-public").unwrap(), Some(first));
        let (pem, ppk) = files(dir.path(), "ec2-public");
        for it in [pem, ppk] {
            assert_eq!(fs::metadata(it).unwrap().permissions().mode() & 0o777, 0o400);
        }
    }

    #[test]
    fn a_lost_putty_file_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), "k").unwrap();
        let (_, ppk) = files(dir.path(), "k");
        let first = fs::read(&ppk).unwrap();
        fs::remove_file(&ppk).unwrap();
        make(dir.path(), "k").unwrap();
        assert_eq!(fs::read(&ppk).unwrap(), first);
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (pem, _) = files(dir.path(), "k");
        fs::write(&pem, "hello").unwrap();
        let err = format!("{:#}", make(dir.path(), "k").unwrap_err());
        assert!(err.contains("k.pem") && err.contains("move it away"), "{err}");
        assert_eq!(fs::read_to_string(pem).unwrap(), "hello");
    }

    #[test]
    fn puttygen_reads_the_putty_file_as_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let public = make(dir.path(), "k").unwrap();
        let (_, ppk) = files(dir.path(), "k");
        // A key is made on the operator's machine, not in the agent: running a command is fine here.
        let read = std::process::Command::new("puttygen").arg(ppk).arg("-L").output();
        let read = read.expect("puttygen is installed by scripts/setup (package putty-tools)");
        let text = String::from_utf8(read.stdout).unwrap();
        assert_eq!(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "), public);
    }
}
