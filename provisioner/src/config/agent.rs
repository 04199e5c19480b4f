//! The agent that makes each host a web server.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `lampd`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// The program to install, relative to this file. When left out: the lampd beside lamp itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"target/release/lampd")]
    pub binary: Option<PathBuf>,
    /// Install a MariaDB server on every host as the lab's script did; the site uses RDS either way.
    pub local_database: bool,
    /// Milliseconds during which answers may share one query; 0: never.
    #[schemars(range(min = 0, max = 60000))]
    pub share_ms: u64,
}

impl Default for Agent {
    fn default() -> Agent {
        Agent { binary: None, local_database: false, share_ms: shared::agent::SHARE_MS }
    }
}
