//! Connections to one address of one database, reused and bounded.
//!
//! Connections are not reset between two uses, so nothing session-wide is ever set on them. Why not the driver's own
//! pool: it decides by itself when to test, reset and close; here a connection that fails is dropped, a pool whose
//! address went out of use is dropped whole, and nothing waits for a server that is gone.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mysql_async::{Conn, Error, Opts, OptsBuilder, SslOpts};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::answer::{Answer, Trouble, ask};
use crate::feed::DatabaseFeed;

/// Connections of one host's page at most. A micro class of RDS has 66, and PHP's workers need theirs.
pub const MOST: usize = 4;
const CONNECT: Duration = Duration::from_secs(2);

pub struct Pool {
    opts: Opts,
    pub address: IpAddr,
    endpoint: String,
    encrypted: bool,
    slots: Semaphore,
    idle: Mutex<Vec<Conn>>,
    pub connected: AtomicUsize,
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
    /// For one address that the database's name led to; nothing is connected yet.
    pub fn new(database: &DatabaseFeed, address: IpAddr) -> Pool {
        let opts = opts(database).resolved_ips(Some(vec![address]));
        Pool {
            opts: opts.into(),
            address,
            endpoint: database.endpoint.clone(),
            encrypted: database.roots.is_some(),
            slots: Semaphore::new(MOST),
            idle: Mutex::default(),
            connected: AtomicUsize::new(0),
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
        if let Some(conn) = self.take() {
            match self.ask_over(conn).await {
                Err(Error::Io(_) | Error::Driver(_)) => self.forget(),
                result => return result.map_err(|err| self.trouble(&err)),
            }
        }
        // The server has closed what lay idle (a restart does that): only a fresh connection tells how it is now.
        let conn = self.connect().await?;
        self.ask_over(conn).await.map_err(|err| self.trouble(&err))
    }

    async fn connect(&self) -> Result<Conn, Trouble> {
        self.connected.fetch_add(1, Ordering::Relaxed);
        match timeout(CONNECT, Conn::new(self.opts.clone())).await {
            Ok(result) => result.map_err(|err| self.trouble(&err)),
            Err(_) => Err(Trouble::Away(format!(
                "the database at {} cannot be reached: no connection within {} s",
                self.place(),
                CONNECT.as_secs()
            ))),
        }
    }

    async fn ask_over(&self, mut conn: Conn) -> Result<Answer, Error> {
        let result = ask(&mut conn, &self.endpoint, &self.address.to_string(), self.encrypted).await;
        if matches!(result, Ok(_) | Err(Error::Server(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
        result
    }

    fn take(&self) -> Option<Conn> {
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

    /// Connections in use.
    pub fn busy(&self) -> usize {
        MOST - self.slots.available_permits()
    }

    fn trouble(&self, err: &Error) -> Trouble {
        Trouble::of(err, &self.place())
    }

    fn place(&self) -> String {
        let address = self.address.to_string();
        if address == self.endpoint { address } else { format!("{} ({address})", self.endpoint) }
    }
}
