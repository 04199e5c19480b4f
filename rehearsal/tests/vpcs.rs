//! Networks of any size live side by side in one region, and nothing of one is known in another.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::thread;

use rehearsal::{Group, Metadata, Network, Peer, Place, Port, Protocol, Region, Rule, Subnet, Vpc, WayOut};

fn rule(peer: Peer) -> Rule {
    Rule { protocol: Protocol::Tcp(80, 80), peer }
}

fn world() -> Peer {
    Peer::Addresses("0.0.0.0/0".into())
}

/// Two networks with the same addresses, and a third that is as large as AWS allows.
fn plan() -> Network {
    let vpc = |id: &str, cidr: &str| Vpc { id: id.into(), cidr: cidr.parse().unwrap() };
    let subnet = |id: &str, vpc: &str, cidr: &str| Subnet {
        id: id.into(),
        vpc: vpc.into(),
        cidr: cidr.parse().unwrap(),
        way_out: WayOut::InternetGateway,
    };
    let group =
        |id: &str, peer| Group { id: id.into(), ingress: vec![rule(peer)], egress: vec![rule(world())] };
    let port = |place: &str, address: &str, subnet: &str, group: &str, public: u8| Port {
        place: place.into(),
        address: address.parse().unwrap(),
        subnet: subnet.into(),
        groups: vec![group.into()],
        public: (public > 0).then(|| Ipv4Addr::new(203, 0, 113, public)),
        is_nat_gateway: false,
    };
    Network {
        vpcs: vec![vpc("one", "10.1.0.0/16"), vpc("two", "10.1.0.0/20"), vpc("big", "172.16.0.0/16")],
        subnets: vec![
            subnet("one-a", "one", "10.1.3.16/28"),
            subnet("one-b", "one", "10.1.128.0/17"),
            subnet("two-a", "two", "10.1.0.0/20"),
            subnet("all", "big", "172.16.0.0/16"),
        ],
        groups: vec![
            group("own", Peer::Group("own".into())),
            group("open", world()),
            group("near", Peer::Addresses("172.16.0.0/16".into())),
        ],
        ports: vec![
            port("a1", "10.1.3.20", "one-a", "own", 21),
            port("b1", "10.1.200.7", "one-b", "own", 0),
            port("a2", "10.1.3.20", "two-a", "open", 22),
            port("b2", "10.1.15.254", "two-a", "open", 0),
            port("low", "172.16.0.4", "all", "near", 23),
            port("high", "172.16.255.254", "all", "near", 0),
        ],
    }
}

/// Tells every caller its name and the caller's address.
fn answer(listener: TcpListener, name: String) {
    thread::spawn(move || {
        while let Ok((mut line, from)) = listener.accept() {
            let _ = write!(line, "{name} to {}", from.ip());
        }
    });
}

fn call(region: &Region, from: impl Into<Place>, to: &str) -> Option<String> {
    let mut line = region.dial(from, SocketAddrV4::new(to.parse().unwrap(), 80)).ok()?;
    let mut said = String::new();
    line.read_to_string(&mut said).ok()?;
    Some(said)
}

#[test]
fn networks_may_overlap_and_subnets_be_of_any_size() {
    let plan = plan();
    let region = Region::start().unwrap();
    region.network(&plan).unwrap();
    for it in &plan.ports {
        let place = region.namespace(&it.place, it.address).unwrap();
        answer(region.listen(place, SocketAddrV4::new(it.address, 80)).unwrap(), it.place.clone());
    }
    region.network(&plan).unwrap();
    let own = |it: &str| Some(it.to_owned());
    thread::scope(|scope| {
        for (from, to, want) in [
            // The same address is somebody else in each network.
            ("b1", "10.1.3.20", own("a1 to 10.1.200.7")),
            ("b2", "10.1.3.20", own("a2 to 10.1.15.254")),
            ("a2", "10.1.15.254", own("b2 to 10.1.3.20")),
            ("low", "10.1.3.20", None),
            ("low", "172.16.255.254", own("high to 172.16.0.4")),
            ("high", "172.16.0.4", own("low to 172.16.255.254")),
            ("a1", "172.16.0.4", None),
            // One network has it, the other does not.
            ("a2", "10.1.200.7", None),
            ("a1", "10.1.200.7", own("b1 to 10.1.3.20")),
            // From network to network it takes the internet, and whoever is asked sees a public address.
            ("a1", "203.0.113.22", own("a2 to 203.0.113.21")),
            ("low", "203.0.113.22", own("a2 to 203.0.113.23")),
            ("a2", "203.0.113.21", None),
            ("a2", "203.0.113.23", None),
            ("b1", "203.0.113.22", None),
        ] {
            let region = &region;
            scope.spawn(move || assert_eq!(call(region, from, to), want, "{from} -> {to}"));
        }
    });
    assert_eq!(call(&region, Place::Internet, "203.0.113.22"), own("a2 to 198.51.100.10"));
    // The internet forgets an address when its owner does.
    let mut without = plan.clone();
    without.ports[2].public = None;
    region.network(&without).unwrap();
    assert_eq!(call(&region, Place::Internet, "203.0.113.22"), None);
    // As a machine sees it: the mask and the gateway are its subnet's.
    let said =
        |place: &str, words: &str| region.exec(place, &words.split(' ').collect::<Vec<_>>()).unwrap().stdout;
    assert!(said("a1", "ip -br address show dev ens5").contains("10.1.3.20/28"));
    assert!(said("a1", "ip route").starts_with("default via 10.1.3.17 dev ens5"));
    assert!(said("b2", "ip -br address show dev ens5").contains("10.1.15.254/20"));
    assert!(said("b2", "ip route").starts_with("default via 10.1.0.1 dev ens5"));
    let err = region.namespace("b3", Ipv4Addr::new(10, 1, 3, 20)).map(drop);
    assert!(err.is_ok(), "the region's own network has nothing to do with theirs: {err:?}");
}

#[test]
fn instances_of_overlapping_networks_have_names_and_an_identity_of_their_own() {
    let plan = plan();
    let region = Region::start().unwrap();
    region.network(&plan).unwrap();
    region.name("db.lab", &[Ipv4Addr::new(10, 1, 5, 21)]).unwrap();
    let address = Ipv4Addr::new(10, 1, 3, 20);
    let token = "curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token";
    let id = format!(
        "curl -sf -H \"X-aws-ec2-metadata-token: $({token})\" http://169.254.169.254/latest/meta-data/instance-id"
    );
    for name in ["a1", "a2"] {
        // As the cloud does it: made, told to the router, started.
        let metadata = Metadata { instance_id: format!("i-{name}"), hop_limit: 1, ..Metadata::default() };
        let it = region.instance(name).address(address).metadata(metadata).create().unwrap();
        region.network(&plan).unwrap();
        it.start().unwrap();
        it.wait_until_running().unwrap();
        assert_eq!(it.sh(&id).unwrap(), format!("i-{name}"));
        assert!(it.sh("getent hosts db.lab").unwrap().starts_with("10.1.5.21"));
        // The network's own resolver, two after its first address, as on AWS.
        let asked = "echo 'nameserver 10.1.0.2' > /etc/resolv.conf; getent hosts db.lab";
        assert!(it.sh(asked).unwrap().starts_with("10.1.5.21"));
    }
}
