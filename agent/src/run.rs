//! `lampd run`: follow the parameters, converge, mend what drifts, say what is going on.

mod telling;

use std::{fs::File, sync::Arc, time::Duration};

use anyhow::Context;
use aws_config::imds;
use nix::fcntl::{Flock, FlockArg};
use sd_notify::NotifyState;
use shared::agent::AgentConfig;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    aws::Aws,
    commands::install,
    converge::{self, Log, Memory, Pass, Reports, State, Step, converge},
    feed,
    host::Host,
    identity::{Identity, identify},
    os::{self, Os},
    report,
    settings::Settings,
    source::{Known, Source},
    steps::{
        packages::{More, Packages},
        ready,
    },
};

/// What somebody breaks is mended within a minute: a pass begins this long after the last one ended.
const DRIFT: Duration = Duration::from_secs(30);
/// A dead file server is noticed sooner: each visitor of its files occupies one of Apache's workers.
const SILENCE: Duration = Duration::from_secs(5);
/// The sign of life for systemd's watchdog and for the page.
const BEAT: Duration = Duration::from_secs(5);

/// Where `lampd status` looks.
pub const STATUS: &str = "/run/lamp/status.json";
/// Held by whoever converges this host: two at once would write the same files.
const LOCK: &str = "/run/lamp/lock";

/// Everything that lives as long as the agent does.
struct Agent {
    host: Host,
    os: &'static Os,
    os_name: String,
    settings: Settings,
    identity: Identity,
    imds: imds::Client,
    known: watch::Receiver<Known>,
    memory: Memory,
    log: Log,
    reports: watch::Sender<String>,
    ran: watch::Sender<Ran>,
}

/// What was made of which configuration.
#[derive(Clone, Default, PartialEq)]
struct Ran {
    /// That of the last pass over packages and web server; `None` before the first.
    site: Option<Option<AgentConfig>>,
    /// That of the last `dbinfo.inc`.
    dbinfo: Option<Option<AgentConfig>>,
    /// What this host runs: the last that both were made of.
    generation: Option<String>,
    /// Whether everything was looked at once.
    looked: bool,
}

/// Runs until it is told to stop.
///
/// # Errors
/// When the settings are missing or wrong; nothing that happens later ends it.
pub async fn run(host: Host) -> anyhow::Result<()> {
    let mut settings = Settings::load(&host)?;
    let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let mut term = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    notify(&[NotifyState::Ready, NotifyState::Status("starting")]);
    let mut said = false;
    let _alone = loop {
        if let Some(lock) = alone(&host)? {
            break lock;
        }
        if !std::mem::replace(&mut said, true) {
            tracing::info!("waiting for `lampd converge --once` to end");
        }
        notify(&[NotifyState::Watchdog]);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => (),
            _ = term.recv() => return Ok(()),
        }
    };
    loop {
        settings = reread(&host, settings);
        let agent = tokio::select! {
            it = Agent::start(host.clone(), settings.clone()) => it?,
            _ = term.recv() => return Ok(()),
        };
        tokio::select! {
            () = agent.turn() => (),
            // The settings are read again, and everything begins anew with what is on the host.
            () = async { hangup.recv().await; agent.packages_rest().await } => {
                tracing::info!("reading the settings again");
            }
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping; the site goes on");
    Ok(())
}

/// The settings as they are now; the last good ones where the file is broken.
fn reread(host: &Host, last: Settings) -> Settings {
    match Settings::load(host) {
        Ok(settings) => settings,
        Err(err) => {
            tracing::warn!("{err:#}; going on with the settings of before");
            last
        }
    }
}

/// One pass without following anything, for `lampd converge --once`; whether the host is in order afterwards.
///
/// # Errors
/// When the settings are missing or wrong, we are not root, or the service does it already.
pub async fn once(host: Host) -> anyhow::Result<bool> {
    install::root()?;
    let settings = Settings::load(&host)?;
    let _alone = alone(&host)?.context(
        "the service lampd converges this host already: see `lampd status`, or `systemctl stop lampd` first",
    )?;
    let os = os::detect(&host)?;
    let (source, identity, _) = meet(&host, &settings).await?;
    let config = match source.read().await {
        Ok(it) => Some(it),
        Err(err) => {
            tracing::warn!("{err:#}");
            source.cached()
        }
    };
    let (memory, log, config) = (Memory::default(), Log::default(), config.as_ref());
    let zone = identity.zone.as_deref();
    let pass = Pass { host: &host, os, settings: &settings, config, zone, memory: &memory, log: &log };
    let converged = converge(&pass).await;
    for (name, report) in log.follow().borrow().iter() {
        tracing::info!(
            "{name}: {:?}{}",
            report.state,
            report.words.as_ref().map(|it| format!(", {it}")).unwrap_or_default()
        );
    }
    Ok(converged)
}

/// The right to converge this host, unless somebody has it; ends with the value.
fn alone(host: &Host) -> anyhow::Result<Option<Flock<File>>> {
    ready::folder(host)?;
    let path = host.at(LOCK);
    let file =
        File::options().create(true).append(true).open(path).with_context(|| format!("opening {LOCK}"))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, err)) => Err(err).with_context(|| format!("locking {LOCK}")),
    }
}

