//! A load balancer as ELB runs one: a node per zone, which is a machine with HAProxy.

mod health;
mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::region::Region;
pub use health::{Health, TargetState};
use node::Node;

/// What the names of its nodes begin with.
pub(crate) const PLACE: &str = "lb.";

/// What a load balancer shall do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BalancerSpec {
    pub name: String,
    /// One node each.
    pub addresses: Vec<Ipv4Addr>,
    pub listeners: Vec<Listener>,
    pub groups: Vec<TargetGroup>,
}

/// A port that the nodes listen on.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    pub port: u16,
    /// The target group of whatever no rule takes.
    pub default: String,
    /// In the order of their priority.
    pub rules: Vec<PathRule>,
}

/// Sends some paths elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct PathRule {
    /// With `*` and `?`, as ELB has them.
    pub patterns: Vec<String>,
    pub group: String,
}

/// Servers of the same kind, and how to see whether they are well.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetGroup {
    pub name: String,
    pub port: u16,
    pub check: Check,
    /// Whether the one with the fewest requests comes next, instead of each in turn.
    pub least_outstanding: bool,
    /// How long a target that leaves may finish what it does.
    pub drain: Duration,
    /// Address by name.
    pub targets: BTreeMap<String, Ipv4Addr>,
}

/// A health check.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub path: String,
    pub port: u16,
    pub interval: Duration,
    pub timeout: Duration,
    pub healthy: u32,
    pub unhealthy: u32,
    /// The codes that are well, as HAProxy and AWS write them: `200,302` or `200-299`.
    pub codes: String,
}

/// A running load balancer.
#[derive(Clone)]
pub struct Balancer(Arc<Inner>);

struct Inner {
    nodes: Vec<Node>,
    /// What it shall do; each node knows what it does by now.
    spec: Mutex<BalancerSpec>,
    /// Its end has begun.
    is_over: AtomicBool,
}

impl Region {
    /// Starts a load balancer; its targets are in it, but not yet known to be well.
    ///
    /// # Errors
    /// If a node does not start.
    pub fn balancer(&self, spec: BalancerSpec) -> anyhow::Result<Balancer> {
        let started: Vec<anyhow::Result<Node>> = std::thread::scope(|scope| {
            let boot = |(number, address): (usize, &Ipv4Addr)| {
                let (spec, address) = (&spec, *address);
                scope.spawn(move || Node::start(self, &node_name(spec, number + 1), address, spec))
            };
            let all: Vec<_> = spec.addresses.iter().enumerate().map(boot).collect();
            let lost = || Err(anyhow::anyhow!("a thread that starts a node broke"));
            all.into_iter().map(|it| it.join().unwrap_or_else(|_| lost())).collect()
        });
        let (nodes, failed): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
        let nodes: Vec<Node> = nodes.into_iter().flatten().collect();
        if let Some(Err(err)) = failed.into_iter().next() {
            // Names and addresses must be free for the next attempt.
            for number in 1..=spec.addresses.len() {
                self.clear(&node_name(&spec, number))?;
            }
            return Err(err);
        }
        Ok(Balancer(Arc::new(Inner { nodes, spec: Mutex::new(spec), is_over: AtomicBool::new(false) })))
    }
}

/// Nothing else may have it: a database may be called the same.
fn node_name(spec: &BalancerSpec, number: usize) -> String {
    format!("{PLACE}{}-{number}", spec.name)
}

impl Balancer {
    /// Changes what it does, without losing a request. Nodes stay the ones that it began with.
    ///
    /// # Errors
    /// If a node does not take the change.
    pub fn change(&self, want: BalancerSpec) -> anyhow::Result<()> {
        self.0.spec.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&want);
        // Who has no power learns it when that comes back; who does not take it keeps nobody else from it.
        let up = self.0.nodes.iter().filter(|it| it.is_up());
        up.map(|it| it.change(&want)).fold(Ok(()), anyhow::Result::and)
    }

    /// Whether every node does what it shall, but for those that have no power and get none.
    pub(crate) fn is_settled(&self, has_power: impl Fn(Ipv4Addr) -> bool) -> bool {
        let want = self.spec();
        let dead = |it: &Node| !it.is_up() && !has_power(it.machine().address());
        self.0.nodes.iter().all(|it| dead(it) || it.is_up() && it.does(&want))
    }

    /// Starts the nodes that are dead, where there is power.
    ///
    /// # Errors
    /// If one does not start.
    pub fn revive(&self, has_power: impl Fn(Ipv4Addr) -> bool) -> anyhow::Result<()> {
        let want = self.spec();
        let dead = self.0.nodes.iter().filter(|it| !it.is_up() && has_power(it.machine().address()));
        dead.map(|it| it.revive(&want)).fold(Ok(()), anyhow::Result::and)
    }

    /// Where nodes have no power.
    pub(crate) fn dead(&self) -> BTreeSet<Ipv4Addr> {
        self.0.nodes.iter().filter(|it| !it.is_up()).map(|it| it.machine().address()).collect()
    }

    /// What it shall do now.
    pub fn spec(&self) -> BalancerSpec {
        self.0.spec.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the targets of a group are, as the least content node sees each.
    ///
    /// # Errors
    /// If a node is gone.
    pub fn health(&self, group: &str) -> anyhow::Result<BTreeMap<String, Health>> {
        let mut worst: BTreeMap<String, Health> = BTreeMap::new();
        for node in self.0.nodes.iter().filter(|it| it.is_up()) {
            for (target, health) in node.health(group)? {
                let known = worst.entry(target).or_insert_with(|| health.clone());
                if health.state > known.state {
                    *known = health;
                }
            }
        }
        Ok(worst)
    }

    /// The machines that are its nodes.
    pub fn nodes(&self) -> Vec<crate::Instance> {
        self.0.nodes.iter().map(|it| it.machine().clone()).collect()
    }

    /// Whether its end has begun.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Relaxed)
    }

    /// Ends its nodes. Can be repeated until it succeeds.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn terminate(self) -> anyhow::Result<()> {
        self.0.is_over.store(true, Ordering::Relaxed);
        self.0.nodes.iter().try_for_each(|it| it.machine().clone().terminate())
    }
}
