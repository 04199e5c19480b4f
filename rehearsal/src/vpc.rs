//! A virtual private cloud as data, and as the rules that make the router behave like it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// What a region's routers shall do; replaces whatever they did before. Places that are made afterwards are plugged in
/// where it says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// May overlap: nothing of one is known in another.
    pub vpcs: Vec<Vpc>,
    pub subnets: Vec<Subnet>,
    pub groups: Vec<Group>,
    pub ports: Vec<Port>,
}

/// A network with a router of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    pub id: String,
    pub cidr: Ipv4Net,
}

/// Addresses that share a way out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    pub id: String,
    /// Which network it is of; that without a name is the region's own, 10.1.0.0/16.
    pub vpc: String,
    pub cidr: Ipv4Net,
    pub way_out: WayOut,
}

/// Where a subnet's default route leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WayOut {
    Nowhere,
    InternetGateway,
    /// The place that is the NAT gateway.
    NatGateway(String),
}

/// A security group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub id: String,
    pub ingress: Vec<Rule>,
    pub egress: Vec<Rule>,
}

/// What a group lets through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub protocol: Protocol,
    pub peer: Peer,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Protocol {
    Any,
    /// First and last port.
    Tcp(u16, u16),
    Udp(u16, u16),
    Icmp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Peer {
    /// Such as 10.1.0.0/16.
    Addresses(String),
    /// Every port that is a member of that group.
    Group(String),
}

/// One network interface: an instance's or a place's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// The place's name, or what comes before its number: `db.lab` is where `db.lab-1` and `db.lab-2` are, by their
    /// addresses.
    pub place: String,
    pub address: Ipv4Addr,
    pub subnet: String,
    /// Empty: nothing gets in or out, but for a NAT gateway, which has none.
    pub groups: Vec<String>,
    /// Its Elastic IP, as far as it has one.
    pub public: Option<Ipv4Addr>,
    pub is_nat_gateway: bool,
}

/// The router's end of the cable to each address.
pub(crate) type Cables = BTreeMap<Ipv4Addr, String>;

impl Subnet {
    /// A subnet of the region's own network.
    ///
    /// # Panics
    /// If that is no block of addresses.
    #[expect(clippy::expect_used, reason = "for examples and tests, which know what they write")]
    pub fn new(id: &str, cidr: &str, way_out: WayOut) -> Subnet {
        let cidr = cidr.parse().expect("a block such as 10.1.3.0/24");
        Subnet { id: id.to_owned(), vpc: String::new(), cidr, way_out }
    }
}

impl Port {
    fn is_of(&self, place: &str, address: Ipv4Addr) -> bool {
        let number = place.strip_prefix(&self.place).map(|it| it.strip_prefix('-').unwrap_or(it));
        self.address == address && number.is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()))
    }
}

impl Network {
    /// The subnet that a place with this address belongs to.
    pub(crate) fn home(&self, place: &str, address: Ipv4Addr) -> Option<&Subnet> {
        self.subnet(self.ports.iter().find(|it| it.is_of(place, address))?)
    }

    pub(crate) fn subnet(&self, port: &Port) -> Option<&Subnet> {
        self.subnets.iter().find(|it| it.id == port.subnet)
    }

    pub(crate) fn block(&self, vpc: &str) -> Option<Ipv4Net> {
        self.vpcs.iter().find(|it| it.id == vpc).map(|it| it.cidr)
    }

    /// What one router has to know of it.
    pub(crate) fn part(&self, vpc: &str) -> Network {
        let subnets: Vec<Subnet> = self.subnets.iter().filter(|it| it.vpc == vpc).cloned().collect();
        let ports = self.ports.iter().filter(|it| subnets.iter().any(|subnet| subnet.id == it.subnet));
        let ports: Vec<Port> = ports.cloned().collect();
        let used = |group: &&Group| ports.iter().any(|it| it.groups.contains(&group.id));
        let groups = self.groups.iter().filter(used).cloned().collect();
        Network { vpcs: Vec::new(), subnets, groups, ports }
    }

