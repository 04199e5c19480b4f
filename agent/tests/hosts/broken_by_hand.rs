//! What somebody breaks by hand is mended within a minute, and reported.

use std::time::{Duration, Instant};

use super::lab;

/// What is done, by which step it is mended, and what holds afterwards.
const BREAKS: &[(&str, &str, &str)] = &[
    ("chmod 600 /run/lamp/lamp-ready", "ready", "test $(stat -c %a /run/lamp/lamp-ready) = 644"),
    (
        "echo '# by hand' >> /etc/apache2/conf-enabled/zz-lamp.conf",
        "apache",
        "! grep -q 'by hand' /etc/apache2/conf-enabled/zz-lamp.conf",
    ),
    ("rm /var/www/html/index.php", "index", "test -s /var/www/html/index.php"),
    ("echo x > /etc/lamp/php/dbinfo.inc", "dbinfo", "grep -q DB_SERVER /etc/lamp/php/dbinfo.inc"),
    ("chmod 666 /etc/lamp/php/dbinfo.inc", "dbinfo", "test $(stat -c %a /etc/lamp/php/dbinfo.inc) = 640"),
    (
        "mkdir -p /var/www/html/x; chmod 700 /var/www/html/x",
        "accounts",
        "test $(stat -c %a:%U:%G /var/www/html/x) = 2775:ec2-user:www-data",
    ),
    (
        "chmod 777 /etc/lamp /etc/lamp/php; chown ec2-user /etc/lamp",
        "dbinfo",
        "test \"$(stat -c %a:%U:%G /etc/lamp /etc/lamp/php | xargs)\" = '755:root:root 750:root:www-data'",
    ),
    ("gpasswd -d ec2-user www-data", "accounts", "id -nG ec2-user | grep -qw www-data"),
    ("rm /etc/php/8.2/fpm/conf.d/99-lamp.ini", "php", "test -s /etc/php/8.2/fpm/conf.d/99-lamp.ini"),
    (
        "a2dismod -qf proxy_fcgi; systemctl restart apache2",
        "apache",
        "test -e /etc/apache2/mods-enabled/proxy_fcgi.load",
    ),
    (
        "a2dismod -qf dir; systemctl restart apache2 || true",
        "apache",
        "test -e /etc/apache2/mods-enabled/dir.load && systemctl is-active apache2",
    ),
    (
        "a2dismod -qf mpm_event authz_host; systemctl restart apache2 || true",
        "apache",
        "ls /etc/apache2/mods-enabled/mpm_event.load /etc/apache2/mods-enabled/authz_host.load && systemctl is-active apache2",
    ),
    ("systemctl stop apache2", "web", "systemctl is-active apache2"),
    (
        "systemctl mask --now apache2",
        "web",
        "systemctl is-active apache2 && test \"$(systemctl is-enabled apache2)\" = enabled",
    ),
    (
        "phpdismod mysqli; systemctl restart php8.2-fpm",
        "php",
        "php8.2 -m | grep -qx mysqli && curl -sf http://127.0.0.1/ | grep -q KIM",
    ),
    ("rm /etc/lamp/agent.toml", "page", "grep -q lab-vpc /etc/lamp/agent.toml"),
    ("rm /usr/local/bin/lampd", "page", "/usr/local/bin/lampd --version"),
    (
        "systemctl disable php8.2-fpm; systemctl stop php8.2-fpm",
        "web",
        "systemctl is-active php8.2-fpm && systemctl is-enabled php8.2-fpm",
    ),
    (
        "systemctl disable --now lampd-page.socket lampd-page.service",
        "page",
        "systemctl is-active lampd-page.service && systemctl is-enabled lampd-page.socket lampd-page.service",
    ),
    (
        "echo '# by hand' >> /etc/systemd/system/lampd.service; systemctl disable lampd",
        "page",
        "! grep -q 'by hand' /etc/systemd/system/lampd.service && systemctl is-enabled lampd",
    ),
    ("rm /run/lamp/lamp-ready", "ready", "test -e /run/lamp/lamp-ready"),
    (
        "apt-get -qq -y remove php-mysql php8.2-mysql",
        "packages",
        "dpkg-query -W -f '${db:Status-Status}' php8.2-mysql | grep -qx installed",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_broken_by_hand_is_mended_within_a_minute_and_reported() {
    lab::with_database(|lab, _database| {
        let host = lab.ready_host("web1");
        for round in BREAKS.chunks(6) {
            let began = Instant::now();
            let applied = |step: &str| host.status()["steps"][step]["applied"].as_u64().unwrap();
            let before: Vec<u64> = round.iter().map(|(_, step, _)| applied(step)).collect();
            for (script, ..) in round {
                host.sh(script);
            }
            for ((script, step, holds), before) in round.iter().zip(before) {
                host.until(&format!("mended after `{script}`"), Duration::from_secs(90), || {
                    host.instance.exec(&["sh", "-c", holds]).unwrap().success()
                });
                let took = began.elapsed();
                assert!(took < Duration::from_secs(60), "`{script}` took {took:?} to mend");
                host.until("telling of it", Duration::from_secs(20), || applied(step) > before);
            }
            host.until("ready again", Duration::from_secs(60), || {
                host.page("/healthz").status == 200 && host.site("/").status == 200
            });
        }
        // What the agent told is told again, and a page that begins anew finds it.
        host.sh("rm /run/lamp/page.json /run/lamp/status.json; systemctl restart lampd-page");
        host.until("told again", Duration::from_secs(60), || {
            host.page("/healthz").status == 200 && host.status()["converged"] == true
        });
        host.sh("echo mine > /var/www/html/index.php");
        host.until("reported", Duration::from_secs(60), || {
            lab.report(&host)["steps"]["index"]
                .as_str()
                .is_some_and(|it| it.contains("repaired: /var/www/html/index.php has other content"))
        });
    })
    .await;
}
