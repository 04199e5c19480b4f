//! `/etc/lamp/agent.toml`: the little that a host cannot learn from the parameters. No secret is in it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::host::{Host, ROOT};

/// Where the settings lie.
pub const PATH: &str = "/etc/lamp/agent.toml";
/// Certificates to trust at the database instead of Amazon's, where this file is there: a database of one's own has its
/// own. An image, user data or `lampd install --db-ca` may put it there; the next pass takes it.
pub const DATABASE_CA: &str = "/etc/lamp/database-ca.pem";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub region: String,
    pub stack: String,
    /// Where AWS is, when it is not AWS: an emulator's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Certificates to trust at that endpoint beside the system's (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<PathBuf>,
    /// The same as [`DATABASE_CA`], but at another place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_ca: Option<PathBuf>,
    /// Whether `/var/www/html/index.php` is ours; `false` leaves the file to its owner.
    #[serde(default = "yes")]
    pub index_php: bool,
}

fn yes() -> bool {
    true
}

impl Settings {
    /// Settings with every default.
    pub fn new(region: &str, stack: &str) -> Settings {
        Settings {
            region: region.to_owned(),
            stack: stack.to_owned(),
            endpoint: None,
            ca_bundle: None,
            db_ca: None,
            index_php: yes(),
        }
    }

    /// Reads the settings of this host.
    ///
    /// # Errors
    /// When the file is missing, unreadable or wrong; says which key.
    pub fn load(host: &Host) -> anyhow::Result<Settings> {
        let text = host.read(PATH)?;
        let text =
            text.with_context(|| format!("{PATH} is missing: run `lampd install --region … --stack …`"))?;
        let settings: Settings = toml::from_str(&text).with_context(|| format!("reading {PATH}"))?;
        settings.check().with_context(|| format!("reading {PATH}"))?;
        Ok(settings)
    }

    /// Refuses what could not work, or would reach into another stack's parameters.
    ///
    /// # Errors
    /// The key and what it must look like.
    pub fn check(&self) -> anyhow::Result<()> {
        let plain = |it: &str| {
            !it.is_empty()
                && it.len() <= 64
                && it.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if !plain(&self.region) {
            bail!("region: {:?} is not a region such as ap-northeast-2", self.region);
        }
        if !plain(&self.stack) {
            bail!("stack: {:?} is not a name of letters, digits, '-', '_' and '.'", self.stack);
        }
        if let Some(it) = &self.endpoint
            && !it.starts_with("http://")
            && !it.starts_with("https://")
        {
            bail!("endpoint: {it:?} does not begin with http:// or https://");
        }
        Ok(())
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never for settings that passed [`Settings::check`].
    pub fn text(&self) -> anyhow::Result<String> {
        let body = toml::to_string(self).context("writing the settings")?;
        Ok(format!(
            "# Written by `lampd install`; everything else comes from SSM below /lamp/{}/.\n{body}",
            self.stack
        ))
    }

    /// Puts them into their place; whether that was anything new.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, host: &Host) -> anyhow::Result<bool> {
        host.mkdir("/etc/lamp", 0o755)?;
        host.put(PATH, self.text()?.as_bytes(), 0o640, ROOT)
    }

    /// The certificates that the database's own must lead to, as PEM.
    ///
    /// # Errors
    /// When a file that is meant cannot be read.
    pub fn database_roots(&self, host: &Host) -> anyhow::Result<String> {
        match &self.db_ca {
            None => Ok(match host.read(DATABASE_CA)? {
                Some(own) => own,
                None => crate::roots::of_region(&self.region),
            }),
            Some(path) => {
                let path = path.to_string_lossy();
                host.read(&path)?.with_context(|| format!("db_ca: {path} is missing"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_install_writes_reads_back_and_a_typo_is_named() {
        let mut settings = Settings::new("ap-northeast-2", "lab-vpc");
        settings.endpoint = Some("https://10.1.0.3:4566".to_owned());
        assert_eq!(toml::from_str::<Settings>(&settings.text().unwrap()).unwrap(), settings);
        let err = toml::from_str::<Settings>("region = 'a'\nstack = 'b'\nendpiont = 'c'").unwrap_err();
        assert!(err.to_string().contains("endpiont"), "{err}");
    }

    #[test]
    fn a_certificate_of_ones_own_database_replaces_amazons_as_soon_as_it_lies_there() {
        let (host, _) = crate::host::script::scripted();
        let settings = Settings::new("ap-northeast-2", "lab-vpc");
        assert!(settings.database_roots(&host).unwrap().contains("BEGIN CERTIFICATE"));
        host.write(DATABASE_CA, b"my own", 0o644, None).unwrap();
        assert_eq!(settings.database_roots(&host).unwrap(), "my own");
    }

    #[test]
    fn a_stack_name_cannot_reach_into_another_stack() {
        for bad in ["", "a/b", "../x", "a b"] {
            assert!(Settings::new("r", bad).check().is_err(), "{bad}");
        }
    }
}
