//! `lampd db`: writes the lab's rows from here, since nobody outside of the VPC can reach the database.
//!
//! Nothing secret comes with the order: the account is in the stack's parameters, which this host may read.

use std::{io::Write as _, time::Duration};

use anyhow::{Context, bail};
use mysql_async::{Conn, Error, params, prelude::Queryable};
use shared::sample::{CREATE, ROWS, Sampled};
use tokio::time::timeout;

use crate::{
    aws::Aws,
    cli::Db,
    feed::DatabaseFeed,
    host::Host,
    identity::identify,
    page::{answer::Trouble, pool},
    settings::Settings,
    source::Source,
};

/// How long the database may take for all of it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Two at once would each see that a row is missing.
const LOCK: &str = "lamp-sample";
/// How long the one before us may take; some milliseconds are usual.
const TURN: u64 = 10;

/// Does it and prints what became of the table.
///
/// # Errors
/// The parameters cannot be read, or the database does not take the rows; what to do next.
pub async fn db(host: &Host, what: Db) -> anyhow::Result<()> {
    let (server, rows) = match what {
        Db::Seed { server } => {
            (server, ROWS.map(|(name, address)| (name.to_owned(), address.to_owned())).to_vec())
        }
        Db::Add { server, name, address } => (server, vec![(name, address)]),
    };
    let settings = Settings::load(host)?;
    let aws = Aws::new(&settings, host)?;
    let identity = identify(host, &aws.imds).await;
    let source = Source {
        ssm: aws.ssm,
        stack: settings.stack.clone(),
        instance: identity.instance,
        zone: identity.zone,
        host: host.clone(),
    };
    let config = source.read().await?;
    let mut database =
        config.database.context("the stack has no database; switch parts.database on and run `lamp up`")?;
    if let Some(server) = server {
        database.endpoint = server;
    }
    let feed = DatabaseFeed::of(&database, &settings.database_roots(host)?);
    let done = write(&feed, &rows).await?;
    let text = serde_json::to_string(&done).context("writing what was done")?;
    writeln!(std::io::stdout(), "{text}").context("saying what was done")
}

/// Makes the table unless it is there, and adds those of the rows that are not.
///
/// # Errors
/// Why the database did not take them.
pub async fn write(database: &DatabaseFeed, rows: &[(String, String)]) -> anyhow::Result<Sampled> {
    let done = timeout(PATIENCE, async {
        let mut conn = Conn::new(pool::opts(database)).await?;
        let done = sample(&mut conn, rows).await?;
        conn.disconnect().await?;
        Ok::<_, Error>(done)
    });
    let endpoint = &database.endpoint;
    match done.await {
        Ok(Ok(Some((before, after, added)))) => {
            Ok(Sampled { server: endpoint.clone(), before, after, added })
        }
        Ok(Ok(None)) => bail!(
            "another `lampd db` has been writing to the database at {endpoint} for {TURN} s; try again when it is done"
        ),
        // The server says so in the words of an option.
        Ok(Err(Error::Server(err))) if err.code == READ_ONLY => {
            bail!(
                "the database at {endpoint} only reads: it is a replica, or fails over; write to the primary"
            )
        }
        Ok(Err(err)) => bail!("{}", Trouble::of(&err, endpoint).words()),
        Err(_) => bail!("the database at {endpoint} does not answer within {} s", PATIENCE.as_secs()),
    }
}

const READ_ONLY: u16 = 1290;

type Done = (u64, u64, Vec<(String, String)>);

/// `None` where somebody else keeps the lock.
async fn sample(conn: &mut Conn, rows: &[(String, String)]) -> Result<Option<Done>, Error> {
    let lock = params! { "lock" => LOCK, "turn" => TURN };
    let got: Option<Option<i64>> = conn.exec_first("SELECT GET_LOCK(:lock, :turn)", lock).await?;
    if got.flatten() != Some(1) {
        return Ok(None);
    }
    conn.query_drop(CREATE).await?;
    let count = "SELECT COUNT(*) FROM SAMPLE";
    let before = conn.query_first(count).await?.unwrap_or(0);
    let mut added = Vec::new();
    for (name, address) in rows {
        let insert = "INSERT INTO SAMPLE (NAME, ADDRESS) SELECT :name, :address FROM DUAL \
                      WHERE NOT EXISTS (SELECT 1 FROM SAMPLE WHERE NAME = :name AND ADDRESS = :address)";
        conn.exec_drop(insert, params! { "name" => name, "address" => address }).await?;
        if conn.affected_rows() > 0 {
            added.push((name.clone(), address.clone()));
        }
    }
    let after = conn.query_first(count).await?.unwrap_or(0);
    conn.exec_drop("DO RELEASE_LOCK(:lock)", params! { "lock" => LOCK }).await?;
    Ok(Some((before, after, added)))
}
