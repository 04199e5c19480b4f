//! `dbinfo.inc`: the four constants that the lab's PHP pages include.
//!
//! It lies outside of everything that Apache serves, in a folder at the front of PHP's include path: so
//! `include "dbinfo.inc"` works from any page, and no URL leads to it.

use shared::agent::Database;

use crate::{
    converge::Step,
    host::{Host, Owner, ROOT},
    os::Os,
};

/// Folder at the front of PHP's include path; only root and the web server's group may look into it.
pub const FOLDER: &str = "/etc/lamp/php";
pub const FILE: &str = "/etc/lamp/php/dbinfo.inc";
/// The certificates that PHP verifies the database with. No secret.
const ROOTS: &str = "/etc/lamp/php/database-roots.pem";

pub struct DbInfo<'a> {
    pub os: &'static Os,
    pub database: &'a Database,
    /// PEM.
    pub roots: String,
}

impl DbInfo<'_> {
    fn owner(&self, host: &Host) -> anyhow::Result<Owner> {
        group(self.os, host)
    }

    fn text(&self) -> Vec<u8> {
        let it = self.database;
        let mut text =
            b"<?php\n// Written by lampd from the stack's parameters; a change is undone within a minute.\n"
                .to_vec();
        let port = it.port.to_string();
        let constants = [
            ("DB_SERVER", it.endpoint.as_str()),
            ("DB_USERNAME", &it.user),
            ("DB_PASSWORD", &it.password),
            ("DB_DATABASE", &it.name),
            // Beyond the lab: where it listens, and what to verify its certificate with (empty: no TLS).
            ("DB_PORT", &port),
            ("DB_CA", if it.tls { ROOTS } else { "" }),
        ];
        for (name, value) in constants {
            text.extend_from_slice(format!("define('{name}', {});\n", literal(value)).as_bytes());
        }
        text
    }
}

/// root and the web server's group.
pub fn group(os: &Os, host: &Host) -> anyhow::Result<Owner> {
    match host.group(os.web_user) {
        Some((gid, _)) => Ok(Owner { gid, ..ROOT }),
        None => anyhow::bail!("group {} does not exist yet: the web server is not installed", os.web_user),
    }
}

/// A PHP string that reads back exactly as `text`: between single quotes only these two characters mean anything.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl Step for DbInfo<'_> {
    const NAME: &'static str = "dbinfo";

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let owner = self.owner(host)?;
        let folders = [("/etc/lamp", 0o755, ROOT), (FOLDER, 0o750, owner)];
        if let Some(wrong) =
            folders.into_iter().find_map(|(path, mode, it)| host.folder_differs(path, mode, it))
        {
            return Ok(Some(wrong));
        }
        if let Some(wrong) = host.differs(ROOTS, self.roots.as_bytes(), 0o644, ROOT)? {
            return Ok(Some(wrong));
        }
        // Says nothing of the content, which is secret.
        host.differs(FILE, &self.text(), 0o640, owner)
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let owner = self.owner(host)?;
        host.mkdir("/etc/lamp", 0o755)?;
        host.give("/etc/lamp", ROOT)?;
        host.mkdir(FOLDER, 0o750)?;
        host.give(FOLDER, owner)?;
        host.write(ROOTS, self.roots.as_bytes(), 0o644, Some(ROOT))?;
        host.write(FILE, &self.text(), 0o640, Some(owner))
    }
}

/// The file of a stack that has no database any more: it holds the former one's password.
pub struct Gone;

impl Step for Gone {
    const NAME: &'static str = DbInfo::<'_>::NAME;
    // A host never waits for the database.
    const REQUIRED: bool = false;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        Ok(host
            .exists(FILE)
            .then(|| format!("the stack has no database any more, and {FILE} is still there")))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        host.remove(FILE)
    }
}

/// The file's text, for tests that let PHP read it.
pub fn text_of(os: &'static Os, database: &Database) -> Vec<u8> {
    DbInfo { os, database, roots: String::new() }.text()
}

#[cfg(test)]
mod tests {
    use shared::agent::AgentConfig;

    use super::*;
    use crate::{
        converge::{Log, Memory, Pass, State, run},
        host::script::scripted,
        settings::Settings,
    };

    fn database(password: &str) -> Database {
        Database {
            endpoint: "db".into(),
            port: 3306,
            name: "labvpcrds".into(),
            user: "admin".into(),
            password: password.into(),
            tls: true,
        }
    }

    #[test]
    fn only_quotes_and_backslashes_are_escaped() {
        assert_eq!(literal(r#"a'b\c"$d<?>"#), r#"'a\'b\\c"$d<?>'"#);
    }

    #[tokio::test]
    async fn the_password_of_a_database_that_the_stack_no_longer_has_does_not_stay() {
        let (host, _) = scripted();
        host.write("/etc/os-release", b"ID=debian\n", 0o644, None).unwrap();
        host.write(FILE, b"<?php // s3cret", 0o640, None).unwrap();
        let config = AgentConfig {
            generation: Some("2".into()),
            database: None,
            files: None,
            local_database: false,
            poll_seconds: 15,
            share_ms: 50,
        };
        let (settings, memory, log) = (Settings::new("r", "s"), Memory::default(), Log::default());
        let pass = Pass {
            host: &host,
            os: crate::os::detect(&host).unwrap(),
            settings: &settings,
            config: Some(&config),
            zone: None,
            memory: &memory,
            log: &log,
        };
        assert!(crate::converge::dbinfo(&pass).await);
        assert!(!host.exists(FILE));
        let report = log.follow().borrow()["dbinfo"].clone();
        assert_eq!((report.state, report.required), (State::Waiting, false));
        // Nobody is woken by a pass that has nothing to do.
        let steps = log.follow();
        assert!(crate::converge::dbinfo(&pass).await);
        assert!(!steps.has_changed().unwrap());
    }

    #[tokio::test]
    async fn a_new_password_is_written_once_and_its_words_hold_no_secret() {
        let (host, _) = scripted();
        host.write("/etc/os-release", b"ID=debian\n", 0o644, None).unwrap();
        host.write("/etc/group", b"www-data:x:33:\n", 0o644, None).unwrap();
        let os = crate::os::detect(&host).unwrap();
        let (old, new) = (database("s3cret-old"), database("s3cret-new"));
        let step = |database| DbInfo { os, database, roots: "PEM".into() };
        assert!(run(&host, &Log::default(), &step(&old)).await);
        let missing = step(&new).check(&host).await.unwrap().unwrap();
        assert_eq!(missing, "/etc/lamp/php/dbinfo.inc has other content");
        assert!(run(&host, &Log::default(), &step(&new)).await);
        assert_eq!(step(&new).check(&host).await.unwrap(), None);
        assert!(host.read(FILE).unwrap().unwrap().contains("'s3cret-new'"));
        for (folder, mode) in [("/etc/lamp", 0o755), (FOLDER, 0o750)] {
            host.mkdir(folder, 0o777).unwrap();
            let wrong = format!("{folder} has mode 777 instead of {mode:o}");
            assert_eq!(step(&new).check(&host).await.unwrap(), Some(wrong));
            assert!(run(&host, &Log::default(), &step(&new)).await);
        }
    }
}
