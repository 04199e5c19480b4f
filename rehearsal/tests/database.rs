//! A database that fails over: no acknowledged row is lost, the name moves, and replicas follow it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rehearsal::{Around, Authority, Database, DatabaseSpec, Image, Region};

const ENDPOINT: &str = "lab-vpc-rds.c0ffee.ap-northeast-2.rds.amazonaws.com";
const REPLICA: &str = "lab-vpc-rds-rr.c0ffee.ap-northeast-2.rds.amazonaws.com";

/// Inserts numbers as fast as they are acknowledged, on a new connection each, and notes which were.
const WRITER: &str = "n=0; while [ ! -e /tmp/enough ]; do n=$((n+1)); \
    mariadb --connect-timeout=2 -e \"insert into T values ($n)\" labvpcrds 2>>/tmp/errors && echo $n >> /tmp/acknowledged || sleep 0.1; done";

fn spec(standby: bool) -> DatabaseSpec {
    DatabaseSpec {
        name: "lab-vpc-rds".into(),
        endpoint: ENDPOINT.into(),
        password: r#"quo'te"s \ and spaces"#.into(),
        standby: standby.then_some(Ipv4Addr::new(10, 1, 6, 22)),
        parameters: BTreeMap::from([("require_secure_transport".into(), "1".into())]),
        ..DatabaseSpec::default()
    }
}

fn client() -> String {
    format!(
        "[client]\nhost={ENDPOINT}\nuser=admin\npassword=\"quo'te\\\"s \\\\ and spaces\"\n\
         ssl-ca=/etc/lab-ca.pem\nssl-verify-server-cert\n"
    )
}

fn wait_for(database: &Database, what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1800 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("waited 3 minutes until {what}: {:#?}", database.events());
}

