//! `lampd install` and `lampd uninstall`: the program, its units and its settings, in place or gone.

use std::time::Duration;

use anyhow::{Context, bail};

use crate::{
    cli,
    feed::{self, GROUP},
    host::{Host, ROOT},
    os, run,
    settings::{self, Settings},
    steps,
    units::{self, AGENT, SERVICE, SOCKET},
};

pub const BINARY: &str = "/usr/local/bin/lampd";
const CA_BUNDLE: &str = "/etc/lamp/ca-bundle.pem";
const LIMIT: Duration = Duration::from_secs(60);

/// Puts everything in place; what is there already stays as it is, so it can be repeated, and it is how a newer
/// program replaces an older one.
///
/// # Errors
/// When we are not root, or something cannot be written.
pub async fn install(host: &Host, asked: cli::Install) -> anyhow::Result<()> {
    root()?;
    os::detect(host)?;
    let mut settings = Settings::new(&asked.region, &asked.stack);
    settings.endpoint = asked.endpoint;
    // What was set by hand on a host of this stack stays.
    let before = Settings::load(host).ok().filter(|it| it.stack == settings.stack);
    settings.index_php = !asked.no_index_php && before.as_ref().is_none_or(|it| it.index_php);
    // Copied, since user data may remove its own files.
    let bundle = copied(host, asked.ca_bundle.as_deref(), CA_BUNDLE)?;
    settings.ca_bundle = bundle.then(|| CA_BUNDLE.into());
    copied(host, asked.db_ca.as_deref(), settings::DATABASE_CA)?;
    settings.db_ca = before.and_then(|it| it.db_ca);
    settings.check()?;

    let renewed = place(host)?;
    let moved = settings.write(host)?;
    enable(host).await?;
    if asked.no_start {
        tracing::info!("installed; `systemctl start lampd lampd-page.socket` starts it");
        return Ok(());
    }
    // Without waiting: user data runs inside the boot that these jobs may be ordered after.
    host.run(&["systemctl", "start", "--no-block", SOCKET], LIMIT).await?;
    for (unit, anew) in [(AGENT, renewed || moved), (SERVICE, renewed)] {
        let verb = if anew || runs_another(host, unit).await { "restart" } else { "start" };
        host.run(&["systemctl", verb, "--no-block", unit], LIMIT).await?;
    }
    tracing::info!(
        "installed for stack {} in {}; `lampd status` shows how it goes",
        settings.stack,
        settings.region
    );
    Ok(())
}

/// Whether a service runs a program that is no longer the installed one: user data replaces the file by itself.
async fn runs_another(host: &Host, unit: &str) -> bool {
    let shown = host.run(&["systemctl", "show", "-p", "MainPID", "--value", unit], LIMIT).await;
    let Ok(pid) = shown.map(|it| it.trim().to_owned()) else { return false };
    host.link(&format!("/proc/{pid}/exe")).is_some_and(|it| it != std::path::Path::new(BINARY))
}

/// Program and units, without settings; whether anything was new.
pub fn place(host: &Host) -> anyhow::Result<bool> {
    // Itself, wherever it lies, and also where it was removed.
    let program = host.read_bytes("/proc/self/exe")?.context("/proc is not mounted")?;
    let renewed = host.put(BINARY, &program, 0o755, ROOT)?;
    Ok(units::write(host)? || renewed)
}

/// The page's group, and both services at every boot.
pub async fn enable(host: &Host) -> anyhow::Result<()> {
    if host.group(GROUP).is_none() {
        host.run(&["groupadd", "--system", GROUP], LIMIT).await?;
    }
    units::enable(host).await
}

/// Takes everything away that the agent wrote. Packages, the site's pages and what lies on the shared files stay.
///
/// # Errors
/// When we are not root, or something cannot be removed.
pub async fn uninstall(host: &Host) -> anyhow::Result<()> {
    root()?;
    host.try_run(&["systemctl", "disable", "--now", AGENT, SERVICE, SOCKET], LIMIT).await?;
    units::remove(host)?;
    if let Ok(os) = os::detect(host) {
        steps::efs::remove(host).await?;
        steps::index::remove(host)?;
        steps::local_database::remove(os, host)?;
        let fpm = steps::php::remove(os, host)?;
        host.remove(os.apache.site)?;
        for unit in [Some(os.apache.unit.to_owned()), fpm].into_iter().flatten() {
            host.try_run(&["systemctl", "try-reload-or-restart", &unit], LIMIT).await?;
        }
    }
    for file in [feed::FILE, feed::BEAT, run::STATUS, steps::ready::FILE, steps::ready::ALIVE] {
        host.remove(file)?;
    }
    for folder in ["/etc/lamp", "/var/lib/lamp"] {
        host.remove_all(folder)?;
    }
    host.remove(BINARY)?;
    if host.group(GROUP).is_some() {
        host.try_run(&["groupdel", GROUP], LIMIT).await?;
    }
    host.run(&["systemctl", "daemon-reload"], LIMIT).await?;
    tracing::info!("the agent is gone; Apache, PHP and the site's pages stay");
    Ok(())
}

/// Whoever may do all this.
///
/// # Errors
/// When that is not us.
pub fn root() -> anyhow::Result<()> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { bail!("this needs root: run it with sudo") }
}

/// Copies a file that somebody named to its place on every host; whether one was named.
fn copied(host: &Host, from: Option<&std::path::Path>, to: &str) -> anyhow::Result<bool> {
    let Some(from) = from.map(std::path::Path::to_string_lossy) else { return Ok(false) };
    let text = host.read_bytes(&from)?.with_context(|| format!("{from} is missing"))?;
    host.write(to, &text, 0o644, Some(ROOT)).map(|()| true)
}
