//! `lamp db use`: lets all hosts read the replica instead of the primary, or the primary again.
//!
//! The configuration says which server it is, so that a plan stays empty; the hosts learn it from their parameters.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::Value as Json;
use shared::params::Param;

use super::{super::session, Exit, Session, running};
use crate::{
    aws::patiently,
    cli::{DEFAULT_FILE, Global, Target},
    commands::up,
    config::{self, Config, Paths, Server},
    engine::{self, Action},
    kinds::host_reports,
    timing::forecast,
    ui::Ui,
    whole,
};

/// Hosts look every fifteen seconds, or as often as their parameter says, and report after ten more.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_secs(2);

/// The configuration as it will be.
///
/// # Errors
/// The file cannot be read, or does not allow it.
pub(in crate::commands) async fn wanted(
    global: &Global,
    target: Target,
    server: Server,
) -> anyhow::Result<Config> {
    // A mistake in the file is told as by every other command.
    session::load(global, target, Paths::Checked).await?;
    Ok(session::read(global, target, &edited(session::file(global), server)?).await?)
}

/// The file's text with the server in it. Where there is no file, the lab is meant, and this is all that differs.
fn edited(path: &Path, server: Server) -> anyhow::Result<String> {
    let text = match fs::read_to_string(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound && path == Path::new(DEFAULT_FILE) => String::new(),
        other => other.with_context(|| format!("reading {}", path.display()))?,
    };
    let edited = config::with_key(&text, "database", "hosts_use", &word(server));
    edited.with_context(|| format!("changing {}", path.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mode = fs::metadata(path).map_or(0o644, |it| it.permissions().mode() & 0o777);
    whole::write(path, text.as_bytes(), mode).with_context(|| format!("writing {}", path.display()))
}

fn word(server: Server) -> String {
    server.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
}

/// What the hosts learn it from; nothing else may change by the way.
fn is_about_the_server(node: &str) -> bool {
    [Param::DbEndpoint, Param::Generation].iter().any(|it| node == format!("parameter/{it}"))
}

pub(super) async fn switch(
    session: &Session,
    global: &Global,
    server: Server,
    no_wait: bool,
    ui: &mut Ui,
) -> anyhow::Result<Exit> {
    let observed = session.observe().await?;
    let plan = engine::plan(&session.stack, &observed);
    let others = plan.steps.iter().filter(|it| it.action != Action::Keep && !is_about_the_server(&it.node));
    let others: Vec<_> = others.map(|it| it.node.as_str()).collect();
    if !others.is_empty() {
        bail!(
            "nothing was changed, since the stack differs in more than its hosts' server ({}): run `lamp up` first",
            others.join(", ")
        );
    }
    let path = session::file(global);
    let interrupt = session::Interrupt::watch(ui.notes());
    write(path, &edited(path, server)?)?;
    let observed = match plan.is_empty() {
        true => observed,
        false => {
            ui.plan(&plan, &forecast(&session.stack, &plan));
            match up::build(session, plan, &interrupt, ui).await? {
                (Exit::Fine, observed) => observed,
                (exit, _) => return Ok(exit),
            }
        }
    };
    let text = |param: Param| {
        let seen = observed.nodes.get(&format!("parameter/{param}"));
        seen.and_then(|it| it.fields["text"].as_str()).unwrap_or_default().to_owned()
    };
    let endpoint = text(Param::DbEndpoint);
    let late = match no_wait {
        true => BTreeMap::new(),
        false => match interrupt.or(wait(session, &text(Param::Generation), ui)).await {
            Some(late) => late?,
            None => bail!("interrupted: the hosts are told to use {endpoint}, but not all may do so yet"),
        },
    };
    if !late.is_empty() {
        let late: Vec<_> = late.iter().map(|(host, why)| format!("{host} ({why})")).collect();
        bail!("the hosts are told to use {endpoint}, but these do not yet: {}", late.join(", "));
    }
    let said = if no_wait { "are told to use" } else { "use" };
    let shown = serde_json::json!({ "server": word(server), "endpoint": endpoint });
    ui.result("server", &shown, &format!("the hosts {said} the {}, {endpoint}", word(server)));
    Ok(Exit::Fine)
}

/// Waits until every host that runs has reported this generation; those that have not, and why.
async fn wait(session: &Session, generation: &str, ui: &mut Ui) -> anyhow::Result<BTreeMap<String, String>> {
    let deadline = Instant::now() + PATIENCE;
    let mut said = None;
    loop {
        session.aws.look_again();
        let hosts: BTreeSet<String> = running(session).await?.into_iter().map(|it| it.id).collect();
        let reports = patiently(|| host_reports(&session.aws)).await.context("reading the hosts' reports")?;
        let reports: BTreeMap<String, String> = reports.into_iter().collect();
        let late: BTreeMap<String, String> = hosts
            .iter()
            .filter_map(|it| Some((it.clone(), lateness(reports.get(it), generation)?)))
            .collect();
        let done = hosts.len() - late.len();
        if said != Some(done) {
            ui.note(&format!("{done} of {} hosts have taken it over", hosts.len()));
            said = Some(done);
        }
        if late.is_empty() || deadline <= Instant::now() {
            return Ok(late);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why a host is not there yet; `None` if it is.
fn lateness(report: Option<&String>, generation: &str) -> Option<String> {
    let Some(report) = report else { return Some("has reported nothing yet".to_owned()) };
    let report: Json = serde_json::from_str(report).unwrap_or_default();
    match (report["converged"] == true, report["last_error"].as_str()) {
        (true, _) if report["generation"] == generation => None,
        (false, Some(err)) => Some(err.to_owned()),
        _ => Some("runs an older generation".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_there_when_it_has_converged_to_this_generation() {
        let of = |report: &str| lateness(Some(&report.to_owned()), "7");
        assert_eq!(of(r#"{"generation":"7","converged":true}"#), None);
        assert_eq!(of(r#"{"generation":"6","converged":true}"#).unwrap(), "runs an older generation");
        assert_eq!(
            of(r#"{"generation":"7","converged":false,"last_error":"dbinfo: full"}"#).unwrap(),
            "dbinfo: full"
        );
        // Of the past.
        assert_eq!(
            of(r#"{"generation":"6","converged":true,"last_error":"packages: 404"}"#).unwrap(),
            "runs an older generation"
        );
        assert_eq!(of("{}").unwrap(), "runs an older generation");
        assert_eq!(lateness(None, "7").unwrap(), "has reported nothing yet");
    }
}
