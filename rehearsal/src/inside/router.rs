//! The router as a virtual private cloud: applies a [`Network`] to the kernel, whole.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Context;

use super::network;
use crate::vpc::{Cables, Network};

/// Both ends of the link between the router and the internet.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 2);
/// The internet's only server: packages, and the cloud's own interface.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Where the operator sits.
pub(crate) const OPERATOR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// Name of that place.
pub(crate) const INTERNET: &str = "internet";
/// Rules come after the kernel's own, which know every address inside.
const PREFERENCE: u32 = 33000;

/// What the router itself says, such as a name to the operator, finds its way whatever the subnets' tables are.
const OWN: u32 = 999;
const OWN_PREFERENCE: u32 = 32900;

/// What was applied last, so that the next time can take it back.
#[derive(Default)]
pub(super) struct Router {
    generation: u32,
    rules: Vec<String>,
}

/// A namespace that stands for the internet, on a cable called `gateway`.
pub(super) fn connect_internet() -> anyhow::Result<()> {
    let path = network::make(INTERNET)?;
    network::ip(&format!(
        "link add gateway type veth peer name vpc netns {INTERNET}\n\
         addr add {INSIDE}/30 dev gateway\nlink set gateway up\n\
         route add default via {OUTSIDE} dev gateway\n\
         route add default via {OUTSIDE} dev gateway table {OWN}\n\
         rule add pref {OWN_PREFERENCE} iif lo lookup {OWN}\n"
    ))?;
    super::within(&path, || {
        network::sysctl("ip_forward", "1")?;
        network::ip(&format!(
            "link set lo up\naddr add {OUTSIDE}/30 dev vpc\nlink set vpc up\n\
             addr add {SERVER}/32 dev lo\naddr add {OPERATOR}/32 dev lo\n\
             route add default via {INSIDE} dev vpc src {OPERATOR}\n"
        ))
    })
}

impl Router {
    /// Replaces rules and routes. Connections that are established stay so.
    pub(super) fn apply(&mut self, want: &Network, cables: &Cables) -> anyhow::Result<()> {
        for it in want.ports.iter().filter(|it| it.is_nat_gateway && cables.contains_key(&it.address)) {
            super::within(&network::path(&it.place), masquerade)
                .with_context(|| format!("making {} a NAT gateway", it.place))?;
        }
        let nft = |text: &str| network::feed(Command::new("nft").args(["-f", "-"]), text, "nftables");
        nft(&want.rules(cables)).context("applying security groups")?;
        // The new tables are filled beside the old ones; for a moment both are in force, and they agree or the first wins.
        self.generation = (self.generation + 1) % 2;
        let preference = PREFERENCE + self.generation;
        let (routes, rules) = want.routes(cables, 1000 + 1000 * self.generation, OUTSIDE);
        let mut batch = routes;
        let line = |verb: &str, pref: u32, it: &String| format!("rule {verb} pref {pref} {it}\n");
        batch.extend(rules.iter().map(|it| line("add", preference, it)));
        let last = PREFERENCE + (self.generation + 1) % 2;
        batch.extend(self.rules.iter().map(|it| line("del", last, it)));
        self.rules = rules;
        network::ip(&batch).context("applying route tables")?;
        // Without a plan everything leads out; with one, only what it says.
        if has_open_door() {
            network::ip("route del default dev gateway\n").context("closing the way out")?;
        }
        Ok(())
    }
}

fn has_open_door() -> bool {
    let said = Command::new("ip").args(["route", "show", "default", "dev", "gateway"]).output();
    said.is_ok_and(|it| !it.stdout.is_empty())
}

fn masquerade() -> anyhow::Result<()> {
    network::sysctl("ip_forward", "1")?;
    let rules = "table ip nat\ndelete table ip nat\ntable ip nat {\n  chain leaving {\n    \
                 type nat hook postrouting priority srcnat;\n    oifname \"ens5\" masquerade\n  }\n}\n";
    network::feed(Command::new("nft").args(["-f", "-"]), rules, "nftables")
}
