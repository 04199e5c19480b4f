//! Shared files whose server dies after they were mounted: whoever touches them hangs.

use std::{
    io::Write,
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use super::lab::{Lab, ZONE, equipped};

const SOON: Duration = Duration::from_secs(20);

/// Stands for a file server over the network: a file system in user space, whose program can be stopped. Where the
/// server is dead, mounting hangs.
const MOUNT: &str = "#!/bin/sh\nmkdir -p /srv/files\nwhile test -e /run/dead; do sleep 1; done\nexec bindfs /srv/files \"$2\"\n";
const DIES: &str = "touch /run/dead; kill -STOP $(pidof bindfs)";
const COMES_BACK: &str = "rm /run/dead; kill -CONT $(pidof bindfs) || true";
/// More than Apache has workers.
const VISITORS: usize = 300;

#[test]
fn a_file_server_that_dies_after_mounting_hangs_neither_convergence_nor_health_nor_the_boot() {
    let lab = Lab::new();
    let target = Ipv4Addr::new(10, 1, 3, 241);
    lab.put_usual();
    lab.put(&[("files/id", "fs-0123456789abcdef1"), (&format!("files/target/{ZONE}"), &target.to_string())]);
    let host = lab.host("web1", equipped());
    host.sh(&format!("printf '%s' '{MOUNT}' > /usr/sbin/mount.efs; chmod 755 /usr/sbin/mount.efs"));
    host.install();
    host.until_ready();
    host.until("mounted", Duration::from_secs(60), || host.step("efs").0 == "ok");
    host.sh("echo there > /srv/files/note.txt");
    host.until("serving them", SOON, || host.site("/efs/note.txt").body == "there\n");

    host.sh(DIES);
    // Visitors of the files, each of whom keeps one of Apache's workers.
    let visitors: Vec<_> = (0..VISITORS)
        .map(|_| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, host.site_port())).unwrap();
            stream.write_all(b"GET /efs/note.txt HTTP/1.0\r\nHost: lab\r\n\r\n").unwrap();
            stream
        })
        .collect();
    host.until("told", Duration::from_secs(90), || {
        let (state, words) = host.step("efs");
        state == "failed" && words.contains("does not answer")
    });
    host.until("without the files", Duration::from_secs(90), || {
        host.sh("mountpoint -q /var/www/html/efs || echo free").trim() == "free"
    });
    // What somebody uploads now is refused instead of vanishing when the files are back.
    host.sh("! runuser -u www-data -- touch /var/www/html/efs/lost 2> /dev/null; test -z \"$(ls -A /var/www/html/efs)\"");
    host.until("answering the balancer", SOON, || host.site("/lamp-ready").status == 200);
    drop(visitors);
    // Convergence goes on, also where it walks through the very folder that the files are mounted in.
    host.sh("rm /var/www/html/index.php; mkdir /var/www/html/broken; chmod 700 /var/www/html/broken");
    host.until("mended", Duration::from_secs(60), || {
        host.sh("test -s /var/www/html/index.php && stat -c %a /var/www/html/broken || true").trim() == "2775"
    });
    for path in ["/healthz", "/metrics"] {
        assert_eq!(host.page(path).status, 200, "{path}");
    }
    assert_eq!(host.site("/lamp-ready").status, 200);
    // A new agent must not hang on them either.
    host.sh("systemctl restart lampd lampd-page");
    host.until("ready", SOON, || host.page("/healthz").status == 200 && host.step("web").0 == "ok");

    host.sh(COMES_BACK);
    host.until("mounted again", Duration::from_secs(90), || host.step("efs").0 == "ok");
    assert_eq!(host.site("/efs/note.txt").body, "there\n");

    // A stack without files leaves nothing that visitors could hang on; with them they are mounted again.
    lab.moto.delete("files/id");
    lab.put(&[]);
    host.until("without files", SOON, || {
        host.sh("mountpoint -q /var/www/html/efs || ls /etc/systemd/system").contains("lampd.service")
            && host.step("efs").0.is_empty()
    });
    assert!(!host.sh("ls /etc/systemd/system").contains("efs"));
    lab.put(&[("files/id", "fs-0123456789abcdef1")]);
    host.until("mounted once more", SOON, || host.step("efs").0 == "ok");

    // The power goes while the server is dead, and it stays dead.
    host.sh("kill -STOP $(pidof bindfs); printf '#!/bin/sh\\nexec sleep 3600\\n' > /usr/sbin/mount.efs");
    host.instance.kill().unwrap();
    host.instance.start().unwrap();
    host.instance.wait_until_running().ok();
    host.until_ready();
    assert_eq!(host.site("/lamp-ready").status, 200);
}
