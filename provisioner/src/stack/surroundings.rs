//! What the stack depends on beside its configuration: the account, and files on this machine.

use std::path::PathBuf;

use anyhow::Context;

use super::program;
use crate::{config::Config, engine::Ref, keys, kinds::Artefact};

/// Read once, before the stack is laid out, so that laying it out is a pure function.
pub struct Surroundings {
    /// The account's number.
    pub account: String,
    /// An emulator's address, which the hosts have to know as well.
    pub endpoint: Option<String>,
    /// Certificates (PEM) that hosts have to trust there: those of `AWS_CA_BUNDLE`.
    pub ca: Option<String>,
    /// The agent; absent in a stack without hosts.
    pub agent: Option<Artefact>,
    /// The public halves of the key pairs that were made on this machine.
    pub public_key: Option<String>,
    pub private_key: Option<String>,
    /// The database's password where the operator gives one.
    pub password: Option<String>,
}

impl Surroundings {
    /// Reads what `config` names. `image` is what the hosts start from.
    ///
    /// # Errors
    /// A file that is named and cannot be read, or an agent that is nowhere or that no host could start.
    pub fn read(
        c: &Config,
        account: &str,
        endpoint: Option<&str>,
        image: &str,
    ) -> anyhow::Result<Surroundings> {
        let agent = match c.parts.has_hosts() {
            true => Some(agent(c.agent.binary.clone(), image)?),
            false => None,
        };
        Ok(Surroundings {
            account: account.to_owned(),
            endpoint: endpoint.map(str::to_owned),
            ca: if speaks_tls(endpoint) { bundle()? } else { None },
            agent,
            public_key: keys::public(&c.access.key_dir, &c.names.public_key)?,
            private_key: keys::public(&c.access.key_dir, &c.names.private_key)?,
            password: c.database.password().map_err(anyhow::Error::msg)?,
        })
    }

    /// Enough to name and to draw the stack, without an account and without a file.
    pub fn imagined(c: &Config) -> Surroundings {
        let key = format!("{}/lampd", "0".repeat(64));
        let agent = Artefact { bucket: Ref::id(None), key, md5: String::new(), file: PathBuf::new() };
        Surroundings {
            account: "123456789012".into(),
            endpoint: None,
            ca: None,
            agent: c.parts.has_hosts().then_some(agent),
            public_key: None,
            private_key: None,
            password: None,
        }
    }
}

/// Whether hosts need to be told whom to trust: AWS's own authorities they know, and without TLS there is nobody.
fn speaks_tls(endpoint: Option<&str>) -> bool {
    endpoint.is_some_and(|it| it.to_ascii_lowercase().starts_with("https://"))
}

/// What this machine trusts at an emulator with a CA of its own, the hosts in it have to trust, too.
fn bundle() -> anyhow::Result<Option<String>> {
    let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|it| !it.is_empty()) else { return Ok(None) };
    let path = PathBuf::from(path);
    let text = std::fs::read_to_string(&path);
    text.map(Some).with_context(|| format!("reading the certificates of AWS_CA_BUNDLE={}", path.display()))
}

/// The given program, otherwise the one beside this program.
fn agent(given: Option<PathBuf>, image: &str) -> anyhow::Result<Artefact> {
    let path = match given {
        Some(path) => path,
        None => std::env::current_exe().context("finding the program lamp")?.with_file_name("lampd"),
    };
    let agent = Artefact::read(Ref::id(None), path.clone()).with_context(|| {
        format!("reading the agent {}; build lampd beside lamp, or name it in agent.binary", path.display())
    })?;
    program::starts_on(&path, image).with_context(|| format!("the agent {}", path.display()))?;
    Ok(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_behind_an_emulator_with_tls_are_told_whom_to_trust() {
        assert!(speaks_tls(Some("https://127.0.0.1:4566")));
        assert!(!speaks_tls(Some("http://127.0.0.1:5000")));
        assert!(!speaks_tls(None));
    }
}
