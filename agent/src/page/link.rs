//! The way to the database, kept open across failovers.
//!
//! A failover moves the endpoint's name to another address; the old connections are dead, or silent, or lead to a
//! server that has become read-only. So the keeper looks at the name more than once a second, and four times while the
//! database is away or a query hangs; what leads to another address is dropped at once. While the database is
//! away nobody's request waits for it: the keeper alone tries, a fresh attempt every quarter of a second
//! whatever became of the one before, and the first that succeeds opens the way again. While nobody asks, a look now and
//! then will do, and who asks next waits for one.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    answer::{Answer, Trouble},
    metrics::Metrics,
    names::{Names, Resolved},
    pool::Pool,
};
use crate::feed::{DatabaseFeed, Feed};

const CALM: Duration = Duration::from_millis(700);
/// After this long without a question the next looks are so far apart.
const IDLE: Duration = Duration::from_secs(10);
const EAGER: Duration = Duration::from_millis(250);
const REFUSED: Duration = Duration::from_millis(800);
/// A query that takes longer may be on its way to a server that is gone.
const SUSPICIOUS: Duration = Duration::from_millis(300);
/// A query that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(3);
/// Attempts that hang at the same time.
const ATTEMPTS: usize = 8;

/// How things stand.
#[derive(Clone, Default)]
pub struct State {
    pub pool: Option<Arc<Pool>>,
    /// Why nobody should even try.
    pub trouble: Option<Trouble>,
}

pub struct Link {
    state: watch::Sender<State>,
    /// When each query under way began.
    under_way: watch::Sender<Vec<Instant>>,
    /// When somebody asked last, and when the keeper looked last.
    asked: watch::Sender<Instant>,
    looked: watch::Sender<Instant>,
    worry: Notify,
    metrics: Arc<Metrics>,
}

impl Link {
    pub fn new(metrics: Arc<Metrics>) -> Link {
        Link {
            state: watch::Sender::default(),
            under_way: watch::Sender::default(),
            asked: watch::Sender::new(Instant::now()),
            looked: watch::Sender::new(Instant::now()),
            worry: Notify::new(),
            metrics,
        }
    }

    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Asks the database, over whichever pool is the right one by then.
    ///
    /// # Errors
    /// Why there is no answer; at once while the database is known to be away.
    pub async fn ask(&self) -> Result<Answer, Trouble> {
        let came = Instant::now();
        let mut looked = self.looked.subscribe();
        self.asked.send_replace(came);
        let may_have_moved = looked.borrow_and_update().elapsed() > 2 * CALM;
        if may_have_moved && self.state().trouble.is_none() {
            drop(timeout(SUSPICIOUS, looked.changed()).await);
        }
        let result = self.try_ask().await;
        if result.is_err() {
            self.metrics.query_failures.fetch_add(1, Relaxed);
        }
        result
    }

    /// Asks over one pool as soon as it is our turn.
    async fn ask_over(&self, pool: &Arc<Pool>) -> Result<Answer, Trouble> {
        let turn = pool.turn().await?;
        let began = Instant::now();
        self.under_way.send_modify(|it| it.push(began));
        let _guard = UnderWay(self, began);
        let result = timeout(PATIENCE, pool.ask_in(turn)).await;
        self.metrics.queries.add(began.elapsed());
        let result = result.unwrap_or_else(|_| Err(silent()));
        if let Err(trouble) = &result
            && trouble.is_lasting()
        {
            self.lose(Some(pool), trouble);
        }
        result
    }

    async fn try_ask(&self) -> Result<Answer, Trouble> {
        let mut follow = self.state.subscribe();
        loop {
            let State { pool, trouble } = follow.borrow_and_update().clone();
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
            let gone = || Trouble::Unknown("the page is shutting down".to_owned());
            let Some(pool) = pool else {
                match timeout(PATIENCE, follow.changed()).await {
                    Ok(changed) => changed.map_err(|_| gone())?,
                    Err(_) => self.lose(None, &silent()),
                }
                continue;
            };
            tokio::select! {
                result = self.ask_over(&pool) => return result,
                // Another pool, or none: what this one would have said no longer counts.
                changed = follow.changed() => changed.map_err(|_| gone())?,
            }
        }
    }

