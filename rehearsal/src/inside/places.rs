//! Who is plugged in where: the region's networks with their routers, and the cable of every place.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use ipnet::Ipv4Net;

use super::imds::Imds;
use super::names::Names;
use super::network;
use super::router::{INTERNET, OWN_BLOCK, Router};
use crate::vpc::{Cables, Network};

/// Subnets of the region's own network are taken for this long unless a plan says otherwise.
const USUAL_PREFIX: u8 = 24;

pub(super) struct Places {
    names: Names,
    imds: Imds,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    plan: Network,
    /// By id; the region's own has none.
    routers: BTreeMap<String, Router>,
    cables: BTreeMap<String, Cable>,
    next_cable: u32,
    next_router: u32,
    /// By public address, the internet's route to it.
    routes: BTreeMap<Ipv4Addr, String>,
}

/// A place's way into its network.
#[derive(Clone, Debug)]
pub(super) struct Cable {
    number: u32,
    vpc: String,
    address: Ipv4Addr,
    /// By the operator.
    is_pulled: bool,
    /// Whoever is at its end has no power, and lets no kernel of ours answer for it.
    is_dark: bool,
}

impl Cable {
    fn is_down(&self) -> bool {
        self.is_pulled || self.is_dark
    }

    /// What no other place has: addresses are only unique in their network.
    pub(super) fn owner(&self) -> (String, Ipv4Addr) {
        (self.vpc.clone(), self.address)
    }
}

impl Places {
    /// With the region's own network.
    pub(super) fn new(names: &Names, imds: &Imds) -> anyhow::Result<Places> {
        super::router::make_internet()?;
        let mut own = Router::own()?;
        own.serve("", OWN_BLOCK, names, imds)?;
        let routers = BTreeMap::from([(String::new(), own)]);
        let known = Mutex::new(Known { routers, next_router: 1, ..Known::default() });
        Ok(Places { names: names.clone(), imds: imds.clone(), known })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a place in the network that the plan has for it, or else in the region's own.
    pub(super) fn plug(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        let mut known = self.known();
        if name == INTERNET || known.cables.contains_key(name) {
            bail!("the region already has a place {name}");
        }
        let (vpc, subnet) = known.home(name, address)?;
        if let Some(other) = known.cables.iter().find(|it| it.1.vpc == vpc && it.1.address == address) {
            bail!("{address} is taken by {}", other.0);
        }
        self.prepare(&mut known, &vpc)?;
        known.next_cable += 1;
        let number = known.next_cable;
        known.routers[&vpc].within(|| network::add(name, number, address, subnet))?;
        known
            .cables
            .insert(name.to_owned(), Cable { number, vpc, address, is_pulled: false, is_dark: false });
        Ok(())
    }

    /// Takes a place away, even if somebody still holds its namespace.
    pub(super) fn unplug(&self, name: &str) -> anyhow::Result<()> {
        let mut known = self.known();
        let cable = known.cable(name)?;
        known.routers[&cable.vpc].within(|| network::unplug(cable.number))?;
        network::remove(name);
        known.cables.remove(name);
        Ok(())
    }

    pub(super) fn cable(&self, name: &str) -> anyhow::Result<Cable> {
        self.known().cable(name)
    }

    /// Pulls a cable, or plugs it in.
    pub(super) fn link(&self, name: &str, up: bool) -> anyhow::Result<()> {
        self.change(name, |it| it.is_pulled = !up)
    }

    /// Whether somebody is at a cable's end.
    pub(super) fn power(&self, name: &str, on: bool) -> anyhow::Result<()> {
        self.change(name, |it| it.is_dark = !on)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Cable)) -> anyhow::Result<()> {
        let mut known = self.known();
        let before = known.cable(name)?;
        let mut after = before.clone();
        change(&mut after);
        let Cable { number, vpc, address, .. } = after.clone();
        let up = !after.is_down();
        if up != before.is_down() {
            known.cables.insert(name.to_owned(), after);
            return Ok(());
        }
        known.routers[&vpc].within(|| network::link(number, address, up))?;
        known.cables.insert(name.to_owned(), after);
        // Routes by way of this cable went with it.
        known.routers.get_mut(&vpc).map(Router::forget);
        if up && known.plan != Network::default() { known.apply() } else { Ok(()) }
    }

    /// Makes all routers do what a plan says.
    pub(super) fn apply(&self, plan: Network) -> anyhow::Result<()> {
        let mut known = self.known();
        known.plan = plan;
        let vpcs: BTreeSet<String> =
            known.plan.ports.iter().filter_map(|it| Some(known.plan.subnet(it)?.vpc.clone())).collect();
        for vpc in vpcs {
            self.prepare(&mut known, &vpc)?;
        }
        known.apply()?;
        known.forget()
    }

    /// Makes a network's router unless there is one.
    fn prepare(&self, known: &mut Known, vpc: &str) -> anyhow::Result<()> {
        if known.routers.contains_key(vpc) {
            return Ok(());
        }
        let block = known.plan.block(vpc).with_context(|| format!("the plan has no network {vpc}"))?;
        let mut router = Router::create(vpc, block, known.next_router)?;
        router.serve(vpc, block, &self.names, &self.imds)?;
        known.next_router += 1;
        known.routers.insert(vpc.to_owned(), router);
        Ok(())
    }
}

impl Known {
    fn cable(&self, name: &str) -> anyhow::Result<Cable> {
        self.cables.get(name).cloned().with_context(|| format!("the region has no place {name}"))
    }

    fn home(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<(String, Ipv4Net)> {
        if let Some(subnet) = self.plan.home(name, address) {
            return Ok((subnet.vpc.clone(), subnet.cidr));
        }
        let usual = Ipv4Net::new(address, USUAL_PREFIX).context("taking a subnet for granted")?;
        Ok((String::new(), usual.trunc()))
    }

    /// Ends the routers of networks that are gone.
    fn forget(&mut self) -> anyhow::Result<()> {
        let is_gone = |vpc: &String| {
            let is_used = self.cables.values().any(|it| it.vpc == *vpc);
            !vpc.is_empty() && !is_used && self.plan.block(vpc).is_none()
        };
        let gone: Vec<String> = self.routers.keys().filter(|it| is_gone(it)).cloned().collect();
        gone.iter().filter_map(|it| Some((it, self.routers.remove(it)?))).try_for_each(|it| it.1.close(it.0))
    }

    fn apply(&mut self) -> anyhow::Result<()> {
        let mut routes = BTreeMap::new();
        for (vpc, router) in &mut self.routers {
            let part = self.plan.part(vpc);
            let own = || self.cables.values().filter(|it| it.vpc == *vpc);
            let cables: Cables = own().map(|it| (it.address, network::port(it.number))).collect();
            let pulled = own().filter(|it| it.is_down()).map(|it| it.address).collect();
            let public = part.ports.iter().filter(|it| cables.contains_key(&it.address));
            routes.extend(public.filter_map(|it| it.public).map(|it| (it, router.route_to(it))));
            router.apply(&part, &cables, &pulled)?;
        }
        let gone = self.routes.iter().filter(|it| routes.get(it.0) != Some(it.1));
        let new = routes.iter().filter(|it| self.routes.get(it.0) != Some(it.1));
        let batch = gone.map(|it| format!("route del {}\n", it.1));
        let batch: String = batch.chain(new.map(|it| format!("route replace {}\n", it.1))).collect();
        if !batch.is_empty() {
            super::within(&network::path(INTERNET), || network::ip(&batch))
                .context("telling the internet who has which address")?;
            self.routes = routes;
        }
        Ok(())
    }
}
