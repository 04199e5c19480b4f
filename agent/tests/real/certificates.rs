//! An authority of one's own and a server's certificate.

use std::{path::Path, process::Command};

use tempfile::TempDir;

fn openssl(folder: &Path, arguments: &[&str]) {
    let out = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// A folder with the certificate of a name, and the roots that it leads to.
pub fn of(name: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let key = ["-newkey", "rsa:2048", "-nodes"];
    let authority = ["-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test roots"];
    openssl(at, &[&["req"], &key[..], &authority[..]].concat());
    openssl(
        at,
        &[&["req"], &key[..], &["-keyout", "key.pem", "-out", "req.pem", "-subj", "/CN=server"]].concat(),
    );
    std::fs::write(at.join("names"), format!("subjectAltName=DNS:{name}\n")).unwrap();
    let sign = ["x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(at, &[&sign[..], &["-out", "cert.pem", "-days", "2", "-extfile", "names"]].concat());
    // MariaDB runs as somebody else.
    Command::new("chmod").args(["-R", "a+rX"]).arg(at).status().unwrap();
    let roots = std::fs::read_to_string(at.join("ca.pem")).unwrap();
    (folder, roots)
}

/// What makes a server of MariaDB's show it.
pub fn options(folder: &TempDir) -> [String; 2] {
    let file = |name: &str| folder.path().join(name).display().to_string();
    [format!("--ssl-cert={}", file("cert.pem")), format!("--ssl-key={}", file("key.pem"))]
}
