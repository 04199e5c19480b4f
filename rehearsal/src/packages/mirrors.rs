//! Where this machine itself gets Debian from: the only places that a region may get packages from.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Where this machine itself gets Debian from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mirrors {
    pub(super) debian: String,
    pub(super) security: String,
    /// `host:port` of the proxy that this machine's apt uses.
    pub(super) through: Option<String>,
}

impl Mirrors {
    pub(crate) fn of_this_machine() -> Mirrors {
        let mut text = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
        for entry in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
            text += "\n";
            text += &fs::read_to_string(entry.path()).unwrap_or_default();
        }
        let said =
            Command::new("apt-config").args(["dump", "--format", "%v", "Acquire::http::Proxy"]).output();
        let proxy = said.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()).unwrap_or_default();
        Mirrors::from(&text, &proxy)
    }

    /// The first address that serves each of the two archives; Debian's own if there is none.
    fn from(sources: &str, proxy: &str) -> Mirrors {
        let addresses: Vec<String> = sources
            .lines()
            .filter(|it| !it.trim_start().starts_with('#'))
            .flat_map(str::split_whitespace)
            .filter_map(|it| it.strip_prefix("http://").or_else(|| it.strip_prefix("https://")))
            .map(|it| it.trim_end_matches('/').to_owned())
            .collect();
        let find = |end: &str, default: &str| {
            addresses.iter().find(|it| it.ends_with(end)).cloned().unwrap_or_else(|| default.to_owned())
        };
        let through = proxy.strip_prefix("http://").map(|it| it.trim_end_matches('/').to_owned());
        Mirrors {
            debian: find("/debian", "deb.debian.org/debian"),
            security: find("/debian-security", "deb.debian.org/debian-security"),
            through,
        }
    }

    /// Lines for sources.list.
    pub(crate) fn sources(&self) -> Vec<String> {
        let Mirrors { debian, security, .. } = self;
        vec![
            format!("deb http://{debian} bookworm main"),
            format!("deb http://{debian} bookworm-updates main"),
            format!("deb http://{security} bookworm-security main"),
        ]
    }

    /// Whether `host/path` is on one of the mirrors.
    pub(super) fn have(&self, address: &str) -> bool {
        [&self.debian, &self.security]
            .iter()
            .any(|it| address.strip_prefix(it.as_str()).is_some_and(|rest| rest.starts_with('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: &str = "\
# deb http://old.example/debian bookworm main
Types: deb
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
deb https://safe.example/debian-security bookworm-security main
deb [signed-by=/x] http://other.example/node nodistro main
";

    #[test]
    fn the_mirrors_are_the_machines_own() {
        let it = Mirrors::from(SOURCES, "http://proxy.example:3128/");
        assert_eq!(it.sources()[0], "deb http://mirror.example/debian bookworm main");
        assert_eq!(it.sources()[2], "deb http://safe.example/debian-security bookworm-security main");
        assert_eq!(it.through.as_deref(), Some("proxy.example:3128"));
        assert_eq!(Mirrors::from("", "").sources()[0], "deb http://deb.debian.org/debian bookworm main");
    }

    #[test]
    fn only_what_is_on_the_mirrors_is_had() {
        let it = Mirrors::from(SOURCES, "");
        assert!(it.have("mirror.example/debian/pool/a.deb"));
        for other in
            ["mirror.example/debian", "other.example/node/x", "mirror.example/debianx/y", "x.example/", ""]
        {
            assert!(!it.have(other), "{other}");
        }
    }
}
