//! Packages whose files a power cut left empty.
//!
//! Syncing every file as it is unpacked costs more than everything else about it, and rpm does not even try. So files
//! are synced once, at the end, and until then a note says that they are not: who finds it after a boot looks at every
//! packaged file of the host, and installs anew what is not as it should be.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, bail};

use crate::{
    host::{Host, last_words},
    os::{ANEW, Damage, Packages},
};

/// The file that holds the boot in which files were unpacked without being synced. Each step that installs has its own:
/// what only some stacks want must not make the host doubt the rest.
pub(super) struct Note(pub(super) &'static str);

const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Where packages put files. By name, since the shared files must not be synced along: their server may be dead.
const FOLDERS: [&str; 4] = ["/usr", "/etc", "/var/lib", "/boot"];
const LIMIT: Duration = Duration::from_secs(300);

fn boot(host: &Host) -> anyhow::Result<String> {
    Ok(host.read(BOOT)?.unwrap_or_default())
}

impl Note {
    /// Before the first file is unpacked.
    pub(super) fn begin(&self, host: &Host) -> anyhow::Result<()> {
        // A note of an earlier boot goes only when its damage is mended.
        if host.exists(self.0) { Ok(()) } else { host.write(self.0, boot(host)?.as_bytes(), 0o644, None) }
    }

    /// After the last one.
    pub(super) async fn end(&self, host: &Host) -> anyhow::Result<()> {
        if host.exists(self.0) {
            let folders: Vec<&str> = FOLDERS.into_iter().filter(|it| host.exists(it)).collect();
            host.run(&[&["sync", "--file-system"], &*folders].concat(), LIMIT).await?;
        }
        host.remove(self.0)
    }

    /// Whether something may not have reached the disk.
    pub(super) fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        Ok(match host.read(self.0)? {
            None => None,
            Some(it) if it == boot(host)? => Some("packages are not all on the disk yet".to_owned()),
            Some(_) => Some("the power went while packages were being installed".to_owned()),
        })
    }

    /// Installs anew what an earlier boot left damaged.
    pub(super) async fn mend(&self, packages: &Packages, host: &Host) -> anyhow::Result<()> {
        let damage = &packages.damage;
        if host.read(self.0)?.is_none_or(|it| boot(host).is_ok_and(|now| now == it)) {
            return Ok(());
        }
        // Of a long list only the end is kept, so it is asked for until it has nothing new.
        let mut known = BTreeSet::new();
        loop {
            let mut paths = damaged(damage, host).await?;
            paths.retain(|it| known.insert(it.clone()));
            if paths.is_empty() {
                return self.end(host).await;
            }
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let out = host.try_run(&[damage.owner, &paths].concat(), LIMIT).await?;
            let mut names: Vec<&str> =
                out.stdout.lines().filter_map(|it| it.split([':', ',']).next()).collect();
            names.sort_unstable();
            names.dedup();
            if names.is_empty() {
                bail!("whose is {}? {}", paths[0], last_words(&out));
            }
            tracing::warn!("packages: the power cut damaged {}: installing them anew", names.join(", "));
            let Err(err) = anew(damage, &names, host).await else { continue };
            tracing::warn!("packages: {err:#}; once more with new lists, and one by one");
            host.run(packages.refresh, LIMIT).await?;
            // One that cannot be had must not keep the others from it.
            let mut failed = Ok(());
            for name in &names {
                failed = failed.and(anew(damage, &[name], host).await);
            }
            failed.context("installing damaged packages anew")?;
        }
    }
}

/// What is not as its package brought it. Configuration among it is removed, so that it comes anew.
async fn damaged(damage: &Damage, host: &Host) -> anyhow::Result<Vec<String>> {
    let out = host.try_run(damage.verify, LIMIT).await?;
    let mut paths = Vec::new();
    for (path, is_config) in out.stdout.lines().filter_map(changed) {
        // Configuration may differ on purpose, but nobody empties it on purpose.
        if is_config && host.size(path).is_some_and(|it| it > 0) {
            continue;
        }
        if is_config {
            host.remove(path)?;
        }
        paths.push(path.to_owned());
    }
    Ok(paths)
}

/// Installs packages once more, whatever is left of them.
///
/// # Errors
/// The package manager's words.
pub(super) async fn anew(damage: &Damage, names: &[&str], host: &Host) -> anyhow::Result<()> {
    let limit = Duration::from_secs(600);
    let Some(fetch) = damage.fetch else {
        return host.run(&[damage.reinstall, names].concat(), limit).await.map(drop);
    };
    host.remove_all(ANEW)?;
    host.mkdir(ANEW, 0o755)?;
    let work = async {
        host.run(&[fetch, names].concat(), limit).await?;
        let archives: Vec<String> = host.list(ANEW)?.iter().map(|it| format!("{ANEW}/{it}")).collect();
        let archives: Vec<&str> = archives.iter().map(String::as_str).collect();
        host.run(&[damage.reinstall, &archives].concat(), limit).await
    };
    let result = work.await;
    host.remove_all(ANEW)?;
    result.map(drop)
}

