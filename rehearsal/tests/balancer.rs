//! A load balancer spreads, notices who is unwell, and changes without losing a request.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rehearsal::{
    Balancer, BalancerSpec, Check, Forward, Image, Instance, Listener, PathRule, Place, Region, TargetGroup,
    TargetState,
};

const NODE: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 40);

fn group(name: &str, port: u16, targets: &[&Instance]) -> TargetGroup {
    let check = Check {
        path: "/lamp-ready".into(),
        port: 80,
        interval: Duration::from_millis(500),
        timeout: Duration::from_millis(400),
        healthy: 2,
        unhealthy: 2,
        codes: "200,204-299".into(),
    };
    let targets = targets.iter().map(|it| (it.name().to_owned(), it.address())).collect();
    let drain = Duration::from_secs(2);
    TargetGroup { name: name.into(), port, check, least_outstanding: false, drain, targets }
}

fn spec(targets: &[&Instance]) -> BalancerSpec {
    BalancerSpec {
        name: "alb".into(),
        addresses: vec![NODE, Ipv4Addr::new(10, 1, 2, 40)],
        listeners: vec![Listener { port: 80, default: "hosts".into(), rules: vec![] }],
        groups: vec![group("hosts", 80, targets)],
    }
}

fn host(region: &Region, name: &str) -> Instance {
    let it = region.instance(name).image(Image::web()).boot().unwrap();
    it.sh("echo $(hostname) > /var/www/html/index.html; echo ok > /var/www/html/lamp-ready").unwrap();
    it
}

