//! One operator at a time: the stack's lock, a parameter beside those that the agents read.
//!
//! The Parameter Store can create what is absent, but it cannot compare and set. It keeps every
//! version of a value in one order, though, so the lock is a log: each entry names the one that it
//! replaces, and an entry that names another than the last accepted one does not count
//! ([`entry::current`]). Two who take over a dead lock at once both write, and both read who was first.

mod entry;
mod holder;
mod machine;
mod store;
#[cfg(test)]
mod tests;

pub use holder::{Holder, State};

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use rand::Rng;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    aws::{self, Aws},
    engine::Stop,
};
use entry::{Entry, Written, current};
use machine::Machine;
use store::{Parameter, Store};

/// How long an entry counts, and how often its holder writes the next.
///
/// An entry's age is the reader's clock against AWS's. AWS refuses callers whose clock is more than
/// five minutes off, so six minutes without renewal mean death on any clock that gets this far: a
/// renewal every half minute may fail once without looking dead to the worst of them, and a holder
/// that cannot renew stops in time. The next operator waits these six minutes only for a lock of
/// *another* machine; on the same one it is seen at once that the process is gone.
#[derive(Clone, Copy)]
struct Terms {
    lease: Duration,
    renewal: Duration,
    /// How long to wait before another try, when others act at the same time.
    pause: Duration,
}

const TERMS: Terms = Terms {
    lease: Duration::from_secs(360),
    renewal: Duration::from_secs(30),
    pause: Duration::from_millis(400),
};

/// Ours until it is released, dropped, or lost.
pub struct Lock {
    shared: Arc<Shared>,
    renewals: JoinHandle<()>,
    note: Option<String>,
    released: bool,
}

struct Shared {
    store: Arc<dyn Store>,
    /// Tells our entries from everybody else's.
    nonce: String,
    /// How.
    lost: OnceLock<&'static str>,
    stop: Mutex<Option<Stop>>,
}

/// Why the lock cannot be had.
#[derive(Debug)]
pub enum LockError {
    Held { stack: String, by: Box<Holder> },
    Aws(aws::Error),
}

impl From<aws::Error> for LockError {
    fn from(err: aws::Error) -> Self {
        LockError::Aws(err)
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held { stack, by } => write!(
                f,
                "the stack {stack} is locked: {by}; wait until it is done, or break the lock with `lamp unlock`"
            ),
            LockError::Aws(err) => write!(f, "cannot lock the stack: {err}"),
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Takes the stack's lock for `command`, such as `lamp up`; from a dead holder too.
    ///
    /// # Errors
    /// Somebody else holds it, or AWS refused.
    pub async fn take(aws: &Aws, command: &str) -> Result<Lock, LockError> {
        let store = Arc::new(Parameter::of(aws));
        Self::take_in(store, Machine::this(), &aws.stack, command, TERMS).await
    }

    async fn take_in(
        store: Arc<dyn Store>,
        machine: Machine,
        stack: &str,
        command: &str,
        terms: Terms,
    ) -> Result<Lock, LockError> {
        let nonce = format!("{:016x}", rand::rng().random::<u64>());
        let entry = Entry::new(&machine, command, &nonce, terms.lease);
        let mut note = None;
        for attempt in 0..ATTEMPTS {
            if 0 < attempt {
                sleep(terms.pause).await;
            }
            match store.create(&entry.text()).await {
                Ok(true) => return Ok(Lock::held(store, entry, note, terms)),
                Ok(false) => (),
                Err(err) if passes(&err) => (),
                Err(err) => return Err(err.into()),
            }
            let log = store.log().await?;
            // Gone again, or the answer to our own creation was lost.
            let replaces = match current(&log) {
                None if log.is_empty() => continue,
                None => None,
                Some(it) if it.entry.nonce == nonce => return Ok(Lock::held(store, entry, note, terms)),
                Some(it) => {
                    let holder = Holder::new(it, &machine, Timestamp::now(), terms.lease);
                    if matches!(holder.state, State::Alive | State::Elsewhere) {
                        return Err(LockError::Held { stack: stack.to_owned(), by: Box::new(holder) });
                    }
                    note = Some(format!("took over the lock: {holder}"));
                    Some(it.entry.stamp.clone())
                }
            };
            match store.append(&entry.replacing(replaces).text()).await {
                Ok(()) => (),
                Err(err) if passes(&err) => (),
                Err(err) => return Err(err.into()),
            }
            if current(&store.log().await?).is_some_and(|it| it.entry.nonce == nonce) {
                return Ok(Lock::held(store, entry, note, terms));
            }
        }
        Err(aws::Error::refused("others keep taking and releasing the lock at the same time; try again")
            .into())
    }

    fn held(store: Arc<dyn Store>, entry: Entry, note: Option<String>, terms: Terms) -> Lock {
        let nonce = entry.nonce.clone();
        let shared = Arc::new(Shared { store, nonce, lost: OnceLock::new(), stop: Mutex::new(None) });
        let renewals = tokio::spawn(shared.clone().renew(entry, terms));
        Lock { shared, renewals, note, released: false }
    }

    /// What the operator should know about how the lock was had: from whom it was taken over.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Whether somebody broke the lock, or it could not be renewed in time.
    pub fn is_lost(&self) -> bool {
        self.shared.lost.get().is_some()
    }

    /// Asks `stop` as soon as the lock is lost, so that the run starts nothing new.
    pub fn stops(&self, stop: &Stop) {
        *self.shared.stop() = Some(stop.clone());
        if self.is_lost() {
            stop.ask();
        }
    }

    /// Gives the lock back, if it is still ours; otherwise how it was lost.
    ///
    /// # Errors
    /// AWS refused; the lock then ends by itself.
    pub async fn release(mut self) -> aws::Result<Option<&'static str>> {
        self.released = true;
        self.renewals.abort();
        let was_ours = self.shared.release().await?;
        let lost = self.shared.lost.get().copied();
        Ok(lost.or((!was_ours).then_some(BROKEN)))
    }
}

