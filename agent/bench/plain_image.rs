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

use std::time::{Duration, Instant};

use lab::Lab;
use rehearsal::Image;

#[path = "../tests/real/database.rs"]
mod database;
#[path = "../tests/hosts/lab.rs"]
mod lab;

/// What the lab's user data does, with Debian's names: as apt does it when nothing is said.
const SCRIPT: &str = "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get update; \
    apt-get install -y apache2 php-fpm php-mysql mariadb-client; a2enmod -q proxy_fcgi; systemctl enable apache2; \
    systemctl restart apache2; usermod -a -G www-data ec2-user; chown -R ec2-user:www-data /var/www; chmod 2775 /var/www; \
    find /var/www -type d -exec chmod 2775 {} +; find /var/www -type f -exec chmod 0664 {} +";

fn main() {
    // Cargo itself adds `--bench`.
    let rounds = std::env::args().skip(1).find_map(|it| it.parse().ok()).unwrap_or(3);
    let lab = Lab::new();
    lab.put_usual();
    // The first of all fills the proxy's cache, so it does not count.
    script(&lab, "warm");
    for round in 1..=rounds {
        let theirs = script(&lab, &format!("script{round}"));
        let ours = agent(&lab, &format!("agent{round}"));
        let share = ours.as_secs_f64() / theirs.as_secs_f64() * 100.0;
        println!(
            "round {round}: script {:.1} s, lampd {:.1} s: {share:.0} %",
            theirs.as_secs_f64(),
            ours.as_secs_f64()
        );
    }
}

fn script(lab: &Lab, name: &str) -> Duration {
    let host = lab.host(name, Image::plain());
    let began = Instant::now();
    host.sh(SCRIPT);
    assert_eq!(host.site("/").status, 200);
    let took = began.elapsed();
    host.instance.terminate().unwrap();
    took
}

fn agent(lab: &Lab, name: &str) -> Duration {
    let host = lab.host(name, Image::plain());
    let began = Instant::now();
    host.install();
    host.until_ready();
    let took = began.elapsed();
    host.instance.terminate().unwrap();
    took
}
