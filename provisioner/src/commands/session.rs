//! What every command but `init` begins with: the configuration, the desired stack and the account.

use std::path::Path;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    aws::{Aws, Settings, usual_region},
    cli::{DEFAULT_FILE, Global, Target},
    config::{self, Config, ConfigErrors, Paths, SaidRegion},
    engine::{Kind, Observed, Stack, Stop, observe},
    kinds,
    lock::Lock,
    stack::{Surroundings, stack},
    ui::{Notes, Ui},
};

use super::target::Cloud;

/// One stack in one account.
pub(super) struct Session {
    pub(super) config: Config,
    pub(super) stack: Stack,
    pub(super) kinds: Vec<Kind>,
    pub(super) aws: Aws,
    pub(super) cloud: Cloud,
}

/// Reads the configuration. Where no file was named and none is there, it is the lab. A rehearsal is none of what the
/// operator's environment says of AWS.
///
/// # Errors
/// Everything that is wrong with the file.
pub(super) async fn load(global: &Global, target: Target, paths: Paths) -> Result<Config, ConfigErrors> {
    let (file, around) = (file(global), region_around(global, target).await);
    let region = SaidRegion { typed: global.region.as_deref(), around: around.as_deref() };
    match global.config.is_some() || file.exists() {
        true => config::load(file, region, paths),
        false => config::parse(DEFAULT_FILE, "", region),
    }
}

/// The same, of a text that the file is about to have.
///
/// # Errors
/// Everything that is wrong with the text.
pub(super) async fn read(global: &Global, target: Target, text: &str) -> Result<Config, ConfigErrors> {
    let around = region_around(global, target).await;
    let region = SaidRegion { typed: global.region.as_deref(), around: around.as_deref() };
    config::read_at(file(global), text, region, Paths::Checked)
}

async fn region_around(global: &Global, target: Target) -> Option<String> {
    match target {
        Target::Aws => usual_region(global.profile.as_deref()).await,
        Target::Rehearsal => None,
    }
}

/// Where the configuration is, or would be.
pub(super) fn file(global: &Global) -> &Path {
    global.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
}

impl Session {
    /// Connects and lays out the stack.
    ///
    /// # Errors
    /// No credentials, an account that does not answer, or local files that cannot be read.
    pub(super) async fn open(
        config: Config,
        paths: Paths,
        global: &Global,
        cloud: Cloud,
    ) -> anyhow::Result<Session> {
        let mut aws = Aws::connect(&config.stack, cloud.connect(global, &config)).await?;
        aws.settings = Settings {
            final_snapshot: None,
            buckets: config.site.bucket.iter().map(|it| (it.clone(), config.site.region.clone())).collect(),
            compare_passwords: config.database.password_file.is_some(),
        };
        let account = aws.account().await.context("asking who we are")?;
        let surroundings = match paths {
            Paths::Checked => {
                let image = cloud.image(&config);
                Surroundings::read(&config, &account, aws.endpoint.as_deref(), &image)?
            }
            Paths::Ignored => Surroundings { account, ..Surroundings::imagined(&config) },
        };
        let stack = stack(&config, &surroundings)?;
        Ok(Session { config, stack, kinds: kinds::all(), aws, cloud })
    }

    /// One look at everything of the stack's.
    pub(super) async fn observe(&self) -> anyhow::Result<Observed> {
        observe(&self.kinds, &self.stack, &self.aws).await.context("looking at the account")
    }
}

/// Ctrl-C and an orderly end from outside: nothing new is begun, what runs is finished. A second one ends at once,
/// which is safe as well: the account is the state. Once watched, signals never end the program by themselves again,
/// so a command keeps one to its end.
pub(super) struct Interrupt {
    stop: Stop,
    task: tokio::task::JoinHandle<()>,
}

impl Interrupt {
    pub(super) fn watch(notes: Notes) -> Interrupt {
        let stop = Stop::default();
        let asked = stop.clone();
        let task = tokio::spawn(async move {
            let mut end = match signal(SignalKind::terminate()) {
                Ok(it) => it,
                Err(_) => return,
            };
            for first in [true, false] {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => (),
                    _ = end.recv() => (),
                }
                asked.ask();
                match first {
                    true => notes.send(
                        "interrupted: what runs is finished, nothing new begins; once more ends at once",
                    ),
                    false => std::process::exit(130),
                }
            }
        });
        Interrupt { stop, task }
    }

    pub(super) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// What a wait comes to, which may be ended at any moment; `None`: it was.
    pub(super) async fn or<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            it = wait => Some(it),
            () = self.stop.asked() => None,
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes the stack's lock; who loses it to somebody else starts nothing new.
pub(super) async fn take_lock(
    session: &Session,
    command: &str,
    interrupt: &Interrupt,
    ui: &mut Ui,
) -> anyhow::Result<Lock> {
    let lock = Lock::take(&session.aws, command).await?;
    if let Some(note) = lock.note() {
        ui.note(note);
    }
    lock.stops(&interrupt.stop());
    Ok(lock)
}

/// Gives the lock back after a run. What became of the run comes first.
///
/// # Errors
/// That of the run; or that the lock could not be given back.
pub(super) async fn give_back<T>(lock: Lock, done: anyhow::Result<T>, ui: &mut Ui) -> anyhow::Result<T> {
    let err = match lock.release().await {
        Ok(None) => return done,
        Ok(Some(how)) => {
            ui.note(&format!(
                "the lock was lost during the run: {how}. Nothing new was begun once that was seen; see what else runs, \
                 and run it again"
            ));
            return done;
        }
        Err(err) => err,
    };
    let kept = format!(
        "the lock could not be given back ({err}): nobody holds it any more, and `lamp unlock` removes it"
    );
    match done {
        Ok(_) => Err(anyhow!(kept)),
        Err(run) => Err(anyhow!("{run:#}; besides, {kept}")),
    }
}
