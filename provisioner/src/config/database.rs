//! The database and its read replica.

use std::path::PathBuf;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::findings::Findings;

/// RDS for MySQL. Its identifiers are in [names].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// MySQL's version: a release series such as "8.4", or one release such as "8.4.6" with minor_upgrades = false.
    pub engine_version: String,
    /// Instance class.
    pub class: String,
    /// Storage (gp3) in GiB.
    #[schemars(range(min = 20, max = 65536))]
    pub storage_gib: u32,
    /// Limit to which storage may grow by itself, in GiB; 0: it does not.
    #[schemars(range(min = 0, max = 65536))]
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
    #[schemars(example = &"password.txt")]
    pub password_file: Option<PathBuf>,
    /// TCP port.
    #[schemars(range(min = 1150, max = 65535))]
    pub port: u16,
    /// Days that automatic backups are kept; a replica needs at least 1.
    #[schemars(range(min = 0, max = 35))]
    pub backup_days: u32,
    /// Logs that are exported to CloudWatch: "general", "error", "slowquery", "audit".
    pub log_exports: Vec<LogExport>,
    /// Install minor releases in the maintenance window.
    pub minor_upgrades: bool,
    /// Refuse to delete the database (`lamp down` then deletes nothing at all, and says so).
    pub deletion_protection: bool,
    /// Keep a last snapshot on `lamp down`. It costs money until you delete it.
    pub final_snapshot: bool,
    /// Apply changes at once instead of in the next maintenance window.
    pub apply_immediately: bool,
    /// Instance class of the replica.
    pub replica_class: String,
    /// Zone of the replica. When left out: the second of zones.
    pub replica_zone: String,
    /// Which server the hosts read: "primary" or "replica". `lamp db use replica` writes this key and
    /// lets all hosts know.
    pub hosts_use: Server,
}

/// One of the database's servers: the one that takes changes, or its copy that only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    Primary,
    Replica,
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
            port: shared::agent::PORT,
            backup_days: 7,
            log_exports: vec![LogExport::General],
            minor_upgrades: true,
            deletion_protection: false,
            final_snapshot: false,
            apply_immediately: true,
            replica_class: "db.t3.micro".into(),
            replica_zone: "ap-northeast-2c".into(),
            hosts_use: Server::Primary,
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

impl Database {
    /// Whether the server demands TLS by itself: since 9.7 (RDS guide, "Requiring SSL/TLS for all connections").
    pub fn demands_tls(&self) -> bool {
        numbers(&self.engine_version).is_some_and(|it| [9, 7].as_slice() <= it.as_slice())
    }

    /// The password of `password_file`; `None` if one is to be generated.
    ///
    /// # Errors
    /// Why it cannot be used, in words that do not contain it.
    pub fn password(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.password_file else { return Ok(None) };
        let text = std::fs::read_to_string(file).map_err(|err| format!("cannot be read: {err}"))?;
        let password = text.trim_end_matches(['\r', '\n']);
        match is_password(password) {
            true => Ok(Some(password.to_owned())),
            false => {
                Err("RDS for MySQL wants 8 to 41 printable ASCII characters without /, \", @ and space"
                    .into())
            }
        }
    }
}

fn is_password(text: &str) -> bool {
    (8..=41).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() && !"/\"@".contains(c))
}

/// Words that neither a database nor a user of RDS for MySQL may be called: the server's own and the
/// commonest of SQL.
const RESERVED: [&str; 22] = [
    "mysql",
    "sys",
    "information_schema",
    "performance_schema",
    "innodb",
    "rdsadmin",
    "rdsrepladmin",
    "root",
    "select",
    "table",
    "database",
    "schema",
    "user",
    "group",
    "order",
    "index",
    "key",
    "keys",
    "grant",
    "limit",
    "where",
    "values",
];

