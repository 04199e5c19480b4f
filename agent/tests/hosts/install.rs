//! From a plain image to a web server, and what it then is.

use std::time::Duration;

use super::lab::{self, DATABASE, Host, Lab};
use crate::database::{Database, PASSWORD};

const STATUS: [&str; 2] = ["/usr/local/bin/lampd", "status"];

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_debian_becomes_a_web_server_of_the_stack_and_nothing_secret_leaks() {
    lab::with_database(plain).await;
}

fn plain(lab: Lab, _database: Database) {
    let host = lab.host("web1", rehearsal::Image::plain());
    host.install();
    // The page says from the first moment that this host is not ready, and why.
    host.until("answering", Duration::from_secs(30), || host.page("/healthz").status == 503);
    host.until("telling a person", Duration::from_secs(30), || {
        let told = host.instance.exec(&STATUS).unwrap();
        !told.success() && told.stdout.contains("not in order yet")
    });
    let took = host.until_ready();
    eprintln!("plain image: ready {} s after the installation began", took.as_secs());

    tells_a_person(&host);
    installs_modules_first(&host);
    serves_the_site(&host);
    serves_dbinfo_under_no_url(&host);
    has_the_labs_accounts_and_modes(&host);
    is_confined(&host);
    leaks_nothing(&host);
    reports(&lab, &host);
    is_idle(&host);

    // The same again changes nothing, and leaving takes away what came.
    let before = host.sh("systemctl show -p MainPID lampd lampd-page");
    host.install();
    assert_eq!(host.sh("systemctl show -p MainPID lampd lampd-page"), before);
    host.sh("/usr/local/bin/lampd uninstall");
    let left = host.sh("set +e; ls -d /etc/lamp /var/lib/lamp /run/lamp/*.json /run/lamp/alive /usr/local/bin/lampd /etc/systemd/system/lampd* 2>/dev/null; true");
    assert_eq!(left, "");
    assert_eq!(host.site("/lamp-ready").status, 404);
    host.sh("systemctl is-active apache2");
}

/// A line for the host, one for the generation, and one for each step.
fn tells_a_person(host: &Host) {
    let told = host.instance.exec(&STATUS).unwrap();
    assert!(told.success(), "{told:?}");
    let mut lines = told.stdout.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with(&format!("{} (", host.id)) && first.ends_with("): in order"), "{first}");
    assert!(lines.next().unwrap().starts_with("generation "), "{}", told.stdout);
    let shown: Vec<Vec<&str>> = lines.map(|it| it.split_whitespace().take(2).collect()).collect();
    let status = host.status();
    let steps = status["steps"].as_object().unwrap();
    let want: Vec<Vec<&str>> = steps.keys().map(|it| vec![it.as_str(), "ok"]).collect();
    assert!(want.contains(&vec!["web", "ok"]), "{steps:?}");
    assert_eq!(shown, want);
}

/// Each module is switched on once, and what nobody asked for can go when nothing needs it.
fn installs_modules_first(host: &Host) {
    let log = host.sh("cat /var/log/dpkg.log");
    let at =
        |what: &str| log.lines().position(|it| it.contains(what)).unwrap_or_else(|| panic!("{what}: {log}"));
    assert!(at("status installed php8.2-mysql") < at("status unpacked php8.2-cli"), "{log}");
    assert_eq!(log.matches(" configure php8.2-mysql").count(), 1, "{log}");
    let asked = host.sh("apt-mark showmanual | grep -E 'apache|php|psmisc|mariadb'");
    assert_eq!(asked, "apache2\nmariadb-client\nphp-fpm\nphp-mysql\n");
}

fn serves_the_site(host: &Host) {
    assert_eq!((host.site("/lamp-ready").status, host.site("/lamp-ready").body.as_str()), (200, "ready\n"));
    let php = host.site("/");
    assert_eq!(php.status, 200, "{php:?}");
    let address = host.instance.address().to_string();
    for it in ["KIM", "SEOUL", "BUSAN", &address] {
        assert!(php.body.contains(it), "{it} is not in {}", php.body);
    }
    let page = host.page("/index.json");
    assert_eq!(page.status, 200, "{page:?}");
    let page: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(page["host"]["instance"], host.id.as_str());
    assert_eq!(page["host"]["zone"], super::lab::ZONE);
    assert_eq!(page["host"]["private_ip"], address.as_str());
    assert_eq!(page["database"]["address"], DATABASE.to_string());
    assert_eq!(page["rows"][0]["name"], "KIM");
    // Any page of the site, wherever it lies, includes dbinfo.inc; and PHP reads back the very password.
    host.sh("mkdir -p /var/www/html/a/b && echo '<?php include \"dbinfo.inc\"; echo bin2hex(DB_PASSWORD);' > /var/www/html/a/b/show.php");
    let hex: String = PASSWORD.bytes().map(|it| format!("{it:02x}")).collect();
    assert_eq!(host.site("/a/b/show.php").body.trim(), hex);
    host.sh("rm -r /var/www/html/a");
}

