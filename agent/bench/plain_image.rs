//! From a plain image to a web server: the lab's script against `lampd` with the same packages, one after the
//! other on fresh hosts, through the same warm package proxy. `scripts/bench-plain [ROUNDS]`

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a benchmark on the helpers of the tests"
)]

use std::time::Instant;

use lab::Lab;
use rehearsal::Image;

#[path = "../tests/real/database.rs"]
mod database;
#[path = "../tests/hosts/lab.rs"]
mod lab;

/// What the lab's user data does, with Debian's names and the very packages that `lampd` installs: with what Debian
/// recommends besides (it does so when nothing is said), the script would only be slower.
const SCRIPT: &str = "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get update; \
    apt-get install -y --no-install-recommends apache2 php-fpm php-mysql mariadb-client; a2enmod -q proxy_fcgi; systemctl enable apache2; \
    systemctl restart apache2; usermod -a -G www-data ec2-user; chown -R ec2-user:www-data /var/www; chmod 2775 /var/www; \
    find /var/www -type d -exec chmod 2775 {} +; find /var/www -type f -exec chmod 0664 {} +";

/// What was promised: share of the script's time.
const AIM: f64 = 0.8;

fn main() {
    // Cargo itself adds `--bench`.
    let rounds = std::env::args().skip(1).find_map(|it| it.parse().ok()).unwrap_or(3);
    let lab = Lab::new();
    lab.put_usual();
    // The first of all fills the proxy's cache, so it does not count.
    script(&lab, "warm");
    let mut shares = Vec::new();
    for round in 1..=rounds {
        let (theirs, packages) = script(&lab, &format!("script{round}"));
        let (ours, same) = agent(&lab, &format!("agent{round}"));
        assert_eq!(same, packages, "both sides have to install the same packages");
        shares.push(ours / theirs);
        println!("round {round}: script {theirs:.1} s, lampd {ours:.1} s: {:.0} %", ours / theirs * 100.0);
    }
    shares.sort_by(f64::total_cmp);
    let median = shares[shares.len() / 2];
    let verdict = if median <= AIM { "kept" } else { "MISSED" };
    println!("median {:.0} %, at most {:.0} % were promised: {verdict}", median * 100.0, AIM * 100.0);
    // The region ends first: nothing runs after an exit.
    drop(lab);
    if median > AIM {
        std::process::exit(1);
    }
}

/// The rehearsal's image lets dpkg sync nothing, since what is lost in a power cut is built again; an image of AWS's
/// does not.
fn plain(lab: &Lab, name: &str) -> lab::Host {
    let host = lab.host(name, Image::plain());
    host.sh("sed -i '/^force-unsafe-io$/d' /etc/dpkg/dpkg.cfg.d/*");
    host
}

fn script(lab: &Lab, name: &str) -> (f64, String) {
    let host = plain(lab, name);
    let began = Instant::now();
    host.sh(SCRIPT);
    assert_eq!(host.site("/").status, 200);
    done(host, began)
}

fn agent(lab: &Lab, name: &str) -> (f64, String) {
    let host = plain(lab, name);
    // Where user data puts it.
    host.sh("mv /root/lampd /usr/local/bin/lampd && ln -s /usr/local/bin/lampd /root/lampd");
    let began = Instant::now();
    host.install();
    host.until_ready();
    done(host, began)
}

/// Seconds, and the packages that are there now.
fn done(host: lab::Host, began: Instant) -> (f64, String) {
    let took = began.elapsed().as_secs_f64();
    let packages = host.sh("dpkg-query -W");
    host.instance.terminate().unwrap();
    (took, packages)
}
