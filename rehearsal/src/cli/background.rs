//! Starting the cloud in the background, and finding the one that runs.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::daemon::{self, Answer, Background, Order};
use super::usage::Usage;
use crate::doctor::doctor;
use crate::roles::Role;
use crate::state::State;

/// How long a start may take: the first one of a machine builds images.
const START: Duration = Duration::from_secs(20 * 60);
/// Where AWS's clients look for an emulator.
const PORT: u16 = 4566;
/// What the cloud takes from the environment of whoever starts it: its files, and where an ordinary user's systemd is.
const PASSED_ON: [&str; 6] = [
    "HOME",
    "XDG_CACHE_HOME",
    "LAMP_MOTO",
    "LAMP_CONTROL_PLANE",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];
const REGION: &str = "ap-northeast-2";

/// How a cloud shall be that has to be started; what is left out does not matter.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub port: Option<u16>,
    pub clock: Option<Clock>,
    pub region: Option<String>,
}

/// A cloud that runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// For `AWS_ENDPOINT_URL`.
    pub endpoint: String,
    /// Which of AWS's regions it plays.
    pub region: String,
    pub(super) clock: u32,
}

impl Found {
    /// By what AWS's durations are divided.
    pub fn clock(&self) -> Clock {
        Clock(self.clock)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the rehearsal cloud of this machine ({}, {}, {})",
            self.endpoint,
            self.region,
            self.clock()
        )
    }
}

