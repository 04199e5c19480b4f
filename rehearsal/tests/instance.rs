//! Instances are real machines: they boot, keep their files, talk, and install packages.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::thread;
use std::time::Duration;

use rehearsal::{Image, Phase, Place, Region};

#[test]
fn an_instance_boots_a_real_systemd_whose_services_all_run() {
    let region = Region::start().unwrap();
    let web = region.instance("web1").address(Ipv4Addr::new(10, 1, 3, 11)).boot().unwrap();
    assert_eq!(web.exec(&["systemctl", "is-system-running"]).unwrap().stdout, "running\n");
    assert_eq!(web.sh("cat /proc/1/comm; hostname; id -u").unwrap(), "systemd\nip-10-1-3-11\n0\n");
    // The notification socket and the journal work as on a machine.
    web.sh("systemd-run --wait -p Type=notify -p NotifyAccess=all sh -c 'systemd-notify --ready; echo hello from a unit'")
        .unwrap();
    assert!(web.sh("journalctl -o cat").unwrap().contains("hello from a unit"));
    assert!(web.console().unwrap().contains("Reached target"), "{}", web.console().unwrap());
    web.sh("echo said to the console > /dev/console").unwrap();
    wait_until("the console has it", || web.console().unwrap().contains("said to the console"));
}

#[test]
fn commands_report_their_output_their_end_and_their_delay() {
    let region = Region::start().unwrap();
    let web = region.instance("web1").boot().unwrap();
    let said = web.exec(&["sh", "-c", "echo out; echo err >&2; exit 7"]).unwrap();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str(), said.code), ("out\n", "err\n", 7));
    assert_eq!(web.exec(&["sh", "-c", "kill -9 $$"]).unwrap().code, 137);
    let err = web.exec_for(Duration::from_secs(1), &["sleep", "4321"]).unwrap_err();
    assert!(err.to_string().contains("took longer than 1 s"), "{err}");
    // What took too long is gone, not merely forgotten.
    let left = || web.exec(&["pgrep", "-f", "sleep 4321"]).unwrap().stdout;
    wait_until("the command is gone", || left().is_empty());
    // Something left in the background does not hold up its command.
    assert_eq!(web.sh("sleep 4322 & echo done").unwrap(), "done\n");
}

#[test]
fn whoever_starts_it_at_once_with_others_starts_it_once() {
    let region = Region::start().unwrap();
    let it = region.instance("web1").create().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| it.start().unwrap());
        }
    });
    it.wait_until_running().unwrap();
    assert_eq!(it.boots().unwrap(), 1);
}

#[test]
fn files_survive_a_reboot_a_power_cut_and_a_power_off() {
    let region = Region::start().unwrap();
    let it = region.instance("web1").file("/etc/before", "there from the start", 0o600).boot().unwrap();
    assert_eq!(it.sh("stat -c %a /etc/before; cat /etc/before").unwrap(), "600\nthere from the start");
    it.put("/srv/it's/a file", b"kept \0 bytes", 0o755).unwrap();
    it.sh("touch /run/gone").unwrap();
    it.reboot().unwrap();
    assert_eq!(it.boots().unwrap(), 2);
    assert_eq!(it.read("/srv/it's/a file").unwrap(), "kept \0 bytes");
    assert!(!it.exec(&["test", "-e", "/run/gone"]).unwrap().success());
    it.sh("systemctl reboot").unwrap();
    wait_until("it has rebooted itself", || it.boots().unwrap() == 3);
    it.wait_until_running().unwrap();
    it.kill().unwrap();
    assert_eq!(it.phase().unwrap(), Phase::Crashed);
    assert!(it.exec(&["true"]).unwrap_err().to_string().contains("not running"));
    it.put("/etc/while-off", b"1", 0o644).unwrap();
    it.start().unwrap();
    it.wait_until_running().unwrap();
    it.stop().unwrap();
    assert_eq!(it.phase().unwrap(), Phase::Stopped);
    it.start().unwrap();
    it.wait_until_running().unwrap();
    assert_eq!(it.sh("cat '/srv/it'\\''s/a file' /etc/while-off | tail -c 6").unwrap(), "bytes1");
    it.clone().terminate().unwrap();
    assert!(it.phase().is_err());
}

#[test]
fn an_end_that_was_half_done_is_completed() {
    let region = Region::start().unwrap();
    let it = region.instance("web1").boot().unwrap();
    let (dir, address) = (region.dir().join("web1"), it.address());
    region.remove_namespace("web1").unwrap();
    it.clone().terminate().unwrap();
    assert!(!dir.exists());
    it.terminate().unwrap();
    region.instance("web1").address(address).boot().unwrap();
}

#[test]
fn an_image_of_an_instance_has_what_the_instance_had() {
    let region = Region::start().unwrap();
    let first = region.instance("first").boot().unwrap();
    first.put("/etc/baked", b"in", 0o644).unwrap();
    let image = first.into_image().unwrap();
    let second = region.instance("second").image(image.clone()).boot().unwrap();
    let third = region.instance("third").image(image).boot().unwrap();
    second.sh("echo changed > /etc/baked").unwrap();
    assert_eq!(third.read("/etc/baked").unwrap(), "in");
}

