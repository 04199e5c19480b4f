//! A plain Amazon Linux 2023 becomes a web server: a scripted one, since no mirror of it is within reach of the tests.

use std::sync::Arc;

use super::*;
use crate::host::{
    Output,
    script::{Script, scripted},
};

/// What a fresh instance has, and what its programs do.
fn machine() -> (Host, Arc<Script>) {
    let (host, script) = scripted();
    let release = b"NAME=\"Amazon Linux\"\nVERSION=\"2023\"\nID=\"amzn\"\nID_LIKE=\"fedora\"\n";
    host.write("/etc/os-release", release, 0o644, None).unwrap();
    host.write("/etc/passwd", b"ec2-user:x:1000:1000::/home/ec2-user:/bin/bash\n", 0o644, None).unwrap();
    host.write("/etc/group", b"ec2-user:x:1000:\n", 0o644, None).unwrap();
    let status = script.clone();
    *script.status.lock().unwrap() = 404;
    script.on(move |host, line| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["rpm", "-q", "--qf", _, _, _, ref names @ ..] => return query(host, names),
            ["dnf", .., "install", _, _, _, _, _, _, _] => install(host, line),
            ["usermod", ..] => host.write("/etc/group", b"apache:x:48:ec2-user\n", 0o644, None).unwrap(),
            ["systemctl", "enable", ref units @ ..] => {
                for unit in units {
                    let link = format!("/etc/systemd/system/multi-user.target.wants/{unit}");
                    host.write(&link, b"", 0o644, None).unwrap();
                }
            }
            ["systemctl", "start", "php-fpm.service", "httpd.service"] => {
                *status.status.lock().unwrap() = 200
            }
            ["systemctl", "start", "var-www-html-efs.mount"] => {
                let table = format!("1 2 0:1 / {} rw - nfs4 x rw\n", steps::efs::AT);
                host.write("/proc/self/mountinfo", table.as_bytes(), 0o644, None).unwrap();
            }
            _ => (),
        }
        Output::default()
    });
    (host, script)
}

const RPMDB: &str = "/var/lib/rpm/rpmdb.sqlite";

/// As rpm answers: a line for each, and exit code 1 as soon as one is missing.
fn query(host: &Host, names: &[&str]) -> Output {
    let have = host.read(RPMDB).unwrap().unwrap_or_default();
    let has = |it: &str| have.split(' ').any(|name| name == it);
    let line = |it: &&str| {
        if has(it) { format!("{it} installed 1.0\n") } else { format!("package {it} is not installed\n") }
    };
    let code = i32::from(!names.iter().all(|it| has(it)));
    Output { code, stdout: names.iter().map(line).collect(), stderr: String::new() }
}

/// What the packages bring.
fn install(host: &Host, line: &str) {
    let (_, names) = line.split_once(" install ").unwrap();
    host.write(RPMDB, names.as_bytes(), 0o644, None).unwrap();
    host.write("/etc/group", b"apache:x:48:\n", 0o644, None).unwrap();
    host.write("/sbin/mount.efs", b"", 0o755, None).unwrap();
    for folder in ["/etc/php.d", "/etc/php-fpm.d", "/etc/httpd/conf.d", "/var/www/html"] {
        host.mkdir(folder, 0o755).unwrap();
    }
}

#[tokio::test]
async fn a_plain_amazon_linux_becomes_a_web_server_in_one_pass_and_the_next_does_nothing() {
    let (host, script) = machine();
    let os = crate::os::detect(&host).unwrap();
    let settings = Settings::new("ap-northeast-2", "lab-vpc");
    let database = shared::agent::Database {
        endpoint: "db".into(),
        port: 3306,
        name: "labvpcrds".into(),
        user: "admin".into(),
        password: "s3cret".into(),
        tls: true,
    };
    let files = shared::agent::Files {
        id: "fs-1".into(),
        transport: shared::agent::Transport::Tls,
        targets: BTreeMap::new(),
    };
    let config = AgentConfig {
        generation: Some("1".into()),
        database: Some(database),
        files: Some(files),
        local_database: false,
        poll_seconds: 15,
        share_ms: 50,
    };
    let (memory, log) = (Memory::default(), Log::default());
    let zone = Some("ap-northeast-2a");
    let pass = Pass {
        host: &host,
        os,
        settings: &settings,
        config: Some(&config),
        zone,
        memory: &memory,
        log: &log,
    };
    assert!(converge(&pass).await, "{:#?}", log.follow().borrow());

    let lines = script.log();
    let asked = |line: &str| assert!(lines.iter().any(|it| it == line), "`{line}` is not in {lines:#?}");
    asked(
        "dnf -y -q --setopt=install_weak_deps=False install httpd php8.4 php8.4-fpm php8.4-mysqlnd php8.4-opcache \
         mariadb1011-client-utils amazon-efs-utils",
    );
    asked("usermod -a -G apache ec2-user");
    asked("httpd -t");
    asked("systemctl enable php-fpm.service httpd.service");
    asked("systemctl start php-fpm.service httpd.service");
    asked("systemctl start var-www-html-efs.mount");
    assert!(!lines.iter().any(|it| it.contains("apt") || it.contains("s3cret")), "{lines:#?}");
    let site = host.read("/etc/httpd/conf.d/zz-lamp.conf").unwrap().unwrap();
    assert!(site.contains("proxy:unix:/run/php-fpm/www.sock|fcgi://localhost"), "{site}");
    for path in ["/etc/php.d/99-lamp.ini", "/etc/php-fpm.d/zz-lamp.conf", "/etc/lamp/php/dbinfo.inc"] {
        assert!(host.exists(path), "{path}");
    }

    assert!(converge(&pass).await);
    assert_eq!(script.log(), Vec::<String>::new());
    survives_dnf(&host, &script, &pass).await;
    goes_on_where_dnf_was_killed(&host, &script, &pass).await;

    // The agent is killed within an installation: rpm has noted all packages, and their scripts never ran.
    host.write("/var/lib/lamp/unsynced-packages", b"", 0o644, None).unwrap();
    assert!(converge(&pass).await, "{:#?}", log.follow().borrow());
    let lines = script.log();
    let again = "dnf -y -q reinstall httpd php8.4 php8.4-fpm php8.4-mysqlnd php8.4-opcache \
                 mariadb1011-client-utils amazon-efs-utils";
    assert!(lines.iter().any(|it| it == again), "{lines:#?}");
    assert!(converge(&pass).await);
    assert_eq!(script.log(), Vec::<String>::new());
}

