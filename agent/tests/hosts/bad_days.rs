//! What goes wrong around the agent: store, mirror, disk, power.

use std::time::Duration;

use super::lab::{self, DATABASE, Host, Lab, baked};
use crate::database::{Database, USER};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_store_away_at_boot_is_told_on_the_console_and_away_later_hurts_nobody() {
    lab::with_database(|lab, _database| {
        lab.region.link("aws", false).unwrap();
        let host = lab.host("web1", baked());
        host.install();
        host.until("told on the console", Duration::from_secs(60), || {
            host.instance.console().unwrap().contains("asking the Parameter Store")
        });
        assert_eq!(host.page("/healthz").status, 503);
        assert_ne!(host.site("/lamp-ready").status, 200);
        // Everything that needs no parameters is done meanwhile.
        host.until("serving", Duration::from_secs(60), || host.step("web").0 == "ok");
        lab.region.link("aws", true).unwrap();
        host.until("ready", Duration::from_secs(60), || host.page("/healthz").status == 200);
        host.until("serving rows", SOON, || host.page("/").status == 200 && host.site("/").status == 200);

        // A value that cannot be read: the last good configuration stays, and the operator sees why.
        lab.put(&[("db/port", "s3cret-not-a-port")]);
        host.until("told", SOON, || {
            host.status()["trouble"].as_str().is_some_and(|it| it.contains("db/port"))
        });
        assert_eq!(
            (host.page("/").status, host.site("/").status, host.page("/healthz").status),
            (200, 200, 200)
        );
        host.until("reported", SOON, || {
            lab.report(&host)["last_error"].as_str().is_some_and(|it| it.contains("db/port"))
        });
        assert!(
            !host.journal().contains("s3cret-not-a-port")
                && !lab.report(&host).to_string().contains("s3cret")
        );
        lab.put(&[("db/port", "3306")]);
        host.until("healed", SOON, || host.status()["trouble"].is_null());

        // A generation that vanishes takes nothing away.
        lab.moto.delete("generation");
        host.until("told", SOON, || {
            host.status()["trouble"].as_str().is_some_and(|it| it.contains("generation is gone"))
        });
        assert_eq!((host.page("/").status, host.site("/").status), (200, 200));
        lab.put(&[]);
        host.until("healed", SOON, || host.status()["trouble"].is_null());

        lab.region.link("aws", false).unwrap();
        host.until("told", Duration::from_secs(60), || {
            host.status()["trouble"].as_str().is_some_and(|it| it.starts_with("asking the Parameter Store"))
        });
        assert_eq!(
            (host.page("/").status, host.site("/").status, host.page("/healthz").status),
            (200, 200, 200)
        );
        // Even a reboot without the store: this host knows what it was.
        host.instance.reboot().unwrap();
        host.until("ready", Duration::from_secs(60), || host.page("/healthz").status == 200);
        host.until("serving rows", SOON, || host.page("/").status == 200 && host.site("/").status == 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_at_boot_or_refuses_us_leaves_the_host_healthy() {
    let mut database = Database::prepare("127.0.0.1", crate::database::free_port(), &[]);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut lab = Lab::new();
        lab.database(&database, "db", DATABASE);
        lab.put_usual();
        let host = lab.ready_host("web1");
        let page = host.page("/");
        assert_eq!(page.status, 503, "{page:?}");
        assert_eq!(host.site("/").status, 503);
        runtime.block_on(async {
            database.resume().await;
            database.seed().await;
        });
        let took = host.until("with rows", SOON, || host.page("/").status == 200);
        assert!(took < Duration::from_secs(1), "{took:?}");
        host.until("with rows from PHP", SOON, || host.site("/").status == 200);
        // The password is changed at the server first, as a careless person would.
        runtime.block_on(database.sql(&format!("ALTER USER {USER}@'%' IDENTIFIED BY 'changed'")));
        runtime.block_on(database.sql("FLUSH PRIVILEGES"));
        host.sh("systemctl restart lampd-page");
        host.until("refused", SOON, || host.page("/").body.contains("refuses the account or its password"));
        assert_eq!(host.page("/healthz").status, 200);
        lab.put(&[("db/password", "changed")]);
        host.until("healed", SOON, || host.page("/").status == 200 && host.site("/").status == 200);
    })
    .await
    .unwrap();
}

#[test]
fn metadata_that_come_late_make_the_host_what_it_is() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.host("web1", baked());
    host.sh("ip route add blackhole 169.254.169.254");
    host.install();
    host.until("told", Duration::from_secs(60), || host.status()["identity"]["trouble"].is_string());
    assert!(host.status()["identity"]["zone"].is_null());
    host.sh("ip route del blackhole 169.254.169.254");
    host.until("in its zone", Duration::from_secs(90), || {
        host.status()["identity"]["zone"] == super::lab::ZONE
    });
    host.until_ready();
    host.until("reported", SOON, || lab.report(&host)["zone"] == super::lab::ZONE);
}

#[test]
fn converging_once_reads_the_store_falls_back_to_what_is_known_and_leaves_the_service_alone() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.ready_host("web1");
    let once = |before: &str| {
        let out = host.instance.exec(&["sh", "-c", &format!("{before} lampd converge --once 2>&1")]).unwrap();
        (out.success(), out.stdout)
    };
    let (fine, words) = once("");
    assert!(!fine && words.contains("the service lampd converges this host already"), "{words}");
    host.sh("systemctl stop lampd");
    let (fine, words) = once("chmod 755 /root; setpriv --reuid=65534 --clear-groups");
    assert!(!fine && words.contains("this needs root"), "{words}");
    lab.put(&[("db/user", "somebody-new")]);
    let (fine, words) = once("");
    assert!(fine, "{words}");
    host.sh("grep -q somebody-new /etc/lamp/php/dbinfo.inc");
    // Without the store, what the service read last is the best there is.
    lab.region.link("aws", false).unwrap();
    host.sh("rm /etc/lamp/php/dbinfo.inc");
    let (fine, words) = once("");
    assert!(fine && words.contains("asking the Parameter Store"), "{words}");
    host.sh("test -s /etc/lamp/php/dbinfo.inc");
}

