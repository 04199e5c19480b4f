//! Parameters that change while the site is used, the shared files, and upgrades.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use super::lab::{self, DATABASE, Lab, Load, STACK, baked};
use super::tap::Tap;
use crate::database::{Database, USER};

const SECOND: Ipv4Addr = Ipv4Addr::new(10, 1, 5, 11);
const FILES: &str = "fs-0123456789abcdef0";
const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_new_endpoint_or_password_reaches_php_and_page_without_a_failed_request() {
    let (first, second) = (Database::start().await, Database::start().await);
    for (database, name) in [(&first, "FIRST"), (&second, "SECOND")] {
        database.seed().await;
        database.sql(&format!("UPDATE SAMPLE SET NAME = '{name}' WHERE ID = 1")).await;
    }
    first.sql("INSERT INTO SAMPLE (NAME, ADDRESS) VALUES ('<script>alert(1)</script>', '\"a\" & b'), ('😀', NULL)").await;
    second.sql(&format!("ALTER USER {USER}@'%' IDENTIFIED BY 'an\\'other'")).await;
    tokio::task::spawn_blocking(move || {
        let mut lab = Lab::new();
        lab.database(&first, "db1", DATABASE);
        lab.database(&second, "db2", SECOND);
        lab.put_usual();
        let host = lab.ready_host("web1");
        host.until("serving", SOON, || {
            host.site("/").body.contains("FIRST") && host.page("/").body.contains("FIRST")
        });
        // What a row holds is shown, and does nothing.
        for body in [host.site("/").body, host.page("/").body] {
            assert!(
                body.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !body.contains("<script"),
                "{body}"
            );
            assert!(body.contains("😀") && body.contains("NULL") && !body.contains("\"a\" & b"), "{body}");
        }
        let apache = host.sh("systemctl show -p MainPID --value apache2");
        let php = Load::start(host.site_port(), "/", |it| it.status == 200);
        let page =
            Load::start(host.page_port(), "/", |it| it.status == 200 && !it.body.contains("These rows are"));
        std::thread::sleep(Duration::from_secs(2));
        lab.put(&[("db/endpoint", &SECOND.to_string()), ("db/password", "an'other")]);
        host.until("at the second", SOON, || {
            host.site("/").body.contains("SECOND") && host.page("/").body.contains("SECOND")
        });
        std::thread::sleep(Duration::from_secs(2));
        assert!(php.end() > 50);
        assert!(page.end() > 50);
        assert_eq!(host.sh("systemctl show -p MainPID --value apache2"), apache);
    })
    .await
    .unwrap();
}