/// For ways out that nobody foresaw; what does not get through is seen as dead by the next operator.
impl Drop for Lock {
    fn drop(&mut self) {
        self.renewals.abort();
        if let (false, Ok(runtime)) = (self.released, tokio::runtime::Handle::try_current()) {
            let shared = self.shared.clone();
            runtime.spawn(async move { shared.release().await });
        }
    }
}

impl Shared {
    fn stop(&self) -> std::sync::MutexGuard<'_, Option<Stop>> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn renew(self: Arc<Self>, entry: Entry, terms: Terms) {
        let mut renewed = Instant::now();
        let lost = loop {
            sleep(terms.renewal).await;
            let began = Instant::now();
            match self.renew_once(&entry, terms).await {
                Ok(true) => renewed = began,
                Ok(false) => break BROKEN,
                // One more pause, and others would see it as dead while this run goes on.
                Err(_) if terms.lease < renewed.elapsed() + terms.renewal * 2 => break EXPIRED,
                Err(_) => (),
            }
        };
        self.lost.get_or_init(|| lost);
        if let Some(stop) = self.stop().as_ref() {
            stop.ask();
        }
    }

    /// Whether the lock is still ours.
    async fn renew_once(&self, entry: &Entry, terms: Terms) -> aws::Result<bool> {
        match self.ours().await? {
            None => Ok(false),
            Some(it) => {
                let next = entry.lasting(terms.lease).replacing(Some(it.entry.stamp));
                self.store.append(&next.text()).await.map(|()| true)
            }
        }
    }

    async fn ours(&self) -> aws::Result<Option<Written>> {
        let log = self.store.log().await?;
        Ok(current(&log).filter(|it| it.entry.nonce == self.nonce).cloned())
    }

    /// Whether it was ours until now.
    async fn release(&self) -> aws::Result<bool> {
        match self.ours().await? {
            Some(_) => self.store.clear().await.map(|()| true),
            None => Ok(false),
        }
    }
}

/// How a lock is lost.
const BROKEN: &str = "somebody broke it with `lamp unlock`";
const EXPIRED: &str = "it could not be renewed in time";

/// How often to look again when others act at the same time.
const ATTEMPTS: usize = 5;

/// Whether the log tells what became of the write.
fn passes(err: &aws::Error) -> bool {
    err.is_throttled() || err.is_ambiguous()
}

/// Who holds the stack's lock, for `lamp unlock` and `lamp status`.
///
/// # Errors
/// AWS refused.
pub async fn holder(aws: &Aws) -> aws::Result<Option<Holder>> {
    let log = Parameter::of(aws).log().await?;
    Ok(current(&log).map(|it| Holder::new(it, &Machine::this(), Timestamp::now(), TERMS.lease)))
}

/// Removes the lock, whoever holds it. A holder that still runs notices within half a minute.
///
/// # Errors
/// AWS refused.
pub async fn force(aws: &Aws) -> aws::Result<()> {
    Parameter::of(aws).clear().await
}
