//! Who this host is, as the instance metadata say.

use std::time::Duration;

use aws_config::imds;
use serde::{Deserialize, Serialize};

use crate::host::Host;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub hostname: String,
    /// `i-…`; the host's name where there is no metadata service.
    pub instance: String,
    pub zone: Option<String>,
    pub private_ip: Option<String>,
    /// Why something above is not from the metadata service.
    pub trouble: Option<String>,
}

/// Asks the metadata service (IMDSv2; `AWS_EC2_METADATA_SERVICE_ENDPOINT` is honoured) and falls back to what the
/// machine knows of itself.
pub async fn identify(host: &Host, imds: &imds::Client) -> Identity {
    let hostname = nix::unistd::gethostname().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let (instance, zone, ip) = tokio::join!(
        ask(imds, "/latest/meta-data/instance-id"),
        ask(imds, "/latest/meta-data/placement/availability-zone"),
        ask(imds, "/latest/meta-data/local-ipv4"),
    );
    let trouble = [&instance, &zone].into_iter().find_map(|it| it.as_ref().err().cloned());
    Identity {
        instance: instance.unwrap_or_else(|_| remembered(host).unwrap_or_else(|| hostname.clone())),
        hostname,
        zone: zone.ok(),
        private_ip: ip.ok().or_else(own_address),
        trouble: trouble.map(|it| format!("no instance metadata ({it}): going by the host's name")),
    }
}

async fn ask(imds: &imds::Client, path: &str) -> Result<String, String> {
    let answer = tokio::time::timeout(Duration::from_secs(4), imds.get(path)).await;
    match answer {
        Ok(Ok(it)) => Ok(String::from(it)),
        Ok(Err(err)) => Err(crate::aws::words(&err)),
        Err(_) => Err("no answer within 4 s".to_owned()),
    }
}

/// What cloud-init noted at boot, for the case that the metadata service is away only now.
fn remembered(host: &Host) -> Option<String> {
    let id = host.read("/var/lib/cloud/data/instance-id").ok().flatten()?.trim().to_owned();
    id.starts_with("i-").then_some(id)
}

/// The address that packets to the outside would carry; nothing is sent for this.
fn own_address() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}