    /// Notes that the database is away, unless another pool has taken over meanwhile.
    fn lose(&self, pool: Option<&Arc<Pool>>, trouble: &Trouble) {
        self.state.send_if_modified(|it| {
            let same = pool.is_none_or(|pool| it.pool.as_ref().is_some_and(|have| Arc::ptr_eq(have, pool)));
            if !same || it.trouble.is_some() {
                return false;
            }
            tracing::warn!("{}", trouble.words());
            it.trouble = Some(trouble.clone());
            true
        });
        self.worry.notify_one();
    }

    fn pool(&self, database: &DatabaseFeed, address: IpAddr) -> Arc<Pool> {
        Arc::new(Pool::new(database, address, &self.metrics.connects))
    }

    fn address(&self) -> Option<IpAddr> {
        self.state.borrow().pool.as_ref().map(|it| it.address)
    }

    fn open(&self, pool: Arc<Pool>) {
        self.state.send_modify(|it| {
            if it.trouble.is_some() {
                tracing::info!("the database at {} answers", pool.address);
            }
            *it = State { pool: Some(pool), trouble: None };
        });
    }

    /// Watches name and database for ever.
    pub async fn keep(self: Arc<Link>, mut feed: watch::Receiver<Arc<Feed>>) {
        let mut target: Option<DatabaseFeed> = None;
        let mut attempts: JoinSet<Result<Arc<Pool>, Trouble>> = JoinSet::new();
        let mut names = Names::default();
        let mut tried: Option<Instant> = None;
        let mut last: Option<IpAddr> = None;
        let mut asked = self.asked.subscribe();
        loop {
            let is_idle = asked.borrow_and_update().elapsed() > IDLE;
            let wanted = feed.borrow_and_update().database.clone();
            if wanted != target || wanted.is_none() {
                attempts.abort_all();
                attempts = JoinSet::new();
                names = Names::default();
                (tried, last) = (None, None);
                target = wanted;
                let nothing = match (&target, feed.borrow().configured) {
                    (Some(_), _) => None,
                    (None, true) => Some("the stack has no database yet"),
                    (None, false) => Some("this host has not read the stack's parameters yet"),
                };
                let trouble = nothing.map(|it| Trouble::Unknown(it.to_owned()));
                self.state.send_if_modified(|it| {
                    let moved = it.pool.is_some() || it.trouble != trouble;
                    *it = State { pool: None, trouble };
                    moved
                });
            }
            let Some(database) = &target else {
                if feed.changed().await.is_err() {
                    return;
                }
                continue;
            };
            last = last.filter(|_| self.state().trouble.is_some());
            let before = self.address();
            let place = self.look(database, &mut names, last).await;
            self.looked.send_replace(Instant::now());
            if self.address() != before {
                // What still hangs at the old address must not keep us from the new one.
                attempts.abort_all();
                (attempts, tried) = (JoinSet::new(), None);
            }
            // One attempt at a time of day, not one after the other: a server that refuses at once would be asked a
            // thousand times a second.
            let due = tried.is_none_or(|it| it.elapsed() >= self.pace());
            if let Some(place) =
                place.filter(|_| due && self.state().trouble.is_some() && attempts.len() < ATTEMPTS)
            {
                (tried, last) = (Some(Instant::now()), Some(place));
                let pool = self.pool(database, place);
                attempts.spawn(async move {
                    pool.ask().await.map(|_| pool.clone()).or_else(|err| fine(err, pool))
                });
            }
            let wait = match tried {
                // Queries that wait for a lock may hold all attempts, and each is a thread of the server's.
                Some(_) if attempts.len() == ATTEMPTS => EAGER,
                Some(it) if self.state().trouble.is_some() => self.pace().saturating_sub(it.elapsed()),
                _ if self.is_worried() => EAGER,
                _ if is_idle => IDLE,
                _ => CALM,
            };
            tokio::select! {
                changed = feed.changed() => if changed.is_err() { return },
                _ = asked.changed(), if is_idle => (),
                () = self.worry.notified() => tokio::time::sleep(Duration::from_millis(20)).await,
                Some(Ok(result)) = attempts.join_next() => self.judge(result, &mut attempts),
                () = tokio::time::sleep(wait) => (),
                () = self.suspicion() => (),
            }
        }
    }

