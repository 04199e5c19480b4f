//! `lamp db`: the lab's rows, written by a host of the stack, since nobody else can reach the database; and which of
//! the database's servers the hosts read.
//!
//! The order goes through Systems Manager and carries no secret: the agent reads the account from its parameters.

pub(super) mod switch;

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use serde::Serialize;
use shared::sample::Sampled;

use super::{Exit, Session, health};
use crate::{
    aws::{Ran, patiently, run_command},
    cli::{Db, Global},
    engine::Observed,
    kinds::{self, DbInstance, Host},
    ui::Ui,
};

/// Where user data installs the agent.
const AGENT: &str = "/usr/local/bin/lampd";

#[derive(Serialize)]
struct Shown<'a> {
    host: &'a str,
    name: &'a str,
    #[serde(flatten)]
    done: &'a Sampled,
}

/// What a host does to the table.
enum Work {
    Seed,
    Add { name: String, address: String },
}

pub(super) async fn db(session: Session, global: &Global, what: Db, ui: &mut Ui) -> anyhow::Result<Exit> {
    if !session.config.parts.database {
        bail!("the stack has no database: switch parts.database on and run `lamp up`");
    }
    let work = match what {
        Db::Use { server, no_wait } => return switch::switch(&session, global, server, no_wait, ui).await,
        Db::Seed => Work::Seed,
        Db::Add { name, address } => Work::Add { name, address },
    };
    let observed = session.observe().await?;
    let script = script(&work, &server(&session, &observed)?);
    let hosts = hosts(&session, &observed).await?;
    let mut unmanaged = Vec::new();
    for host in &hosts {
        match run_command(&session.aws, &host.id, &script, "lamp db").await {
            Ok(ran) => return tell(host, &ran, ui),
            Err(err) if err.is_unmanaged() => unmanaged.push(host.id.as_str()),
            Err(err) => {
                return Err(anyhow::Error::from(err).context(format!("sending the order to {}", host.id)));
            }
        }
    }
    bail!(
        "Systems Manager knows none of the healthy hosts ({}): its agent starts with Amazon Linux, takes a minute \
         after the boot and needs the stack's role (run `lamp up`) and a way to the internet; other images need the \
         package amazon-ssm-agent",
        unmanaged.join(", ")
    )
}

/// The primary's own name: hosts may have been switched to the replica, which takes no rows.
fn server(session: &Session, observed: &Observed) -> anyhow::Result<String> {
    let primary = observed.nodes.get("db-instance/rds");
    let name = primary.and_then(|it| it.out.get(DbInstance::ENDPOINT.name())).filter(|it| !it.is_empty());
    name.cloned().with_context(|| {
        let name = &session.config.names.database;
        format!("the database {name} is not there yet; run `lamp up`, or wait until `lamp status` shows it")
    })
}

/// The stack's hosts that run.
async fn running(session: &Session) -> anyhow::Result<Vec<Host>> {
    let hosts = patiently(|| kinds::hosts(&session.aws)).await;
    let mut hosts = hosts.map_err(anyhow::Error::from).context("looking for the hosts")?;
    hosts.retain(|it| it.is_running);
    Ok(hosts)
}

/// Healthy hosts first of all; where nothing balances load, all that run.
async fn hosts(session: &Session, observed: &Observed) -> anyhow::Result<Vec<Host>> {
    let mut hosts = running(session).await?;
    if hosts.is_empty() {
        bail!(
            "the stack has no host that runs: `lamp up` builds them, and only a host can reach the database"
        );
    }
    if session.config.entrances().is_empty() {
        return Ok(hosts);
    }
    let targets = health::targets(session, observed).await?;
    let healthy: BTreeSet<&str> =
        targets.iter().filter(|it| it.is_healthy()).filter_map(|it| it.target.split(':').next()).collect();
    hosts.retain(|it| healthy.contains(it.id.as_str()));
    if hosts.is_empty() {
        let why: Vec<_> =
            targets.iter().map(|it| format!("{} is {} ({})", it.target, it.state, it.reason)).collect();
        bail!("no host is healthy yet: {}; wait, or see `lamp status`", why.join(", "));
    }
    Ok(hosts)
}

fn script(work: &Work, server: &str) -> String {
    let server = quoted(server);
    match work {
        Work::Seed => format!("exec {AGENT} db seed --server {server}"),
        Work::Add { name, address } => {
            format!("exec {AGENT} db add --server {server} -- {} {}", quoted(name), quoted(address))
        }
    }
}

/// One word for the shell of the host.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn tell(host: &Host, ran: &Ran, ui: &mut Ui) -> anyhow::Result<Exit> {
    let place = if host.name.is_empty() { host.id.clone() } else { format!("{} ({})", host.name, host.id) };
    if !ran.is_success() {
        let said = ran.stderr.lines().filter(|it| !it.starts_with("failed to run commands"));
        let said = said.map(str::trim).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("; ");
        match (said.as_str(), ran.status.as_str()) {
            ("", "DeliveryTimedOut" | "Delivery Timed Out" | "Undeliverable") => {
                bail!(
                    "{place} did not take the order: its Systems Manager agent does not answer; see `lamp status`"
                )
            }
            ("", status) => bail!("the order ended with {status} on {place}"),
            (said, _) => bail!("{place} says: {said}"),
        }
    }
    let line = ran.stdout.lines().last().unwrap_or_default();
    if line.is_empty() {
        bail!(
            "the order counts as done on {place}, which said nothing: this endpoint only pretends to run commands, as \
             moto does; try `--on rehearsal`"
        );
    }
    let done: Sampled =
        serde_json::from_str(line).with_context(|| format!("understanding what {place} said: {line}"))?;
    let added: Vec<_> = done.added.iter().map(|(name, address)| format!("({name}, {address})")).collect();
    let added = if added.is_empty() {
        "nothing was missing".to_owned()
    } else {
        format!("added {}", added.join(" "))
    };
    let text = format!(
        "SAMPLE at {}: {} rows before, {} now; {added}; written by {place}",
        done.server, done.before, done.after
    );
    ui.result("sample", &Shown { host: &host.id, name: &host.name, done: &done }, &text);
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_typed_stays_one_word() {
        let add = Work::Add { name: "O'NEIL; reboot".into(), address: "$(id)".into() };
        let want = r"exec /usr/local/bin/lampd db add --server 'db' -- 'O'\''NEIL; reboot' '$(id)'";
        assert_eq!(script(&add, "db"), want);
    }
}