#[test]
fn two_instances_talk_and_find_servers_of_the_test_by_name() {
    let region = Region::start().unwrap();
    let one = region.instance("one").boot().unwrap();
    let two = region.instance("two").boot().unwrap();
    one.sh(&format!("ping -c 1 -W 5 {}", two.address())).unwrap();
    // A server in a bare place of the region, as a database would be.
    let at = Ipv4Addr::new(10, 1, 5, 21);
    let place = region.namespace("db", at).unwrap();
    greet(region.listen(place, SocketAddrV4::new(at, 3306)).unwrap(), "from inside");
    region.name("db.lab.internal", &[at]).unwrap();
    assert_eq!(one.sh("getent hosts db.lab.internal").unwrap().split_whitespace().next(), Some("10.1.5.21"));
    assert_eq!(two.sh("curl -s --http0.9 http://db.lab.internal:3306/").unwrap(), "from inside");
    // A server on this machine's loopback, shown at an address inside.
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    greet(outside, "from outside");
    let aws = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 2), 4566);
    let shown = region.expose(Place::Router, aws, port).unwrap();
    assert_eq!(one.sh("curl -s --http0.9 http://10.1.0.2:4566/").unwrap(), "from outside");
    drop(shown);
    // A link that is cut and mended.
    two.link(false).unwrap();
    assert!(!one.exec(&["ping", "-c", "1", "-W", "1", &two.address().to_string()]).unwrap().success());
    two.link(true).unwrap();
    one.sh(&format!("ping -c 1 -W 5 {}", two.address())).unwrap();
}

#[test]
fn nobody_answers_for_a_machine_without_power() {
    let region = Region::start().unwrap();
    let one = region.instance("one").boot().unwrap();
    let two = region.instance("two").boot().unwrap();
    // 1 where it says that nobody listens, 124 where it says nothing.
    let connect = format!("timeout 1 bash -c 'exec 3<>/dev/tcp/{}/9' 2>/dev/null || echo $?", two.address());
    let silence = |it: &str| assert_eq!(one.sh(&connect).unwrap(), "124\n", "{it}");
    // The first packet over a new cable may be lost.
    let refused = |it: &str| wait_until(it, || one.sh(&connect).unwrap() == "1\n");
    refused("it has power");
    two.kill().unwrap();
    silence("killed");
    two.link(true).unwrap();
    silence("killed, with a cable");
    // What the operator pulled stays pulled.
    two.link(false).unwrap();
    two.start().unwrap();
    silence("started, without a cable");
    two.link(true).unwrap();
    refused("it has a cable");
    two.wait_until_running().unwrap();
    two.stop().unwrap();
    silence("stopped");
    two.start().unwrap();
    refused("it has power again");
}

#[test]
fn a_web_server_installed_by_the_real_apt_answers_on_this_machines_loopback() {
    let region = Region::start().unwrap();
    let plain = region.instance("plain").boot().unwrap();
    plain
        .sh("apt-get -q update && apt-get -q -y install --no-install-recommends tree && tree --version")
        .unwrap();
    region.packages(false).unwrap();
    assert!(plain.sh("apt-get -q -y -o Acquire::Retries=0 install hello").is_err());
    region.packages(true).unwrap();
    // And the same without the wait, from a layer made that way.
    let web = region.instance("web").image(Image::web()).boot().unwrap();
    let forward = region.forward(Place::Router, SocketAddrV4::new(web.address(), 80)).unwrap();
    web.sh("echo '<?php echo 6 * 7;' > /var/www/html/index.php; rm /var/www/html/index.html").unwrap();
    assert!(get(forward.port()).ends_with("\r\n\r\n42"), "{}", get(forward.port()));
}

#[test]
fn an_instance_reaches_neither_this_machine_nor_the_world() {
    let region = Region::start().unwrap();
    let web = region.instance("web1").boot().unwrap();
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    for target in ["127.0.0.1", "10.1.0.2", "1.1.1.1", "192.0.2.1", "10.1.9.9"] {
        let try_it = format!("timeout 1 bash -c 'exec 3<>/dev/tcp/{target}/{port}'");
        assert!(!web.exec(&["sh", "-c", &try_it]).unwrap().success(), "{target} answered");
    }
    let asked = "curl -s -o /dev/null -w '%{http_code}' -x http://198.51.100.1:3142 http://example.com/";
    assert_eq!(web.sh(asked).unwrap(), "403");
    // Nor does it change this machine's clock, drivers and kernel settings by mistake. Read, never tried.
    for who in ["self", "1"] {
        let rights = web.sh(&format!("sed -n 's/^CapEff:\\s*//p' /proc/{who}/status")).unwrap();
        let rights = u64::from_str_radix(rights.trim(), 16).unwrap();
        for (right, bit) in
            [("sys_module", 16), ("sys_rawio", 17), ("sys_time", 25), ("mknod", 27), ("syslog", 34)]
        {
            assert_eq!(rights >> bit & 1, 0, "process {who} has {right}");
        }
    }
    assert!(!web.exec(&["mknod", "/root/disk", "b", "8", "0"]).unwrap().success());
    let setting = "/proc/sys/kernel/domainname";
    assert!(!web.exec(&["sh", "-c", &format!("cat {setting} > {setting}")]).unwrap().success());
    let mounts = web.read("/proc/mounts").unwrap();
    for path in ["/proc/sys", "/sys/module", "/sys/kernel"] {
        assert!(mounts.lines().any(|it| it.contains(&format!(" {path} ")) && it.contains(" ro,")), "{path}");
    }
}

/// Greets whoever connects, in a thread of its own.
fn greet(listener: TcpListener, with: &'static str) {
    thread::spawn(move || {
        while let Ok((mut line, _)) = listener.accept() {
            let _ = line.read(&mut [0; 1000]);
            let _ = line.write_all(with.as_bytes());
        }
    });
}

fn get(port: u16) -> String {
    let mut line = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(line, "GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    answer
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1800 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("waited 3 minutes until {what}");
}