    /// How soon to try again: what refuses us has to be mended by somebody, what is away comes back by itself.
    fn pace(&self) -> Duration {
        if matches!(self.state.borrow().trouble, Some(Trouble::Refused(_))) { REFUSED } else { EAGER }
    }

    /// Where the name leads now, and past the `last` that was tried; opens the way there if nothing speaks against it.
    async fn look(&self, database: &DatabaseFeed, names: &mut Names, last: Option<IpAddr>) -> Option<IpAddr> {
        let State { pool, trouble } = self.state();
        match names.resolve(&database.endpoint).await {
            Resolved::At(addresses) => match &pool {
                Some(pool) if addresses.contains(&pool.address) => {
                    Some(last.and_then(|it| after(it, &addresses)).unwrap_or(pool.address))
                }
                _ => {
                    let first = addresses.first().copied()?;
                    let fresh = self.pool(database, first);
                    if let Some(old) = &pool {
                        tracing::info!("{} moved from {} to {first}", database.endpoint, old.address);
                    }
                    if trouble.is_none() {
                        self.open(fresh);
                        return None;
                    }
                    self.state.send_modify(|it| it.pool = Some(fresh));
                    Some(first)
                }
            },
            Resolved::Nowhere if pool.is_none() => {
                let words = format!("the database's name {} does not resolve", database.endpoint);
                self.lose(None, &Trouble::Away(words));
                None
            }
            // The name service is away: what was right a moment ago is the best guess.
            Resolved::Nowhere | Resolved::Later => pool.map(|it| it.address),
        }
    }

    fn judge(&self, result: Result<Arc<Pool>, Trouble>, attempts: &mut JoinSet<Result<Arc<Pool>, Trouble>>) {
        match result {
            Ok(pool) => {
                attempts.abort_all();
                self.open(pool);
            }
            // The newest words count: the password may be wrong now that the server is back.
            Err(trouble) => {
                self.state.send_if_modified(|it| {
                    let moved = it.trouble.is_some() && it.trouble.as_ref() != Some(&trouble);
                    if moved {
                        it.trouble = Some(trouble);
                    }
                    moved
                });
            }
        }
    }

    fn is_worried(&self) -> bool {
        self.state.borrow().trouble.is_some()
            || self.under_way.borrow().first().is_some_and(|it| it.elapsed() > SUSPICIOUS)
    }

    /// Comes when a query has hung for a while.
    async fn suspicion(&self) {
        let mut under_way = self.under_way.subscribe();
        loop {
            let first = under_way.borrow_and_update().first().copied();
            match first {
                Some(began) if began.elapsed() > SUSPICIOUS => return std::future::pending().await,
                Some(began) => {
                    let due = tokio::time::Instant::from_std(began + SUSPICIOUS);
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => if self.under_way.borrow().first() == Some(&began) { return },
                        _ = under_way.changed() => (),
                    }
                }
                None => drop(under_way.changed().await),
            }
        }
    }
}

/// Of several addresses the one whose turn it is after another: the first may be dead for good.
fn after(last: IpAddr, addresses: &[IpAddr]) -> Option<IpAddr> {
    let at = addresses.iter().position(|it| *it == last)?;
    addresses.iter().cycle().nth(at + 1).copied()
}

fn silent() -> Trouble {
    Trouble::Away(format!("the database does not answer within {} s", PATIENCE.as_secs()))
}

/// A server that answers at all is there, whatever it says about the table.
fn fine(trouble: Trouble, pool: Arc<Pool>) -> Result<Arc<Pool>, Trouble> {
    if trouble.is_lasting() { Err(trouble) } else { Ok(pool) }
}

struct UnderWay<'a>(&'a Link, Instant);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|all| {
            if let Some(at) = all.iter().position(|it| *it == self.1) {
                all.remove(at);
            }
        });
    }
}
