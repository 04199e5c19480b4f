//! The lab's table, and what a host says after it has worked on it.

use serde::{Deserialize, Serialize};

/// How the table is made.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS SAMPLE (ID INT(11) UNSIGNED AUTO_INCREMENT PRIMARY KEY, NAME VARCHAR(45), ADDRESS VARCHAR(90))";

/// The rows that the lab begins with.
pub const ROWS: [(&str, &str); 2] = [("KIM", "SEOUL"), ("LEE", "BUSAN")];

/// What became of the table; one line of JSON on standard output of `lampd db …`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampled {
    /// The server that was asked, by its name.
    pub server: String,
    /// Rows of the table, before and after.
    pub before: u64,
    pub after: u64,
    /// What was written: names and addresses. What was there already is not.
    pub added: Vec<(String, String)>,
}