#[test]
fn while_nothing_moves_a_host_asks_for_the_generation_alone() {
    let lab = Lab::new();
    lab.put_usual();
    let tap = Tap::start(lab.moto.port);
    let door = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 21), 4566);
    let place = lab.region.namespace("tap", *door.ip()).unwrap();
    let _forward = lab.region.expose(place, door, tap.port).unwrap();
    let host = lab.host("web1", baked());
    host.sh(&format!("/root/lampd install --region ap-northeast-2 --stack {STACK} --endpoint http://{door}"));
    host.until_ready();
    let asked = |name: &str| tap.count(&format!("/lamp/{STACK}/{name}\""));
    let after = |more: usize| {
        let before = asked("generation");
        host.until("asking", Duration::from_secs(60), || asked("generation") >= before + more);
        asked("db/password")
    };
    assert_eq!(after(10), 1, "one start, one reading");
    lab.put(&[("db/password", "another")]);
    host.until("told", SOON, || asked("db/password") == 2);
    assert_eq!(after(10), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_restarts_of_both_services_drop_no_connection() {
    lab::with_database(|lab, _database| {
        let host = lab.ready_host("web1");
        host.until("serving", SOON, || host.page("/").status == 200);
        let healthy = Load::start(host.site_port(), "/lamp-ready", |it| it.status == 200);
        let page = Load::start(host.page_port(), "/index.json", |it| it.status == 200);
        for _ in 0..2 {
            host.sh("systemctl restart lampd-page");
            host.sh("systemctl restart lampd");
            host.until("back", SOON, || {
                host.sh("systemctl is-active lampd lampd-page || true") == "active\nactive\n"
                    && host.page("/healthz").status == 200
            });
        }
        // Another program in the place of this one; one byte more makes it another.
        host.sh("cp /root/lampd /root/newer && echo >> /root/newer && /root/newer install --region ap-northeast-2 --stack lab-vpc --endpoint $(sed -n 's/^endpoint = \"\\(.*\\)\"/\\1/p' /etc/lamp/agent.toml)");
        let same = "cmp -s /proc/$(systemctl show -p MainPID --value $unit)/exe /root/newer";
        host.until("upgraded", SOON, || {
            host.sh(&format!("for unit in lampd lampd-page; do {same} && systemctl is-active $unit; done || true"))
                == "active\nactive\n"
        });
        // Killed, not asked: at most the requests of that very moment are lost, so health alone is watched.
        host.sh("systemctl kill -s KILL lampd");
        host.until("back", SOON, || host.sh("systemctl is-active lampd || true").trim() == "active");
        assert!(page.end() > 50);
        assert!(healthy.end() > 50);
    })
    .await;
}

#[test]
fn shared_files_are_mounted_past_a_missing_name_and_a_dead_server_blocks_nothing() {
    let lab = Lab::new();
    let target = Ipv4Addr::new(10, 1, 3, 240);
    let files = lab.region.file_system(FILES).unwrap();
    files.mount_target("target", target).unwrap();
    lab.put_usual();
    lab.put(&[("files/id", FILES), (&format!("files/target/{}", super::lab::ZONE), &target.to_string())]);
    let host = lab.ready_host("web1");
    // The name does not resolve yet.
    host.until("mounted", Duration::from_secs(60), || host.step("efs").0 == "ok");
    assert!(
        host.sh("cat /etc/systemd/system/var-www-html-efs.mount")
            .contains(&format!("mounttargetip={target}"))
    );
    std::fs::write(files.dir().join("note.txt"), "from the shared files").unwrap();
    host.until("serving them", SOON, || host.site("/efs/note.txt").body == "from the shared files");
    // What lies there is not touched.
    std::fs::create_dir(files.dir().join("private")).unwrap();
    let mode = |path: &str| host.sh(&format!("stat -c %a {path}")).trim().to_owned();
    let before = mode("/var/www/html/efs/private");
    // Once what lies beside it has been mended, the agent has been here.
    host.sh("mkdir /var/www/html/zz; chmod 700 /var/www/html/zz; systemctl kill -s HUP lampd");
    host.until("walked through", Duration::from_secs(60), || mode("/var/www/html/zz") == "2775");
    assert_eq!(mode("/var/www/html/efs/private"), before);

    // Gone before mounting: the boot, convergence and health go on without it.
    lab.region.link("target", false).unwrap();
    // A mount that failed makes the machine "degraded", which is an error to whoever waits for it.
    host.instance.reboot().ok();
    host.until_ready();
    // Whether the first attempt to mount is over or not, nobody waits for it.
    assert_ne!(host.step("efs").0, "ok");
    host.until("told", Duration::from_secs(90), || host.step("efs").0 == "failed");
    assert_eq!(host.page("/healthz").status, 200);
    assert_eq!(host.site("/lamp-ready").status, 200);
    lab.region.link("target", true).unwrap();
    host.until("mounted", Duration::from_secs(120), || host.step("efs").0 == "ok");
    assert_eq!(host.site("/efs/note.txt").body, "from the shared files");
}

#[test]
fn a_baked_image_is_sealed_and_its_hosts_are_healthy_within_a_second_of_the_agents_start() {
    let lab = Lab::new();
    lab.put_usual();
    let maker = lab.host("maker", baked());
    maker.sh("mkdir -p /etc/lamp; touch /root/.bash_history; /root/lampd bake");
    for (what, script) in [
        ("a machine id", "test -s /etc/machine-id"),
        ("host keys", "ls /etc/ssh/ssh_host_*"),
        ("cloud-init's state", "ls /var/lib/cloud/instance/"),
        ("logs", "test -s /var/log/cloud-init.log"),
        ("a configuration", "test -e /etc/lamp/agent.toml"),
        ("the password", "ls /etc/lamp/php/dbinfo.inc /var/lib/lamp/parameters.json"),
    ] {
        assert!(!maker.instance.exec(&["sh", "-c", script]).unwrap().success(), "the image holds {what}");
    }
    maker.instance.stop().unwrap();
    let image = maker.instance.into_image().unwrap();

    let host = lab.host("web1", image);
    assert_ne!(host.sh("cat /etc/machine-id").trim(), "");
    host.install();
    host.until_ready();
    assert!(host.sh("cat /etc/lamp/agent.toml").contains(STACK));
    let mut took: Vec<u32> = (0..3).map(|_| host.first_start()).collect();
    took.sort_unstable();
    eprintln!("baked image: healthy {took:?} ms after the agent's start (a build without optimisation)");
    assert!(took[1] <= 1000, "{took:?}");

    // A host of which no image can be made serves on.
    lab.region.packages(false).unwrap();
    host.sh("systemctl stop lampd; dpkg --purge mariadb-client");
    let baked = host.instance.exec(&["/root/lampd", "bake"]).unwrap();
    assert!(!baked.success() && baked.stderr.contains("the image is not complete: packages: "), "{baked:?}");
    host.until("serving on", SOON, || host.sh("systemctl is-active lampd || true").trim() == "active");
    assert_eq!(host.page("/healthz").status, 503, "its packages are not complete");
}