/// Programs that find what rpm has noted, and change nothing.
fn knows_packages(script: &Script) {
    script.on(|host, line| match line.split(' ').collect::<Vec<_>>()[..] {
        ["rpm", "-q", "--qf", _, _, _, ref names @ ..] => query(host, names),
        _ => Output::default(),
    });
}

/// rpm had noted Apache and nothing of PHP, so its service is not there yet.
async fn goes_on_where_dnf_was_killed(host: &Host, script: &Script, pass: &Pass<'_>) {
    let all = host.read(RPMDB).unwrap().unwrap();
    host.write(RPMDB, b"httpd", 0o644, None).unwrap();
    host.write("/var/lib/lamp/unsynced-packages", b"", 0o644, None).unwrap();
    script.on(move |host, line| match line.split(' ').collect::<Vec<_>>()[..] {
        ["rpm", "-q", "--qf", _, _, _, ref names @ ..] => query(host, names),
        ["dnf", .., "install", _, _, _, _, _, _] => {
            host.write(RPMDB, all.as_bytes(), 0o644, None).unwrap();
            Output::default()
        }
        ["systemctl", "try-reload-or-restart", "php-fpm.service"]
            if !host.read(RPMDB).unwrap().unwrap().contains("php") =>
        {
            Output { code: 5, stderr: "Unit php-fpm.service not found.".into(), ..Output::default() }
        }
        _ => Output::default(),
    });
    assert!(packages(pass).await, "{:#?}", pass.log.follow().borrow());
    assert!(!host.exists("/var/lib/lamp/unsynced-packages"));
    let lines = script.log();
    assert!(lines.iter().any(|it| it.ends_with("reinstall httpd")), "{lines:#?}");
    knows_packages(script);
}

/// A failure of dnf is over when it is told, and what dnf cannot install anew stops nothing.
async fn survives_dnf(host: &Host, script: &Script, pass: &Pass<'_>) {
    let (names, mut failing) = (host.read(RPMDB).unwrap().unwrap(), 2);
    let all = names.clone();
    script.on(move |host, line| match line.split(' ').collect::<Vec<_>>()[..] {
        ["rpm", "-q", "--qf", _, _, _, ref names @ ..] => query(host, names),
        ["dnf", .., "reinstall", _, _, _, _, _, _, _] => Output { code: 1, ..Output::default() },
        ["dnf", .., "install", _] if failing > 0 => {
            failing -= 1;
            Output { code: 1, stderr: "Error: no mirror".into(), ..Output::default() }
        }
        ["dnf", .., "install", _] => {
            host.write(RPMDB, all.as_bytes(), 0o644, None).unwrap();
            Output::default()
        }
        _ => Output::default(),
    });
    host.write(RPMDB, names.replace(" php8.4-opcache", "").as_bytes(), 0o644, None).unwrap();
    assert!(!packages(pass).await);
    assert!(!host.exists("/var/lib/lamp/unsynced-packages"));
    assert!(packages(pass).await, "{:#?}", pass.log.follow().borrow());
    assert!(!script.log().iter().any(|it| it.contains("reinstall")));

    host.write("/var/lib/lamp/unsynced-packages", b"", 0o644, None).unwrap();
    assert!(packages(pass).await, "{:#?}", pass.log.follow().borrow());
    assert!(script.log().iter().any(|it| it.contains("reinstall")));
    knows_packages(script);
}
