//! The cloud in the background, and the line to it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddrV4;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::Breakable;
use super::background::Found;
use super::breaking::Breaks;
use super::usage::{self, Usage};
use crate::cloud::{Cloud, Options, Status};
use crate::forward::Forward;
use crate::region::sweep;
use crate::state::State;
use crate::wire::Place;

/// What a process that was started again needs to know to be the cloud.
#[derive(Serialize, Deserialize)]
pub(crate) struct Background {
    pub(super) state: PathBuf,
    pub(super) port: u16,
    pub(super) clock: u32,
    pub(super) region: String,
}

/// Begins the lines of the log that are for whoever waits for the cloud.
pub(super) const PROGRESS: &str = "... ";

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    Status,
    Stop,
    Locate { host: String },
    Internet,
    Console { host: String },
    Logs,
    Usage,
    Open { what: String, port: u16 },
    Break { what: Breakable, name: String, span: Option<Duration> },
    Mend { what: Breakable, name: String },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    Status {
        found: Found,
        status: Box<Status>,
    },
    Usage(Usage),
    /// The base of a URL, if there is such a thing.
    Opened(Option<String>),
    Located {
        socket: PathBuf,
        place: Place,
    },
    Text(String),
}

/// Whoever breaks a zone waits until everything there is off.
const PATIENCE: Duration = Duration::from_secs(120);

fn socket(state: &State) -> PathBuf {
    state.dir().join("cloud.sock")
}

pub(super) fn log(state: &State) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(state.dir()).with_context(|| format!("making {}", state.dir().display()))?;
    Ok(state.dir().join("cloud.log"))
}

/// Whether anybody listens.
pub(super) fn is_there(state: &State) -> bool {
    UnixStream::connect(socket(state)).is_ok()
}

/// One order, one answer.
pub(super) fn ask(state: &State, order: &Order) -> anyhow::Result<Answer> {
    let line = UnixStream::connect(socket(state))
        .context("no rehearsal cloud runs; `lamp rehearsal start` starts it")?;
    line.set_read_timeout(Some(PATIENCE)).context("talking to the cloud")?;
    line.set_write_timeout(Some(PATIENCE)).context("talking to the cloud")?;
    let mut text = serde_json::to_string(order)?;
    text.push('\n');
    (&line).write_all(text.as_bytes()).context("talking to the cloud")?;
    let mut said = String::new();
    let read = BufReader::new(&line).read_line(&mut said);
    read.with_context(|| {
        format!("the cloud does not answer; see {}", state.dir().join("cloud.log").display())
    })?;
    let answer: Result<Answer, String> = serde_json::from_str(&said).context("the cloud hung up")?;
    answer.map_err(anyhow::Error::msg)
}