/// Who this host is, and where its parameters come from.
async fn meet(host: &Host, settings: &Settings) -> anyhow::Result<(Source, Identity, imds::Client)> {
    let aws = Aws::new(settings, host)?;
    let identity = identify(host, &aws.imds).await;
    if let Some(trouble) = &identity.trouble {
        tracing::warn!("{trouble}");
    }
    tracing::info!("host {} of stack {}", identity.instance, settings.stack);
    let source = Source {
        ssm: aws.ssm,
        stack: settings.stack.clone(),
        instance: identity.instance.clone(),
        zone: identity.zone.clone(),
        host: host.clone(),
    };
    Ok((source, identity, aws.imds))
}

impl Agent {
    async fn start(host: Host, settings: Settings) -> anyhow::Result<Agent> {
        let os = os::detect(&host)?;
        let (source, identity, imds) = meet(&host, &settings).await?;
        let source = Arc::new(source);
        let (tell, known) = watch::channel(Known { config: source.cached(), trouble: None });
        let (reports, follow) = watch::channel(String::new());
        let poll = source.clone().follow(tell.clone());
        tokio::spawn(async move {
            tokio::select! { () = poll => (), () = tell.closed() => () }
        });
        let publish = move |report: String| {
            let source = source.clone();
            async move { source.publish(&report).await }
        };
        tokio::spawn(report::follow(publish, follow, report::GAP));
        Ok(Agent {
            os_name: os::pretty_name(&host),
            memory: Memory::default(),
            log: Log::default(),
            host,
            os,
            settings,
            identity,
            imds,
            known,
            reports,
            ran: watch::Sender::default(),
        })
    }

    /// Beats, publishes and converges until this host turns out to be another than we thought.
    async fn turn(&self) {
        let site = self.again(DRIFT, async |config| {
            let pass = self.pass(config);
            let fine = converge::packages(&pass).await;
            let fine = converge::web(&pass).await && fine;
            self.ended(|it| &mut it.site, config);
            fine
        });
        // Waits neither for packages nor for a file server: a new password counts at once.
        let dbinfo = self.again(DRIFT, async |config| {
            self.grouped().await;
            let fine = converge::dbinfo(&self.pass(config)).await;
            self.ended(|it| &mut it.dbinfo, config);
            fine
        });
        // These need programs of the first installation, and wait for no later one.
        let others = async {
            self.installed().await;
            let more = self.again(DRIFT, async |config| converge::more_packages(&self.pass(config)).await);
            let database =
                self.again(DRIFT, async |config| converge::local_database(&self.pass(config)).await);
            let page = self.again(DRIFT, async |config| converge::page(&self.pass(config)).await);
            let files = self.again(SILENCE, async |config| converge::files(&self.pass(config)).await);
            tokio::join!(more, database, page, files)
        };
        let work = async {
            tokio::join!(self.beat(), self.publish(), self.complain(), self.announce(), site, dbinfo, others)
        };
        tokio::select! { _ = work => (), () = self.recognise() => () }
    }

