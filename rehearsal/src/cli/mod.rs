//! `lamp rehearsal …`: a cloud that runs in the background, and commands that talk to it.

mod daemon;
mod host;

use std::fmt::Write as _;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

pub(crate) use daemon::Background;
use daemon::{Answer, Order};

use crate::cloud::Status;
use crate::doctor::doctor;
use crate::roles::Role;
use crate::state::State;

/// How long a start may take: the first one of a machine builds images.
const START: Duration = Duration::from_secs(20 * 60);

/// What can be asked of the rehearsal cloud.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Starts the cloud; harmless if it runs already
    Start {
        /// Loopback port of its interface
        #[arg(long, default_value_t = 4566)]
        port: u16,
        /// By what AWS's durations are divided; 1 is honest
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        clock: u32,
    },
    /// Says what runs
    Status {
        #[arg(long)]
        json: bool,
    },
    /// Ends the cloud and everything in it
    Stop,
    /// Runs a command on a host, named by id or name
    Exec {
        host: String,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Prints what a host has written to its console
    Console { host: String },
    /// Prints the calls that the cloud's interface got
    Logs,
    /// Runs curl as somebody on the internet
    Curl {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Prints a URL of this machine that leads to a load balancer
    Open {
        balancer: String,
        #[arg(long, default_value_t = 80)]
        port: u16,
    },
    /// Breaks something
    Break {
        what: Breakable,
        /// Which one; a metadata service or a resolver is for all
        #[arg(required_if_eq_any([("what", "instance"), ("what", "zone"), ("what", "database"), ("what", "filesystem"), ("what", "link")]))]
        name: Option<String>,
        /// Mends it after so many seconds; what was killed stays dead
        #[arg(long = "for", value_name = "SECONDS")]
        seconds: Option<u64>,
    },
    /// Mends what was broken and can be mended
    Mend { what: Breakable, name: Option<String> },
    /// Says what this machine lacks, and what brings it
    Doctor,
}

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breakable {
    /// A host loses its power
    Instance,
    /// All hosts and databases of a zone lose theirs
    Zone,
    /// The primary loses its power
    Database,
    /// No mount target of it answers
    Filesystem,
    /// Nobody gets metadata
    Metadata,
    /// Nobody gets a name resolved
    Names,
    /// A host's cable is pulled
    Link,
}

impl Command {
    /// Does it, and says which code to exit with.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn run(self, state: &State, out: &mut dyn Write) -> anyhow::Result<i32> {
        match self {
            Command::Start { port, clock } => {
                let endpoint = ensure_running(state, port, clock)?;
                say(out, &format!("the cloud runs; export AWS_ENDPOINT_URL={endpoint}"))?;
            }
            Command::Status { json } => {
                let Answer::Status { endpoint, status } = daemon::ask(state, &Order::Status)? else {
                    bail!("the cloud answered something else")
                };
                let text =
                    if json { serde_json::to_string_pretty(&*status)? } else { table(&endpoint, &status) };
                say(out, &text)?;
                return Ok(i32::from(!status.problems.is_empty()));
            }
            Command::Stop => {
                daemon::ask(state, &Order::Stop)?;
                daemon::wait_until_gone(state)?;
                say(out, "the cloud is gone")?;
            }
            Command::Exec { host, command } => {
                let (socket, place) = locate(state, host)?;
                return host::attach(&socket, place, command);
            }
            Command::Console { host } => match daemon::ask(state, &Order::Console { host })? {
                Answer::Text(text) => say(out, &text)?,
                _ => bail!("the cloud answered something else"),
            },
            Command::Logs => match daemon::ask(state, &Order::Logs)? {
                Answer::Text(text) => say(out, &text)?,
                _ => bail!("the cloud answered something else"),
            },
            Command::Curl { args } => {
                let Answer::Located { socket, .. } = daemon::ask(state, &Order::Internet)? else {
                    bail!("the cloud answered something else")
                };
                let command = std::iter::once("curl".to_owned()).chain(args).collect();
                return host::attach(&socket, crate::Place::Internet, command);
            }
            Command::Open { balancer, port } => match daemon::ask(state, &Order::Open { balancer, port })? {
                Answer::Text(url) => say(out, &url)?,
                _ => bail!("the cloud answered something else"),
            },
            Command::Break { what, name, seconds } => {
                daemon::ask(state, &Order::Break { what, name, seconds, broken: true })?;
                say(out, "broken")?;
            }
            Command::Mend { what, name } => {
                daemon::ask(state, &Order::Break { what, name, seconds: None, broken: false })?;
                say(out, "mended")?;
            }
            Command::Doctor => {
                let findings = doctor();
                for it in &findings {
                    let (mark, words) = match &it.result {
                        Ok(words) => ("ok     ", words),
                        Err(words) => ("missing", words),
                    };
                    say(out, &format!("{mark} {}: {words}", it.what))?;
                }
                return Ok(i32::from(findings.iter().any(|it| it.result.is_err())));
            }
        }
        Ok(0)
    }
}

