//! Makes the host what the configuration says: steps that check, apply and check again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::AtomicU32},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use shared::agent::AgentConfig;
use tokio::time::timeout;

pub use self::log::{Log, Report, Reports, State, is_converged, now};
use crate::{host::Host, os::Os, settings::Settings, steps};

mod log;

#[cfg(test)]
mod amazon;

/// One thing that has to be true on this machine.
pub trait Step: Sync {
    const NAME: &'static str;
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// Whether the host is unfit for the balancer while this does not hold.
    const REQUIRED: bool = true;
    /// Whether a host that was in order stays announced while this is mended, which takes no more than a moment.
    const KEEPS: bool = true;

    /// `None` when it already holds, otherwise what is missing, in words.
    fn check(&self, host: &Host) -> impl Future<Output = anyhow::Result<Option<String>>> + Send;
    /// Makes it hold. Runs only after `check` found something missing.
    fn apply(&self, host: &Host) -> impl Future<Output = anyhow::Result<()>> + Send;
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
    pub more_packages: Mutex<Option<steps::packages::Seen>>,
    /// Installed versions, for the report.
    pub versions: Mutex<BTreeMap<String, String>>,
    /// For how many looks in a row the file server has been silent.
    pub silent: AtomicU32,
}

/// One pass over all steps. The order of this function is the order of the lab notes; what does not depend on
/// each other runs together, and the packages come before the configuration is known.
pub async fn converge(pass: &Pass<'_>) -> bool {
    packages(pass).await;
    more_packages(pass).await;
    tokio::join!(dbinfo(pass), web(pass), files(pass), local_database(pass));
    let fit = fit(&pass.log.0.borrow());
    announce(pass, fit).await;
    is_converged(&pass.log.0.borrow())
}

/// Why a step waits that needs the configuration.
const UNKNOWN: &str = "the stack's parameters are not known yet";

/// What every other step needs.
pub async fn packages(pass: &Pass<'_>) -> bool {
    let Memory { packages, versions, .. } = pass.memory;
    let step = steps::packages::Packages::new(pass.os, pass.config, packages, versions);
    run(pass.host, pass.log, &step).await
}

/// What only some stacks ask for. Never at the same time as the others: package managers take turns.
pub async fn more_packages(pass: &Pass<'_>) -> bool {
    let Memory { more_packages, versions, .. } = pass.memory;
    match steps::packages::More::new(pass.os, pass.config, more_packages, versions) {
        Some(step) => run(pass.host, pass.log, &step).await,
        None => {
            pass.log.drop::<steps::packages::More<'_>>();
            true
        }
    }
}

/// Apache and PHP with all that they need but the database's address.
pub async fn web(pass: &Pass<'_>) -> bool {
    let Pass { host, os, settings, log, .. } = *pass;
    let (accounts, php, apache) =
        (steps::accounts::Accounts::new(os), steps::php::Php { os }, steps::apache::Apache { os });
    let (accounts, php, apache) =
        tokio::join!(run(host, log, &accounts), run(host, log, &php), run(host, log, &apache));
    let index = if settings.index_php {
        run(host, log, &steps::index::Index { os }).await
    } else {
        log.drop::<steps::index::Index>();
        true
    };
    let web = php && run(host, log, &steps::web::Web { os }).await;
    if !php {
        log.waits::<steps::web::Web>("PHP is not set up yet", true);
    }
    accounts && apache && index && web
}

/// Where PHP finds the database.
pub async fn dbinfo(pass: &Pass<'_>) -> bool {
    type Step<'a> = steps::dbinfo::DbInfo<'a>;
    let Pass { host, os, settings, config, log, .. } = *pass;
    match (config.map(|it| it.database.as_ref()), settings.database_roots(host)) {
        (Some(Some(database)), Ok(roots)) => run(host, log, &Step { os, database, roots }).await,
        (None, _) => {
            log.waits::<Step<'_>>(UNKNOWN, true);
            true
        }
        // A host never waits for the database, so this is fine.
        (Some(None), _) => {
            let fine = gone(pass, &steps::dbinfo::Gone).await;
            if fine {
                log.waits::<Step<'_>>("the stack has no database yet", false);
            }
            fine
        }
        (_, Err(err)) => {
            log.waits::<Step<'_>>(&format!("{err:#}"), true);
            false
        }
    }
}

/// The shared files, which the site can do without: their server may be dead.
pub async fn files(pass: &Pass<'_>) -> bool {
    let Pass { host, settings, config, log, .. } = *pass;
    match config.map(|it| it.files.as_ref()) {
        Some(Some(files)) => {
            let silent = &pass.memory.silent;
            let mount = steps::efs::Efs { files, region: &settings.region, zone: pass.zone, silent };
            return run(host, log, &mount).await;
        }
        Some(None) if !gone(pass, &steps::efs::Gone).await => return false,
        Some(None) => log.drop::<steps::efs::Gone>(),
        None => log.waits::<steps::efs::Efs<'_>>(UNKNOWN, false),
    }
    true
}

