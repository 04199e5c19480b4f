//! After a failover the name leads elsewhere, and the old connections are dead, silent or read-only.

use std::{net::Ipv4Addr, time::Duration};

use nix::sys::signal::Signal;

use super::{
    database::{Database, free_port},
    page::Page,
};

/// The addresses of the primary and of its standby; the same port, as behind one name.
const OLD: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 1);
const NEW: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 2);

async fn pair() -> (Database, Database, Page) {
    let port = free_port();
    let mut both = Vec::new();
    for (address, name) in [(OLD, "old"), (NEW, "new")] {
        let database = Database::start_at(&address.to_string(), port, &[]).await;
        database.seed().await;
        database.sql(&format!("UPDATE SAMPLE SET NAME = '{name}' WHERE ID = 1")).await;
        both.push(database);
    }
    let (new, old) = (both.pop().unwrap(), both.pop().unwrap());
    let mut feed = old.feed();
    feed.endpoint = "db.test".into();
    let page = Page::start_resolving(feed, OLD).await;
    page.until("at the old", |it| it.status == 200 && it.json()["rows"][0]["name"] == "old").await;
    (old, new, page)
}

async fn back_within_a_second(page: &Page, what: &str) {
    back_within(Duration::from_secs(1), page, what).await;
}

async fn back_within(limit: Duration, page: &Page, what: &str) {
    let took =
        page.until(what, |it| it.json()["rows"][0]["name"] == "new" && it.json()["stale"] == false).await;
    assert!(took <= limit, "{what}: back after {took:?}\n{}", page.log());
    assert_eq!(page.json().await["database"]["address"], NEW.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_died_is_left_within_a_second_of_the_name_moving() {
    let (mut old, _new, page) = pair().await;
    old.kill();
    page.until("stale", |it| it.json()["stale"] == true).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    page.resolve(NEW);
    back_within_a_second(&page, "after a death").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_fell_silent_is_left_within_a_second_of_the_name_moving() {
    for delay in [Duration::ZERO, Duration::from_millis(700), Duration::from_secs(4)] {
        let (old, _new, page) = pair().await;
        // Connections stay open and nothing ever comes: what a host that lost its power looks like.
        old.signal(Signal::SIGSTOP);
        tokio::time::sleep(Duration::from_millis(60)).await;
        let (at, hanging) = (page.at, tokio::time::sleep(delay));
        let asking = tokio::spawn(async move { super::client::get(at, "/").await.status });
        hanging.await;
        page.resolve(NEW);
        back_within_a_second(&page, &format!("after {delay:?} of silence")).await;
        assert_eq!(asking.await.unwrap(), 200);
        old.signal(Signal::SIGCONT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_whose_table_was_locked_is_left_within_a_second_of_the_name_moving() {
    let (old, _new, page) = pair().await;
    let work = async {
        page.until("stale", |it| it.json()["stale"] == true).await;
        // By then every attempt that the page allows itself hangs.
        tokio::time::sleep(Duration::from_secs(4)).await;
        page.resolve(NEW);
        back_within_a_second(&page, "after a lock").await;
    };
    tokio::select! {
        () = old.sql("LOCK TABLES SAMPLE WRITE; DO SLEEP(60)") => panic!("the lock ended"),
        () = work => (),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_first_after_a_quiet_time_is_answered_by_the_new_primary() {
    let (_old, _new, page) = pair().await;
    // Long enough that the page stops looking every second, although the old one would still answer.
    tokio::time::sleep(Duration::from_secs(13)).await;
    page.resolve(NEW);
    let first = page.json().await;
    assert_eq!((&first["rows"][0]["name"], &first["stale"]), (&"new".into(), &false.into()), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_old_primary_is_left_although_it_answers() {
    let (old, _new, page) = pair().await;
    old.sql("SET GLOBAL read_only = 1").await;
    page.resolve(NEW);
    let took = page.until("moved", |it| it.json()["rows"][0]["name"] == "new").await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_up_after_the_name_moved_is_used_within_a_second() {
    let (mut old, mut new, page) = pair().await;
    new.kill();
    old.kill();
    page.resolve(NEW);
    page.until("stale", |it| it.json()["stale"] == true).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    new.resume().await;
    back_within_a_second(&page, "after the standby started").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_addresses_a_dead_one_keeps_nobody_from_the_others() {
    let (mut old, _new, page) = pair().await;
    page.resolve_all(&[OLD, NEW]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(page.json().await["rows"][0]["name"], "old");
    old.kill();
    page.until("stale", |it| it.json()["stale"] == true).await;
    back_within(Duration::from_secs(3), &page, "at the other address").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_nobody_waits_for_it() {
    let (old, _new, page) = pair().await;
    old.signal(Signal::SIGSTOP);
    page.until("stale", |it| it.json()["stale"] == true).await;
    for _ in 0..20 {
        let began = std::time::Instant::now();
        assert_eq!(super::client::get(page.at, "/").await.status, 200);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    old.signal(Signal::SIGCONT);
    let took = page.until("back", |it| it.json()["stale"] == false).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}
