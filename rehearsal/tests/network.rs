//! Who may talk to whom is what the configuration says: derived from it, and tried with real packets.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::thread;

use rehearsal::{Group, Network, Peer, Place, Port, Protocol, Region, Rule, Subnet, WayOut};

const WORLD: &str = "0.0.0.0/0";
const OPERATOR: &str = "198.51.100.10/32";

fn tcp(port: u16, peer: &str) -> Rule {
    let peer = if peer.contains('/') { Peer::Addresses(peer.into()) } else { Peer::Group(peer.into()) };
    Rule { protocol: Protocol::Tcp(port, port), peer }
}

fn group(id: &str, ingress: Vec<Rule>) -> Group {
    let egress = vec![Rule { protocol: Protocol::Any, peer: Peer::Addresses(WORLD.into()) }];
    Group { id: id.into(), ingress, egress }
}

/// The lab: public, private and database subnets in one zone.
fn lab() -> Network {
    let port = |place: &str, address: [u8; 4], subnet: &str, group: &str, public: Option<u8>| Port {
        place: place.into(),
        address: address.into(),
        subnet: subnet.into(),
        groups: if group.is_empty() { Vec::new() } else { vec![group.into()] },
        public: public.map(|it| Ipv4Addr::new(203, 0, 113, it)),
        is_nat_gateway: place == "nat",
    };
    Network {
        vpcs: vec![],
        subnets: vec![
            Subnet::new("public", "10.1.1.0/24", WayOut::InternetGateway),
            Subnet::new("private", "10.1.3.0/24", WayOut::NatGateway("nat".into())),
            Subnet::new("data", "10.1.5.0/24", WayOut::Nowhere),
        ],
        groups: vec![
            group("bastions", vec![tcp(22, OPERATOR)]),
            group("balancers", vec![tcp(80, WORLD)]),
            group("hosts", vec![tcp(80, "balancers"), tcp(22, "bastions")]),
            group("databases", vec![tcp(3306, "hosts"), tcp(3306, "databases")]),
        ],
        ports: vec![
            port("nat", [10, 1, 1, 250], "public", "", Some(5)),
            port("bastion", [10, 1, 1, 10], "public", "bastions", Some(10)),
            port("balancer", [10, 1, 1, 40], "public", "balancers", Some(40)),
            port("unaddressed", [10, 1, 1, 50], "public", "balancers", None),
            port("web1", [10, 1, 3, 11], "private", "hosts", None),
            port("web2", [10, 1, 3, 12], "private", "hosts", None),
            port("closed", [10, 1, 3, 13], "private", "", None),
            port("db1", [10, 1, 5, 21], "data", "databases", None),
            port("db2", [10, 1, 5, 22], "data", "databases", None),
        ],
    }
}

/// What AWS would let through, read from the configuration alone.
fn may(network: &Network, from: &Port, to: &Port, port: u16) -> bool {
    let admits = |rules: &[Rule], peer: &Port| {
        rules.iter().any(|it| {
            let fits = match it.protocol {
                Protocol::Any => true,
                Protocol::Tcp(first, last) => (first..=last).contains(&port),
                Protocol::Udp(..) | Protocol::Icmp => false,
            };
            let meant = match &it.peer {
                Peer::Addresses(cidr) => cidr == WORLD,
                Peer::Group(id) => peer.groups.contains(id),
            };
            fits && meant
        })
    };
    let groups =
        |of: &Port| network.groups.iter().filter(|it| of.groups.contains(&it.id)).collect::<Vec<_>>();
    let leaves = from.is_nat_gateway || groups(from).iter().any(|it| admits(&it.egress, to));
    leaves && (to.is_nat_gateway || groups(to).iter().any(|it| admits(&it.ingress, from)))
}

/// A region with the lab's places, each listening on the lab's ports and saying who called.
fn built(network: &Network) -> Region {
    let region = Region::start().unwrap();
    for it in &network.ports {
        let place = region.namespace(&it.place, it.address).unwrap();
        for port in PORTS {
            echo(region.listen(place.clone(), SocketAddrV4::new(it.address, port)).unwrap());
        }
    }
    echo(region.listen(Place::Internet, SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 8000)).unwrap());
    region.network(network).unwrap();
    region
}

const PORTS: [u16; 3] = [22, 80, 3306];

/// Tells every caller the address that it came from.
fn echo(listener: TcpListener) {
    thread::spawn(move || {
        while let Ok((mut line, from)) = listener.accept() {
            let _ = write!(line, "{}", from.ip());
        }
    });
}

/// Who the callee took the caller for, if the call got through.
fn call(region: &Region, from: impl Into<Place>, to: Ipv4Addr, port: u16) -> Option<String> {
    let mut line = region.dial(from, SocketAddrV4::new(to, port)).ok()?;
    let mut said = String::new();
    line.read_to_string(&mut said).ok()?;
    Some(said)
}

#[test]
fn everybody_reaches_exactly_whom_the_security_groups_say() {
    let network = lab();
    let region = built(&network);
    thread::scope(|scope| {
        for from in &network.ports {
            for to in network.ports.iter().filter(|it| it.place != from.place) {
                for port in PORTS {
                    let (region, network) = (&region, &network);
                    scope.spawn(move || {
                        let want = may(network, from, to, port).then(|| from.address.to_string());
                        let got = call(region, from.place.as_str(), to.address, port);
                        assert_eq!(got, want, "{} -> {}:{port}", from.place, to.place);
                    });
                }
            }
        }
    });
}

