//! Makes the host what the configuration says: steps that check, apply and check again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use shared::agent::AgentConfig;
use tokio::{sync::watch, time::timeout};

use crate::{host::Host, os::Os, settings::Settings, steps};

/// One thing that has to be true on this machine.
pub trait Step: Sync {
    const NAME: &'static str;
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// Whether the host is unfit for the balancer while this does not hold.
    const REQUIRED: bool = true;

    /// `None` when it already holds, otherwise what is missing, in words.
    fn check(&self, host: &Host) -> impl Future<Output = anyhow::Result<Option<String>>> + Send;
    /// Makes it hold. Runs only after `check` found something missing.
    fn apply(&self, host: &Host) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Holds.
    Ok,
    /// Being applied.
    Working,
    /// Nothing to do yet: something outside of the host has to happen first.
    Waiting,
    /// Does not hold, and the next pass tries again.
    Failed,
}

/// What is known about one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub state: State,
    /// Whether it held when it was last done with; stays so while it is being mended, so that a new password in
    /// `dbinfo.inc` takes no host out of the balancer.
    #[serde(default)]
    pub held: bool,
    pub required: bool,
    /// What is missing, what is waited for, or what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// What the last repair had to mend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<String>,
    /// When that was (seconds since 1970).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired_at: Option<u64>,
    /// How often it was applied since the agent started.
    pub applied: u32,
    /// How long the last check and repair took.
    pub millis: u64,
}

pub type Reports = BTreeMap<String, Report>;

/// The steps' reports, followed by whoever publishes them.
#[derive(Clone)]
pub struct Log(Arc<watch::Sender<Reports>>);

impl Default for Log {
    fn default() -> Log {
        Log(Arc::new(watch::Sender::default()))
    }
}

impl Log {
    pub fn follow(&self) -> watch::Receiver<Reports> {
        self.0.subscribe()
    }

    fn set(&self, name: &str, required: bool, change: impl FnOnce(&mut Report)) {
        let fresh = || Report {
            state: State::Working,
            held: false,
            required,
            words: None,
            repaired: None,
            repaired_at: None,
            applied: 0,
            millis: 0,
        };
        self.0.send_if_modified(|all| {
            let report = all.entry(name.to_owned()).or_insert_with(fresh);
            let before = report.clone();
            report.required = required;
            change(report);
            *report != before
        });
    }

    /// Notes that a step has to wait for something outside, and whether the host is unfit until then.
    fn waits<S: Step>(&self, what: &str, unfit: bool) {
        self.set(S::NAME, unfit, |it| {
            it.state = State::Waiting;
            it.held = false;
            it.required = unfit;
            it.words = Some(what.to_owned());
        });
    }

    /// A step that this configuration does not have.
    fn drop<S: Step>(&self) {
        self.0.send_if_modified(|all| all.remove(S::NAME).is_some());
    }
}

/// Whether every step that the host needs holds.
pub fn is_converged(reports: &Reports) -> bool {
    !reports.is_empty() && reports.values().all(|it| !it.required || it.held)
}

/// What one pass needs.
pub struct Pass<'a> {
    pub host: &'a Host,
    pub os: &'static Os,
    pub settings: &'a Settings,
    /// `None` until the first configuration is there.
    pub config: Option<&'a AgentConfig>,
    pub zone: Option<&'a str>,
    pub memory: &'a Memory,
    pub log: &'a Log,
}

/// What one pass leaves for the next, so that an idle host does next to nothing.
#[derive(Default)]
pub struct Memory {
    pub packages: Mutex<Option<steps::packages::Seen>>,
    /// Installed versions, for the report.
    pub versions: Mutex<BTreeMap<String, String>>,
}

/// One pass over all steps. The order of this function is the order of the lab notes; what does not depend on
/// each other runs together, and the packages come before the configuration is known.
pub async fn converge(pass: &Pass<'_>) -> bool {
    let Pass { host, os, settings, config, log, .. } = *pass;
    let unknown = "the stack's parameters are not known yet";
    let packages = steps::packages::Packages::new(os, config, &pass.memory.packages, &pass.memory.versions);
    run(host, log, &packages).await;
    let local_database = config.is_some_and(|it| it.local_database);

    let dbinfo = async {
        let database = config.map(|it| it.database.as_ref());
        let step = |database, roots| steps::dbinfo::DbInfo { os, database, roots };
        match (database, settings.database_roots(host)) {
            (Some(Some(database)), Ok(roots)) => drop(run(host, log, &step(database, roots)).await),
            (None, _) => log.waits::<steps::dbinfo::DbInfo<'_>>(unknown, true),
            // A host never waits for the database, so this is fine.
            (Some(None), _) => log.waits::<steps::dbinfo::DbInfo<'_>>("the stack has no database yet", false),
            (_, Err(err)) => log.waits::<steps::dbinfo::DbInfo<'_>>(&format!("{err:#}"), true),
        }
    };
    let files = async {
        match config.map(|it| it.files.as_ref()) {
            Some(Some(files)) => {
                let mount = steps::efs::Efs { files, region: &settings.region, zone: pass.zone };
                run(host, log, &mount).await;
            }
            Some(None) => log.drop::<steps::efs::Efs<'_>>(),
            None => log.waits::<steps::efs::Efs<'_>>(unknown, false),
        }
    };
    let web = async {
        let (accounts, php, apache) =
            (steps::accounts::Accounts { os }, steps::php::Php { os }, steps::apache::Apache { os });
        let (_, php, _) =
            tokio::join!(run(host, log, &accounts), run(host, log, &php), run(host, log, &apache));
        if settings.index_php {
            run(host, log, &steps::index::Index { os }).await;
        } else {
            log.drop::<steps::index::Index>();
        }
        if php {
            run(host, log, &steps::web::Web { os }).await;
        } else {
            log.waits::<steps::web::Web>("PHP is not set up yet", true);
        }
    };
    let database = async {
        if local_database {
            run(host, log, &steps::local_database::LocalDatabase { os }).await;
        } else {
            log.drop::<steps::local_database::LocalDatabase>();
        }
    };
    tokio::join!(dbinfo, files, web, database);

    let fit = fit(&log.0.borrow());
    match config {
        Some(_) => drop(run(host, log, &steps::ready::Ready { fit }).await),
        // An agent that just started over has no reason to take back what the one before it found.
        None if fit => log.waits::<steps::ready::Ready>(unknown, true),
        None => drop(run(host, log, &steps::ready::Ready { fit }).await),
    }
    if !fit {
        log.waits::<steps::ready::Ready>("other steps do not hold yet", true);
    }
    is_converged(&log.0.borrow())
}

