//! One query for many requests, and never an old answer.

use std::time::{Duration, Instant};

use super::{
    client::get,
    database::{Database, USER},
    page::Page,
};

async fn crowd(page: &Page, size: usize) {
    let at = page.at;
    let all: Vec<_> = (0..size).map(|_| tokio::spawn(async move { get(at, "/").await.status })).collect();
    for it in all {
        assert_eq!(it.await.unwrap(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_together_share_one_query() {
    let database = Database::start().await;
    database.seed().await;
    let page = Page::start(Some(database.feed())).await;
    crowd(&page, 10).await;
    let before = page.metric("lamp_query_seconds_count").await;
    crowd(&page, 300).await;
    let queries = page.metric("lamp_query_seconds_count").await - before;
    assert!(queries <= 40.0, "{queries} queries for 300 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_more_than_the_window_before_a_request_is_in_its_answer() {
    for window in [50, 0] {
        let database = Database::start().await;
        database.seed().await;
        let page = Page::start_with(|feed| {
            feed.database = Some(database.feed());
            feed.share_ms = window;
        })
        .await;
        let at = page.at;
        // Others ask all the time, so that there is always something to share.
        let others: Vec<_> = (0..4)
            .map(|_| {
                tokio::spawn(async move {
                    loop {
                        get(at, "/").await;
                    }
                })
            })
            .collect();
        for n in 0..40 {
            database.sql(&format!("UPDATE SAMPLE SET NAME = 'N{n}' WHERE ID = 1")).await;
            tokio::time::sleep(Duration::from_millis(window)).await;
            let json = page.json().await;
            assert_eq!(json["rows"][0]["name"], format!("N{n}"), "with a window of {window} ms");
        }
        others.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_ones_turn_at_a_slow_database_is_not_its_absence() {
    let database = Database::start().await;
    database.sql("CREATE VIEW SAMPLE AS SELECT 1 AS ID, 'KIM' AS NAME, SLEEP(0.4) AS ADDRESS").await;
    let page = Page::start_with(|feed| {
        feed.database = Some(database.feed());
        feed.share_ms = 0;
    })
    .await;
    let at = page.at;
    // The last ones wait for longer than a single query may take.
    let all: Vec<_> = (0..120).map(|_| tokio::spawn(async move { get(at, "/index.json").await })).collect();
    for it in all {
        let answer = it.await.unwrap();
        assert_eq!((answer.status, &answer.json()["stale"]), (200, &false.into()), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_window_of_zero_every_request_has_its_own_query() {
    let database = Database::start().await;
    database.seed().await;
    let page = Page::start_with(|feed| {
        feed.database = Some(database.feed());
        feed.share_ms = 0;
    })
    .await;
    crowd(&page, 60).await;
    assert_eq!(page.metric("lamp_query_seconds_count").await, 60.0);
    assert!(page.metric("lamp_pool_connects_total").await <= 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_gets_no_more_than_four_queries_at_once() {
    let database = Database::start().await;
    // Every read of the table takes six tenths of a second: without a bound a dozen would be under way.
    database.sql("CREATE VIEW SAMPLE AS SELECT 1 AS ID, 'SLOW' AS NAME, SLEEP(0.6) AS ADDRESS").await;
    let page = Page::start(Some(database.feed())).await;
    let (at, load) = (page.at, Instant::now());
    let all: Vec<_> = (0..40)
        .map(|n| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(n * 20)).await;
                get(at, "/").await.status
            })
        })
        .collect();
    for it in all {
        assert_eq!(it.await.unwrap(), 200);
    }
    let most = (load.elapsed().as_secs_f64() / 0.6).ceil() * 4.0;
    let queries = page.metric("lamp_query_seconds_count").await;
    assert!(queries <= most && page.metric("lamp_pool_connects_total").await <= 4.0, "{queries} of {most}");
}

/// A page that has its only connection to a database whose queries take so many seconds.
async fn narrow(seconds: &str) -> (Database, Page) {
    let database = Database::start().await;
    database
        .sql(&format!("CREATE VIEW SAMPLE AS SELECT 1 AS ID, 'SLOW' AS NAME, SLEEP({seconds}) AS ADDRESS"))
        .await;
    database.sql(&format!("ALTER USER {USER}@'%' WITH MAX_USER_CONNECTIONS 1")).await;
    let page = Page::start_with(|feed| {
        feed.database = Some(database.feed());
        feed.share_ms = 0;
    })
    .await;
    assert_eq!(get(page.at, "/").await.status, 200);
    (database, page)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_server_has_no_place_for_one_more_the_open_connection_serves_all() {
    let (_database, page) = narrow("0.1").await;
    let at = page.at;
    let all: Vec<_> = (0..12).map(|_| tokio::spawn(async move { get(at, "/index.json").await })).collect();
    for it in all {
        let answer = it.await.unwrap();
        assert_eq!((answer.status, &answer.json()["stale"]), (200, &false.into()), "{answer:?}");
    }
    assert!(page.metric("lamp_pool_connects_total").await > 1.0, "nobody tried a second connection");
    // Nor may it have been held for a broken one.
    assert_eq!(page.metric("lamp_query_failures_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_in_vain_for_the_only_connection_locks_nobody_out() {
    let (_database, page) = narrow("1").await;
    let at = page.at;
    let all: Vec<_> =
        (0..4).map(|_| tokio::spawn(async move { get(at, "/index.json").await.json() })).collect();
    let (mut stale, mut words) = (0, String::new());
    for it in all {
        let json = it.await.unwrap();
        if json["stale"] == true {
            (stale, words) = (stale + 1, json["trouble"].as_str().unwrap().to_owned());
        }
    }
    assert!((1..4).contains(&stale) && words.ends_with("has no connection left"), "{stale}: {words}");
    assert_eq!(page.metric("lamp_database_up").await, 1.0);
    assert_eq!(page.json().await["stale"], false);
}