/// The database server on the host itself, where the stack asks for one.
pub async fn local_database(pass: &Pass<'_>) -> bool {
    let Pass { host, os, config, log, .. } = *pass;
    if config.is_some_and(|it| it.local_database) {
        return run(host, log, &steps::local_database::LocalDatabase { os }).await;
    }
    let fine = gone(pass, &steps::local_database::Gone { os }).await;
    if fine {
        log.drop::<steps::local_database::Gone>();
    }
    fine
}

/// The other service of this program: whoever runs the first has both.
pub async fn page(pass: &Pass<'_>) -> bool {
    run(pass.host, pass.log, &steps::page::Page { settings: pass.settings }).await
}

/// Tells the balancer whether this host is fit.
pub async fn announce(pass: &Pass<'_>, fit: bool) -> bool {
    let Pass { host, config, log, .. } = *pass;
    // An agent that just started over has no reason to take back what the one before it found.
    let fine = if config.is_none() && fit {
        log.waits::<steps::ready::Ready>(UNKNOWN, true);
        true
    } else {
        run(host, log, &steps::ready::Ready { fit }).await
    };
    if !fit {
        log.waits::<steps::ready::Ready>("other steps do not hold yet", true);
    }
    fine
}

/// Whether everything but the readiness file itself holds. A database that is not there yet is no fault of the host.
pub fn fit(reports: &Reports) -> bool {
    let others = reports.iter().filter(|(name, _)| *name != steps::ready::Ready::NAME);
    let mut required = others.filter(|(_, it)| it.required);
    required.all(|(_, it)| it.held)
}

/// Takes away what this configuration does not have; nothing is told where there is nothing.
async fn gone<S: Step>(pass: &Pass<'_>, step: &S) -> bool {
    let Pass { host, config, log, .. } = *pass;
    // The generation is written last: without it, the parameters may only not be complete yet.
    let sure = config.is_some_and(|it| it.generation.is_some());
    !sure || matches!(step.check(host).await, Ok(None)) || run(host, log, step).await
}

/// Check, apply, check again: a step that does not stick is an error here, not a surprise later.
pub async fn run<S: Step>(host: &Host, log: &Log, step: &S) -> bool {
    let began = Instant::now();
    let mut mended = None;
    let work = async {
        let Some(missing) = step.check(host).await? else { return Ok(()) };
        let mut again = false;
        log.set(S::NAME, S::REQUIRED, |it| {
            again = it.failing;
            it.state = State::Working;
            it.held &= S::KEEPS;
            it.words = Some(missing.clone());
        });
        if !again {
            tracing::info!("{}: {missing}", S::NAME);
        }
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
        // That nothing was to do again is no news, so nobody is told how long the look took.
        if mended.is_some() || !held || it.state != State::Ok {
            it.millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        }
        it.applied += u32::from(mended.is_some());
        it.held = held;
        match &result {
            Ok(()) => {
                it.state = State::Ok;
                it.failing = false;
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
                if !it.failing || it.last_error.as_ref() != Some(&words) {
                    tracing::warn!("{}: {words}", S::NAME);
                    it.last_error = Some(words.clone());
                    it.last_error_at = Some(now());
                }
                it.state = State::Failed;
                it.failing = true;
                it.words = Some(words);
            }
        }
    });
    held
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

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
    async fn a_look_that_finds_all_as_it_was_is_no_news() {
        struct Slow(u64);
        impl Step for Slow {
            const NAME: &'static str = "slow";
            async fn check(&self, _: &Host) -> anyhow::Result<Option<String>> {
                tokio::time::sleep(Duration::from_millis(self.0)).await;
                Ok(None)
            }
            async fn apply(&self, _: &Host) -> anyhow::Result<()> {
                Ok(())
            }
        }
        let (host, _) = scripted();
        let log = Log::default();
        let mut news = log.follow();
        assert!(run(&host, &log, &Slow(0)).await);
        assert!(news.has_changed().unwrap());
        news.mark_unchanged();
        assert!(run(&host, &log, &Slow(30)).await);
        assert!(!news.has_changed().unwrap(), "{:?}", news.borrow());
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
    async fn what_fails_again_in_the_same_words_began_to_when_it_first_did() {
        let (host, _) = scripted();
        let log = Log::default();
        assert!(!run(&host, &log, &Lamp::default()).await);
        log.set("lamp", true, |it| it.last_error_at = Some(1));
        assert!(!run(&host, &log, &Lamp::default()).await);
        assert_eq!(log.0.borrow()["lamp"].last_error_at, Some(1));
        assert!(run(&host, &log, &Lamp { lit: AtomicBool::new(true), ..Lamp::default() }).await);
        assert!(!run(&host, &log, &Lamp::default()).await);
        assert_ne!(log.0.borrow()["lamp"].last_error_at, Some(1), "it had held in between");
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
