//! `lamp ssh`: log in through the bastion as a jump host. No private key ever leaves this machine.

use std::{os::unix::process::CommandExt, path::Path};

use anyhow::{Context, bail};

use super::{Exit, Session};
use crate::{
    cli::{DEFAULT_FILE, Global},
    engine::{Observed, Seen},
    keys,
    kinds::{ElasticIp, Instance},
};

/// Replaces this program by `ssh`; returns only if that was not possible.
pub(super) async fn ssh(
    session: Session,
    global: &Global,
    host: Option<String>,
    command: Vec<String>,
) -> anyhow::Result<Exit> {
    let c = &session.config;
    if c.access.ssh_from.is_empty() && !c.unsafe_choices.ssh_from_anywhere {
        bail!(
            "SSH is closed: no address may reach the bastions. Name yours in {}, then run `lamp up`:\n\n    [access]\n    ssh_from = [\"203.0.113.7/32\"]",
            global.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE)).display()
        );
    }
    let observed = session.observe().await?;
    let (bastion, address) = bastion(&observed)?;
    let (public_key, _) = keys::files(&c.access.key_dir, &c.names.public_key);
    let (private_key, _) = keys::files(&c.access.key_dir, &c.names.private_key);
    let mut ssh = std::process::Command::new("ssh");
    match host.filter(|it| !is_called(bastion, it)) {
        None => ssh.arg("-i").arg(&public_key).arg(format!("ec2-user@{address}")),
        Some(host) => {
            let target = private_address(&session, &observed, &host).await?;
            let jump = format!("ssh -i '{}' -W %h:%p ec2-user@{address}", public_key.display());
            let key = if host.starts_with("public-") { &public_key } else { &private_key };
            ssh.arg("-o")
                .arg(format!("ProxyCommand={jump}"))
                .arg("-i")
                .arg(key)
                .arg(format!("ec2-user@{target}"))
        }
    };
    Err(ssh.args(command).exec()).context("running ssh (Debian's package openssh-client)")
}

fn is_called(host: &Seen, name: &str) -> bool {
    host.id == name || host.node.split_once('/').is_some_and(|(_, it)| it == name)
}

/// The first public host that has an address, and the address.
fn bastion(observed: &Observed) -> anyhow::Result<(&Seen, String)> {
    let hosts = observed.nodes.values().filter(|it| it.node.starts_with("instance/public-"));
    for host in hosts {
        let name = host.node.trim_start_matches("instance/");
        if let Some(address) = observed.nodes.get(&format!("elastic-ip/eip-{name}")) {
            return Ok((host, address.out.get(ElasticIp::ADDRESS.name()).cloned().unwrap_or_default()));
        }
    }
    bail!("there is no bastion yet; run `lamp up`, with parts.public_hosts switched on")
}

async fn private_address(session: &Session, observed: &Observed, host: &str) -> anyhow::Result<String> {
    if let Some(seen) =
        observed.nodes.values().find(|it| it.node.starts_with("instance/") && is_called(it, host))
    {
        return Ok(seen.out.get(Instance::PRIVATE_IP.name()).cloned().unwrap_or_default());
    }
    // A host of the scaling group is no node: it is known by its id.
    let seen = session.aws.ec2.describe_instances().filters(session.aws.ours()).send().await;
    let seen = seen.map_err(crate::aws::Error::from).context("looking for the host")?;
    let all = seen.reservations().iter().flat_map(|it| it.instances());
    let address = all.filter(|it| it.instance_id() == Some(host)).find_map(|it| it.private_ip_address());
    let known: Vec<_> = observed.nodes.keys().filter_map(|it| it.strip_prefix("instance/")).collect();
    address
        .map(str::to_owned)
        .with_context(|| format!("there is no host {host}; there are {}", known.join(", ")))
}