fn serves_dbinfo_under_no_url(host: &Host) {
    // Also where somebody leaves one among the pages, and where somebody who is not root links to ours.
    host.sh("mkdir -p /var/www/html/inc /var/www/html/efs; cd /var/www/html; \
             echo '<?php // marker-of-a-copy' | tee dbinfo.inc inc/dbinfo.inc dbinfo.inc.bak dbinfo.inc~ > /dev/null; \
             su -s /bin/sh www-data -c 'ln -s /etc/lamp/php/dbinfo.inc /var/www/html/link.txt; ln -s /etc/lamp/php /var/www/html/folder'; \
             test -L link.txt -a -L folder");
    for path in [
        "/dbinfo.inc",
        "/inc/dbinfo.inc",
        "/DBINFO.INC",
        "/dbinfo.inc/",
        "/dbinfo.inc.",
        "/dbinfo.inc%20",
        "/dbinfo.inc%00",
        "/dbinfo%2einc",
        "/%64binfo.inc",
        "/dbinfo.inc?x",
        "/dbinfo.inc;x",
        "/dbinfo.inc/x.php",
        "/dbinfo.inc%2fx.php",
        "//dbinfo.inc",
        "/./dbinfo.inc",
        "/efs/../dbinfo.inc",
        "/efs/%2e%2e/dbinfo.inc",
        "/efs/..%2fdbinfo.inc",
        "/efs/../../../etc/lamp/php/dbinfo.inc",
        "/%2e%2e/%2e%2e/%2e%2e/etc/lamp/php/dbinfo.inc",
        "/..%2f..%2f..%2fetc/lamp/php/dbinfo.inc",
        "/.%2e/.%2e/.%2e/etc/lamp/php/dbinfo.inc",
        "/etc/lamp/php/dbinfo.inc",
        "/lamp-ready/../page.json",
        "/lamp-ready/page.json",
        "/lamp-ready%2f..%2fpage.json",
        "/dbinfo.inc.bak",
        "/dbinfo.inc~",
        "/link.txt",
        "/folder/dbinfo.inc",
        "/folder/",
        "/index.php/dbinfo.inc/../../dbinfo.inc",
        "/icons/../dbinfo.inc",
        "/icons/%2e%2e/%2e%2e/etc/lamp/php/dbinfo.inc",
    ] {
        for answer in [host.site(path), host.page(path)] {
            assert!(
                !answer.body.contains("DB_PASSWORD") && !answer.body.contains("marker-of-a-copy"),
                "{path}: {answer:?}"
            );
            assert!(
                matches!(answer.status, 400 | 403 | 404) || path.contains("index.php"),
                "{path}: {answer:?}"
            );
        }
    }
    host.sh("cd /var/www/html; rm -r inc dbinfo.inc* link.txt folder");
}

fn has_the_labs_accounts_and_modes(host: &Host) {
    assert!(host.sh("id -nG ec2-user").split_whitespace().any(|it| it == "www-data"));
    assert_eq!(
        host.sh("stat -c '%a %U:%G' /etc/lamp/php/dbinfo.inc /etc/lamp/php").trim(),
        "640 root:www-data\n750 root:www-data"
    );
    assert_eq!(
        host.sh("stat -c '%a %U:%G' /var/www /var/www/html /var/www/html/index.php").trim(),
        "2775 ec2-user:www-data\n2775 ec2-user:www-data\n664 ec2-user:www-data"
    );
    assert_eq!(
        host.sh("stat -c '%a %U:%G' /run/lamp/page.json /etc/lamp/agent.toml").trim(),
        "640 root:lamp-page\n640 root:root"
    );
}

fn is_confined(host: &Host) {
    let security = host.sh("systemd-analyze security lampd-page.service --no-pager | tail -1");
    let exposure: f64 = security.split_whitespace().find_map(|it| it.parse().ok()).unwrap();
    assert!(exposure <= 2.0, "{security}");
    let page = host.sh("systemctl show -p MainPID --value lampd-page").trim().to_owned();
    let user = host.sh(&format!("ps -o user= -p {page}"));
    assert!(
        user.trim().starts_with("lampd-p") || user.trim().parse::<u32>().is_ok_and(|it| it >= 61184),
        "{user}"
    );
    assert_eq!(host.sh(&format!("grep -c 'CapEff:.0000000000000000' /proc/{page}/status")).trim(), "1");
    host.sh("systemctl show -p Type -p WatchdogUSec lampd | grep -q Type=notify");
}

