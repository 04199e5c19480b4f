//! `lamp ssh`: log in, to a private host through the bastion as a jump host. No private key ever leaves this machine.

use std::{os::unix::process::CommandExt, path::Path};

use anyhow::{Context, bail};

use super::{Exit, Session, session::file};
use crate::{
    aws::patiently,
    cli::Global,
    engine::{Observed, Seen},
    keys,
    kinds::{self, ElasticIp, Instance},
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
        let (yours, example) = match session.cloud.is_rehearsal() {
            true => ("the one that you have in the rehearsal cloud", rehearsal::OPERATOR.to_string()),
            false => ("yours", "203.0.113.7".to_owned()),
        };
        bail!(
            "SSH is closed: no address may reach the bastions. Name {yours} in {}, then run `lamp up`:\n\n    [access]\n    ssh_from = [\"{example}/32\"]",
            file(global).display()
        );
    }
    let observed = session.observe().await?;
    let (public_key, _) = keys::files(&c.access.key_dir, &c.names.public_key);
    let (private_key, _) = keys::files(&c.access.key_dir, &c.names.private_key);
    let options: &[&str] = if session.cloud.is_rehearsal() { &STRANGERS } else { &[] };
    let pipe_to = |address: &str| session.cloud.pipe_to(address, 22);
    let to_public =
        |address: &str| anyhow::Ok(login(options, &public_key, address, pipe_to(address)?.as_deref()));
    let words = match host {
        None => to_public(&bastion(&observed)?)?,
        Some(host) => match place(&session, &observed, &host).await? {
            Place::Public(address) => to_public(&address)?,
            Place::Private(address) => {
                let mut through = vec!["ssh".to_owned(), "-W".into(), format!("{address}:22")];
                through.extend(to_public(&bastion(&observed)?)?);
                login(options, &private_key, &address, Some(&through))
            }
        },
    };
    let mut ssh = std::process::Command::new("ssh");
    Err(ssh.args(words).args(command).exec()).context("running ssh (Debian's package openssh-client)")
}

/// A rehearsal cloud gives the same addresses to other machines the next time.
const STRANGERS: [&str; 6] =
    ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"];

/// The words after `ssh` that log in there with this key, through this command if there is one.
fn login(options: &[&str], key: &Path, address: &str, through: Option<&[String]>) -> Vec<String> {
    let mut words: Vec<String> = options.iter().map(|it| (*it).to_owned()).collect();
    words.extend(["-i".to_owned(), key.display().to_string()]);
    if let Some(through) = through {
        let quoted: Vec<String> = through.iter().map(|it| quoted(it)).collect();
        words.extend(["-o".to_owned(), format!("ProxyCommand={}", quoted.join(" "))]);
    }
    words.push(format!("ec2-user@{address}"));
    words
}

/// For the shell that runs a ProxyCommand, in which ssh itself takes `%` for something to fill in.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''").replace('%', "%%"))
}

fn is_called(host: &Seen, name: &str) -> bool {
    host.id == name || host.node.split_once('/').is_some_and(|(_, it)| it == name)
}

/// Where a host is reached.
enum Place {
    /// At its Elastic IP, as the bastion.
    Public(String),
    /// Through the bastion, at its address in the VPC.
    Private(String),
}

/// The Elastic IP of the first public host that has one.
fn bastion(observed: &Observed) -> anyhow::Result<String> {
    let mut hosts = observed.nodes.values().filter(|it| is_public(it));
    let address = hosts.find_map(|it| elastic_ip(observed, it));
    address.context("there is no bastion yet; run `lamp up`, with parts.public_hosts switched on")
}

fn is_public(host: &Seen) -> bool {
    host.node.starts_with("instance/public-")
}

fn elastic_ip(observed: &Observed, host: &Seen) -> Option<String> {
    let name = host.node.split_once('/')?.1;
    let address = observed.nodes.get(&format!("elastic-ip/eip-{name}"))?;
    address.out.get(ElasticIp::ADDRESS.name()).filter(|it| !it.is_empty()).cloned()
}

async fn place(session: &Session, observed: &Observed, host: &str) -> anyhow::Result<Place> {
    let mut nodes = observed.nodes.values().filter(|it| it.node.starts_with("instance/"));
    if let Some(seen) = nodes.find(|it| is_called(it, host)) {
        return Ok(match elastic_ip(observed, seen) {
            Some(address) => Place::Public(address),
            None if is_public(seen) => bail!("{host} has no public address; run `lamp up`"),
            None => Place::Private(seen.out.get(Instance::PRIVATE_IP.name()).cloned().unwrap_or_default()),
        });
    }
    // A host of the scaling group is no node: it is known by its id.
    let hosts = patiently(|| kinds::hosts(&session.aws)).await.context("looking for the host")?;
    let address = hosts.into_iter().find(|it| it.id == host).map(|it| it.address).filter(|it| !it.is_empty());
    let known: Vec<_> = observed.nodes.keys().filter_map(|it| it.strip_prefix("instance/")).collect();
    let address = address.with_context(|| format!("there is no host {host}; there are {}", known.join(", ")));
    Ok(Place::Private(address?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_a_command_keeps_its_words() {
        let jump = login(&[], Path::new("/tmp/my key.pem"), "203.0.113.7", None);
        let jump: Vec<String> = ["ssh".to_owned(), "-W".to_owned()].into_iter().chain(jump).collect();
        let words = login(&[], Path::new("k"), "10.1.3.4", Some(&jump));
        assert_eq!(
            words,
            [
                "-i",
                "k",
                "-o",
                "ProxyCommand='ssh' '-W' '-i' '/tmp/my key.pem' 'ec2-user@203.0.113.7'",
                "ec2-user@10.1.3.4"
            ]
        );
        assert_eq!(quoted("100% 'x'"), r"'100%% '\''x'\'''");
    }
}
