//! What the page shows, in good days and bad ones.

use std::time::{Duration, Instant};

use shared::sample::CREATE;
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::{
    client::{get, get_with},
    database::{Database, NAME, PASSWORD, USER, free_port},
    page::Page,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_rows_server_and_host_as_html_and_as_json() {
    let database = Database::start().await;
    database.seed().await;
    let page = Page::start_with(|feed| {
        feed.database = Some(database.feed());
        feed.identity.hostname = "ip-10-1-3-98".into();
        feed.identity.instance = "i-0abc".into();
        feed.identity.zone = Some("ap-northeast-2a".into());
        feed.identity.private_ip = Some("10.1.3.98".into());
    })
    .await;
    let html = get(page.at, "/").await;
    assert_eq!(html.status, 200, "{html:?}");
    for it in
        ["ip-10-1-3-98", "i-0abc", "ap-northeast-2a", "10.1.3.98", ">KIM<", ">BUSAN<", "primary", "127.0.0.1"]
    {
        assert!(html.body.contains(it), "{it} is not in {}", html.body);
    }
    for it in
        ["content-type: text/html", "content-security-policy: default-src 'none'", "cache-control: no-store"]
    {
        assert!(html.head.contains(it), "{it} is not in {}", html.head);
    }
    let json = get_with(page.at, "/", "Accept: application/json\r\n").await;
    assert!(
        json.head.contains("content-type: application/json") && json.head.contains("vary: accept"),
        "{json:?}"
    );
    let json = json.json();
    assert_eq!(json["rows"][1]["name"], "LEE");
    assert_eq!(json["database"]["role"], "primary");
    assert_eq!(json["database"]["address"], "127.0.0.1");
    assert_eq!(json["stale"], false);
    assert!(json["as_of"].as_str().is_some_and(|it| it.ends_with(" UTC")), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_is_called_a_replica() {
    let database = Database::start().await;
    database.seed().await;
    database.sql("SET GLOBAL read_only = 1").await;
    let page = Page::start(Some(database.feed())).await;
    assert_eq!(page.json().await["database"]["role"], "replica");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_rows_stay_text() {
    let database = Database::start().await;
    database.sql("CREATE TABLE SAMPLE (ID INT, NAME VARCHAR(200), ADDRESS VARBINARY(90))").await;
    let hostile = "<script>alert(1)</script></td></table>\" onload=\\'x\\' 😀&amp;";
    database.sql(&format!("INSERT INTO SAMPLE VALUES (1, '{hostile}', NULL), (NULL, '', x'ff00fe3c')")).await;
    let page = Page::start(Some(database.feed())).await;
    let html = get(page.at, "/").await;
    assert_eq!(html.status, 200);
    assert!(!html.body.contains("<script"), "{}", html.body);
    assert!(html.body.contains(
        "&lt;script&gt;alert(1)&lt;/script&gt;&lt;/td&gt;&lt;/table&gt;&quot; onload=&#39;x&#39; 😀&amp;amp;"
    ));
    assert_eq!(html.body.matches("<i>NULL</i>").count(), 2);
    let json = page.json().await;
    assert_eq!(json["rows"].as_array().unwrap().len(), 2);
    let found = json["rows"].as_array().unwrap().iter().find(|it| it["id"] == "1").unwrap();
    assert_eq!(found["name"], hostile.replace("\\'", "'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_thousand_rows_the_first_thousand_are_shown_and_it_says_so() {
    let database = Database::start().await;
    database.seed().await;
    database
        .sql(
            "INSERT INTO SAMPLE (NAME, ADDRESS) SELECT REPEAT('N', 45), REPEAT('A', 90) FROM seq_1_to_100000",
        )
        .await;
    let page = Page::start(Some(database.feed())).await;
    let json = page.json().await;
    assert_eq!(json["rows"].as_array().unwrap().len(), 1000);
    assert_eq!(json["truncated"], true);
    assert!(get(page.at, "/").await.body.contains("the first 1000"));
    assert!(page.memory() < 60.0, "{} MiB", page.memory());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_table_the_page_says_how_to_create_it_and_shows_it_once_it_is_there() {
    let database = Database::start().await;
    let page = Page::start(Some(database.feed())).await;
    let html = get(page.at, "/").await;
    assert_eq!(html.status, 503);
    assert!(html.body.contains(CREATE) && html.body.contains("lamp db seed"), "{}", html.body);
    database.seed().await;
    let took = page.until("with rows", |it| it.status == 200).await;
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn database_down_at_the_start_then_up_then_away_then_back() {
    let mut database = Database::prepare("127.0.0.1", free_port(), &[]);
    let page = Page::start(Some(database.feed())).await;
    let html = get(page.at, "/").await;
    assert_eq!(html.status, 503);
    assert!(html.body.contains("cannot be reached"), "{}", html.body);

    database.resume().await;
    database.seed().await;
    let took = page.until("up", |it| it.status == 200).await;
    assert!(took < Duration::from_secs(1), "back after {took:?}");

    database.kill();
    page.until("a second old", |it| it.json()["age_seconds"].as_f64().is_some_and(|it| it > 1.0)).await;
    let html = get(page.at, "/").await;
    assert_eq!(html.status, 200);
    assert!(html.body.contains("These rows are") && html.body.contains("cannot be reached"), "{}", html.body);
    let json = page.json().await;
    assert_eq!((&json["stale"], &json["rows"][0]["name"]), (&true.into(), &"KIM".into()));
    assert!(json["age_seconds"].as_f64().unwrap() > 1.0, "{json}");

    database.resume().await;
    let took = page.until("fresh", |it| it.json()["stale"] == false).await;
    assert!(took < Duration::from_secs(1), "back after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_without_it_and_the_right_one_heals_it() {
    let database = Database::start().await;
    database.seed().await;
    let mut wrong = database.feed();
    wrong.password = "wr0ng-secret".into();
    let mut page = Page::start(Some(wrong)).await;
    let html = get(page.at, "/").await;
    assert_eq!(html.status, 503);
    assert!(html.body.contains("refuses the account or its password"), "{}", html.body);
    page.tell(|feed| feed.database = Some(database.feed()));
    let took = page.until("healed", |it| it.status == 200).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(!page.log().contains("wr0ng-secret") && !page.log().contains(PASSWORD), "{}", page.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_us_is_asked_about_once_a_second_and_not_more() {
    let database = Database::start().await;
    for reason in ["refuses the account or its password", "answers with error 4151"] {
        let mut feed = database.feed();
        if reason.contains("password") {
            feed.password = "wrong".into();
        } else {
            database.sql(&format!("ALTER USER {USER}@'%' ACCOUNT LOCK")).await;
        }
        let page = Page::start(Some(feed)).await;
        let html = get(page.at, "/").await;
        assert!(html.status == 503 && html.body.contains(reason), "{}", html.body);
        let began = Instant::now();
        let before = page.metric("lamp_pool_connects_total").await;
        while page.metric("lamp_pool_connects_total").await < before + 4.0 {
            get(page.at, "/").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Of four, the first may come at once; a slow machine only makes it longer.
        assert!(Duration::from_secs(2) < began.elapsed(), "4 times in {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_or_endpoint_fails_no_request() {
    let (first, second) = (Database::start().await, Database::start().await);
    first.seed().await;
    second.seed().await;
    second.sql("UPDATE SAMPLE SET NAME = 'SECOND' WHERE ID = 1").await;
    let mut page = Page::start(Some(first.feed())).await;
    page.until("up", |it| it.status == 200).await;
    let at = page.at;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let (mut asked, mut failed) = (0, 0);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let answer = super::client::try_get(at, "/index.json", "").await;
                    asked += 1;
                    let fine = answer.is_some_and(|it| it.status == 200 && it.json()["stale"] == false);
                    failed += u32::from(!fine);
                }
                (asked, failed)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    first.sql(&format!("ALTER USER {USER}@'%' IDENTIFIED BY 'fresh'")).await;
    let mut fresh = first.feed();
    fresh.password = "fresh".into();
    page.tell(|feed| feed.database = Some(fresh));
    tokio::time::sleep(Duration::from_secs(1)).await;
    page.tell(|feed| feed.database = Some(second.feed()));
    let took = page.until("the second", |it| it.json()["rows"][0]["name"] == "SECOND").await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let (mut asked, mut failed) = (0, 0);
    for it in load {
        let (a, f) = it.await.unwrap();
        (asked, failed) = (asked + a, failed + f);
    }
    assert_eq!(failed, 0, "of {asked}: {}", page.log());
    assert!(asked > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_without_a_database_is_told_so() {
    let page = Page::start(None).await;
    let html = get(page.at, "/").await;
    assert_eq!(html.status, 503);
    assert!(html.body.contains("The stack has no database yet."), "{}", html.body);
    // Nobody waits for the name of a database that there is not.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    assert_eq!(get(page.at, "/").await.status, 503);
    assert!(began.elapsed() < Duration::from_millis(150), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_the_hosts_alone_and_readiness_tells_every_part() {
    let mut page = Page::start_with(|feed| {
        let mut database = Database::prepare("127.0.0.1", free_port(), &[]).feed();
        database.name = NAME.into();
        feed.database = Some(database);
    })
    .await;
    let health = async |page: &Page| {
        let answer = get(page.at, "/healthz").await;
        (answer.status, answer.body)
    };
    assert_eq!(health(&page).await, (503, "the agent has not reported yet\n".to_owned()));
    page.tell(|feed| feed.converged = true);
    let began = Instant::now();
    while health(&page).await.1.contains("has not reported yet") {
        assert!(began.elapsed() < Duration::from_secs(15), "it never hears of it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(health(&page).await, (503, "the agent's loop has never turned\n".to_owned()));
    let boot = std::fs::read_to_string("/proc/uptime").unwrap();
    let now = boot.split('.').next().unwrap().to_owned();
    std::fs::write(page.beat(), &now).unwrap();
    let (status, words) = health(&page).await;
    assert!(status == 503 && words.starts_with("Apache: asking"), "{words}");
    let apache = TcpListener::bind(page.apache).await.unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = apache.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    // The database is away all the time.
    assert_eq!(health(&page).await, (200, "ok\n".to_owned()));
    let ready = get(page.at, "/readyz").await;
    assert_eq!(ready.status, 503);
    let ready = ready.json();
    assert_eq!(
        (&ready["fit"], &ready["ready"], &ready["database"]["ok"]),
        (&true.into(), &false.into(), &false.into())
    );
    serving.abort();
    let old = now.parse::<u64>().unwrap().saturating_sub(60);
    std::fs::write(page.beat(), old.to_string()).unwrap();
    let (status, words) = health(&page).await;
    assert!(status == 503 && words.contains("has not turned for"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_health_while_apache_hangs_wait_for_one_question() {
    let page = Page::start_with(|feed| feed.converged = true).await;
    let boot = std::fs::read_to_string("/proc/uptime").unwrap();
    std::fs::write(page.beat(), boot.split('.').next().unwrap()).unwrap();
    let apache = TcpListener::bind(page.apache).await.unwrap();
    let hanging = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = apache.accept() => held.push(stream),
                () = tokio::time::sleep(Duration::from_secs(5)) => return held.len(),
            }
        }
    });
    let at = page.at;
    let asking: Vec<_> =
        (0..30).map(|_| tokio::spawn(async move { get(at, "/healthz").await.status })).collect();
    for it in asking {
        assert_eq!(it.await.unwrap(), 503);
    }
    // The first question, and one for those who came while it was under way.
    let questions = hanging.await.unwrap();
    assert!((1..=2).contains(&questions), "{questions} questions for 30 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_requests_queries_and_the_host() {
    let database = Database::start().await;
    database.seed().await;
    let page = Page::start(Some(database.feed())).await;
    for _ in 0..5 {
        get(page.at, "/").await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(page.metric("lamp_http_request_seconds_count").await, 5.0);
    assert_eq!(page.metric("lamp_query_seconds_count").await, 5.0);
    assert_eq!(page.metric("lamp_pool_connects_total").await, 1.0);
    assert!(page.metric("lamp_host_memory_bytes").await > 1e8);
    assert!(page.metric("lamp_host_disk_bytes").await > 1e8);
}