#[test]
fn the_internet_reaches_public_addresses_and_is_reached_through_the_right_gateway() {
    let network = lab();
    let region = built(&network);
    let public = |it: u8| Ipv4Addr::new(203, 0, 113, it);
    let server = Ipv4Addr::new(198, 51, 100, 1);
    let operator = Some("198.51.100.10".to_owned());
    assert_eq!(call(&region, Place::Internet, public(40), 80), operator, "the balancer, from outside");
    assert_eq!(call(&region, Place::Internet, public(10), 22), operator, "the bastion, from outside");
    thread::scope(|scope| {
        for (to, port, what) in [
            (public(40), 22, "a closed port"),
            (public(10), 80, "another's port"),
            (public(99), 80, "nobody's address"),
            (Ipv4Addr::new(10, 1, 3, 11), 80, "a private address"),
            (Ipv4Addr::new(10, 1, 1, 50), 80, "a private address in a public subnet"),
        ] {
            let region = &region;
            scope.spawn(move || assert_eq!(call(region, Place::Internet, to, port), None, "{what}"));
        }
        for (from, want) in [
            ("bastion", Some(public(10))),
            // Behind the NAT gateway everybody looks like it.
            ("web1", Some(public(5))),
            ("web2", Some(public(5))),
            // No public address, no way out; no route, no way out; no group, nothing.
            ("unaddressed", None),
            ("db1", None),
            ("closed", None),
        ] {
            let region = &region;
            let want = want.map(|it| it.to_string());
            scope.spawn(move || assert_eq!(call(region, from, server, 8000), want, "{from}"));
        }
    });
    // A public address works from within as well.
    assert_eq!(call(&region, "web1", public(40), 80), Some(public(5).to_string()));
}

#[test]
fn a_changed_configuration_takes_hold_and_established_connections_stay() {
    let mut network = lab();
    let region = built(&network);
    let (web, db) = ("web1", Ipv4Addr::new(10, 1, 5, 21));
    let own = region.listen("db1", SocketAddrV4::new(db, 33060)).unwrap();
    network.groups[3].ingress.push(tcp(33060, "hosts"));
    region.network(&network).unwrap();
    let mut line = region.dial(web, SocketAddrV4::new(db, 33060)).unwrap();
    let (mut other_end, _) = own.accept().unwrap();
    // The database's group forgets the hosts, and the private subnet loses its way out.
    network.groups[3].ingress.clear();
    network.subnets[1].way_out = WayOut::Nowhere;
    region.network(&network).unwrap();
    assert_eq!(call(&region, web, db, 3306), None);
    assert_eq!(call(&region, web, Ipv4Addr::new(198, 51, 100, 1), 8000), None);
    line.write_all(b"still here").unwrap();
    drop(line);
    let mut said = String::new();
    other_end.read_to_string(&mut said).unwrap();
    assert_eq!(said, "still here");
    // And back again.
    region.network(&lab()).unwrap();
    assert_eq!(call(&region, web, db, 3306), Some("10.1.3.11".to_owned()));
}

#[test]
fn a_nat_gateway_without_its_cable_takes_nothing_but_the_way_out() {
    let mut network = lab();
    let region = built(&network);
    let server = Ipv4Addr::new(198, 51, 100, 1);
    region.link("nat", false).unwrap();
    // Whatever changes meanwhile takes hold all the same.
    network.groups[3].ingress.clear();
    region.network(&network).unwrap();
    assert_eq!(call(&region, "web1", Ipv4Addr::new(10, 1, 5, 21), 3306), None);
    assert_eq!(call(&region, "web1", server, 8000), None);
    assert_eq!(call(&region, "bastion", server, 8000), Some("203.0.113.10".to_owned()));
    region.link("nat", true).unwrap();
    assert_eq!(call(&region, "web1", server, 8000), Some("203.0.113.5".to_owned()));
}

#[test]
fn nobody_speaks_in_anothers_name() {
    let mut network = lab();
    let hosts = Peer::Group("hosts".into());
    network.groups[3].ingress.push(Rule { protocol: Protocol::Udp(5000, 5000), peer: hosts });
    let region = built(&network);
    // Nobody listens there, but the kernel counts what arrives.
    let arrived = || {
        let text = region.exec("db1", &["cat", "/proc/net/snmp"]).unwrap().stdout;
        let counts = text.lines().rfind(|it| it.starts_with("Udp: ")).unwrap();
        counts.split(' ').nth(2).unwrap().parse::<u32>().unwrap()
    };
    let send = |from: &str| {
        let script = "ip addr add 10.1.3.11/32 dev lo; ip route add 10.1.5.21 via $1 src 10.1.3.11; \
                      echo forged > /dev/udp/10.1.5.21/5000";
        let gateway = if from == "bastion" { "10.1.1.1" } else { "10.1.3.1" };
        let said = region.exec(from, &["bash", "-c", script, "bash", gateway]).unwrap();
        assert!(said.success(), "{said:?}");
    };
    send("bastion");
    assert_eq!(arrived(), 0);
    send("web1");
    assert_eq!(arrived(), 1);
}