fn locate(state: &State, host: String) -> anyhow::Result<(std::path::PathBuf, crate::Place)> {
    match daemon::ask(state, &Order::Locate { host })? {
        Answer::Located { socket, place } => Ok((socket, place)),
        _ => bail!("the cloud answered something else"),
    }
}

/// Starts the cloud in the background unless it runs; says where its interface is.
///
/// # Errors
/// If it does not start, with what it said.
pub fn ensure_running(state: &State, port: u16, clock: u32) -> anyhow::Result<String> {
    if let Some(endpoint) = running(state) {
        return Ok(endpoint);
    }
    let background = Background { state: state.dir().to_owned(), port, clock };
    let log = daemon::log(state)?;
    let mut command = Role::Cloud(background).command()?;
    for key in ["HOME", "XDG_CACHE_HOME", "LAMP_MOTO"] {
        command.envs(std::env::var_os(key).map(|it| (key, it)));
    }
    let file = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(file.try_clone().context("copying the log")?)
        .stderr(file)
        .spawn()
        .context("starting the cloud")?;
    let began = Instant::now();
    loop {
        if let Some(endpoint) = running(state) {
            return Ok(endpoint);
        }
        if child.try_wait().context("waiting for the cloud")?.is_some() {
            // Another one may have been quicker.
            if let Some(endpoint) = running(state) {
                return Ok(endpoint);
            }
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("the cloud did not start: {}", said.trim());
        }
        if began.elapsed() > START {
            bail!("the cloud is still starting after {} s; see {}", START.as_secs(), log.display());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Where the interface of a cloud is that runs in the background.
pub fn running(state: &State) -> Option<String> {
    match daemon::ask(state, &Order::Status) {
        Ok(Answer::Status { endpoint, .. }) => Some(endpoint),
        _ => None,
    }
}

fn say(out: &mut dyn Write, text: &str) -> anyhow::Result<()> {
    writeln!(out, "{}", text.trim_end()).context("printing")
}

fn table(endpoint: &str, status: &Status) -> String {
    let mut text = format!("interface  {endpoint}\n");
    for (id, (phase, address)) in &status.instances {
        let name = status.names.get(id).map(String::as_str).unwrap_or_default();
        let _ = writeln!(text, "instance   {id}  {phase:<8} {address:<12} {name}");
    }
    for (name, (primary, standby)) in &status.databases {
        let standby = standby.map_or("no standby".to_owned(), |it| format!("standby {it}"));
        let _ = writeln!(text, "database   {name}  primary {primary}, {standby}");
    }
    for name in &status.replicas {
        let _ = writeln!(text, "replica    {name}");
    }
    for name in &status.balancers {
        let _ = writeln!(text, "balancer   {name}");
    }
    for (group, targets) in &status.targets {
        let all: Vec<String> = targets.iter().map(|(id, state)| format!("{id} {state}")).collect();
        let _ = writeln!(text, "targets    {group}: {}", all.join(", "));
    }
    for it in &status.busy {
        let _ = writeln!(text, "busy       {it}");
    }
    for (what, why) in &status.problems {
        let _ = writeln!(text, "problem    {what}: {why}");
    }
    text
}
