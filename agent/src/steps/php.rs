//! PHP's settings: where `dbinfo.inc` is found, and how many workers may hold a database connection.

use std::time::Duration;

use crate::{
    converge::Step,
    host::{Host, ROOT},
    os::{self, Os},
    steps::dbinfo,
};

const LIST: &str = "/etc/lamp/opcache-never.txt";
/// Which settings php-fpm runs with; survives a reboot, since php-fpm reads them anew then anyway.
const LOADED: &str = "/var/lib/lamp/php-loaded";

pub struct Php {
    pub os: &'static Os,
}

/// Read by every way of running PHP.
fn ini() -> String {
    format!(
        "; Written by lampd; a change here is undone within a minute.\n\
         ; include \"dbinfo.inc\" works from any page, and no page's own folder comes before it.\n\
         include_path = \"{}:.:/usr/share/pear:/usr/share/php\"\n\
         ; A new password counts from the next request on: that one file is never served from the cache.\n\
         opcache.blacklist_filename = {LIST}\n\
         ; The pages' errors belong into the log, not to the visitor.\n\
         display_errors = Off\nexpose_php = Off\n\
         ; A database that is away is noticed in seconds.\n\
         mysqlnd.net_read_timeout = 10\ndefault_socket_timeout = 10\n",
        dbinfo::FOLDER
    )
}

/// Over the distribution's pool `www`. A micro class of RDS takes 66 connections: the lab's eight hosts with these
/// workers, of which each keeps one, and as many in each page's pool use at most 64. A worker keeps the connection of a
/// former password as well, until it ends.
const POOL: &str = "; Written by lampd; a change here is undone within a minute.\n\
[global]\n\
; On a reload, pages that are being made are finished first: without this they would be cut off.\n\
process_control_timeout = 10s\n\
[www]\n\
pm = ondemand\n\
pm.max_children = 4\n\
pm.max_requests = 1000\n\
pm.process_idle_timeout = 60s\n\
; A thousand clients at once wait here instead of being refused.\n\
listen.backlog = 4096\n";

impl Php {
    fn wanted(&self, host: &Host) -> anyhow::Result<(os::Php, Vec<(String, String)>)> {
        let php = self.os.php(host)?;
        let mut files = vec![(LIST.to_owned(), format!("{}\n", dbinfo::FILE))];
        files.extend(php.ini.iter().map(|it| (format!("{it}/99-lamp.ini"), ini())));
        files.push((format!("{}/zz-lamp.conf", php.pool), POOL.to_owned()));
        Ok((php, files))
    }

    /// What switches the module on that speaks with the database, where php-fpm does not load it. Other ways of running PHP
    /// may be gone, and their folders still there.
    fn mysqli(&self, host: &Host, php: &os::Php) -> anyhow::Result<Option<&'static [&'static str]>> {
        let there = php.ini.first().map(|it| host.list(it)).transpose()?.unwrap_or_default();
        Ok(self.os.mysqli.filter(|_| !there.iter().any(|it| it.ends_with("mysqli.ini"))))
    }
}

/// A short name for what the files say.
pub fn digest(texts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_ref());
    }
    hash.finalize().iter().take(6).map(|it| format!("{it:02x}")).collect()
}

impl Step for Php {
    const NAME: &'static str = "php";

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let (php, files) = self.wanted(host)?;
        if self.mysqli(host, &php)?.is_some() {
            return Ok(Some("PHP's module mysqli is off".to_owned()));
        }
        for (path, text) in &files {
            if let Some(wrong) = host.differs(path, text.as_bytes(), 0o644, ROOT)? {
                return Ok(Some(wrong));
            }
        }
        let loaded = host.read(LOADED)?.unwrap_or_default();
        Ok((loaded != digest(files.iter().map(|it| &it.1)))
            .then(|| "php-fpm runs with other settings".to_owned()))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let (php, files) = self.wanted(host)?;
        if let Some(enable) = self.mysqli(host, &php)? {
            host.run(enable, Duration::from_secs(20)).await?;
        }
        for (path, text) in &files {
            host.write(path, text.as_bytes(), 0o644, Some(ROOT))?;
        }
        // One that does not run reads them when it starts.
        host.run(&["systemctl", "try-reload-or-restart", &php.unit], Duration::from_secs(40)).await?;
        host.write(LOADED, digest(files.iter().map(|it| &it.1)).as_bytes(), 0o644, None)
    }
}

/// What a host keeps when the agent leaves: nothing of ours.
///
/// # Errors
/// When a file cannot be removed.
pub fn remove(os: &'static Os, host: &Host) -> anyhow::Result<Option<String>> {
    let Ok((php, files)) = (Php { os }).wanted(host) else { return Ok(None) };
    for (path, _) in &files {
        host.remove(path)?;
    }
    host.remove(LOADED)?;
    Ok(Some(php.unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        converge::{Log, run},
        host::script::scripted,
    };

    #[tokio::test]
    async fn every_way_of_running_php_gets_the_settings_and_fpm_is_reloaded_once() {
        let (host, script) = scripted();
        host.write("/etc/os-release", b"ID=debian\n", 0o644, None).unwrap();
        for sapi in ["fpm", "cli"] {
            host.mkdir(&format!("/etc/php/8.2/{sapi}/conf.d"), 0o755).unwrap();
        }
        script.on(|host, line| {
            if line == "phpenmod mysqli" {
                host.write("/etc/php/8.2/fpm/conf.d/20-mysqli.ini", b"", 0o644, None).unwrap();
            }
            crate::host::Output::default()
        });
        host.mkdir("/etc/php/8.2/fpm/pool.d", 0o755).unwrap();
        host.write("/usr/sbin/php-fpm8.2", b"", 0o755, None).unwrap();
        let step = Php { os: crate::os::detect(&host).unwrap() };
        assert!(run(&host, &Log::default(), &step).await);
        assert!(run(&host, &Log::default(), &step).await);
        assert_eq!(script.log(), ["phpenmod mysqli", "systemctl try-reload-or-restart php8.2-fpm.service"]);
        assert!(host.exists("/etc/php/8.2/cli/conf.d/99-lamp.ini"));
    }
}
