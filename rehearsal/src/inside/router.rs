//! The router of one virtual private cloud, and the internet that all of them share.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use ipnet::Ipv4Net;
use nix::sys::socket::{Shutdown, shutdown};

use super::imds::Imds;
use super::names::Names;
use super::{imds, network};
use crate::vpc::{Cables, Network};

/// Where names are resolved in every network, as on AWS.
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
/// The internet's only server: packages, and the cloud's own interface.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Where the operator sits.
pub(crate) const OPERATOR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// Name of that place.
pub(crate) const INTERNET: &str = "internet";
/// The block of a region's own network, where everybody may talk until somebody says otherwise.
pub(crate) const OWN_BLOCK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 1, 0, 0), 16);
/// Links between routers and the internet are the /30 blocks of this.
const LINKS: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);
/// Rules come after the kernel's own, which know every address inside.
const PREFERENCE: u32 = 33000;

/// What the router itself says, such as a name to the operator, finds its way whatever the subnets' tables are.
const OWN: u32 = 999;
const OWN_PREFERENCE: u32 = 32900;

/// A router.
pub(super) struct Router {
    number: u32,
    /// Its namespace; the region's own network has the region's.
    path: Option<PathBuf>,
    generation: u32,
    /// What was applied last, so that the next time can take it back, or has nothing to do.
    rules: Vec<String>,
    applied: Option<(Network, Cables)>,
    /// Where names and metadata are asked for.
    doors: Vec<OwnedFd>,
}

fn router_name(vpc: &str) -> String {
    format!("router-{vpc}")
}

/// A namespace that stands for the internet.
pub(super) fn make_internet() -> anyhow::Result<()> {
    let path = network::make(INTERNET)?;
    super::within(&path, || {
        network::sysctl("ip_forward", "1")?;
        network::ip(&format!("link set lo up\naddr add {SERVER}/32 dev lo\naddr add {OPERATOR}/32 dev lo\n"))
    })
}

impl Router {
    /// The region's own: everything leads out and nothing is filtered, until there is a plan.
    pub(super) fn own() -> anyhow::Result<Router> {
        let it = Router {
            number: 0,
            path: None,
            generation: 0,
            rules: Vec::new(),
            applied: None,
            doors: Vec::new(),
        };
        it.prepare(OWN_BLOCK)?;
        let (outside, inside) = it.link();
        network::ip(&format!("route add default via {outside} dev gateway\n"))?;
        super::within(&network::path(INTERNET), || {
            network::ip(&format!("route add default via {inside} dev vpc0 src {OPERATOR}\n"))
        })?;
        Ok(it)
    }

    /// One more; the number tells it from the others.
    pub(super) fn create(vpc: &str, block: Ipv4Net, number: u32) -> anyhow::Result<Router> {
        let path = network::make(&router_name(vpc))?;
        let it = Router {
            number,
            path: Some(path),
            generation: 0,
            rules: Vec::new(),
            applied: None,
            doors: Vec::new(),
        };
        it.within(|| it.prepare(block)).with_context(|| format!("making the router of {vpc}"))?;
        Ok(it)
    }

