//! Who may log in.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::findings::Findings;
use super::key::Key;
use super::network::Cidr;

/// SSH to the bastions and the operator's keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Addresses from which the bastions answer SSH, such as ["203.0.113.7/32"]. Empty: from nowhere.
    pub ssh_from: Vec<Cidr>,
    /// Where the private keys are kept (PEM and PPK, mode 0400), relative to this file. They never
    /// leave this folder.
    pub key_dir: PathBuf,
}

impl Default for Access {
    fn default() -> Access {
        Access { ssh_from: Vec::new(), key_dir: "keys".into() }
    }
}

pub(super) fn check(config: &Config, found: &mut Findings) {
    let list = Key::from("access.ssh_from");
    found.no_twins("access.ssh_from", &config.access.ssh_from);
    for (at, cidr) in config.access.ssh_from.iter().enumerate() {
        if cidr.0.prefix_len() == 0 && !config.unsafe_choices.ssh_from_anywhere {
            let rule = "opens SSH to the whole internet";
            let remedy =
                "name your own addresses, or set unsafe_choices.ssh_from_anywhere = true if you mean it";
            found.add(list.index(at), cidr, rule, remedy);
        }
    }
    if config.access.key_dir.as_os_str().is_empty() {
        let remedy = "name a folder, such as \"keys\"";
        found.add("access.key_dir", "", "private keys need a folder", remedy);
    }
}
