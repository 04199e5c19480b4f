//! Who may log in.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