/// Whether everything but the readiness file itself holds. A database that is not there yet is no fault of the host.
fn fit(reports: &Reports) -> bool {
    let others = reports.iter().filter(|(name, _)| *name != steps::ready::Ready::NAME);
    let mut required = others.filter(|(_, it)| it.required);
    required.all(|(_, it)| it.held)
}

/// Check, apply, check again: a step that does not stick is an error here, not a surprise later.
pub async fn run<S: Step>(host: &Host, log: &Log, step: &S) -> bool {
    let began = Instant::now();
    let mut mended = None;
    let work = async {
        let Some(missing) = step.check(host).await? else { return Ok(()) };
        tracing::info!("{}: {missing}", S::NAME);
        log.set(S::NAME, S::REQUIRED, |it| {
            it.state = State::Working;
            it.words = Some(missing.clone());
        });
        mended = Some(missing);
        step.apply(host).await?;
        match step.check(host).await? {
            None => Ok(()),
            Some(missing) => bail!("still: {missing}"),
        }
    };
    let late = || format!("not done within {} s", S::TIMEOUT.as_secs());
    let result = timeout(S::TIMEOUT, work).await.with_context(late).flatten();
    let held = result.is_ok();
    log.set(S::NAME, S::REQUIRED, |it| {
        it.millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        it.applied += u32::from(mended.is_some());
        it.held = held;
        match &result {
            Ok(()) => {
                it.state = State::Ok;
                it.words = None;
                if let Some(missing) = mended {
                    tracing::info!("{}: done after {} ms", S::NAME, it.millis);
                    it.repaired = Some(missing);
                    it.repaired_at = Some(now());
                }
            }
            Err(err) => {
                let words = format!("{err:#}");
                // Said once on the console, not once a minute.
                if it.state != State::Failed || it.words.as_ref() != Some(&words) {
                    tracing::warn!("{}: {words}", S::NAME);
                }
                it.state = State::Failed;
                it.words = Some(words);
            }
        }
    });
    held
}

/// Seconds since 1970.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::host::script::scripted;

    #[derive(Default)]
    struct Lamp {
        lit: AtomicBool,
        sticks: bool,
        hangs: bool,
        applied: AtomicU32,
    }

    impl Step for Lamp {
        const NAME: &'static str = "lamp";
        const TIMEOUT: Duration = Duration::from_secs(1);

        async fn check(&self, _: &Host) -> anyhow::Result<Option<String>> {
            Ok((!self.lit.load(Ordering::Relaxed)).then(|| "it is dark".to_owned()))
        }

        async fn apply(&self, _: &Host) -> anyhow::Result<()> {
            self.applied.fetch_add(1, Ordering::Relaxed);
            if self.hangs {
                std::future::pending::<()>().await;
            }
            self.lit.store(self.sticks, Ordering::Relaxed);
            Ok(())
        }
    }

    fn words(log: &Log) -> (State, Option<String>) {
        let it = log.0.borrow()["lamp"].clone();
        (it.state, it.words)
    }

    #[tokio::test]
    async fn a_step_that_holds_is_not_applied_again() {
        let (host, _) = scripted();
        let (log, step) = (Log::default(), Lamp { sticks: true, ..Lamp::default() });
        assert!(run(&host, &log, &step).await);
        assert!(run(&host, &log, &step).await);
        assert_eq!(step.applied.load(Ordering::Relaxed), 1);
        let report = log.0.borrow()["lamp"].clone();
        assert_eq!((report.state, report.repaired.as_deref()), (State::Ok, Some("it is dark")));
    }

    #[tokio::test]
    async fn a_step_that_does_not_stick_fails_in_words() {
        let (host, _) = scripted();
        let log = Log::default();
        assert!(!run(&host, &log, &Lamp::default()).await);
        assert_eq!(words(&log), (State::Failed, Some("still: it is dark".to_owned())));
        assert!(!is_converged(&log.0.borrow()));
    }

    #[tokio::test]
    async fn a_step_that_hangs_ends_at_its_timeout() {
        let (host, _) = scripted();
        let log = Log::default();
        assert!(!run(&host, &log, &Lamp { hangs: true, ..Lamp::default() }).await);
        assert_eq!(
            words(&log),
            (State::Failed, Some("not done within 1 s: deadline has elapsed".to_owned()))
        );
    }
}