/// Of a line such as `??5?????? c /etc/x`: the path, and whether it is configuration. Other files may be missing on
/// purpose: whoever makes small images leaves out the manuals.
fn changed(line: &str) -> Option<(&str, bool)> {
    let (flags, rest) = line.split_at_checked(9)?;
    let path = &rest[rest.find('/')?..];
    let is_config = rest.trim_start().starts_with("c ");
    (flags.as_bytes()[2] == b'5' || is_config && flags.starts_with("missing")).then_some((path, is_config))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{
        Output,
        script::{Script, scripted},
    };

    const NOTE: Note = Note("/var/lib/lamp/unsynced-packages");
    const PACKAGES: Packages = Packages {
        base: &[],
        efs: &[],
        nfs: &[],
        stamps: &[],
        query: &["query"],
        heal: None,
        lock: None,
        lists: None,
        refresh: &["refresh"],
        install: &["install"],
        damage: Damage { verify: &["verify"], owner: &["owner"], fetch: None, reinstall: &["again"] },
    };

    /// A host whose power went while packages were being installed.
    fn after_a_cut() -> (Host, Arc<Script>) {
        let (host, script) = scripted();
        host.write(BOOT, b"first", 0o644, None).unwrap();
        NOTE.begin(&host).unwrap();
        host.write(BOOT, b"second", 0o644, None).unwrap();
        (host, script)
    }

    #[tokio::test]
    async fn after_a_power_cut_only_what_is_damaged_is_installed_anew() {
        let (host, script) = after_a_cut();
        host.write("/etc/kept", b"by hand", 0o644, None).unwrap();
        host.write("/etc/emptied", b"", 0o644, None).unwrap();
        NOTE.begin(&host).unwrap();
        assert!(NOTE.check(&host).unwrap().is_some_and(|it| it.contains("the power went")));
        script.on(|_, line| Output {
            stdout: match line {
                "verify" => "??5??????   /usr/bin/php\n??5?????? c /etc/kept\n??5?????? c /etc/emptied\nmissing     /usr/share/doc/x\n",
                "owner /usr/bin/php /etc/emptied" => "php-cli:amd64: /usr/bin/php\napache2, x: /etc/emptied\n",
                _ => "",
            }
            .to_owned(),
            ..Output::default()
        });
        NOTE.mend(&PACKAGES, &host).await.unwrap();
        assert_eq!(
            script.log(),
            [
                "verify",
                "owner /usr/bin/php /etc/emptied",
                "again apache2 php-cli",
                "verify",
                "sync --file-system /etc /var/lib"
            ]
        );
        assert!(!host.exists("/etc/emptied") && host.exists("/etc/kept"));
        assert_eq!(NOTE.check(&host).unwrap(), None);
    }

    #[tokio::test]
    async fn a_list_of_damage_that_was_cut_off_is_asked_for_until_nothing_is_new() {
        let (host, script) = after_a_cut();
        let mut mended = Vec::new();
        script.on(move |_, line| {
            if let Some(name) = line.strip_prefix("again ") {
                mended.push(name.to_owned());
            }
            let stdout = match line.strip_prefix("owner /usr/bin/") {
                Some(name) => format!("{name}: /usr/bin/{name}\n"),
                // The last of what is damaged still; one cannot be mended.
                None if line == "verify" => {
                    let mut left = ["never", "early", "late"]
                        .into_iter()
                        .filter(|it| !mended.contains(&(*it).to_owned()));
                    format!("??5??????   /usr/bin/{}\n", left.next_back().unwrap_or("never"))
                }
                None => String::new(),
            };
            Output { stdout, ..Output::default() }
        });
        NOTE.mend(&PACKAGES, &host).await.unwrap();
        let again: Vec<String> = script.log().into_iter().filter(|it| it.starts_with("again")).collect();
        assert_eq!(again, ["again late", "again early", "again never"]);
        assert_eq!(NOTE.check(&host).unwrap(), None);
    }

    #[tokio::test]
    async fn one_that_cannot_be_had_keeps_no_other_from_being_mended_and_is_named() {
        let (host, script) = after_a_cut();
        script.on(|_, line| {
            let stdout = match line.split_once(' ') {
                None if line == "verify" => "??5??????   /a\n??5??????   /b\n",
                Some(("owner", _)) => "foreign: /a\nphp: /b\n",
                _ => "",
            };
            let code = i32::from(line.starts_with("again") && line.contains("foreign"));
            let stderr = "E: foreign is on no mirror".to_owned();
            Output { code, stdout: stdout.to_owned(), stderr }
        });
        let err = format!("{:#}", NOTE.mend(&PACKAGES, &host).await.unwrap_err());
        assert!(err.contains("foreign is on no mirror"), "{err}");
        let log = script.log();
        assert_eq!(log[2..], ["again foreign php", "refresh", "again foreign", "again php"], "{log:#?}");
        assert!(NOTE.check(&host).unwrap().is_some());
    }

    #[tokio::test]
    async fn an_agent_that_was_killed_within_one_boot_only_syncs() {
        let (host, script) = scripted();
        host.write(BOOT, b"first", 0o644, None).unwrap();
        NOTE.begin(&host).unwrap();
        NOTE.mend(&PACKAGES, &host).await.unwrap();
        assert!(NOTE.check(&host).unwrap().is_some());
        NOTE.end(&host).await.unwrap();
        assert_eq!(script.log(), ["sync --file-system /var/lib"]);
        assert_eq!(NOTE.check(&host).unwrap(), None);
    }
}
