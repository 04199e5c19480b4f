//! What differs between the operating systems, so that no file asks which one this is: the table's columns.

use anyhow::{Context, bail};

use self::families::{AMAZON, DEBIAN};
use crate::host::Host;

mod families;

/// One family of distributions: its names for the things that every step speaks of.
#[derive(Debug, PartialEq)]
pub struct Os {
    pub name: &'static str,
    /// Values of `ID` in `/etc/os-release`.
    ids: &'static [&'static str],
    pub packages: Packages,
    /// Account of Apache and PHP, and the group that may read `dbinfo.inc`.
    pub web_user: &'static str,
    /// The first of these that exists joins the web server's group and owns `/var/www`.
    pub login_users: &'static [&'static str],
    pub apache: Apache,
    php: PhpPlace,
    /// Switches the module on that speaks with the database, where somebody can switch it off.
    pub mysqli: Option<&'static [&'static str]>,
    pub local_database: LocalDatabase,
}

/// How packages are found, counted and installed.
#[derive(Debug, PartialEq)]
pub struct Packages {
    /// Apache, PHP, mysqli, the MariaDB client.
    pub base: &'static [&'static str],
    /// What the mount type `efs` needs; where the distribution has no package, the helper itself is looked for.
    pub efs: &'static [&'static str],
    /// What plain NFS needs.
    pub nfs: &'static [&'static str],
    /// Files that move whenever a package comes or goes: while they stand still nobody has to ask.
    pub stamps: &'static [&'static str],
    /// Prints `name state version` lines for the names that follow; the state of an installed one is `installed`.
    pub query: &'static [&'static str],
    /// Where an interrupted installation has to be completed before anything else; `query` without names tells of all.
    pub heal: Option<Heal>,
    /// Held by whoever installs, from the first file to the last script; `None` where nothing is half done in between.
    pub lock: Option<&'static str>,
    /// Where the package lists are; `None` when the package manager refreshes them by itself.
    pub lists: Option<&'static str>,
    pub refresh: &'static [&'static str],
    pub install: &'static [&'static str],
    pub damage: Damage,
}

/// How an interrupted installation is completed.
#[derive(Debug, PartialEq)]
pub struct Heal {
    /// Sets up what was only unpacked.
    pub complete: &'static [&'static str],
    /// Fetches what that needs and does not have.
    pub fetch: &'static [&'static str],
}

/// Where archives lie that are installed anew.
pub const ANEW: &str = "/var/lib/lamp/anew";

/// How files of packages are found that a power cut left empty, and mended.
#[derive(Debug, PartialEq)]
pub struct Damage {
    /// Prints a line for each file whose content is not its package's (the third letter is a `5`), and for each piece of
    /// configuration that is missing; and no others, since an image without manuals misses a hundred kilobytes of them.
    pub verify: &'static [&'static str],
    /// Prints `NAME: …` for each of the files that follow.
    pub owner: &'static [&'static str],
    /// Where the package manager refuses to install anew what is only half there: fetches the archives of the packages
    /// that follow, and `reinstall` gets these.
    pub fetch: Option<&'static [&'static str]>,
    pub reinstall: &'static [&'static str],
}

#[derive(Debug, PartialEq)]
pub struct Apache {
    pub unit: &'static str,
    /// Our configuration, read after the distribution's own.
    pub site: &'static str,
    /// Modules to switch on, with the command that does it and the folder where each then lies as `<name>.load`.
    pub modules: Option<Modules>,
    pub test: &'static [&'static str],
}

#[derive(Debug, PartialEq)]
pub struct Modules {
    pub folder: &'static str,
    pub enable: &'static [&'static str],
    pub names: &'static [&'static str],
    /// The way of running where there is none.
    pub mpm: &'static str,
}

#[derive(Debug, PartialEq)]
pub struct LocalDatabase {
    pub packages: &'static [&'static str],
    /// Where to write that it listens on loopback alone; `None` where the distribution's own configuration says so.
    pub bind: Option<&'static str>,
    pub unit: &'static str,
    pub socket: &'static str,
}

#[derive(Debug, PartialEq)]
enum PhpPlace {
    Fixed {
        ini: &'static str,
        pool: &'static str,
        socket: &'static str,
        unit: &'static str,
    },
    /// Debian keeps each version apart in `/etc/php/<version>`.
    Versioned {
        root: &'static str,
    },
}

