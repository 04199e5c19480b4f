//! The units of both services, as they have to lie on every host.

use std::time::Duration;

use crate::host::{Host, ROOT};

pub const AGENT: &str = "lampd.service";
pub const SERVICE: &str = "lampd-page.service";
pub const SOCKET: &str = "lampd-page.socket";

const UNITS: [(&str, &str); 3] = [
    (AGENT, include_str!("../../systemd/lampd.service")),
    (SERVICE, include_str!("../../systemd/lampd-page.service")),
    (SOCKET, include_str!("../../systemd/lampd-page.socket")),
];
/// What systemd links there starts at boot.
const WANTS: [(&str, &str); 2] = [
    (AGENT, "/etc/systemd/system/multi-user.target.wants"),
    (SOCKET, "/etc/systemd/system/sockets.target.wants"),
];
const LIMIT: Duration = Duration::from_secs(60);

fn path(unit: &str) -> String {
    format!("/etc/systemd/system/{unit}")
}

/// What is wrong with them, in words. Whoever wants something else says so in a drop-in, which is not looked at.
///
/// # Errors
/// When one exists and cannot be read.
pub fn differ(host: &Host) -> anyhow::Result<Option<String>> {
    for (unit, text) in UNITS {
        if let Some(wrong) = host.differs(&path(unit), text.as_bytes(), 0o644, ROOT)? {
            return Ok(Some(wrong));
        }
    }
    let off = WANTS.into_iter().find(|(unit, folder)| !host.exists(&format!("{folder}/{unit}")));
    Ok(off.map(|(unit, _)| format!("{unit} does not start at boot")))
}

/// Writes those that are not as they should be; whether there was one.
///
/// # Errors
/// When one cannot be written.
pub fn write(host: &Host) -> anyhow::Result<bool> {
    let mut renewed = false;
    for (unit, text) in UNITS {
        renewed |= host.put(&path(unit), text.as_bytes(), 0o644, ROOT)?;
    }
    Ok(renewed)
}

/// Lets all of them start at every boot.
///
/// # Errors
/// What systemd says.
pub async fn enable(host: &Host) -> anyhow::Result<()> {
    host.run(&["systemctl", "daemon-reload"], LIMIT).await?;
    host.run(&["systemctl", "enable", AGENT, SOCKET, SERVICE], LIMIT).await.map(drop)
}

/// Takes them away.
///
/// # Errors
/// When one stays.
pub fn remove(host: &Host) -> anyhow::Result<()> {
    UNITS.iter().try_for_each(|(unit, _)| host.remove(&path(unit)))
}