#[test]
fn no_acknowledged_row_is_lost_when_the_primary_dies_and_everybody_finds_the_new_one() {
    let region = Region::start().unwrap();
    let authority = Authority::new().unwrap();
    let database = region.database(spec(true), &authority).unwrap();
    let replica = Ipv4Addr::new(10, 1, 6, 23);
    database.replica("lab-vpc-rds-rr", REPLICA, replica, &authority).unwrap();
    let web = region
        .instance("web")
        .image(Image::web())
        .file("/root/.my.cnf", client(), 0o600)
        .file("/etc/lab-ca.pem", authority.pem(), 0o644)
        .boot()
        .unwrap();
    web.sh("mariadb -e 'create table T (n int primary key)' labvpcrds").unwrap();
    web.put("/root/writer", WRITER.as_bytes(), 0o755).unwrap();
    web.sh("systemd-run -u writer --setenv=HOME=/root sh /root/writer").unwrap();
    let acknowledged = || {
        let text = web.read("/tmp/acknowledged").unwrap_or_default();
        text.lines().filter_map(|it| it.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    wait_for(&database, "twenty rows are in", || acknowledged().len() >= 20);
    let before = database.primary();
    database.kill_primary().unwrap();
    wait_for(&database, "the standby took over", || database.primary() != before);
    let at = acknowledged().len();
    wait_for(&database, "writing goes on", || acknowledged().len() >= at + 20);
    web.sh("touch /tmp/enough; while systemctl -q is-active writer; do sleep 0.1; done").unwrap();
    let rows = |text: String| text.lines().filter_map(|it| it.parse::<u32>().ok()).collect::<Vec<_>>();
    let sql = "select n from labvpcrds.T order by n";
    let kept = rows(database.sql(sql).unwrap());
    let lost: Vec<u32> = acknowledged().into_iter().filter(|it| !kept.contains(it)).collect();
    assert_eq!(lost, [0; 0]);
    wait_for(&database, "the replica has followed", || {
        rows(database.replica_sql("lab-vpc-rds-rr", sql).unwrap_or_default()) == kept
    });
    // Two zones again: what was the primary's address is the new standby's.
    wait_for(&database, "there is a standby", || database.standby() == Some(before));
    let said = web.exec(&["mariadb", "-h", REPLICA, "-e", "insert into T values (0)", "labvpcrds"]).unwrap();
    assert!(said.stderr.contains("read-only"), "{}", said.stderr);
    database.reboot(true).unwrap();
    assert_eq!(database.primary(), before);
    assert_eq!(rows(database.sql(sql).unwrap()), kept);
}

#[test]
fn an_encrypted_connection_is_demanded_and_a_reboot_keeps_the_rows() {
    let region = Region::start().unwrap();
    let authority = Authority::new().unwrap();
    let database = region.database(spec(false), &authority).unwrap();
    let web = region
        .instance("web")
        .image(Image::web())
        .file("/root/.my.cnf", client(), 0o600)
        .file("/etc/lab-ca.pem", authority.pem(), 0o644)
        .boot()
        .unwrap();
    let cipher = web.sh("mariadb -N -e \"show status like 'Ssl_version'\"").unwrap();
    assert!(cipher.contains("TLSv1"), "{cipher}");
    assert!(web.sh("mariadb --skip-ssl -e 'select 1'").is_err());
    let other = Authority::new().unwrap();
    web.put("/etc/other-ca.pem", other.pem().as_bytes(), 0o644).unwrap();
    assert!(web.sh("mariadb --ssl-ca=/etc/other-ca.pem -e 'select 1'").is_err());
    web.sh("mariadb -e 'create table T (n int); insert into T values (7)' labvpcrds").unwrap();
    assert!(database.reboot(true).unwrap_err().to_string().contains("has no standby"));
    database.reboot(false).unwrap();
    assert_eq!(
        web.sh("mariadb -N -e 'insert into T values (8); select sum(n) from T' labvpcrds").unwrap(),
        "15\n"
    );
}

#[test]
fn nothing_starts_where_there_is_no_power() {
    let region = Region::start().unwrap();
    let authority = Authority::new().unwrap();
    let has_power = Arc::new(AtomicBool::new(false));
    let (asked, want) = (Arc::clone(&has_power), spec(true));
    let standby = want.standby;
    let around = Around {
        plugged_in: Box::new(|| Ok(())),
        has_power: Box::new(move |it| Some(it) != standby || asked.load(Ordering::Relaxed)),
    };
    let database = region.database_with(want, &authority, around).unwrap();
    let is_tried = || region.dir().join("db.lab-vpc-rds-2").exists() || database.standby().is_some();
    thread::sleep(Duration::from_secs(3));
    assert!(!is_tried(), "{:#?}", database.events());
    has_power.store(true, Ordering::Relaxed);
    wait_for(&database, "the standby is there", || database.standby() == standby);
    // It dies with its zone, and comes back with it.
    has_power.store(false, Ordering::Relaxed);
    database.kill_standby().unwrap();
    wait_for(&database, "it is given up", || database.standby().is_none());
    thread::sleep(Duration::from_secs(3));
    assert!(!region.dir().join("db.lab-vpc-rds-3").exists(), "{:#?}", database.events());
    has_power.store(true, Ordering::Relaxed);
    wait_for(&database, "there is another", || database.standby() == standby);
}

#[test]
fn a_reboot_is_no_failover_and_whoever_dies_comes_back() {
    let region = Region::start().unwrap();
    let authority = Authority::new().unwrap();
    let database = region.database(spec(true), &authority).unwrap();
    let replica = Ipv4Addr::new(10, 1, 6, 23);
    database.replica("lab-vpc-rds-rr", REPLICA, replica, &authority).unwrap();
    let happened = |what: &str| database.events().iter().filter(|it| it.what.starts_with(what)).count();
    let add = |n: u32| database.sql(&format!("insert into labvpcrds.T values ({n})")).unwrap();
    let sum = || database.sql("select sum(n) from labvpcrds.T").map(|it| it.trim().to_owned());
    database.sql("create table labvpcrds.T (n int primary key)").unwrap();
    add(1);
    let (primary, standby) = (database.primary(), database.standby().unwrap());
    database.reboot(false).unwrap();
    add(2);
    assert_eq!((database.primary(), database.standby()), (primary, Some(standby)));
    assert_eq!((sum().unwrap().as_str(), happened("failover")), ("3", 0));

    database.kill_standby().unwrap();
    wait_for(&database, "there is another standby", || happened("the standby is in step") == 2);
    add(4);
    database.kill_primary().unwrap();
    wait_for(&database, "it has taken over", || database.primary() == standby);
    assert_eq!(sum().unwrap(), "7");
    wait_for(&database, "there is a third one", || happened("the standby is in step") == 3);

    // Both at once: there is nobody to take over.
    database.kill_standby().unwrap();
    database.kill_primary().unwrap();
    wait_for(&database, "the primary is back", || sum().is_ok_and(|it| it == "7"));
    wait_for(&database, "with a standby", || happened("the standby is in step") == 4);
    assert_eq!((database.primary(), happened("failover begins")), (standby, 1));
    add(8);

    database.kill_replica("lab-vpc-rds-rr").unwrap();
    let copied = || database.replica_sql("lab-vpc-rds-rr", "select sum(n) from labvpcrds.T");
    wait_for(&database, "the replica is back", || copied().is_ok_and(|it| it.trim() == "15"));

    database.terminate().unwrap();
    database.terminate().unwrap();
    let left = std::fs::read_dir(region.dir()).unwrap().flatten();
    let left: Vec<_> = left.filter(|it| it.file_name().to_string_lossy().starts_with("db.")).collect();
    assert!(left.is_empty(), "{left:?}");
}
