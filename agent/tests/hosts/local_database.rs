//! The MariaDB server on the host itself, as the lab's script had it: a setting, off by default.

use std::time::Duration;

use super::lab::{Lab, baked};

#[test]
fn a_database_on_the_host_itself_comes_with_the_setting_and_is_kept_running() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.host("web1", baked());
    host.install();
    host.until_ready();
    assert_eq!(host.status()["steps"]["local-database"], serde_json::Value::Null);
    lab.put(&[("host/local-database", "true")]);
    host.until("with a database", Duration::from_secs(240), || host.step("local-database").0 == "ok");
    assert_eq!(host.sh("mariadb -Ne 'SELECT 40 + 2'").trim(), "42");
    assert_eq!(host.sh("systemctl is-enabled mariadb").trim(), "enabled");
    // It serves this host alone.
    assert_eq!(host.sh("ss -ltnH 'sport = :3306' | grep -v 127.0.0.1 || true"), "");
    host.sh("systemctl stop mariadb");
    host.until("mended", Duration::from_secs(60), || {
        host.instance.exec(&["mariadb", "-e", "SELECT 1"]).unwrap().success()
    });
    host.until("ready", Duration::from_secs(30), || host.page("/healthz").status == 200);
    // Without the setting it goes again, and its data stay.
    lab.put(&[("host/local-database", "false")]);
    host.until("without a database", Duration::from_secs(60), || {
        host.sh("systemctl is-active mariadb || true").trim() == "inactive"
            && host.step("local-database").0.is_empty()
    });
    assert_eq!(host.sh("systemctl is-enabled mariadb || true").trim(), "disabled");
    host.sh("test -d /var/lib/mysql/mysql");
    // A stack without a database leaves its password on no host.
    host.sh("test -s /etc/lamp/php/dbinfo.inc");
    lab.moto.delete("db/endpoint");
    lab.put(&[]);
    host.until("without dbinfo.inc", Duration::from_secs(30), || {
        host.sh("ls /etc/lamp/php").lines().all(|it| it != "dbinfo.inc")
    });
    assert_eq!(host.step("dbinfo").0, "waiting");
}
