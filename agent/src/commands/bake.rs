//! `lampd bake`: everything that is the same on every host, so that a host made from the image serves at once.

use std::time::Duration;

use anyhow::bail;

use crate::{
    commands::install,
    converge::{Log, Memory, Pass, State, converge},
    host::Host,
    os,
    settings::{self, Settings},
    steps::{dbinfo, ready},
    units::{AGENT, SERVICE, SOCKET},
};

const LIMIT: Duration = Duration::from_secs(60);

/// Installs, converges what needs no parameters, and seals.
///
/// # Errors
/// When a step does not hold: a half-made image is none, and the machine serves its stack on, if it has one.
pub async fn bake(host: &Host, seal: bool) -> anyhow::Result<()> {
    install::root()?;
    let os = os::detect(host)?;
    // A running agent would write back what sealing removes.
    let stop = ["systemctl", "stop", AGENT, SERVICE, SOCKET];
    host.try_run(&stop, LIMIT).await?;
    install::place(host)?;
    install::enable(host).await?;
    let known = Settings::load(host).ok();
    let is_a_host = known.is_some();
    let settings = known.unwrap_or_else(|| Settings::new("none", "none"));
    let (memory, log) = (Memory::default(), Log::default());
    let pass = Pass { host, os, settings: &settings, config: None, zone: None, memory: &memory, log: &log };
    converge(&pass).await;
    let failed: Vec<String> = log
        .follow()
        .borrow()
        .iter()
        .filter(|(_, it)| it.state == State::Failed)
        .map(|(name, it)| format!("{name}: {}", it.words.as_deref().unwrap_or_default()))
        .collect();
    if !failed.is_empty() {
        if is_a_host {
            host.try_run(&["systemctl", "start", "--no-block", SOCKET, AGENT], LIMIT).await?;
        }
        bail!("the image is not complete: {}", failed.join("; "));
    }
    if seal {
        sealed(host).await?;
        tracing::info!("sealed: power off and make the image; do not start this machine again before");
    } else {
        tracing::info!("everything is installed; nothing was sealed");
    }
    Ok(())
}

/// Takes away what must differ between two hosts of one image, and what is secret.
async fn sealed(host: &Host) -> anyhow::Result<()> {
    for path in [dbinfo::FILE, settings::PATH, ready::FILE, "/var/lib/dbus/machine-id", "/root/.bash_history"]
    {
        host.remove(path)?;
    }
    // The parameters of the stack, among them the password.
    host.remove("/var/lib/lamp/parameters.json")?;
    let cloud_init = host.exists("/usr/bin/cloud-init");
    if cloud_init {
        // The next boot is a first boot again.
        host.run(&["cloud-init", "clean", "--logs", "--seed"], LIMIT).await?;
    }
    // Whoever makes new host keys at boot: without one of these, removing them would lock everybody out.
    let maker = ["/usr/lib/systemd/system/sshd-keygen@.service", "/lib/systemd/system/sshd-keygen.service"];
    if cloud_init || maker.iter().any(|it| host.exists(it)) {
        for name in host.list("/etc/ssh")?.iter().filter(|it| it.starts_with("ssh_host_")) {
            host.remove(&format!("/etc/ssh/{name}"))?;
        }
    } else {
        tracing::warn!("the SSH host keys stay: nothing on this machine would make new ones at boot");
    }
    host.remove("/var/lib/systemd/random-seed")?;
    logs(host).await?;
    // Empty means "make one at boot"; a missing file would make systemd ask first-boot questions.
    host.write("/etc/machine-id", b"", 0o444, None)
}

async fn logs(host: &Host) -> anyhow::Result<()> {
    host.try_run(&["journalctl", "--rotate"], Duration::from_secs(20)).await?;
    host.try_run(&["journalctl", "--vacuum-time=1s"], LIMIT).await?;
    for name in host.list("/var/log/journal")? {
        host.remove_all(&format!("/var/log/journal/{name}"))?;
    }
    // Emptied rather than removed: who writes there may hold it open.
    let find = ["find", "/var/log", "-type", "f", "-exec", "truncate", "-s", "0", "{}", "+"];
    host.run(&find, LIMIT).await.map(drop)
}