    /// Runs something in its network namespace.
    pub(super) fn within<T: Send>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        match &self.path {
            None => work(),
            Some(path) => super::within(path, work),
        }
    }

    /// Answers what every instance asks.
    pub(super) fn serve(
        &mut self,
        vpc: &str,
        block: Ipv4Net,
        names: &Names,
        imds: &Imds,
    ) -> anyhow::Result<()> {
        self.doors = self.within(|| {
            let mut doors = vec![imds.serve(vpc)?];
            doors.extend(names.serve(vpc, RESOLVER)?);
            doors.extend(names.serve(vpc, network::nth(block, 2))?);
            Ok(doors)
        })?;
        Ok(())
    }

    /// Ends with all that answers there.
    pub(super) fn close(self, vpc: &str) -> anyhow::Result<()> {
        for door in &self.doors {
            // One for datagrams has no other side, and says so; whoever waits there wakes up all the same.
            let _ = shutdown(door.as_raw_fd(), Shutdown::Both);
        }
        network::remove(&router_name(vpc));
        super::within(&network::path(INTERNET), || {
            network::ip(&format!("link del {}\n", self.far_end())).context("unplugging a router")
        })
    }

    /// The two ends of the link to the internet: that one's, and ours.
    fn link(&self) -> (Ipv4Addr, Ipv4Addr) {
        let first = u32::from(LINKS) + self.number * 4;
        (Ipv4Addr::from(first + 1), Ipv4Addr::from(first + 2))
    }

    fn prepare(&self, block: Ipv4Net) -> anyhow::Result<()> {
        for (name, value) in [
            ("ip_forward", "1"),
            ("conf/all/rp_filter", "0"),
            ("conf/default/rp_filter", "0"),
            ("conf/all/send_redirects", "0"),
            ("conf/default/send_redirects", "0"),
        ] {
            network::sysctl(name, value)?;
        }
        let ((outside, inside), far) = (self.link(), self.far_end());
        let (resolver, imds) = (network::nth(block, 2), imds::ADDRESS);
        network::ip(&format!(
            "link set lo up\naddr add {RESOLVER}/32 dev lo\naddr add {resolver}/32 dev lo\n\
             addr add {imds}/32 dev lo\nroute add blackhole {block}\n\
             link add gateway type veth peer name {far} netns {INTERNET}\n\
             addr add {inside}/30 dev gateway\nlink set gateway up\n\
             route add default via {outside} dev gateway table {OWN}\n\
             rule add pref {OWN_PREFERENCE} iif lo lookup {OWN}\n"
        ))?;
        super::within(&network::path(INTERNET), || {
            network::ip(&format!("addr add {outside}/30 dev {far}\nlink set {far} up\n"))
        })
    }

    /// Its link's other end, in the internet.
    fn far_end(&self) -> String {
        format!("vpc{}", self.number)
    }

    /// How the internet reaches one of its public addresses.
    pub(super) fn route_to(&self, public: Ipv4Addr) -> String {
        format!("{public}/32 via {} dev {} src {OPERATOR}", self.link().1, self.far_end())
    }

    /// Replaces rules and routes. Connections that are established stay so. Whoever pulls a cable makes it forget.
    pub(super) fn apply(
        &mut self,
        want: &Network,
        cables: &Cables,
        pulled: &BTreeSet<Ipv4Addr>,
    ) -> anyhow::Result<()> {
        if self.applied.as_ref().is_some_and(|it| it.0 == *want && it.1 == *cables) {
            return Ok(());
        }
        let first_time = self.applied.take().is_none() && self.rules.is_empty();
        for it in want.ports.iter().filter(|it| it.is_nat_gateway && cables.contains_key(&it.address)) {
            super::within(&network::path(&it.place), masquerade)
                .with_context(|| format!("making {} a NAT gateway", it.place))?;
        }
        // The new tables are filled beside the old ones; for a moment both are in force, and they agree or the first wins.
        let generation = (self.generation + 1) % 2;
        let (outside, _) = self.link();
        let (mut batch, rules) = want.routes(cables, pulled, 1000 + 1000 * generation, outside);
        let line = |verb: &str, pref: u32, it: &String| format!("rule {verb} pref {pref} {it}\n");
        batch.extend(rules.iter().map(|it| line("add", PREFERENCE + generation, it)));
        batch.extend(self.rules.iter().map(|it| line("del", PREFERENCE + self.generation, it)));
        let text = want.rules(cables);
        self.within(|| {
            network::feed(Command::new("nft").args(["-f", "-"]), &text, "nftables")
                .context("applying security groups")?;
            network::ip(&batch).context("applying route tables")
        })?;
        (self.generation, self.rules) = (generation, rules);
        // Without a plan everything leads out of the region's own network; with one, only what it says.
        if first_time && self.path.is_none() {
            let _ = network::ip("route del default dev gateway\n");
        }
        self.applied = Some((want.clone(), cables.clone()));
        Ok(())
    }

    /// A link that was down has lost its routes.
    pub(super) fn forget(&mut self) {
        self.applied = None;
    }
}

fn masquerade() -> anyhow::Result<()> {
    network::sysctl("ip_forward", "1")?;
    let rules = "table ip nat\ndelete table ip nat\ntable ip nat {\n  chain leaving {\n    \
                 type nat hook postrouting priority srcnat;\n    oifname \"ens5\" masquerade\n  }\n}\n";
    network::feed(Command::new("nft").args(["-f", "-"]), rules, "nftables")
}