pub(super) fn check(config: &Config, found: &mut Findings) {
    let database = &config.database;
    class("database.class", &database.class, found);
    class("database.replica_class", &database.replica_class, found);
    version(&database.engine_version, database.minor_upgrades, found);
    word("database.name", &database.name, 64, "labvpcrds", found);
    word("database.user", &database.user, 16, "admin", found);
    if config.parts.replica && database.backup_days == 0 {
        let rule = "a read replica needs automatic backups of its source";
        let remedy = "set database.backup_days to 1 or more, or parts.replica = false";
        found.add("database.backup_days", 0, rule, remedy).related("parts.replica", "wanted here");
    }
    if database.hosts_use == Server::Replica && !config.parts.replica {
        let rule = "the stack has no replica";
        let remedy = "set parts.replica = true or database.hosts_use = \"primary\"";
        found
            .add("database.hosts_use", "replica", rule, remedy)
            .related("parts.replica", "switched off here");
    }
    let (storage, limit) = (database.storage_gib, database.storage_max_gib);
    // RDS refuses a limit that leaves less than a tenth to grow.
    if limit != 0 && u64::from(limit) * 10 < u64::from(storage) * 11 {
        let least = (u64::from(storage) * 11).div_ceil(10);
        let rule = format!("leaves storage of {storage} GiB less than 10 % to grow");
        let remedy = format!("write at least {least}, or 0 for no growth");
        found.add("database.storage_max_gib", limit, rule, remedy).related("database.storage_gib", "storage");
    }
    if !config.zones.contains(&database.replica_zone) && !config.zones.is_empty() {
        let rule = "is not one of the stack's zones";
        let remedy = format!("write one of {}", config.zones.join(", "));
        found
            .add("database.replica_zone", &database.replica_zone, rule, remedy)
            .because("zones")
            .related("zones", "the zones");
    }
    found.no_twins("database.log_exports", &database.log_exports);
}

fn class(key: &str, class: &str, found: &mut Findings) {
    let parts: Vec<&str> = class.split('.').collect();
    let fits = |it: &str| it.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let is_class = matches!(parts.as_slice(), ["db", family, size]
        if family.contains(|c: char| c.is_ascii_digit()) && fits(family) && !size.is_empty() && fits(size));
    let remedy = "write \"db.t3.micro\" or \"db.t4g.micro\", for example";
    if !is_class {
        found.add(key, class, "is not a class of database instances", remedy);
    } else if ["db.t1.", "db.t2.", "db.m1.", "db.m2.", "db.m3."].iter().any(|it| class.starts_with(it)) {
        found.add(key, class, "is of a generation that RDS has withdrawn", remedy);
    }
}

fn version(version: &str, upgrades: bool, found: &mut Findings) {
    let numbers = numbers(version);
    let remedy = "write \"8.4\" for the newest of that series, or one release such as \"8.4.6\"";
    match numbers.as_deref() {
        Some([_, _, _]) if upgrades => {
            let rule = "is one release, and minor_upgrades lets RDS leave it for a newer one, from which there is no way back";
            let remedy = "set database.minor_upgrades = false, or name the series alone";
            found
                .add("database.engine_version", version, rule, remedy)
                .related("database.minor_upgrades", "wanted here");
        }
        Some([major, minor] | [major, minor, _]) if (*major, *minor) >= (8, 4) => {}
        Some([_, _] | [_, _, _]) => {
            let rule = "has left RDS's standard support (8.0 did on 2026-07-31), and extended support is switched off";
            found.add("database.engine_version", version, rule, remedy);
        }
        _ => drop(found.add("database.engine_version", version, "is not a version of MySQL", remedy)),
    }
}

/// A version's parts; `None` where one is no number.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|it| it.parse().ok()).collect()
}

fn word(key: &str, text: &str, longest: usize, example: &str, found: &mut Findings) {
    let fits = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= longest
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !fits {
        let rule = format!("RDS wants 1 to {longest} letters, digits and underscores, with a letter first");
        found.add(key, text, rule, format!("write a name such as {example:?}"));
    } else if RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
        found.add(
            key,
            text,
            "is a word that MySQL keeps for itself",
            format!("write another, such as {example:?}"),
        );
    }
}

impl LogExport {
    /// RDS's own word.
    pub fn as_str(self) -> &'static str {
        match self {
            LogExport::Audit => "audit",
            LogExport::Error => "error",
            LogExport::General => "general",
            LogExport::Slowquery => "slowquery",
        }
    }
}