/// Nowhere but in the three files that hold it by design.
fn leaks_nothing(host: &Host) {
    // A part that no quoting changes, too.
    let plain = "암호 😀";
    assert!(PASSWORD.ends_with(plain));
    for secret in [PASSWORD, plain, "the-roles-secret-key"] {
        host.instance.put("/root/secret", secret.as_bytes(), 0o600).unwrap();
        let found = host.sh(
            "set +e; cd /proc; for p in [0-9]*; do grep -qFf /root/secret $p/cmdline $p/environ 2>/dev/null && echo process $p $(tr '\\0' ' ' < $p/cmdline); done; \
             journalctl --no-pager -o cat | grep -cFf /root/secret | grep -v '^0$'; \
             grep -rlFf /root/secret /etc /var /run /tmp /root /usr/local/bin 2>/dev/null | grep -v -e '^/root/secret$' -e /var/lib/cloud; true",
        );
        let found: Vec<&str> = found.lines().collect();
        let allowed = ["/var/lib/lamp/parameters.json", "/run/lamp/page.json", "/etc/lamp/php/dbinfo.inc"];
        assert!(found.iter().all(|it| allowed.contains(it)), "{found:?}");
        // What is there by design is found, so the search can find.
        if secret == plain {
            assert_eq!(found.len(), allowed.len(), "{found:?}");
        }
    }
    assert!(!host.instance.console().unwrap().contains("quoted"));
    for unit in ["lampd", "lampd-page"] {
        let pid = host.sh(&format!("systemctl show -p MainPID --value {unit}")).trim().to_owned();
        assert_eq!(
            host.sh(&format!("awk '/Max core file size/ {{ print $5, $6 }}' /proc/{pid}/limits")).trim(),
            "0 0"
        );
    }
    // And when they crash they leave nothing of their memory.
    host.sh("systemctl kill -s SEGV lampd lampd-page");
    host.until("back", Duration::from_secs(60), || {
        host.sh("systemctl is-active lampd lampd-page || true") == "active\nactive\n"
            && host.page("/healthz").status == 200
    });
    let cores = "find / -xdev -type f '(' -name core -o -name 'core.[0-9]*' -o -name 'core.lampd*' -o -name '*.core' ')'";
    assert_eq!(host.sh(cores), "");
}

fn reports(lab: &Lab, host: &Host) {
    host.until("reported as in order", Duration::from_secs(30), || lab.report(host)["converged"] == true);
    let report = lab.report(host);
    assert_eq!(report["generation"].as_str(), lab.moto.get("generation").as_deref());
    assert!(report["steps"]["packages"].as_str().unwrap().starts_with("ok"), "{report:#}");
    assert!(
        report["versions"]["apache2"].is_string() && report["versions"]["lampd"].is_string(),
        "{report:#}"
    );
    assert!(!report.to_string().contains("quoted"));
    // What was done to the host until now is mended by the next pass, and told once more; then nothing happens, and
    // nothing is written for longer than a pass takes to come round.
    let version = || lab.moto.version(&format!("hosts/{}", host.id));
    let is_quiet = (0..6).any(|_| {
        let before = version();
        std::thread::sleep(Duration::from_secs(35));
        version() == before
    });
    assert!(is_quiet, "the host reports although nothing happens");
}

fn is_idle(host: &Host) {
    let ticks = |unit: &str| {
        let pid = host.sh(&format!("systemctl show -p MainPID --value {unit}")).trim().to_owned();
        let used: f64 = host
            .sh(&format!("awk '{{ print $14 + $15 + $16 + $17 }}' /proc/{pid}/stat"))
            .trim()
            .parse()
            .unwrap();
        let memory: f64 =
            host.sh(&format!("awk '/VmRSS/ {{ print $2 }}' /proc/{pid}/status")).trim().parse().unwrap();
        (used / 100.0, memory / 1024.0)
    };
    let (before, seconds) = ((ticks("lampd").0, ticks("lampd-page").0), 30.0);
    std::thread::sleep(Duration::from_secs(30));
    let (agent, page) = (ticks("lampd"), ticks("lampd-page"));
    eprintln!(
        "idle (a build without optimisation, polling every second): agent {:.2} % of a core, {:.1} MiB; page {:.2} %, {:.1} MiB",
        (agent.0 - before.0) / seconds * 100.0,
        agent.1,
        (page.0 - before.1) / seconds * 100.0,
        page.1
    );
    // The limits of the product are for its release build, which polls a fifteenth as often; see scripts/bench-page.
    assert!(agent.0 - before.0 < 0.9 && page.0 - before.1 < 0.9);
}
