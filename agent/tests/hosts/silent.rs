//! Somebody takes every question and never answers: a database, or a service of ours.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::lab::{self, Lab};

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_database_under_load_takes_no_host_out_of_the_balancer() {
    lab::with_database(|lab, database| {
        let host = lab.ready_host("web1");
        host.until("serving rows", Duration::from_secs(20), || host.site("/").status == 200);
        let applied = || host.status()["steps"]["web"]["applied"].clone();
        let before = applied();
        // More visitors of PHP's page than Apache has workers.
        host.sh("setsid ab -q -r -s 60 -t 50 -n 1000000 -c 300 http://127.0.0.1/index.php > /dev/null 2>&1 < /dev/null &");
        let visitors = "ss -Htn state established '( sport = :80 )' | wc -l";
        host.until("a crowd", Duration::from_secs(20), || host.sh(visitors).trim().parse::<u32>().unwrap() >= 250);
        database.signal(Signal::SIGSTOP);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(40) {
            let asked = (host.page("/healthz"), host.site("/lamp-ready").status);
            assert_eq!((asked.0.status, asked.1), (200, 200), "after {:?}: {asked:?}", began.elapsed());
            std::thread::sleep(Duration::from_millis(500));
        }
        assert_eq!(applied(), before, "nothing had to be mended");
        database.signal(Signal::SIGCONT);
        host.until("serving rows", Duration::from_secs(60), || host.site("/").status == 200);
    })
    .await;
}

#[test]
fn a_service_of_ours_that_hangs_is_started_anew() {
    let lab = Lab::new();
    lab.put_usual();
    let host = lab.ready_host("web1");
    let pid = |unit: &str| host.sh(&format!("systemctl show -p MainPID --value {unit}")).trim().to_owned();
    let units = ["lampd", "lampd-page"];
    let before = units.map(pid);
    host.sh(&format!("kill -STOP {}", before.join(" ")));
    for (unit, before) in units.iter().zip(&before) {
        host.until("started anew", Duration::from_secs(120), || {
            let now = pid(unit);
            now != *before && now != "0"
        });
    }
    host.until_ready();
}
