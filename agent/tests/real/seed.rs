//! `lampd db` writes the lab's rows, once.

use agent::commands::db::write;
use mysql_async::prelude::Queryable;
use shared::sample::ROWS;

use super::database::Database;

fn rows(some: &[(&str, &str)]) -> Vec<(String, String)> {
    some.iter().map(|(name, address)| ((*name).to_owned(), (*address).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_labs_rows_are_written_once_and_a_later_one_joins_them() {
    let database = Database::start().await;
    let feed = database.feed();
    let first = write(&feed, &rows(&ROWS)).await.unwrap();
    assert_eq!((first.before, first.after, first.added), (0, 2, rows(&[("KIM", "SEOUL"), ("LEE", "BUSAN")])));
    let again = write(&feed, &rows(&ROWS)).await.unwrap();
    assert_eq!((again.before, again.after, again.added), (2, 2, rows(&[])));
    let hostile = rows(&[("PARK'); DROP TABLE SAMPLE; --", "SUWON")]);
    let later = write(&feed, &hostile).await.unwrap();
    assert_eq!((later.before, later.after, later.added), (2, 3, hostile));
    // Two at once do not both think that a row is missing.
    let both = rows(&[("PARK", "SUWON")]);
    let (one, two) = tokio::join!(write(&feed, &both), write(&feed, &both));
    assert_eq!(one.unwrap().added.len() + two.unwrap().added.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_told_in_words_and_without_the_password() {
    let database = Database::start().await;
    let mut feed = database.feed();
    database.sql("SET GLOBAL read_only = 1").await;
    let err = write(&feed, &rows(&ROWS)).await.unwrap_err().to_string();
    assert!(err.contains("write to the primary"), "{err}");
    database.sql("SET GLOBAL read_only = 0").await;
    let mut other = mysql_async::Conn::new(agent::page::pool::opts(&feed)).await.unwrap();
    let got: Option<u8> = other.query_first("SELECT GET_LOCK('lamp-sample', 0)").await.unwrap();
    assert_eq!(got, Some(1));
    let err = write(&feed, &rows(&ROWS)).await.unwrap_err().to_string();
    assert!(err.contains("another `lampd db`"), "{err}");
    other.disconnect().await.unwrap();
    feed.password = "s3cret".to_owned();
    let err = write(&feed, &rows(&ROWS)).await.unwrap_err().to_string();
    assert!(err.contains("refuses the account") && !err.contains("s3cret"), "{err}");
    feed.port = super::database::free_port();
    let err = write(&feed, &rows(&ROWS)).await.unwrap_err().to_string();
    assert!(err.contains("cannot be reached"), "{err}");
}
