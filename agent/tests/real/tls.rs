//! TLS to the database: verified or not at all.

use std::{path::Path, process::Command};

use super::{
    client::get,
    database::{Database, free_port},
    page::Page,
};

fn openssl(folder: &Path, arguments: &[&str]) {
    let out = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// An authority and a certificate for `localhost` that it signed.
fn certificates() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let key = ["-newkey", "rsa:2048", "-nodes"];
    let authority = ["-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test roots"];
    openssl(at, &[&["req"], &key[..], &authority[..]].concat());
    openssl(
        at,
        &[&["req"], &key[..], &["-keyout", "key.pem", "-out", "req.pem", "-subj", "/CN=localhost"]].concat(),
    );
    std::fs::write(at.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    let sign = ["x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(at, &[&sign[..], &["-out", "cert.pem", "-days", "2", "-extfile", "names"]].concat());
    // MariaDB runs as somebody else.
    Command::new("chmod").args(["-R", "a+rX"]).arg(at).status().unwrap();
    let roots = std::fs::read_to_string(at.join("ca.pem")).unwrap();
    (folder, roots)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_server_that_proves_its_name_is_spoken_to() {
    let (folder, roots) = certificates();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let options = [format!("--ssl-cert={}", file("cert.pem")), format!("--ssl-key={}", file("key.pem"))];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let database = Database::start_at("127.0.0.1", free_port(), &options).await;
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
