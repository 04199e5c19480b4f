//! `lampd status`: what the agent is doing, for a person or a program.

use std::{fmt::Write as _, io::Write as _, process::ExitCode, time::Duration};

use anyhow::Context;

use crate::{
    converge::{State, now},
    feed::{self, Status},
    host::Host,
    run,
};

/// Prints it; exit code 0 only when the host is in order and the agent alive.
///
/// # Errors
/// When the agent has never run here.
pub fn status(host: &Host, json: bool) -> anyhow::Result<ExitCode> {
    let text = host.read(run::STATUS)?;
    let text = text.with_context(|| {
        format!("{} is missing: the agent does not run; `systemctl status lampd`", run::STATUS)
    })?;
    let status: Status = serde_json::from_str(&text).with_context(|| format!("reading {}", run::STATUS))?;
    let silence = feed::silence(&host.at(feed::BEAT));
    let alive = silence.is_some_and(|it| it < Duration::from_secs(30));
    let shown = if json {
        let mut value = serde_json::to_value(&status).context("writing the status")?;
        value["alive"] = alive.into();
        serde_json::to_string_pretty(&value).context("writing the status")? + "\n"
    } else {
        table(&status, alive)
    };
    // Whoever reads may have gone already (`| head`).
    drop(std::io::stdout().write_all(shown.as_bytes()));
    Ok(if alive && status.converged { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(status: &Status, alive: bool) -> String {
    let mut out = String::new();
    let order = if status.converged { "in order" } else { "not in order yet" };
    let life = if alive { "" } else { "; the agent is not running" };
    let _ = writeln!(out, "{} ({}): {order}{life}", status.identity.instance, status.os);
    let _ = writeln!(out, "generation {}", status.generation.as_deref().unwrap_or("none yet"));
    if let Some(trouble) = &status.trouble {
        let _ = writeln!(out, "{trouble}");
    }
    let width = status.steps.keys().map(String::len).max().unwrap_or(0);
    for (name, it) in &status.steps {
        let state = match it.state {
            State::Ok => "ok",
            State::Working => "working",
            State::Waiting => "waiting",
            State::Failed if it.required => "FAILED",
            State::Failed => "failed",
        };
        let _ = write!(out, "  {name:width$}  {state:7}  {:>6} ms", it.millis);
        if let Some(words) = &it.words {
            let _ = write!(out, "  {words}");
        }
        if let (Some(what), Some(at)) = (&it.repaired, it.repaired_at) {
            let _ = write!(out, "  (mended {} s ago: {what})", now().saturating_sub(at));
        }
        if let (State::Ok, Some(words), Some(at)) = (it.state, &it.last_error, it.last_error_at) {
            let _ = write!(out, "  (failed {} s ago: {words})", now().saturating_sub(at));
        }
        out.push('\n');
    }
    out
}
