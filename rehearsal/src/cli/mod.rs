//! `lamp rehearsal …`: a cloud that runs in the background, and commands that talk to it.

mod background;
mod breaking;
mod clock;
mod daemon;
mod host;
mod span;
mod table;
mod usage;

use std::io::Write;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

pub use background::{Found, Wish, ensure_running, running, url_of, usage};
pub use clock::Clock;
pub(crate) use daemon::Background;
use daemon::{Answer, Order};
pub use span::Span;
pub use usage::Usage;

use crate::doctor::{doctor, handy};
use crate::edge::Viewer;
use crate::state::State;

/// What can be asked of the rehearsal cloud.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Starts the cloud; harmless if it runs already
    Start {
        /// Loopback port of its interface [default: 4566, or any other if that is taken]
        #[arg(long)]
        port: Option<u16>,
        /// By what AWS's durations are divided: a number, or `real` for 1 [default: 60]
        #[arg(long, value_name = "FACTOR")]
        clock: Option<Clock>,
        /// Which of AWS's regions it plays [default: ap-northeast-2]
        #[arg(long, value_name = "REGION")]
        region: Option<String>,
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
    /// Runs curl as somebody on the internet, who trusts the certificates of this cloud's CloudFront and S3
    Curl {
        /// How far from the site's bucket
        #[arg(long, value_enum, default_value_t = Viewer::Near)]
        from: Viewer,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Prints a URL of this machine that leads to a load balancer, a distribution, a bucket or its website
    Open {
        /// The DNS name that AWS gave it, or a load balancer's name
        what: String,
        #[arg(long, default_value_t = 80)]
        port: u16,
    },
    /// Joins this terminal's input and output with a port, as seen from the internet; what `lamp ssh` passes through
    Connect { address: std::net::Ipv4Addr, port: u16 },
    /// Breaks something
    Break {
        what: Breakable,
        /// Which one; a metadata service or a resolver is for all
        #[arg(required_if_eq_any([("what", "instance"), ("what", "zone"), ("what", "database"), ("what", "filesystem"), ("what", "link"), ("what", "replica")]))]
        name: Option<String>,
        /// Mends it after so long, such as 30s, 2m or 1h; what was killed is started, unless it is up or gone by then
        #[arg(long = "for", value_name = "TIME")]
        span: Option<Span>,
    },
    /// Mends what was broken; what was killed is started
    Mend { what: Breakable, name: Option<String> },
    /// Says what this machine lacks, and what brings it
    Doctor,
}

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breakable {
    /// A host loses its power
    Instance,
    /// Everything in a zone loses its power or its cables, and nothing starts there
    Zone,
    /// The primary loses its power
    Database,
    /// No mount target of it answers; by its id or its `Name`
    Filesystem,
    /// Nobody gets metadata
    Metadata,
    /// Nobody gets a name resolved
    Names,
    /// A host's cable is pulled
    Link,
    /// A replica loses its power
    Replica,
    /// Nobody's agent can be reached by Systems Manager
    Ssm,
    /// Calls whose action begins with the name, all without one, are told to slow down
    Throttling,
    /// They fail inside of AWS, and nothing was done
    InternalErrors,
    /// They are carried out, and the answer never arrives
    LostAnswers,
    /// There is no machine left for them
    Capacity,
    /// The credentials seem to be wrong
    AuthFailures,
    /// What was made in the last five seconds is not known everywhere
    Unseen,
    /// Lists are five seconds old
    StaleLists,
}

impl Command {
    /// Does it, and says which code to exit with.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn run(self, state: &State, out: &mut dyn Write) -> anyhow::Result<i32> {
        match self {
            Command::Start { port, clock, region } => {
                let wish = Wish { port, clock, region };
                let cloud = ensure_running(state, &wish, &mut |line| drop(say(out, line)))?;
                say(out, &format!("{cloud}\nexport AWS_ENDPOINT_URL={}", cloud.endpoint))?;
            }
            Command::Status { json } => {
                let Answer::Status { found, status } = daemon::ask(state, &Order::Status)? else {
                    bail!("the cloud answered something else")
                };
                let text = match json {
                    true => serde_json::to_string_pretty(&*status)?,
                    false => table::text(&found, &status, &usage(state)?),
                };
                say(out, &text)?;
                return Ok(i32::from(!status.problems.is_empty()));
            }
            Command::Stop => {
                let was_there = daemon::stop(state)?;
                say(out, if was_there { "the cloud is gone" } else { "no rehearsal cloud runs" })?;
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
            Command::Curl { from, args } => {
                let socket = internet(state)?;
                let root = socket.with_file_name(crate::edge::ROOT).display().to_string();
                let own = ["curl", "--cacert", &root, "--interface", &from.address().to_string()];
                let command = own.iter().map(|it| (*it).to_owned()).chain(args).collect();
                return host::attach(&socket, crate::Place::Internet, command);
            }
            Command::Open { what, port } => say(out, &background::open(state, &what, port)?)?,
            Command::Connect { address, port } => {
                host::pipe(&internet(state)?, std::net::SocketAddrV4::new(address, port))?;
            }
            Command::Break { what, name, span } => {
                let span = span.map(|it| it.0);
                daemon::ask(state, &Order::Break { what, name: name.unwrap_or_default(), span })?;
                say(out, "broken")?;
            }
            Command::Mend { what, name } => {
                daemon::ask(state, &Order::Mend { what, name: name.unwrap_or_default() })?;
                say(out, "mended")?;
            }
            Command::Doctor => {
                let findings = doctor();
                for it in findings.iter().chain(&handy()) {
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

/// How to reach the region's internet.
fn internet(state: &State) -> anyhow::Result<std::path::PathBuf> {
    match daemon::ask(state, &Order::Internet)? {
        Answer::Located { socket, .. } => Ok(socket),
        _ => bail!("the cloud answered something else"),
    }
}

fn locate(state: &State, host: String) -> anyhow::Result<(std::path::PathBuf, crate::Place)> {
    match daemon::ask(state, &Order::Locate { host })? {
        Answer::Located { socket, place } => Ok((socket, place)),
        _ => bail!("the cloud answered something else"),
    }
}

fn say(out: &mut dyn Write, text: &str) -> anyhow::Result<()> {
    writeln!(out, "{}", text.trim_end()).context("printing")
}
