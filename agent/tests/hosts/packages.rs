//! Packages on a bad day: the manager is busy, the mirror is away, the power goes.

use std::time::Duration;

use super::lab::{Host, Lab};

/// Holds the package database's lock, as dpkg itself does, which knows nothing of flock; `/run/held` names the holder.
fn hold(host: &Host) {
    host.sh(
        "setsid perl -MFcntl -e 'open(F, \"+>>\", \"/var/lib/dpkg/lock-frontend\") or die \"open $!\"; \
         my $lock = pack(\"s s x![q] q q i x![q]\", F_WRLCK, 0, 0, 0, 0); \
         fcntl(F, F_SETLK, $lock) or die \"lock $!\"; \
         open(R, \">\", \"/run/held\"); print R $$; close(R); sleep' < /dev/null > /run/holder 2>&1 & \
         sleep 0.1; until test -s /run/held; do test ! -s /run/holder || { cat /run/holder >&2; exit 1; }; done",
    );
}

#[test]
fn a_locked_package_database_and_a_mirror_that_is_down_delay_and_do_not_defeat() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.host("web1", rehearsal::Image::plain());
    hold(&host);
    host.install();
    host.until("waiting for the lock", Duration::from_secs(120), || {
        !host.sh("pgrep -f '[a]pt-get.* install' || true").is_empty()
    });
    host.sh("kill -0 $(cat /run/held)");
    // Settings that are read again end no package manager.
    let manager = host.sh("pgrep -x apt-get");
    host.sh("systemctl reload lampd; sleep 1");
    assert_eq!(host.sh("pgrep -x apt-get"), manager);
    let (state, words) = host.step("packages");
    assert!(state == "working" && words.contains("not installed: apache2"), "{state}: {words}");
    // It goes on as soon as the lock is free, and finds no mirror.
    lab.region.packages(false).unwrap();
    host.sh("kill $(cat /run/held)");
    host.until("told that the mirror is away", Duration::from_secs(120), || {
        let (state, words) = host.step("packages");
        state == "failed" && words.contains("apt-get")
    });
    assert!(host.instance.console().unwrap().contains("packages: "));
    lab.region.packages(true).unwrap();
    // In the middle of the installation the power goes.
    until_unpacking(&host);
    host.instance.kill().unwrap();
    host.instance.start().unwrap();
    host.instance.wait_until_running().ok();
    host.until_ready();
    assert_eq!(host.sh("dpkg --audit"), "");
}

fn until_unpacking(host: &Host) {
    host.until("unpacking", Duration::from_secs(120), || {
        host.instance.exec(&["sh", "-c", "grep -q half-installed /var/lib/dpkg/status || ls /var/lib/dpkg/updates/0* || dpkg-query -W -f '${db:Status-Status}\n' | grep -qx unpacked"]).unwrap().success()
    });
}

#[test]
fn killed_while_unpacking_it_goes_on_in_the_same_boot() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.host("web1", rehearsal::Image::plain());
    host.install();
    until_unpacking(&host);
    // With all that it runs: the agent's own death alone would leave dpkg to systemd, which asks it politely first.
    host.sh("systemctl kill -s KILL lampd");
    assert_eq!(host.sh("pgrep -x dpkg || true"), "");
    host.until_ready();
    assert_eq!(host.sh("dpkg --audit"), "");
}

#[test]
fn modules_that_cannot_be_installed_first_are_left_to_the_package_manager() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.host("web1", rehearsal::Image::plain());
    host.sh(
        "printf '#!/bin/sh\\n[ -z \"$DEBIAN_HAS_FRONTEND\" ] || { touch /run/tried; exit 1; }\\nexec /usr/bin/ucf \"$@\"\\n' \
         > /usr/local/bin/ucf; chmod +x /usr/local/bin/ucf",
    );
    host.install();
    host.until_ready();
    host.sh("test -e /run/tried; php8.2 -m | grep -qx mysqli");
    assert_eq!(host.sh("dpkg --audit"), "");
    assert!(!host.journal().contains("once more"), "{}", host.journal());
}

#[test]
fn what_cannot_be_set_up_after_a_power_cut_is_installed_anew() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.ready_host("web1");
    // As a power cut leaves it: set up by half, a script of the package gone bad, and a library that never came.
    host.sh(
        "systemctl stop lampd; systemctl stop php8.2-fpm apache2; \
         dpkg --remove --force-depends libaprutil1 > /dev/null 2>&1; \
         for it in php8.2-fpm apache2-bin; do \
           sed -i \"/^Package: $it\\$/,/^\\$/ s/^Status: .*/Status: install ok half-configured/\" /var/lib/dpkg/status; done; \
         printf '#!/bin/false\\n' > /var/lib/dpkg/info/php8.2-fpm.postinst; \
         echo earlier > /var/lib/lamp/unsynced-packages",
    );
    assert!(!host.instance.exec(&["dpkg", "--configure", "-a"]).unwrap().success());
    host.sh("systemctl start lampd");
    host.until("mended", Duration::from_secs(240), || {
        host.status()["steps"]["packages"]["repaired"]
            .as_str()
            .is_some_and(|it| it.contains("the power went"))
    });
    host.until_ready();
    assert_eq!(host.sh("dpkg --audit"), "", "{}", host.journal());
    host.sh("dpkg -s libaprutil1 > /dev/null; systemctl is-active php8.2-fpm apache2");
}

#[test]
fn a_host_whose_packages_somebody_else_upgrades_stays_in_the_balancer() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.ready_host("web1");
    let held = |host: &Host| host.page("/healthz").status == 200 && host.site("/lamp-ready").status == 200;
    hold(&host);
    // As between the unpacking of a new version and its setting up.
    host.sh(
        "sed -i '/^Package: apache2$/,/^$/ s/^Status: .*/Status: install ok unpacked/' /var/lib/dpkg/status",
    );
    for _ in 0..3 {
        // Whatever moves makes the agent look at everything.
        lab.put(&[("host/poll-seconds", "1")]);
        let generation = lab.moto.get("generation").unwrap();
        host.until("looking", Duration::from_secs(30), || lab.report(&host)["generation"] == generation);
        assert!(held(&host), "{:#}", host.status());
    }
    assert_eq!(host.step("packages").0, "ok");
    // Left like that, it is ours to mend.
    host.sh("kill $(cat /run/held)");
    host.until("set up", Duration::from_secs(90), || {
        host.sh("dpkg-query -W -f '${db:Status-Status}' apache2") == "installed" && held(&host)
    });
}

#[test]
fn what_only_some_stacks_want_holds_up_no_repair_of_the_rest() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.ready_host("web1");
    hold(&host);
    lab.put(&[("host/local-database", "true")]);
    host.until("waiting for the lock", Duration::from_secs(60), || host.step("more-packages").0 == "working");
    host.sh("rm /var/www/html/index.php; systemctl stop apache2");
    host.until("mended", Duration::from_secs(60), || {
        host.instance
            .exec(&["sh", "-c", "test -s /var/www/html/index.php && systemctl is-active apache2"])
            .unwrap()
            .success()
    });
    assert_eq!(host.step("more-packages").0, "working");
    host.sh("kill $(cat /run/held)");
    host.until("installed", Duration::from_secs(240), || host.step("local-database").0 == "ok");
}
