//! `dbinfo.inc` as PHP reads it.

use std::process::Command;

use agent::steps::dbinfo;
use shared::agent::Database;

fn read_back(password: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (host, os) = machine(folder.path());
    let database = Database {
        endpoint: "lab-vpc-rds.abc.ap-northeast-2.rds.amazonaws.com".into(),
        port: 3306,
        name: "labvpcrds".into(),
        user: "admin".into(),
        password: password.into(),
        tls: true,
    };
    drop(host);
    std::fs::write(folder.path().join("dbinfo.inc"), dbinfo::text_of(os, &database)).unwrap();
    let out = Command::new("php")
        .args(["-n", "-d", &format!("include_path={}", folder.path().display()), "-d", "display_errors=stderr"])
        .args(["-r", "include \"dbinfo.inc\"; echo DB_SERVER, \"\\n\", DB_USERNAME, \"\\n\", DB_DATABASE, \"\\n\", DB_PASSWORD;"])
        .output()
        .unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    let expected = b"lab-vpc-rds.abc.ap-northeast-2.rds.amazonaws.com\nadmin\nlabvpcrds\n";
    out.stdout.strip_prefix(expected.as_slice()).unwrap_or_else(|| panic!("{out:?}")).to_vec()
}

fn machine(root: &std::path::Path) -> (agent::host::Host, &'static agent::os::Os) {
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/os-release"), "ID=debian\n").unwrap();
    let host = agent::host::Host::new(root, std::sync::Arc::new(agent::machine::Machine::default()));
    let os = agent::os::detect(&host).unwrap();
    (host, os)
}

#[test]
fn php_reads_back_exactly_the_password_that_was_chosen() {
    let chosen = [
        "administrator",
        "'",
        "\\",
        "\\'",
        "'\\",
        "\\\\",
        "\"",
        "$x {$y} ${z}",
        "<?php echo 1; ?>",
        "?>",
        "<?",
        "<?=",
        "/* */ // #",
        "\n\r\t\0\u{7f}",
        "암호 비밀",
        "😀🔑",
        "a\\nb\\x41\\u{1f600}",
        " leading and trailing ",
        "%s %d",
        "__halt_compiler();",
        "<<<EOT\nEOT;",
        "';define('X','",
        "\\';--",
    ];
    for password in chosen {
        assert_eq!(read_back(password), password.as_bytes(), "{password:?}");
    }
}

#[test]
fn php_reads_back_any_password_that_chance_chooses() {
    for _ in 0..40 {
        let length = rand::random_range(1..80);
        let nasty = ['\'', '\\', '"', '$', '<', '?', '>', '\n', 'é', '😀', 'a', ' ', '\0'];
        let password: String = (0..length)
            .map(|_| match rand::random_range(0..3) {
                0 => nasty[rand::random_range(0..nasty.len())],
                1 => rand::random_range(' '..='~'),
                _ => rand::random::<char>(),
            })
            .collect();
        assert_eq!(read_back(&password), password.as_bytes(), "{password:?}");
    }
}