/// The status and the body.
fn get(at: &Forward, path: &str) -> (u16, String) {
    let mut line = TcpStream::connect(("127.0.0.1", at.port())).unwrap();
    line.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(line, "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = line.read_to_string(&mut answer);
    let code = answer.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    (code, answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_owned())
}

fn wait_for(balancer: &Balancer, want: &[(&str, TargetState)]) {
    let want: BTreeMap<String, TargetState> = want.iter().map(|it| (it.0.to_owned(), it.1)).collect();
    let mut seen = BTreeMap::new();
    for _ in 0..1800 {
        seen = balancer.health("hosts").unwrap().into_iter().map(|(name, it)| (name, it.state)).collect();
        if seen == want {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("waited 3 minutes for {want:?}, have {seen:?}");
}

#[test]
fn requests_go_to_whoever_is_well_through_every_change() {
    let region = Region::start().unwrap();
    let (one, two) = (host(&region, "one"), host(&region, "two"));
    let balancer = region.balancer(spec(&[&one, &two])).unwrap();
    wait_for(&balancer, &[("one", TargetState::Healthy), ("two", TargetState::Healthy)]);
    let at = region.forward(Place::Internet, SocketAddrV4::new(NODE, 80)).unwrap();
    let hosts: BTreeSet<String> = (0..10).map(|_| get(&at, "/").1).collect();
    assert_eq!(hosts, BTreeSet::from(["ip-10-1-3-11".into(), "ip-10-1-3-12".into()]));

    // Under load: a third joins, a rule is added, one leaves. Not one request may fail.
    let (enough, asked, failed) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let (code, body) = get(&at, "/");
                    if code != 200 || !body.starts_with("ip-") {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let three = host(&region, "three");
        balancer.change(spec(&[&one, &two, &three])).unwrap();
        let all = ["one", "three", "two"].map(|it| (it, TargetState::Healthy));
        wait_for(&balancer, &all);
        let mut ruled = spec(&[&one, &two, &three]);
        ruled.listeners[0]
            .rules
            .push(PathRule { patterns: vec!["/only?/*".into()], group: "special".into() });
        ruled.groups.push(group("special", 8080, &[]));
        balancer.change(ruled.clone()).unwrap();
        // Whoever was well still is: nobody had to prove it again.
        wait_for(&balancer, &all);
        ruled.groups[0].targets.remove("two");
        balancer.change(ruled).unwrap();
        wait_for(&balancer, &all[..2]);
        enough.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) > 50);
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {}", asked.load(Ordering::Relaxed));
    assert_eq!(get(&at, "/only1/x").0, 503, "a group without targets");
    assert_eq!(get(&at, "/only").0, 404, "the hosts' own answer");
    assert!(!two.sh("tail -n 1 /var/log/apache2/access.log").unwrap().is_empty());

    // Unwell in its own words, unreachable, and back.
    one.sh("rm /var/www/html/lamp-ready").unwrap();
    wait_for(&balancer, &[("one", TargetState::Unhealthy), ("three", TargetState::Healthy)]);
    let seen = balancer.health("hosts").unwrap();
    assert_eq!(seen["one"].reason, Some("Target.ResponseCodeMismatch"));
    assert_eq!(seen["one"].description.as_deref(), Some("Health checks failed with these codes: [404]"));
    one.sh("echo ok > /var/www/html/lamp-ready").unwrap();
    region.link("three", false).unwrap();
    wait_for(&balancer, &[("one", TargetState::Healthy), ("three", TargetState::Unhealthy)]);
    assert_eq!(balancer.health("hosts").unwrap()["three"].reason, Some("Target.Timeout"));
    // Each node finds out by itself, and this one may be the later.
    let only_one = || get(&at, "/") == (200, "ip-10-1-3-11".to_owned());
    assert!((0..300).any(|_| only_one() || pause()), "the one that is well gets all requests");
}

/// A host that boots refuses connections, and each one would be lost.
#[test]
fn a_target_that_does_not_answer_yet_gets_no_request() {
    let region = Region::start().unwrap();
    let one = host(&region, "one");
    let boots = Ipv4Addr::new(10, 1, 4, 9);
    region.namespace("boots", boots).unwrap();
    let mut want = spec(&[&one]);
    // It is busy, not unwell.
    let check = &mut want.groups[0].check;
    (check.interval, check.timeout, check.unhealthy) = (Duration::from_secs(5), Duration::from_secs(5), 10);
    let balancer = region.balancer(want.clone()).unwrap();
    wait_for(&balancer, &[("one", TargetState::Healthy)]);
    let caller = host(&region, "caller");
    thread::scope(|scope| {
        // As many at once as keep the node busy, for then there is always one who asks in the wrong moment.
        let load =
            scope.spawn(|| caller.sh(&format!("ab -q -l -t 20 -n 1000000 -c 100 http://{NODE}/")).unwrap());
        for number in 0..200 {
            want.groups[0].targets.insert(format!("boots{number}"), boots);
            balancer.change(want.clone()).unwrap();
        }
        let report = load.join().unwrap();
        assert!(report.contains("Failed requests:        0") && !report.contains("Non-2xx"), "{report}");
    });
}

#[test]
fn a_start_of_which_half_failed_can_be_repeated() {
    let region = Region::start().unwrap();
    let want = spec(&[]);
    region.namespace("in-the-way", want.addresses[1]).unwrap();
    let err = region.balancer(want.clone()).err().unwrap().to_string();
    assert!(err.contains("is taken by in-the-way"), "{err}");
    region.remove_namespace("in-the-way").unwrap();
    let balancer = region.balancer(want).unwrap();
    let at = region.forward(Place::Internet, SocketAddrV4::new(NODE, 80)).unwrap();
    assert_eq!(get(&at, "/").0, 503, "a group without targets");
    balancer.terminate().unwrap();
}

#[test]
fn a_node_that_is_unwell_or_dead_keeps_nothing_from_the_other() {
    let region = Region::start().unwrap();
    let balancer = region.balancer(spec(&[])).unwrap();
    let nodes = balancer.nodes();
    let ways = [0, 1].map(|it| {
        let address = SocketAddrV4::new(nodes[it].address(), 80);
        region.forward(Place::Internet, address).unwrap()
    });
    let mut want = spec(&[]);
    want.listeners.push(Listener { port: 81, default: "hosts".into(), rules: vec![] });
    let listens = |it: usize| nodes[it].sh("ss -Hltn sport = :81").is_ok_and(|it| !it.is_empty());
    nodes[0].sh("systemctl stop haproxy").unwrap();
    assert!(balancer.change(want.clone()).is_err());
    assert!(listens(1) && !listens(0));

    // Once it is well it gets what it missed, and the other has nothing to do.
    nodes[0].kill().unwrap();
    let configured = || nodes[1].sh("stat -c %Y%Z /etc/haproxy/haproxy.cfg").unwrap();
    let before = configured();
    balancer.change(want).unwrap();
    assert_eq!(configured(), before);
    balancer.revive(|_| false).unwrap();
    assert_eq!(nodes[0].phase().unwrap(), rehearsal::Phase::Crashed);
    balancer.revive(|it| it == NODE).unwrap();
    assert!(listens(0) && listens(1));
    assert_eq!(ways.map(|it| get(&it, "/").0), [503, 503]);
}

/// A moment to wait before asking again.
fn pause() -> bool {
    thread::sleep(Duration::from_millis(100));
    false
}
