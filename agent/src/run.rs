//! `lampd run`: follow the parameters, converge, mend what drifts, say what is going on.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use sd_notify::NotifyState;
use shared::agent::AgentConfig;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    aws::Aws,
    converge::{Log, Memory, Pass, converge},
    feed::{self, Feed},
    host::Host,
    identity::{Identity, identify},
    os::{self, Os},
    report,
    settings::Settings,
    source::{Known, Source},
    steps::ready,
};

/// What somebody breaks is mended within a minute: a pass begins this long after the last one ended.
const DRIFT: Duration = Duration::from_secs(30);
/// The sign of life for systemd's watchdog and for the page.
const BEAT: Duration = Duration::from_secs(5);

/// Where `lampd status` looks.
pub const STATUS: &str = "/run/lamp/status.json";

/// Everything that lives as long as the agent does.
struct Agent {
    host: Host,
    os: &'static Os,
    os_name: String,
    settings: Settings,
    identity: Identity,
    known: watch::Receiver<Known>,
    memory: Memory,
    log: Log,
    reports: watch::Sender<String>,
    /// Whether the first pass has ended.
    looked: watch::Sender<bool>,
}

/// Runs until it is told to stop.
///
/// # Errors
/// When the settings are missing or wrong; nothing that happens later ends it.
pub async fn run(host: Host) -> anyhow::Result<()> {
    let settings = Settings::load(&host)?;
    let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let mut term = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    feed::beat(&host)?;
    notify(&[NotifyState::Ready, NotifyState::Status("starting")]);
    loop {
        let settings = Settings::load(&host).unwrap_or_else(|_| settings.clone());
        let agent = tokio::select! {
            it = Agent::start(host.clone(), settings) => it?,
            _ = term.recv() => return Ok(()),
        };
        tokio::select! {
            () = agent.turn() => (),
            // The settings are read again, and everything begins anew with what is on the host.
            _ = hangup.recv() => tracing::info!("reading the settings again"),
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping; the site goes on");
    Ok(())
}

/// One pass without following anything, for `lampd converge --once`; whether the host is in order afterwards.
///
/// # Errors
/// When the settings are missing or wrong.
pub async fn once(host: Host) -> anyhow::Result<bool> {
    let settings = Settings::load(&host)?;
    let mut agent = Agent::start(host, settings).await?;
    let wait = agent.known.wait_for(|it| it.config.is_some() || it.trouble.is_some());
    drop(tokio::time::timeout(Duration::from_secs(30), wait).await);
    let config = agent.known.borrow().config.clone();
    let converged = agent.pass(config.as_ref()).await;
    for (name, report) in agent.log.follow().borrow().iter() {
        tracing::info!(
            "{name}: {:?}{}",
            report.state,
            report.words.as_ref().map(|it| format!(", {it}")).unwrap_or_default()
        );
    }
    Ok(converged)
}

impl Agent {
    async fn start(host: Host, settings: Settings) -> anyhow::Result<Agent> {
        let os = os::detect(&host)?;
        let aws = Aws::new(&settings, &host)?;
        let identity = identify(&host, &aws.imds).await;
        if let Some(trouble) = &identity.trouble {
            tracing::warn!("{trouble}");
        }
        tracing::info!("host {} of stack {} ({})", identity.instance, settings.stack, os.name);
        let source = Arc::new(Source {
            ssm: aws.ssm,
            stack: settings.stack.clone(),
            instance: identity.instance.clone(),
            zone: identity.zone.clone(),
            host: host.clone(),
        });
        let (tell, known) = watch::channel(Known { config: source.cached(), trouble: None });
        let (reports, follow) = watch::channel(String::new());
        let poll = source.clone().follow(tell.clone());
        tokio::spawn(async move {
            tokio::select! { () = poll => (), () = tell.closed() => () }
        });
        tokio::spawn(report::follow(source, follow));
        Ok(Agent {
            os_name: os::pretty_name(&host),
            memory: Memory::default(),
            log: Log::default(),
            host,
            os,
            settings,
            identity,
            known,
            reports,
            looked: watch::Sender::new(false),
        })
    }

    /// Beats, publishes and converges for ever.
    async fn turn(&self) {
        tokio::join!(self.beat(), self.publish(), self.passes(), self.complain());
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

    /// Says on the console why there is no configuration, and when there is one again.
    async fn complain(&self) {
        let mut known = self.known.clone();
        let mut said: Option<String> = None;
        loop {
            let trouble = known.borrow_and_update().trouble.clone();
            match (&trouble, &said) {
                (Some(now), before) if Some(now) != before.as_ref() => tracing::warn!("{now}"),
                (None, Some(_)) => tracing::info!("the parameters are there again"),
                _ => (),
            }
            said = trouble;
            if known.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Passes one after the other: at once when the configuration moves, soon after one that failed, else at leisure.
    async fn passes(&self) {
        let mut known = self.known.clone();
        let mut failures = 0_u32;
        loop {
            let used = known.borrow_and_update().config.clone();
            failures = if self.pass(used.as_ref()).await { 0 } else { failures.saturating_add(1) };
            let wait = match failures {
                0 => DRIFT,
                it => Duration::from_secs(1 << it.min(4)).min(DRIFT),
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

    async fn pass(&self, config: Option<&AgentConfig>) -> bool {
        let pass = Pass {
            host: &self.host,
            os: self.os,
            settings: &self.settings,
            config,
            zone: self.identity.zone.as_deref(),
            memory: &self.memory,
            log: &self.log,
        };
        let converged = converge(&pass).await;
        self.looked.send_replace(config.is_some() || self.known.borrow().config.is_none());
        let status = if converged { "in order" } else { "not in order yet" };
        notify(&[NotifyState::Status(&format!("{status}; generation {}", generation(config)))]);
        converged
    }

    /// Follows steps and parameters, and tells the page, `lampd status` and the operator.
    async fn publish(&self) {
        let (mut steps, mut known) = (self.log.follow(), self.known.clone());
        // What the agent before us published is the better news until we have looked at everything once.
        if self.host.exists(feed::FILE) {
            let looked = self.looked.subscribe().wait_for(|it| *it).await.is_ok();
            tracing::debug!("looked at everything once: {looked}");
        }
        loop {
            let reports = steps.borrow_and_update().clone();
            let now = known.borrow_and_update().clone();
            if let Err(err) = self.tell(reports, &now) {
                tracing::warn!("{err:#}");
            }
            tokio::select! {
                Ok(()) = steps.changed() => (),
                Ok(()) = known.changed() => (),
                else => return std::future::pending().await,
            }
        }
    }

    fn tell(&self, steps: crate::converge::Reports, known: &Known) -> anyhow::Result<()> {
        let roots = self.settings.database_roots(&self.host).unwrap_or_default();
        let config = known.config.as_ref();
        let feed = Feed::new(&self.identity, &self.os_name, config, known.trouble.as_deref(), &roots, steps);
        let versions = self.memory.versions.lock().map(|it| it.clone()).unwrap_or_default();
        self.reports.send_if_modified(|it| {
            let text = report::text(&feed, &versions);
            let moved = *it != text;
            *it = text;
            moved
        });
        feed.publish(&self.host)?;
        ready::folder(&self.host)?;
        let status =
            serde_json::to_vec_pretty(&report::status(&feed, &versions)).context("writing the status")?;
        self.host.write(STATUS, &status, 0o644, None)
    }
}

fn generation(config: Option<&AgentConfig>) -> &str {
    config.and_then(|it| it.generation.as_deref()).unwrap_or("none")
}

/// Tells systemd, if it is there.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(state) {
        tracing::debug!("telling systemd: {err}");
    }
}
