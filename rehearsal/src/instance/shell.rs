//! What is done on an instance as its root: commands and files.

use std::fs;
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, bail};

use super::Instance;
use crate::command::{self, Output, order};
use crate::wire::{Ask, Phase, Place};

/// How long a command may take unless said otherwise.
const COMMAND: Duration = Duration::from_secs(300);

impl Instance {
    /// Runs a command as root and waits for its end, at most five minutes.
    ///
    /// # Errors
    /// If it cannot be started or does not end; not if it ends badly, which [`Output`] says.
    pub fn exec(&self, argv: &[&str]) -> anyhow::Result<Output> {
        self.exec_for(COMMAND, argv)
    }

    /// As [`Instance::exec`] with other patience; what takes longer is killed.
    ///
    /// # Errors
    /// As [`Instance::exec`].
    pub fn exec_for(&self, patience: Duration, argv: &[&str]) -> anyhow::Result<Output> {
        command::run(&self.region, &self.place(), order(argv, &[]), &[], patience)
    }

    /// As [`Instance::exec`] with something to read on standard input.
    ///
    /// # Errors
    /// As [`Instance::exec`].
    pub fn pipe(&self, argv: &[&str], input: &[u8]) -> anyhow::Result<Output> {
        command::run(&self.region, &self.place(), order(argv, &[]), input, COMMAND)
    }

    /// Runs a shell script and returns what it printed.
    ///
    /// # Errors
    /// As [`Instance::exec`], and if it ends with another code than 0.
    pub fn sh(&self, script: &str) -> anyhow::Result<String> {
        self.feed(script, &[])
    }

    /// The same with something to read on standard input.
    fn feed(&self, script: &str, input: &[u8]) -> anyhow::Result<String> {
        let order = order(&["sh", "-euc", script], &[]);
        let said = command::run(&self.region, &self.place(), order, input, COMMAND)?;
        if !said.success() {
            let name = &self.name;
            bail!("`{script}` ended with {} on {name}: {}{}", said.code, said.stdout, said.stderr);
        }
        Ok(said.stdout)
    }

    fn place(&self) -> Place {
        Place::Named(self.name.clone())
    }

    /// Writes a file, its directories included, whether the instance runs or not.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, path: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
        if self.phase()? == Phase::Running {
            let path = quoted(path);
            let script = format!(
                "mkdir -p \"$(dirname {path})\"; cat > {path}.new; chmod {mode:o} {path}.new; mv {path}.new {path}"
            );
            return self.feed(&script, content).map(drop);
        }
        let file = nix::sys::memfd::memfd_create("file", nix::sys::memfd::MFdFlags::MFD_CLOEXEC);
        let mut file = fs::File::from(file.context("making a file in memory")?);
        std::io::Write::write_all(&mut file, content).context("making a file in memory")?;
        std::io::Seek::rewind(&mut file).context("making a file in memory")?;
        let ask = Ask::Put { name: self.name.clone(), path: path.to_owned(), mode };
        self.region.ask_with(&ask, file.as_raw_fd()).map(drop)
    }

    /// Reads a text file of a running instance.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(&self, path: &str) -> anyhow::Result<String> {
        self.feed(&format!("cat {}", quoted(path)), &[])
    }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