    async fn beat(&self) {
        let mut tick = interval(BEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(err) = feed::beat(&self.host) {
                tracing::warn!("{err:#}");
            }
            notify(&[NotifyState::Watchdog]);
        }
    }

    /// Does something for ever: at once when the configuration moves, soon after it failed, else after a pause.
    async fn again(&self, pause: Duration, work: impl AsyncFn(Option<&AgentConfig>) -> bool) {
        let mut known = self.known.clone();
        let mut failures = 0_u32;
        loop {
            let used = known.borrow_and_update().config.clone();
            failures = if work(used.as_ref()).await { 0 } else { failures.saturating_add(1) };
            let wait = match failures {
                0 => pause,
                it => Duration::from_secs(1 << it.min(4)).min(pause),
            };
            let next = Instant::now() + wait;
            loop {
                tokio::select! {
                    () = sleep_until(next) => break,
                    // That the store is away or back is no reason, only another configuration is.
                    Ok(()) = known.changed() => if known.borrow_and_update().config != used { break },
                }
            }
        }
    }

    /// Waits for the first installation, whose users and programs others need.
    async fn installed(&self) {
        let mut steps = self.log.follow();
        let done =
            |it: &Reports| it.get(Packages::NAME).is_some_and(|it| it.held || it.state == State::Failed);
        drop(steps.wait_for(done).await);
    }

    /// Waits for the web server's group, which is all that `dbinfo.inc` needs of the first installation.
    async fn grouped(&self) {
        if self.host.group(self.os.web_user).is_none() {
            self.installed().await;
        }
    }

    fn pass<'a>(&'a self, config: Option<&'a AgentConfig>) -> Pass<'a> {
        Pass {
            host: &self.host,
            os: self.os,
            settings: &self.settings,
            config,
            zone: self.identity.zone.as_deref(),
            memory: &self.memory,
            log: &self.log,
        }
    }

    /// Notes what a part was made of. Only what was applied is what this host runs.
    fn ended(&self, part: fn(&mut Ran) -> &mut Option<Option<AgentConfig>>, config: Option<&AgentConfig>) {
        let first = config.is_some() || self.known.borrow().config.is_none();
        self.ran.send_if_modified(|it| {
            let before = it.clone();
            *part(it) = Some(config.cloned());
            if it.site == it.dbinfo {
                it.generation = config.and_then(|it| it.generation.clone());
                it.looked |= first;
            }
            *it != before
        });
    }

    /// Ends when the metadata service says who this host is, if it did not at the start.
    async fn recognise(&self) {
        if self.identity.trouble.is_none() {
            return std::future::pending().await;
        }
        let mut wait = Duration::from_secs(2);
        loop {
            tokio::time::sleep(wait).await;
            let identity = identify(&self.host, &self.imds).await;
            if identity.trouble.is_none() {
                break;
            }
            wait = (wait * 2).min(Duration::from_secs(60));
        }
        self.packages_rest().await;
        tracing::info!("the instance metadata are there now: beginning anew");
    }

    /// Waits until no package manager is at work: beginning anew ends the programs that we run.
    async fn packages_rest(&self) {
        let works = |it: &Reports, name| it.get(name).is_some_and(|it| it.state == State::Working);
        let rest = |it: &Reports| !works(it, Packages::NAME) && !works(it, More::NAME);
        drop(self.log.follow().wait_for(rest).await);
    }
}

/// Tells systemd, if it is there.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(state) {
        tracing::debug!("telling systemd: {err}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host::script::scripted, settings::PATH};

    #[test]
    fn broken_settings_leave_the_last_good_ones_in_force() {
        let (host, _) = scripted();
        let (first, second) = (Settings::new("r", "first"), Settings::new("r", "second"));
        host.write(PATH, second.text().unwrap().as_bytes(), 0o640, None).unwrap();
        let now = reread(&host, first);
        assert_eq!(now, second);
        host.write(PATH, b"stack = ", 0o640, None).unwrap();
        assert_eq!(reread(&host, now), second);
    }
}