/// Ends the cloud, also one that is being prepared, and waits until its process has let go of its lock. Says whether
/// there was one.
pub(super) fn stop(state: &State) -> anyhow::Result<bool> {
    let (began, mut is_told) = (Instant::now(), false);
    if is_there(state) {
        ask(state, &Order::Stop)?;
        is_told = true;
    } else if !is_held(state) {
        return Ok(false);
    }
    while is_held(state) {
        if began.elapsed() > Duration::from_secs(60) {
            bail!("the cloud does not end; see {}", log(state)?.display());
        }
        // One that begins does not listen yet; what it has begun ends with it.
        if let (false, Some(pid)) = (is_told, holder(state)) {
            kill(pid, Signal::SIGTERM).context("ending the cloud that begins")?;
            is_told = true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    // Of a region that had only begun nobody else removes what there is.
    sweep(state)?;
    Ok(true)
}

/// Whether a cloud runs, starts or ends.
pub(super) fn is_held(state: &State) -> bool {
    lock(state).is_err()
}

fn lock_file(state: &State) -> PathBuf {
    state.dir().join("cloud.lock")
}

/// Held by the one cloud of this state, which writes into it who it is.
fn lock(state: &State) -> anyhow::Result<Flock<File>> {
    let path = lock_file(state);
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("creating {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| anyhow::anyhow!("a rehearsal cloud runs already"))
}

/// The process that said it holds the lock, if it is one that has the file open: numbers are used again.
fn holder(state: &State) -> Option<Pid> {
    let path = lock_file(state);
    let pid: i32 = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    let own = fs::canonicalize(&path).ok()?;
    let mut open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    open.any(|it| fs::read_link(it.path()).is_ok_and(|it| it == own)).then(|| Pid::from_raw(pid))
}

impl Background {
    /// Runs the cloud until somebody stops it.
    pub(crate) fn run(self) -> anyhow::Result<i32> {
        let _ = nix::unistd::setsid();
        let state = State::at(self.state);
        // Whoever only asks whether it is held has it for a moment.
        let began = Instant::now();
        let lock = loop {
            match lock(&state) {
                Err(_) if began.elapsed() < Duration::from_secs(1) => {
                    thread::sleep(Duration::from_millis(20))
                }
                other => break other?,
            }
        };
        lock.set_len(0).context("noting who is the cloud")?;
        write!(&*lock, "{}", std::process::id()).context("noting who is the cloud")?;
        let path = socket(&state);
        let _ = fs::remove_file(&path);
        let options = Options {
            state: state.clone(),
            port: self.port,
            clock: self.clock,
            region: self.region.clone(),
            ..Options::default()
        };
        build_images(&options)?;
        let cloud = Arc::new(Cloud::start(options)?);
        let listener =
            UnixListener::bind(&path).with_context(|| format!("listening at {}", path.display()))?;
        let mut opened = Vec::new();
        let breaks = Breaks::default();
        for line in listener.incoming().flatten() {
            let mut text = String::new();
            let read = BufReader::new(&line).read_line(&mut text);
            let Ok(order) = read.map_err(anyhow::Error::new).and_then(|_| Ok(serde_json::from_str(&text)?))
            else {
                continue;
            };
            let is_stop = matches!(order, Order::Stop);
            let found = Found { endpoint: cloud.endpoint(), region: self.region.clone(), clock: self.clock };
            let answer = serve(&cloud, found, order, &mut opened, &breaks).map_err(|err| format!("{err:#}"));
            let text = serde_json::to_string(&answer)? + "\n";
            let _ = (&line).write_all(text.as_bytes());
            if is_stop {
                break;
            }
        }
        // It ends in order, and needs nobody's signal.
        lock.set_len(0).context("leaving")?;
        let _ = fs::remove_file(&path);
        Ok(0)
    }
}

/// Tells whoever waits what takes minutes.
fn build_images(options: &Options) -> anyhow::Result<()> {
    let mut told = false;
    for (name, image) in Cloud::images(options) {
        if image.is_built(&options.state) {
            continue;
        }
        if !told {
            progress("this machine's first start builds images, which takes some minutes");
            told = true;
        }
        let began = Instant::now();
        progress(&format!("building the image for {name}"));
        image.prepare(&options.state)?;
        progress(&format!("built it in {} s", began.elapsed().as_secs()));
    }
    Ok(())
}

fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "{PROGRESS}{text}");
}

fn serve(
    cloud: &Arc<Cloud>,
    found: Found,
    order: Order,
    opened: &mut Vec<(Vec<SocketAddrV4>, Forward)>,
    breaks: &Breaks,
) -> anyhow::Result<Answer> {
    let socket = cloud.region().dir().join("ctl");
    Ok(match order {
        Order::Status => Answer::Status { found, status: Box::new(cloud.status()) },
        Order::Usage => Answer::Usage(usage::of_tree(std::process::id().cast_signed())),
        Order::Stop => Answer::Done,
        Order::Locate { host } => {
            let place = Place::Named(cloud.host(&host)?.name().to_owned());
            Answer::Located { socket, place }
        }
        Order::Internet => Answer::Located { socket, place: Place::Internet },
        Order::Console { host } => Answer::Text(cloud.host(&host)?.console()?),
        Order::Logs => {
            let path = cloud.region().dir().join("calls.log");
            Answer::Text(fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?)
        }
        Order::Open { what, port } => Answer::Opened(match cloud.nodes(&what, port)? {
            None => cloud.site(&what)?,
            Some(nodes) => {
                // By address: a balancer that was built anew may be elsewhere.
                let known = opened.iter().find(|it| it.0 == nodes).map(|it| it.1.url());
                Some(match known {
                    Some(url) => url,
                    None => {
                        let forward = cloud.region().forward_to_any(Place::Internet, nodes.clone())?;
                        let url = forward.url();
                        opened.push((nodes, forward));
                        url
                    }
                })
            }
        }),
        Order::Break { what, name, span } => {
            breaks.make(cloud, what, &name, span)?;
            Answer::Done
        }
        Order::Mend { what, name } => {
            breaks.mend(cloud, what, &name)?;
            Answer::Done
        }
    })
}
