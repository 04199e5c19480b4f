//! Clients that are many, slow, rude, or there while the page leaves.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    client::{get, raw},
    database::Database,
    page::Page,
};

/// Ten thousand connections need ten thousand descriptors on either side.
fn many_files() -> u64 {
    let mut limit = nix::libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read or fill in the structure that they are given.
    unsafe {
        nix::libc::getrlimit(nix::libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max.min(65536);
        nix::libc::setrlimit(nix::libc::RLIMIT_NOFILE, &raw const limit);
    }
    limit.rlim_cur
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_that_lie_idle_or_never_end_their_request_keep_nobody_out() {
    let most = many_files();
    assert!(most > 10_500, "raise the limit of open files: it is {most}");
    let database = Database::start().await;
    database.seed().await;
    let page = Page::start(Some(database.feed())).await;
    let mut idle = Vec::new();
    for _ in 0..10_000 {
        idle.push(TcpStream::connect(page.at).await.unwrap());
    }
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(get(page.at, "/").await.status, 200);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    assert!(page.metric("lamp_http_connections").await >= 10_000.0);
    assert!(page.memory() < 200.0, "{} MiB", page.memory());
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Endless: {}", "x".repeat(8000));
    for it in &mut idle {
        it.write_all(head.as_bytes()).await.unwrap();
    }
    assert_eq!(get(page.at, "/").await.status, 200);
    // The unit allows a fifth more connections and 384 MiB.
    assert!(page.memory() < 320.0, "{} MiB", page.memory());
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_hold_up_nobody() {
    let database = Database::start().await;
    database.seed().await;
    let page = Page::start(Some(database.feed())).await;
    let at = page.at;
    let (others, served) = tokio::sync::watch::channel(false);
    let slow: Vec<_> = (0..200)
        .map(|_| {
            let mut served = served.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(at).await.unwrap();
                for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Sl" {
                    stream.write_all(&[*byte]).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                // Whoever waited for these would wait for ever.
                drop(served.wait_for(|it| *it).await.unwrap());
                stream.write_all(b"ow: 1\r\n\r\n").await.unwrap();
                let mut answer = [0; 15];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"HTTP/1.1 200 OK");
            })
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(get(at, "/").await.status, 200);
    }
    others.send_replace(true);
    for it in slow {
        it.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_loses_its_place() {
    let database = Database::start().await;
    database.sql("CREATE TABLE SAMPLE (ID INT, NAME TEXT, ADDRESS TEXT)").await;
    // More than the buffers of both sides take.
    database
        .sql("INSERT INTO SAMPLE SELECT seq, REPEAT('N', 15000), REPEAT('A', 15000) FROM seq_1_to_1000")
        .await;
    let page = Page::start(Some(database.feed())).await;
    let mut stream = TcpStream::connect(page.at).await.unwrap();
    stream.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(8)).await.unwrap();
    // It has begun to answer: from now on nobody reads.
    stream.read_u8().await.unwrap();
    assert!(page.metric("lamp_http_connections").await >= 2.0);
    let began = Instant::now();
    while page.metric("lamp_http_connections").await > 1.0 {
        assert!(began.elapsed() < Duration::from_secs(60), "its place is never free");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_and_broken_requests_are_refused_in_their_own_words() {
    let page = Page::start(None).await;
    let big = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert!(raw(page.at, big.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(1000));
    assert!(raw(page.at, many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    assert!(
        raw(page.at, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
    assert!(
        raw(page.at, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 405 ")
    );
    assert_eq!(get(page.at, "/dbinfo.inc").await.status, 404);
    assert_eq!(get(page.at, "/healthz").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_told_to_stop_answers_everybody_first() {
    let database = Database::start().await;
    database.seed().await;
    let mut page = Page::start(Some(database.feed())).await;
    let at = page.at;
    // Each keeps its connection until it is told to close it.
    let busy: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(at).await.unwrap();
                let (mut text, mut asked) = (Vec::new(), 0);
                loop {
                    stream.write_all(b"GET /index.json HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
                    asked += 1;
                    text.clear();
                    let mut buffer = [0; 8192];
                    while !text.ends_with(b"}\n") {
                        let n = stream.read(&mut buffer).await.unwrap();
                        assert_ne!(n, 0, "the connection was dropped with request {asked} unanswered");
                        text.extend_from_slice(&buffer[..n]);
                    }
                    assert!(text.starts_with(b"HTTP/1.1 200 OK"));
                    if String::from_utf8_lossy(&text).contains("connection: close") {
                        return asked;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    page.signal(Signal::SIGTERM);
    for it in busy {
        assert!(it.await.unwrap() > 1);
    }
    assert!(page.wait().success());
}
