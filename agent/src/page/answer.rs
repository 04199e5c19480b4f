//! One look into the database: which server answered, and the rows of SAMPLE; or why there are none.

use mysql_async::{Conn, Error, Row, Value, prelude::Queryable};
use serde::Serialize;

/// More than this many rows are neither fetched nor shown,
const MOST: usize = 1000;
/// nor what comes after this many bytes: some hundred times what the lab's columns hold, far below what the page may use.
const MOST_BYTES: usize = 4 << 20;

/// Both in one round trip. The limit is one more than is shown, to know whether there are more.
const ASK: &str = "SELECT @@hostname, @@global.read_only, @@version; \
                   SELECT ID, NAME, ADDRESS FROM SAMPLE ORDER BY ID LIMIT 1001";

/// How to make the table that is missing.
pub use shared::sample::CREATE;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    pub server: Server,
    pub rows: Vec<Sample>,
    /// Whether the table has more rows than are here.
    pub truncated: bool,
}

/// Which database it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    pub endpoint: String,
    /// The address that the endpoint's name led to.
    pub address: String,
    /// What the server calls itself.
    pub hostname: String,
    pub version: String,
    pub role: Role,
    pub encrypted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Primary,
    Replica,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    pub id: Option<String>,
    pub name: Option<String>,
    pub address: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Nobody answers there: what a failover looks like.
    Away(String),
    /// It answers and refuses us.
    Refused(String),
    /// It answers and has no such table.
    NoTable,
    /// It answers something else.
    Other(String),
    /// The stack has no database yet, or nobody has told us.
    Unknown(String),
}

impl Trouble {
    /// Words for a visitor.
    pub fn words(&self) -> String {
        match self {
            Trouble::Away(it) | Trouble::Refused(it) | Trouble::Other(it) | Trouble::Unknown(it) => {
                it.clone()
            }
            Trouble::NoTable => format!("the table SAMPLE is missing; `lamp db seed` makes it, or: {CREATE}"),
        }
    }

    /// Whether the next query would fare no better until something changes.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Trouble::Away(_) | Trouble::Refused(_))
    }

    /// What a driver's error means; never with the server's own words where they name accounts.
    pub fn of(err: &Error, at: &str) -> Trouble {
        let Error::Server(it) = err else {
            let mut words = err.to_string();
            for noise in ["Input/output error: ", "Driver error: ", "`"] {
                words = words.replace(noise, "");
            }
            let words = words.trim().trim_end_matches(['.', '\'']);
            return Trouble::Away(format!("the database at {at} cannot be reached: {words}"));
        };
        match it.code {
            1146 => Trouble::NoTable,
            1045 | 1044 | 1698 => {
                Trouble::Refused(format!("the database at {at} refuses the account or its password"))
            }
            1049 => Trouble::Refused(format!("the server at {at} has no database of the configured name")),
            1040 | 1203 | 1226 => Trouble::Away(format!("the database at {at} has no connection left")),
            1142 | 1143 => {
                Trouble::Refused(format!("the account may not read the table SAMPLE in the database at {at}"))
            }
            3159 => Trouble::Refused(format!(
                "the database at {at} takes encrypted connections only: set db/tls to verify"
            )),
            1129 | 1130 => {
                Trouble::Refused(format!("the database at {at} does not accept connections from this host"))
            }
            1053 | 1927 | 3169 => Trouble::Away(format!("the database at {at} is shutting down")),
            code if it.message.contains("'@'") => {
                Trouble::Other(format!("the database at {at} answers with error {code}"))
            }
            code => Trouble::Other(format!("the database at {at} answers with error {code}: {}", it.message)),
        }
    }
}

/// Asks over one connection.
///
/// # Errors
/// The driver's.
pub async fn ask(conn: &mut Conn, endpoint: &str, address: &str, encrypted: bool) -> Result<Answer, Error> {
    let mut result = conn.query_iter(ASK).await?;
    let about: Vec<Row> = result.collect().await?;
    let (mut rows, mut bytes, mut truncated) = (Vec::new(), 0, false);
    while let Some(row) = result.next().await? {
        let row = sample(row);
        bytes += [&row.id, &row.name, &row.address].into_iter().flatten().map(String::len).sum::<usize>();
        truncated = rows.len() == MOST || bytes > MOST_BYTES && !rows.is_empty();
        if truncated {
            break;
        }
        rows.push(row);
    }
    result.drop_result().await?;
    let mut about = about.into_iter().next().map(Row::unwrap).unwrap_or_default().into_iter().map(text);
    let mut next = || about.next().flatten().unwrap_or_default();
    let (hostname, read_only, version) = (next(), next(), next());
    // A number, or a word where read-only has degrees.
    let role = if matches!(read_only.as_str(), "" | "0" | "OFF") { Role::Primary } else { Role::Replica };
    let server = Server {
        endpoint: endpoint.to_owned(),
        address: address.to_owned(),
        hostname,
        version,
        role,
        encrypted,
    };
    Ok(Answer { server, rows, truncated })
}

fn sample(row: Row) -> Sample {
    let mut values = row.unwrap().into_iter().map(text);
    let mut next = || values.next().flatten();
    Sample { id: next(), name: next(), address: next() }
}

/// What is not UTF-8 is shown with marks in its place.
fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(err) => String::from_utf8_lossy(err.as_bytes()).into_owned(),
        }),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_mended_by_somebody_is_told_as_refused_and_without_accounts() {
        let of = |code, message: &str| {
            let message = message.to_owned();
            Trouble::of(
                &Error::Server(mysql_async::ServerError { code, message, state: "42000".into() }),
                "db",
            )
        };
        for (code, words) in [(1142, "may not read the table"), (1143, "may not read"), (3159, "encrypted")] {
            let trouble = of(code, "SELECT command denied to user 'admin'@'10.1.3.98' for table 'SAMPLE'");
            assert!(matches!(&trouble, Trouble::Refused(it) if it.contains(words)), "{trouble:?}");
            assert!(!trouble.words().contains("admin") && !trouble.words().contains("10.1."), "{trouble:?}");
        }
        let locked = of(3118, "Access denied for user 'admin'@'10.1.3.98'. Account is locked.");
        assert_eq!(locked.words(), "the database at db answers with error 3118");
        let column = of(1054, "Unknown column 'ADDRESS' in 'SELECT'");
        assert!(column.words().ends_with("error 1054: Unknown column 'ADDRESS' in 'SELECT'"), "{column:?}");
    }
}
