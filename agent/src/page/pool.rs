//! Connections to one address of one database, reused and bounded.
//!
//! Connections are not reset between two uses, so nothing session-wide is ever set on them. Why not the driver's own
//! pool: it decides by itself when to test, reset and close; here a connection that fails is dropped, a pool whose
//! address went out of use is dropped whole, and nothing waits for a server that is gone.

use std::{
    net::IpAddr,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mysql_async::{Conn, Error, Opts, OptsBuilder, SslOpts};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};

use super::answer::{Answer, Trouble, ask};
use crate::feed::DatabaseFeed;

/// Connections of one host's page at most. A micro class of RDS has 66, and PHP's workers need theirs.
pub const MOST: usize = 4;
const CONNECT: Duration = Duration::from_secs(2);
/// For somebody else's connection where the server has no place for one more: what is left of the patience with a query
/// has to do for the query.
const WAIT: Duration = Duration::from_millis(1500);

pub struct Pool {
    opts: Opts,
    pub address: IpAddr,
    endpoint: String,
    encrypted: bool,
    slots: Semaphore,
    idle: Mutex<Vec<Open>>,
    /// Rings when somebody is done with a connection; each connection has a handle of it.
    returned: Arc<Notify>,
    connects: Arc<AtomicU64>,
}

struct Open {
    conn: Conn,
    returned: Arc<Notify>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.returned.notify_waiters();
    }
}

/// How to reach a database, wherever its name leads.
pub fn opts(database: &DatabaseFeed) -> OptsBuilder {
    let tls = database.roots.as_ref().map(|roots| {
        SslOpts::default()
            .with_root_certs(vec![roots.clone().into_bytes().into()])
            // Amazon's databases answer to Amazon's own roots, and to no public one.
            .with_disable_built_in_roots(true)
    });
    OptsBuilder::default()
        .ip_or_hostname(database.endpoint.clone())
        .tcp_port(database.port)
        .user(Some(database.user.clone()))
        .pass(Some(database.password.clone()))
        .db_name(Some(database.name.clone()))
        // A local socket would lead past the address that we were told.
        .prefer_socket(false)
        .tcp_keepalive(Some(Duration::from_secs(30)))
        .stmt_cache_size(0)
        .ssl_opts(tls)
}

impl Pool {
    /// For one address that the database's name led to; nothing is connected yet. Each connection is added to `connects`.
    pub fn new(database: &DatabaseFeed, address: IpAddr, connects: &Arc<AtomicU64>) -> Pool {
        let opts = opts(database).resolved_ips(Some(vec![address]));
        Pool {
            opts: opts.into(),
            address,
            endpoint: database.endpoint.clone(),
            encrypted: database.roots.is_some(),
            slots: Semaphore::new(MOST),
            idle: Mutex::default(),
            returned: Arc::default(),
            connects: connects.clone(),
        }
    }

    /// One look into the database.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&self) -> Result<Answer, Trouble> {
        let turn = self.turn().await?;
        self.ask_in(turn).await
    }

    /// The right to use a connection; how long that takes says nothing about the database.
    ///
    /// # Errors
    /// When the pool is closed.
    pub async fn turn(&self) -> Result<SemaphorePermit<'_>, Trouble> {
        self.slots.acquire().await.map_err(|_| Trouble::Away("the pool is closed".to_owned()))
    }

    /// One look into the database by who has the right to.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask_in(&self, _turn: SemaphorePermit<'_>) -> Result<Answer, Trouble> {
        let (mut refused, until) = (None, Instant::now() + WAIT);
        loop {
            let mut returned = pin!(self.returned.notified());
            // Whatever comes back from here on is not missed.
            returned.as_mut().enable();
            if let Some(open) = self.take() {
                match self.ask_over(open).await {
                    Err(Error::Io(_) | Error::Driver(_)) => self.forget(),
                    result => return result.map_err(|err| self.trouble(&err)),
                }
            }
            let trouble = match refused.take().filter(|_| self.open() > 0) {
                Some(trouble) => trouble,
                // The server has closed what lay idle (a restart does that): only a fresh connection tells how it is now.
                None => match self.connect().await {
                    Ok(open) => return self.ask_over(open).await.map_err(|err| self.trouble(&err)),
                    // It has no place for one more, or a new password: those that are open do as well.
                    Err(err @ Error::Server(_)) if self.open() > 0 => self.trouble(&err),
                    // Whoever is not let in fares no better a moment later.
                    Err(err) => {
                        return Err(match self.trouble(&err) {
                            Trouble::Other(words) => Trouble::Refused(words),
                            known => known,
                        });
                    }
                },
            };
            if timeout_at(until, returned).await.is_err() {
                // The others go on, so the database is not given up.
                return Err(Trouble::Other(trouble.words()));
            }
            refused = Some(trouble);
        }
    }

    async fn connect(&self) -> Result<Open, Error> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        match timeout(CONNECT, Conn::new(self.opts.clone())).await {
            Ok(result) => result.map(|conn| Open { conn, returned: self.returned.clone() }),
            Err(_) => {
                let words = format!("no connection within {} s", CONNECT.as_secs());
                Err(std::io::Error::new(std::io::ErrorKind::TimedOut, words).into())
            }
        }
    }

    async fn ask_over(&self, mut open: Open) -> Result<Answer, Error> {
        let result = ask(&mut open.conn, &self.endpoint, &self.address.to_string(), self.encrypted).await;
        if matches!(result, Ok(_) | Err(Error::Server(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(open);
            self.returned.notify_waiters();
        }
        result
    }

    fn take(&self) -> Option<Open> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Drops every connection that lies idle: they are as old as the one that just failed.
    fn forget(&self) {
        drop(std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner)));
    }

    /// Connections at rest.
    pub fn idle(&self) -> usize {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Connections, at rest or in use.
    pub fn open(&self) -> usize {
        Arc::strong_count(&self.returned) - 1
    }

    fn trouble(&self, err: &Error) -> Trouble {
        Trouble::of(err, &self.place())
    }

    fn place(&self) -> String {
        let address = self.address.to_string();
        if address == self.endpoint { address } else { format!("{} ({address})", self.endpoint) }
    }
}