/// Starts the cloud in the background unless it runs. `tell` hears what takes time.
///
/// # Errors
/// If it does not start, with what it said; if the one that runs is not as wished.
pub fn ensure_running(state: &State, wish: &Wish, tell: &mut dyn FnMut(&str)) -> anyhow::Result<Found> {
    if let Some(found) = running(state)? {
        return fits(found, wish);
    }
    let lacks: Vec<String> =
        doctor().into_iter().filter_map(|it| Some(format!("{}: {}", it.what, it.result.err()?))).collect();
    if !lacks.is_empty() {
        bail!(
            "this machine cannot run the rehearsal cloud yet:\n  {}\n`scripts/setup` installs what Debian has; \
             `lamp rehearsal doctor` looks again",
            lacks.join("\n  ")
        );
    }
    let background = || Background {
        state: state.dir().to_owned(),
        port: wish.port.unwrap_or_else(free_port),
        clock: wish.clock.unwrap_or_default().0,
        region: wish.region.clone().unwrap_or_else(|| REGION.to_owned()),
    };
    let log = daemon::log(state)?;
    // One that somebody else is starting is as good.
    let mut child = if daemon::is_held(state) { None } else { Some(spawn(background(), &log)?) };
    let began = Instant::now();
    let mut told = 0;
    loop {
        told = pass_on(&log, told, tell);
        if let Some(found) = running(state)? {
            return fits(found, wish);
        }
        let has_ended = match &mut child {
            Some(child) => child.try_wait().context("waiting for the rehearsal cloud")?.is_some(),
            None => true,
        };
        // Another one may have been quicker, and will answer when it has started.
        if has_ended && !daemon::is_held(state) {
            if let Some(found) = running(state)? {
                return fits(found, wish);
            }
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().rfind(|it| !it.trim().is_empty()).unwrap_or("it said nothing");
            bail!(
                "the rehearsal cloud did not start: {last}\nits log is {}; `lamp rehearsal doctor` says what \
                 this machine lacks",
                log.display()
            );
        }
        if began.elapsed() > START {
            bail!("the rehearsal cloud still starts after {} s; see {}", START.as_secs(), log.display());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Begins a log and the cloud that writes it.
fn spawn(background: Background, log: &Path) -> anyhow::Result<Child> {
    let mut command = Role::Cloud(background).command()?;
    for key in PASSED_ON {
        command.envs(std::env::var_os(key).map(|it| (key, it)));
    }
    // Whoever comes second adds a line; nobody's lines are lost.
    let file = fs::File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("opening {}", log.display()))?;
    file.set_len(0).with_context(|| format!("emptying {}", log.display()))?;
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("copying the log")?)
        .stderr(file)
        .spawn()
        .context("starting the rehearsal cloud")
}

/// What the cloud that runs says of itself.
///
/// # Errors
/// If there is one that does not answer.
pub fn running(state: &State) -> anyhow::Result<Option<Found>> {
    if !daemon::is_there(state) {
        return Ok(None);
    }
    match daemon::ask(state, &Order::Status)? {
        Answer::Status { found, .. } => Ok(Some(found)),
        _ => bail!("the rehearsal cloud answered something else"),
    }
}

/// What all of it costs this machine so far.
///
/// # Errors
/// If no cloud runs.
pub fn usage(state: &State) -> anyhow::Result<Usage> {
    match daemon::ask(state, &Order::Usage)? {
        Answer::Usage(usage) => Ok(usage),
        _ => bail!("the rehearsal cloud answered something else"),
    }
}

/// A URL of this machine's loopback that leads where the given one leads inside; `None` if it leads nowhere there.
///
/// # Errors
/// If no cloud runs.
pub fn url_of(state: &State, url: &str) -> anyhow::Result<Option<String>> {
    let Some((host, port, path)) = parts(url) else { return Ok(None) };
    match daemon::ask(state, &Order::Open { what: host.to_owned(), port })? {
        Answer::Opened(Some(base)) => Ok(Some(format!("{base}/{path}"))),
        Answer::Opened(None) => Ok(None),
        _ => bail!("the rehearsal cloud answered something else"),
    }
}

/// Host, port and path of a URL; `None` if it is none.
fn parts(url: &str) -> Option<(&str, u16, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let usual = if scheme == "https" { 443 } else { 80 };
    match authority.split_once(':') {
        None => Some((authority, usual, path)),
        Some((host, port)) => Some((host, port.parse().ok()?, path)),
    }
}

/// As [`url_of`], for a name.
pub(super) fn open(state: &State, what: &str, port: u16) -> anyhow::Result<String> {
    match daemon::ask(state, &Order::Open { what: what.to_owned(), port })? {
        Answer::Opened(Some(url)) => Ok(url),
        Answer::Opened(None) => bail!(
            "there is no load balancer {what}, and neither a distribution nor a bucket of that DNS name"
        ),
        _ => bail!("the rehearsal cloud answered something else"),
    }
}

/// A second cloud of the same state would need other files; nobody wants its regions mixed up either.
fn fits(found: Found, wish: &Wish) -> anyhow::Result<Found> {
    match &wish.region {
        Some(region) if *region != found.region => bail!(
            "the rehearsal cloud that runs plays {}, not {region}; end it first: `lamp rehearsal stop`",
            found.region
        ),
        _ => Ok(found),
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).map_or(0, |_| PORT)
}

/// Tells the log's new lines as far as they are meant for people; says how far that was.
fn pass_on(log: &Path, told: usize, tell: &mut dyn FnMut(&str)) -> usize {
    let text = fs::read_to_string(log).unwrap_or_default();
    let new = text.get(told..).unwrap_or_default();
    let Some(end) = new.rfind('\n') else { return told };
    for line in new[..end].lines() {
        if let Some(line) = line.strip_prefix(daemon::PROGRESS) {
            tell(line);
        }
    }
    told + end + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_that_are_meant_for_people_are_told_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut heard = Vec::new();
        fs::write(&log, format!("noise\n{}one\n{}tw", daemon::PROGRESS, daemon::PROGRESS)).unwrap();
        let told = pass_on(&log, 0, &mut |it| heard.push(it.to_owned()));
        fs::write(&log, fs::read_to_string(&log).unwrap() + "o\n").unwrap();
        pass_on(&log, told, &mut |it| heard.push(it.to_owned()));
        assert_eq!(heard, ["one", "two"]);
    }

    #[test]
    fn a_url_says_its_port_or_has_its_schemes() {
        assert_eq!(parts("http://alb.example/"), Some(("alb.example", 80, "")));
        assert_eq!(parts("https://d1.example/a/b"), Some(("d1.example", 443, "a/b")));
        assert_eq!(parts("http://alb.example:8088/index.php"), Some(("alb.example", 8088, "index.php")));
        assert_eq!(parts("alb.example"), None);
        assert_eq!(parts("http://alb.example:odd/"), None);
    }

    #[test]
    fn a_cloud_that_plays_another_region_is_refused() {
        let found = Found { endpoint: "http://127.0.0.1:1".into(), region: "us-east-1".into(), clock: 60 };
        let wish = Wish { region: Some("ap-northeast-2".into()), ..Wish::default() };
        let said = fits(found.clone(), &wish).unwrap_err().to_string();
        assert!(said.contains("lamp rehearsal stop"), "{said}");
        assert!(fits(found, &Wish::default()).is_ok());
    }
}
