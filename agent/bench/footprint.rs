//! Memory, idle use and first start of both services on a host of the rehearsal, as one line of JSON.
//! `scripts/bench-page` runs it with the program that is shipped, which `LAMPD` names.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a benchmark on the helpers of the tests"
)]

use std::time::Duration;

use database::{Database, free_port};
use lab::{DATABASE, Host, Lab};

#[path = "../tests/real/certificates.rs"]
mod certificates;
#[path = "../tests/real/database.rs"]
mod database;
#[path = "../tests/hosts/lab.rs"]
mod lab;

const UNITS: [&str; 2] = ["lampd", "lampd-page"];
/// As in the lab's load test.
const CLIENTS: u32 = 1000;
const NAME: &str = "lab-vpc-rds.c1.ap-northeast-2.rds.amazonaws.com";
const QUIET: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let (folder, roots) = certificates::of(NAME);
    let database = Database::start_at("127.0.0.1", free_port(), &certificates::options(&folder)).await;
    lab::with(database, move |lab, _database| measure(&lab, &roots)).await;
}

fn measure(lab: &Lab, roots: &str) {
    // As a stack of this size has it: with TLS, found by name, which the page looks up again and again.
    lab.region.name(NAME, &[DATABASE]).unwrap();
    lab.put(&[("host/poll-seconds", "15"), ("db/endpoint", NAME), ("db/tls", "verify")]);
    let host = lab.ready_host("web1");
    host.sh(&format!("echo '{roots}' > /etc/lamp/database-ca.pem"));
    host.until("serving rows", Duration::from_secs(60), || {
        host.page("/").status == 200 && host.page("/index.json").body.contains("\"encrypted\": true")
    });
    let pids = UNITS.map(|it| host.sh(&format!("systemctl show -p MainPID --value {it}")).trim().to_owned());
    std::thread::sleep(Duration::from_secs(5));

    let before = seconds(&host);
    std::thread::sleep(QUIET);
    let idle_percent = (seconds(&host) - before) / QUIET.as_secs_f64() * 100.0;
    let idle_mib = host.sh(&memory(&pids)).trim().parse::<f64>().unwrap() / 1024.0;
    let ab = format!("ab -q -r -n 100000 -c {CLIENTS} http://127.0.0.1:8080/");
    let most = host.sh(&format!(
        "rm -f /run/loaded; (ulimit -n 8192; {ab} > /dev/null; touch /run/loaded) & most=0; \
         until [ -e /run/loaded ]; do now=$({}); [ \"$now\" -le \"$most\" ] || most=$now; sleep 0.1; done; echo $most",
        memory(&pids)
    ));
    let peak_mib = most.trim().parse::<f64>().unwrap() / 1024.0;
    let mut first_start: Vec<u32> = (0..5).map(|_| host.first_start()).collect();
    first_start.sort_unstable();
    println!(
        "{}",
        serde_json::json!({
            "idle_mib": idle_mib,
            "peak_mib": peak_mib,
            "idle_percent": idle_percent,
            "clients": CLIENTS,
            "first_start_ms": first_start[2],
        })
    );
}

/// Processor time so far, that of programs which they ran as well.
fn seconds(host: &Host) -> f64 {
    let script = format!("systemctl show -p CPUUsageNSec --value {}", UNITS.join(" "));
    let all = host.sh(&script).split_whitespace().map(|it| it.parse::<f64>().unwrap()).sum::<f64>();
    all / 1e9
}

/// A command that prints KiB of both together. What they share (the program itself) counts once.
fn memory(pids: &[String]) -> String {
    let files: Vec<String> = pids.iter().map(|it| format!("/proc/{it}/smaps_rollup")).collect();
    format!("awk '/^Pss:/ {{ sum += $2 }} END {{ print sum }}' {}", files.join(" "))
}