    /// Rules for `nft -f`, one transaction. Ports whose address has no cable are left out.
    pub(crate) fn rules(&self, cables: &Cables) -> String {
        let mut out = String::from("table ip vpc\ndelete table ip vpc\ntable ip vpc {\n");
        let ports: Vec<(&str, &Port)> =
            self.ports.iter().filter_map(|it| Some((cables.get(&it.address)?.as_str(), it))).collect();
        let known: BTreeMap<&str, usize> =
            self.groups.iter().enumerate().map(|(n, it)| (it.id.as_str(), n)).collect();
        for (n, group) in self.groups.iter().enumerate() {
            let members: Vec<String> = ports
                .iter()
                .filter(|it| it.1.groups.contains(&group.id))
                .map(|it| it.1.address.to_string())
                .collect();
            let _ = writeln!(out, "  set members{n} {{ type ipv4_addr; {} }}", elements(&members));
        }
        for (n, group) in self.groups.iter().enumerate() {
            chain(&mut out, &format!("in{n}"), group.ingress.iter().flat_map(|it| it.text("saddr", &known)));
            chain(&mut out, &format!("out{n}"), group.egress.iter().flat_map(|it| it.text("daddr", &known)));
        }
        for (cable, port) in &ports {
            let jumps = |way: &str| {
                let all = if port.is_nat_gateway { vec!["accept".to_owned()] } else { Vec::new() };
                let groups = port.groups.iter().filter_map(|it| known.get(it.as_str()));
                all.into_iter().chain(groups.map(|n| format!("jump {way}{n}"))).collect::<Vec<_>>()
            };
            chain(&mut out, &format!("in_{cable}"), jumps("in").into_iter());
            chain(&mut out, &format!("out_{cable}"), jumps("out").into_iter());
        }
        let list = |text: fn(&(&str, &Port)) -> Option<String>| {
            elements(&ports.iter().filter_map(text).collect::<Vec<_>>())
        };
        let owners = list(|(cable, it)| Some(format!("\"{cable}\" . {}", it.address)));
        let exempt = list(|(cable, it)| it.is_nat_gateway.then(|| format!("\"{cable}\"")));
        let inward = list(|(cable, _)| Some(format!("\"{cable}\" : jump in_{cable}")));
        let outward = list(|(cable, _)| Some(format!("\"{cable}\" : jump out_{cable}")));
        let to_private = list(|(_, it)| Some(format!("{} : {}", it.public?, it.address)));
        let to_public = list(|(_, it)| Some(format!("{} : {}", it.address, it.public?)));
        let reachable = list(|(_, it)| it.public.map(|_| it.address.to_string()));
        // Two chains see a packet between ports: the sender's groups first, then the receiver's.
        let _ = write!(
            out,
            r#"
  set owners {{ type ifname . ipv4_addr; {owners} }}
  set exempt {{ type ifname; {exempt} }}
  set reachable {{ type ipv4_addr; {reachable} }}
  map inward {{ type ifname : verdict; {inward} }}
  map outward {{ type ifname : verdict; {outward} }}
  map to_private {{ type ipv4_addr : ipv4_addr; {to_private} }}
  map to_public {{ type ipv4_addr : ipv4_addr; {to_public} }}
  chain owns_its_address {{
    type filter hook prerouting priority raw; policy accept;
    iifname {{ "gateway", "lo" }} accept
    iifname @exempt accept
    iifname . ip saddr @owners accept
    drop
  }}
  chain arriving {{
    type nat hook prerouting priority dstnat;
    iifname "gateway" dnat to ip daddr map @to_private
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat;
    oifname "gateway" snat to ip saddr map @to_public
  }}
  chain to_the_router {{
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname "lo" accept
    udp dport 53 accept
    tcp dport 53 accept
    ip daddr 169.254.169.254 tcp dport 80 accept
    icmp type echo-request accept
  }}
  chain sending {{
    type filter hook forward priority -1; policy drop;
    ct state established,related accept
    iifname "gateway" ct status dnat accept
    oifname "gateway" ip saddr != @reachable drop
    iifname vmap @outward
  }}
  chain receiving {{
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    oifname "gateway" accept
    oifname vmap @inward
  }}
}}
"#
        );
        out
    }

    /// Routing tables from a number on, one per subnet, and which one each cable uses: batches for `ip`. Nothing leads
    /// to a NAT gateway whose cable is pulled: the kernel takes no route by way of that.
    pub(crate) fn routes(
        &self,
        cables: &Cables,
        pulled: &BTreeSet<Ipv4Addr>,
        first: u32,
        gateway: Ipv4Addr,
    ) -> (String, Vec<String>) {
        let mut routes = String::new();
        let mut rules = Vec::new();
        for (number, subnet) in (first..).zip(&self.subnets) {
            let target = match &subnet.way_out {
                WayOut::Nowhere => None,
                WayOut::InternetGateway => Some(format!("via {gateway} dev gateway")),
                WayOut::NatGateway(place) => {
                    let port = self.ports.iter().find(|it| it.place == *place);
                    port.filter(|it| !pulled.contains(&it.address)).and_then(|it| {
                        Some(format!("via {} dev {} onlink", it.address, cables.get(&it.address)?))
                    })
                }
            };
            let kind = if target.is_some() { "" } else { "blackhole " };
            let _ =
                writeln!(routes, "route replace {kind}default {} table {number}", target.unwrap_or_default());
            let members = self.ports.iter().filter(|it| it.subnet == subnet.id);
            let cables = members.filter_map(|it| cables.get(&it.address));
            rules.extend(cables.map(|cable| format!("iif {cable} lookup {number}")));
        }
        (routes, rules)
    }
}

impl Rule {
    /// `None` for a group that does not exist, which lets nobody in.
    fn text(&self, side: &str, known: &BTreeMap<&str, usize>) -> Option<String> {
        let peer = match &self.peer {
            Peer::Addresses(cidr) => format!("ip {side} {cidr}"),
            Peer::Group(id) => format!("ip {side} @members{}", known.get(id.as_str())?),
        };
        Some(match self.protocol {
            Protocol::Any => format!("{peer} accept"),
            Protocol::Tcp(from, to) => format!("{peer} tcp dport {from}-{to} accept"),
            Protocol::Udp(from, to) => format!("{peer} udp dport {from}-{to} accept"),
            Protocol::Icmp => format!("{peer} icmp type echo-request accept"),
        })
    }
}

fn chain(out: &mut String, name: &str, rules: impl Iterator<Item = String>) {
    let _ = writeln!(out, "  chain {name} {{ {} }}", rules.map(|it| it + "; ").collect::<String>());
}

/// nft does not want an empty list.
fn elements(all: &[String]) -> String {
    if all.is_empty() { String::new() } else { format!("elements = {{ {} }};", all.join(", ")) }
}
