//! TLS to the database: verified or not at all.

use super::{
    certificates,
    client::get,
    database::{Database, free_port},
    page::Page,
};

#[tokio::test(flavor = "multi_thread")]
async fn only_a_server_that_proves_its_name_is_spoken_to() {
    let (folder, roots) = certificates::of("localhost");
    let database = Database::start_at("127.0.0.1", free_port(), &certificates::options(&folder)).await;
    database.seed().await;
    // From now on the account must come with TLS, as Amazon's parameter group can demand.
    database.sql("ALTER USER admin@'%' REQUIRE SSL").await;
    let with = |endpoint: &str, roots: Option<&str>| {
        let mut feed = database.feed();
        feed.endpoint = endpoint.to_owned();
        feed.roots = roots.map(str::to_owned);
        feed
    };

    let page = Page::start(Some(with("localhost", Some(&roots)))).await;
    assert_eq!(page.json().await["database"]["encrypted"], true);

    for (endpoint, roots, words) in [
        // Another authority: Amazon's.
        ("localhost", agent::roots::of_region("ap-northeast-2"), "certificate"),
        // A name that the certificate does not hold.
        ("127.0.0.1", roots.clone(), "not valid for name &quot;127.0.0.1&quot;"),
    ] {
        let page = Page::start(Some(with(endpoint, Some(&roots)))).await;
        let html = get(page.at, "/").await;
        assert_eq!(html.status, 503);
        assert!(html.body.to_lowercase().contains(words), "{}", html.body);
    }

    let page = Page::start(Some(with("localhost", None))).await;
    assert_eq!(get(page.at, "/").await.status, 503, "the account demands TLS");
}
