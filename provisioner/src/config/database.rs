//! The database and its read replica.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// RDS for MySQL. Its identifiers are in [names].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// MySQL's version: a release series such as "8.4" or one release such as "8.4.6".
    pub engine_version: String,
    /// Instance class.
    pub class: String,
    /// Storage (gp3) in GiB.
    pub storage_gib: u32,
    /// Limit to which storage may grow by itself, in GiB; 0: it does not.
    pub storage_max_gib: u32,
    /// A standby in another zone that takes over when the primary fails.
    pub multi_az: bool,
    /// The initial database.
    pub name: String,
    /// The main user.
    pub user: String,
    /// File with the main user's password, relative to this file. When left out a password is
    /// generated; either way it goes to the Parameter Store encrypted and is never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// TCP port.
    pub port: u16,
    /// Days that automatic backups are kept; a replica needs at least 1.
    pub backup_days: u32,
    /// Logs that are exported to CloudWatch: "general", "error", "slowquery", "audit".
    pub log_exports: Vec<LogExport>,
    /// Install minor releases in the maintenance window.
    pub minor_upgrades: bool,
    /// Refuse to delete the database (`lamp down` stops there and says so).
    pub deletion_protection: bool,
    /// Keep a last snapshot on `lamp down`. It costs money until you delete it.
    pub final_snapshot: bool,
    /// Apply changes at once instead of in the next maintenance window.
    pub apply_immediately: bool,
    /// Instance class of the replica.
    pub replica_class: String,
    /// Zone of the replica. When left out: the second of zones.
    pub replica_zone: String,
}

impl Default for Database {
    fn default() -> Database {
        Database {
            engine_version: "8.4".into(),
            class: "db.t3.micro".into(),
            storage_gib: 20,
            storage_max_gib: 0,
            multi_az: true,
            name: "labvpcrds".into(),
            user: "admin".into(),
            password_file: None,
            port: 3306,
            backup_days: 7,
            log_exports: vec![LogExport::General],
            minor_upgrades: true,
            deletion_protection: false,
            final_snapshot: false,
            apply_immediately: true,
            replica_class: "db.t3.micro".into(),
            replica_zone: "ap-northeast-2c".into(),
        }
    }
}

/// RDS's own words for MySQL's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogExport {
    Audit,
    Error,
    General,
    Slowquery,
}