/// Folder, the step that writes there, what gives it something to write, and the file.
const FULL: [(&str, &str, &str, &str); 4] = [
    ("/var/www/html", "index", "echo old > /var/www/html/index.php", "/var/www/html/index.php"),
    (
        "/etc/apache2/conf-enabled",
        "apache",
        "echo '# old' > /etc/apache2/conf-enabled/zz-lamp.conf",
        "/etc/apache2/conf-enabled/zz-lamp.conf",
    ),
    (
        "/etc/php/8.2/fpm/conf.d",
        "php",
        "echo '; old' > /etc/php/8.2/fpm/conf.d/99-lamp.ini",
        "/etc/php/8.2/fpm/conf.d/99-lamp.ini",
    ),
    ("/etc/lamp/php", "dbinfo", "echo old > /etc/lamp/php/dbinfo.inc", "/etc/lamp/php/dbinfo.inc"),
];

/// Puts a small file system in the place of a folder, with what lies in it and nothing left.
fn fill(host: &Host, folder: &str) {
    host.sh(&format!(
        "rm -rf /root/kept; cp -a {folder} /root/kept; mount -t tmpfs -o size=256k tmpfs {folder}; \
         cp -a /root/kept/. {folder}/; cat /dev/zero > {folder}/.fill 2> /dev/null || true"
    ));
}

#[test]
fn a_full_disk_breaks_no_file_and_heals_once_there_is_room() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.ready_host("web1");
    for (folder, step, change, file) in FULL {
        let wanted = host.sh(&format!("cat {file}"));
        fill(&host, folder);
        host.sh(&format!(
            "systemctl stop lampd; {change}; cat /dev/zero >> {folder}/.fill 2> /dev/null || true"
        ));
        let before = host.sh(&format!("cat {file}"));
        host.sh("systemctl start lampd");
        host.until("told", SOON, || host.step(step).1.contains("No space left on device"));
        host.until("unfit", SOON, || host.page("/healthz").status == 503);
        assert_eq!(host.sh(&format!("cat {file}")), before);
        host.sh(&format!("rm {folder}/.fill"));
        host.until("healed", Duration::from_secs(45), || host.sh(&format!("cat {file}")) == wanted);
        host.until("ready", SOON, || host.page("/healthz").status == 200);
        assert_eq!(host.sh(&format!("ls -A {folder} | grep lampd || true")), "");
    }
    // Where it keeps what it has read: that cannot be kept, and counts all the same.
    fill(&host, "/var/lib/lamp");
    lab.put(&[("db/user", "somebody-else")]);
    host.until("with the new user", SOON, || {
        host.sh("cat /etc/lamp/php/dbinfo.inc").contains("somebody-else")
    });
    assert_eq!(host.page("/healthz").status, 200);
}

#[test]
fn files_of_packages_that_a_power_cut_emptied_are_mended_at_the_next_boot() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.ready_host("web1");
    host.sh("systemctl stop lampd");
    let (program, settings) = ("/usr/sbin/a2query", "/etc/apache2/ports.conf");
    let sums = format!("sha256sum {program} {settings}");
    let before = host.sh(&sums);
    // What an installation that was never synced leaves: the note of another boot, and files without content.
    host.sh(&format!(
        "echo another-boot > /var/lib/lamp/unsynced-packages; truncate -s 0 {program} {settings}; \
         echo '# by hand' >> /etc/apache2/envvars; systemctl start lampd"
    ));
    host.until("mended", Duration::from_secs(180), || {
        !host.instance.exec(&["test", "-e", "/var/lib/lamp/unsynced-packages"]).unwrap().success()
    });
    assert_eq!(host.sh(&sums), before);
    host.sh("grep -q 'by hand' /etc/apache2/envvars");
    host.until("ready", SOON, || host.page("/healthz").status == 200);
}