/// Where PHP reads its settings and how it is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Php {
    /// Folders whose `*.ini` the ways of running PHP read, php-fpm's first.
    pub ini: Vec<String>,
    /// Folder of the php-fpm pools.
    pub pool: String,
    pub socket: String,
    pub unit: String,
}

/// Which of them this machine runs.
///
/// # Errors
/// The distribution's name when it is none of those we know.
pub fn detect(host: &Host) -> anyhow::Result<&'static Os> {
    let release =
        host.read("/etc/os-release")?.context("/etc/os-release is missing: cannot tell the distribution")?;
    let id = field(&release, "ID");
    let like = field(&release, "ID_LIKE");
    let named = |it: &&&'static Os| it.ids.contains(&id.as_str());
    let akin = |it: &&&'static Os| like.split(' ').any(|name| it.ids.contains(&name));
    let all = [&AMAZON, &DEBIAN];
    match all.iter().find(named).or_else(|| all.iter().find(akin)) {
        Some(os) => Ok(os),
        None => bail!("distribution {id:?} is not supported: use Amazon Linux 2023, Debian or Ubuntu"),
    }
}

/// The distribution's own name, such as `Debian GNU/Linux 12 (bookworm)`.
pub fn pretty_name(host: &Host) -> String {
    host.read("/etc/os-release").ok().flatten().map(|it| field(&it, "PRETTY_NAME")).unwrap_or_default()
}

fn field(release: &str, key: &str) -> String {
    let line = release.lines().find_map(|it| it.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

impl Os {
    /// Where PHP's parts lie.
    ///
    /// # Errors
    /// When PHP is not installed yet.
    pub fn php(&self, host: &Host) -> anyhow::Result<Php> {
        match self.php {
            PhpPlace::Fixed { ini, pool, socket, unit } => Ok(Php {
                ini: vec![ini.to_owned()],
                pool: pool.to_owned(),
                socket: socket.to_owned(),
                unit: unit.to_owned(),
            }),
            PhpPlace::Versioned { root } => {
                let mut versions = host.list(root)?;
                // A version that was removed leaves its configuration.
                versions.retain(|it| {
                    host.exists(&format!("{root}/{it}/fpm/pool.d"))
                        && host.exists(&format!("/usr/sbin/php-fpm{it}"))
                });
                versions.sort_by_key(|it| number(it));
                let version = versions.last().context("php-fpm is not installed yet")?;
                let ini = ["fpm", "cli", "apache2"].map(|sapi| format!("{root}/{version}/{sapi}/conf.d"));
                Ok(Php {
                    ini: ini.into_iter().filter(|it| host.exists(it)).collect(),
                    pool: format!("{root}/{version}/fpm/pool.d"),
                    socket: format!("/run/php/php{version}-fpm.sock"),
                    unit: format!("php{version}-fpm.service"),
                })
            }
        }
    }
}

/// `8.10` is newer than `8.4`.
fn number(version: &str) -> Vec<u32> {
    version.split('.').map(|it| it.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::script::scripted;

    #[test]
    fn amazon_linux_debian_and_ubuntu_are_told_apart_and_others_are_refused() {
        let os = |text: &str| {
            let (host, _) = scripted();
            host.write("/etc/os-release", text.as_bytes(), 0o644, None).unwrap();
            detect(&host).map(|it| it.web_user)
        };
        assert_eq!(os("NAME=\"Amazon Linux\"\nID=\"amzn\"\nID_LIKE=\"fedora\"\n").unwrap(), "apache");
        assert_eq!(os("ID=debian\n").unwrap(), "www-data");
        assert_eq!(os("ID=ubuntu\nID_LIKE=debian\n").unwrap(), "www-data");
        assert_eq!(os("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").unwrap(), "www-data");
        let err = os("ID=alpine\n").unwrap_err().to_string();
        assert!(err.contains("alpine"), "{err}");
    }

    #[test]
    fn the_newest_php_is_taken_by_number() {
        let (host, _) = scripted();
        for version in ["8.4", "8.10", "7.4", "8.11"] {
            host.mkdir(&format!("/etc/php/{version}/fpm/pool.d"), 0o755).unwrap();
            if version != "8.11" {
                host.write(&format!("/usr/sbin/php-fpm{version}"), b"", 0o755, None).unwrap();
            }
        }
        assert_eq!(DEBIAN.php(&host).unwrap().unit, "php8.10-fpm.service");
    }
}
