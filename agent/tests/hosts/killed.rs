//! `kill -9` while each step is at work, and a power cut after it. (Packages: see `bad_days`, in the midst of unpacking.)

use std::time::Duration;

use super::lab::{Host, Lab, ZONE, equipped};

/// Step, what gives it something to do, and the program that it runs then: there it is caught.
const AT_A_PROGRAM: [(&str, &str, &str); 7] = [
    ("accounts", "gpasswd -d ec2-user www-data", "usermod -a -G"),
    ("php", "rm /etc/php/8.2/fpm/conf.d/99-lamp.ini", "systemctl try-reload-or-restart php8.2-fpm"),
    ("apache", "rm /etc/apache2/conf-enabled/zz-lamp.conf", "apache2ctl configtest"),
    ("web", "systemctl disable apache2; systemctl stop apache2", "systemctl enable php8.2-fpm"),
    (
        "page",
        "systemctl disable --now lampd-page.socket lampd-page.service",
        "systemctl enable lampd.service",
    ),
    (
        "efs",
        "umount /var/www/html/efs; rm /etc/systemd/system/var-www-html-efs.mount",
        "systemctl start var-www-html-efs.mount",
    ),
    ("local-database", "systemctl disable --now mariadb", "systemctl enable --now mariadb"),
];

/// Lies before the programs in the agent's path: says that it was called, and does nothing for as long as it is let.
const CATCHER: &str = r#"#!/bin/sh
if test -e /run/catch; then
  case "${0##*/} $*" in "$(cat /run/catch)"*) touch /run/caught; exec sleep 600 ;; esac
fi
PATH=/usr/sbin:/usr/bin
exec "${0##*/}" "$@"
"#;

/// A file that a step writes, and what gives it something to write. The calls with which it does so follow.
const AT_A_FILE: [(&str, &str); 5] = [
    ("/etc/lamp/php/dbinfo.inc", "echo old > /etc/lamp/php/dbinfo.inc"),
    ("/var/www/html/index.php", "echo old > /var/www/html/index.php"),
    ("/etc/apache2/conf-enabled/zz-lamp.conf", "echo '# old' > /etc/apache2/conf-enabled/zz-lamp.conf"),
    ("/etc/php/8.2/fpm/conf.d/99-lamp.ini", "echo '; old' > /etc/php/8.2/fpm/conf.d/99-lamp.ini"),
    ("/run/lamp/lamp-ready", "rm -f /run/lamp/lamp-ready"),
];
const CALLS: [&str; 4] = ["write", "fchmod", "fsync", "rename"];

fn shared_files(lab: &Lab, host: &Host) {
    let target = format!("files/target/{ZONE}");
    lab.put(&[
        ("files/id", "fs-0123456789abcdef1"),
        (&target, "10.1.3.241"),
        ("host/local-database", "true"),
    ]);
    host.sh("printf '#!/bin/sh\\nexec mount -t tmpfs files \"$2\"\\n' > /usr/sbin/mount.efs; chmod 755 /usr/sbin/mount.efs");
}

fn power_cut(host: &Host) {
    host.instance.kill().unwrap();
    host.instance.start().unwrap();
    host.instance.wait_until_running().ok();
    host.until_ready();
}

#[test]
fn killed_in_every_step_and_rebooted_it_comes_to_the_same_end() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.host("web1", equipped());
    shared_files(&lab, &host);
    host.install();
    host.until_ready();
    let settled = |host: &Host| {
        let steps = host.status()["steps"].as_object().cloned().unwrap_or_default();
        AT_A_PROGRAM.iter().all(|(step, ..)| steps.get(*step).is_some_and(|it| it["state"] == "ok"))
    };
    host.until("in order", Duration::from_secs(240), || settled(&host));
    let programs = ["usermod", "systemctl", "apache2ctl"];
    for it in programs {
        host.sh(&format!("cat > /usr/local/sbin/{it} <<'END'\n{CATCHER}END\nchmod 755 /usr/local/sbin/{it}"));
    }
    for (step, undo, program) in AT_A_PROGRAM {
        host.sh(&format!(
            "systemctl stop lampd; {undo}; echo '{program}' > /run/catch; systemctl start lampd"
        ));
        host.until(&format!("caught in {step}"), Duration::from_secs(60), || {
            host.instance.exec(&["test", "-e", "/run/caught"]).unwrap().success()
        });
        host.sh("systemctl kill -s KILL lampd");
        power_cut(&host);
        host.until(&format!("in order after {step}"), Duration::from_secs(60), || settled(&host));
    }
}

#[test]
fn killed_at_every_call_that_writes_a_file_it_leaves_the_old_one_and_no_other() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.host("web1", equipped());
    host.install();
    host.until_ready();
    host.sh("systemctl stop lampd");
    for (path, undo) in AT_A_FILE {
        let (folder, name) = path.rsplit_once('/').unwrap();
        for call in CALLS {
            let content = || host.sh(&format!("{undo}; cat {path} 2> /dev/null || true"));
            let before = content();
            let out = host.instance.exec(&[
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-P",
                &format!("{folder}/.{name}.lampd"),
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={call}:signal=KILL"),
                "lampd",
                "converge",
                "--once",
            ]);
            let out = out.unwrap();
            assert!(out.stderr.is_empty() || !out.success(), "{path} {call}: {out:?}");
            let after = host.sh(&format!("cat {path} 2> /dev/null || true"));
            assert_eq!(after, before, "{path} at {call}");
            let half = host.instance.exec(&["test", "-e", &format!("{folder}/.{name}.lampd")]).unwrap();
            assert!(half.success(), "{path}: not killed at {call}: {out:?}");
        }
    }
    power_cut(&host);
    for (path, mode) in
        [("/etc/lamp/php/dbinfo.inc", "640"), ("/var/www/html", "2775"), ("/var/www/html/index.php", "664")]
    {
        assert_eq!(host.sh(&format!("stat -c %a {path}")).trim(), mode, "{path}");
    }
    assert_eq!(
        host.sh("grep -l '^[;# ]*old$' /etc/lamp/php/* /var/www/html/* /etc/apache2/conf-enabled/* || true"),
        ""
    );
    assert_eq!(host.sh("find / -xdev -name '.*.lampd' 2>/dev/null; true"), "");
}
