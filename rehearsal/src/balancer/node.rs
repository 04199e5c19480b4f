//! One node: its HAProxy's configuration, and changes while it runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::health::{self, Health, Past, TargetState};
use super::{BalancerSpec, Listener, TargetGroup};
use crate::image::Image;
use crate::instance::Instance;
use crate::region::Region;
use crate::wire::Phase;

const CONFIG: &str = "/etc/haproxy/haproxy.cfg";
/// From one process to its successor.
const SOCKET: &str = "/run/haproxy/admin.sock";
/// For us, on the node's own loopback, where no packet from outside gets. Every configuration has its own port, so that
/// an order never reaches a process that is on its way out.
const CONTROL: u16 = 20000;
/// Where a process leaves what it knows of its servers to its successor.
const STATE: &str = "/var/lib/haproxy/servers";

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Node {
    machine: Instance,
    generation: Arc<AtomicU16>,
    /// What it does; nobody knows after a start that failed.
    applied: Arc<Mutex<Option<BalancerSpec>>>,
    /// Held by whoever changes or starts it.
    turn: Arc<Mutex<()>>,
    past: Arc<Mutex<Past>>,
}

impl Node {
    pub(super) fn start(
        region: &Region,
        name: &str,
        address: Ipv4Addr,
        spec: &BalancerSpec,
    ) -> anyhow::Result<Node> {
        let bare = without_targets(spec);
        // An attempt that failed may have left one.
        region.clear(name)?;
        let machine = region
            .instance(name)
            .image(Image::balancer())
            .address(address)
            .file(CONFIG, configuration(&bare, address, 0), 0o644)
            .boot()?;
        let node = Node {
            machine,
            generation: Arc::default(),
            applied: Arc::new(Mutex::new(Some(bare))),
            turn: Arc::default(),
            past: Arc::default(),
        };
        node.change(spec)?;
        Ok(node)
    }

    pub(super) fn machine(&self) -> &Instance {
        &self.machine
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.machine.phase(), Ok(Phase::Running))
    }

    /// Starts one that lost its power, with what the balancer does by now. It listens when it knows who is well.
    pub(super) fn revive(&self, spec: &BalancerSpec) -> anyhow::Result<()> {
        let _turn = locked(&self.turn);
        if self.is_up() {
            return Ok(());
        }
        *locked(&self.applied) = None;
        locked(&self.past).clear();
        let mut deaf = spec.clone();
        deaf.listeners.clear();
        let bare = without_targets(&deaf);
        let text = configuration(&bare, self.machine.address(), self.generation.load(Ordering::Relaxed));
        self.machine.put(CONFIG, text.as_bytes(), 0o644)?;
        self.machine.start()?;
        self.machine.wait_until_running()?;
        self.change_from(&bare, &deaf)?;
        let began = Instant::now();
        while self.is_finding_out(spec)? && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(100));
        }
        self.change_from(&deaf, spec)?;
        *locked(&self.applied) = Some(spec.clone());
        Ok(())
    }

    fn is_finding_out(&self, spec: &BalancerSpec) -> anyhow::Result<bool> {
        for group in &spec.groups {
            if self.health(&group.name)?.values().any(|it| it.state == TargetState::Initial) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether it does what it shall.
    pub(super) fn does(&self, want: &BalancerSpec) -> bool {
        locked(&self.applied).as_ref() == Some(want)
    }

    /// Makes it do what it shall, unless it does.
    pub(super) fn change(&self, want: &BalancerSpec) -> anyhow::Result<()> {
        let _turn = locked(&self.turn);
        let have = locked(&self.applied).clone();
        match have {
            Some(have) if have == *want => return Ok(()),
            Some(have) => self.change_from(&have, want)?,
            None => self.reload(want)?,
        }
        *locked(&self.applied) = Some(want.clone());
        Ok(())
    }

    fn change_from(&self, have: &BalancerSpec, want: &BalancerSpec) -> anyhow::Result<()> {
        let address = self.machine.address();
        let bare = |it: &BalancerSpec| configuration(&without_targets(it), address, 0);
        if bare(have) != bare(want) {
            // Known servers come along with their state; new ones must first prove themselves, so they follow.
            let mut next = want.clone();
            for group in &mut next.groups {
                let known = have.groups.iter().find(|it| it.name == group.name);
                group.targets.retain(|name, _| known.is_some_and(|it| it.targets.contains_key(name)));
            }
            self.reload(&next)?;
        }
        let none = BTreeMap::new();
        for group in &want.groups {
            let known = have.groups.iter().find(|it| it.name == group.name).map_or(&none, |it| &it.targets);
            for (name, address) in group.targets.iter().filter(|it| !known.contains_key(it.0)) {
                self.register(group, name, *address)?;
            }
            for name in known.keys().filter(|it| !group.targets.contains_key(*it)) {
                self.deregister(group, name)?;
            }
        }
        Ok(())
    }

    /// The new process takes the listening sockets over, the old one finishes what it has.
    fn reload(&self, spec: &BalancerSpec) -> anyhow::Result<()> {
        let known = self.say(&["show servers state".to_owned()])?;
        self.machine.put(STATE, known.as_bytes(), 0o644)?;
        let next = (self.generation.load(Ordering::Relaxed) + 1) % 1000;
        self.machine.put(CONFIG, configuration(spec, self.machine.address(), next).as_bytes(), 0o644)?;
        self.machine.sh(&format!("haproxy -q -c -f {CONFIG} && systemctl reload haproxy"))?;
        self.generation.store(next, Ordering::Relaxed);
        let began = Instant::now();
        while let Err(err) = self.say(&["show info".to_owned()]) {
            if began.elapsed() > PATIENCE {
                return Err(
                    err.context(format!("{} did not take its new configuration", self.machine.name()))
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn register(&self, group: &TargetGroup, name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        let server = format!("{}/{name}", group.name);
        locked(&self.past).remove(&server);
        // One that was on its way out may come back.
        let _ = self.say(&[format!("set server {server} state maint"), format!("del server {server}")]);
        let said = self.say(&[
            // Whoever leaves maintenance counts as up until the first check says otherwise, and HAProxy serves between two
            // orders: so it gets no share of the requests before it counts as down.
            format!("add server {server} {} weight 0", server_line(group, address)),
            format!("enable health {server}"),
            format!("enable server {server}"),
            format!("set server {server} health down"),
            format!("set server {server} weight 1"),
        ])?;
        if !said.contains("New server registered") {
            bail!("{} does not take target {server}: {}", self.machine.name(), said.trim());
        }
        Ok(())
    }

    fn deregister(&self, group: &TargetGroup, name: &str) -> anyhow::Result<()> {
        let server = format!("{}/{name}", group.name);
        self.say(&[format!("set server {server} state drain")])?;
        let (node, patience) = (self.clone(), group.drain);
        thread::spawn(move || {
            let mut left = patience;
            let step = Duration::from_millis(200);
            while left > step && node.sessions(&server).is_ok_and(|it| it > 0) {
                thread::sleep(step);
                left -= step;
            }
            // HAProxy lets nobody go to whom it still has a connection, an idle one included: that may take a moment. If
            // the target was registered again meanwhile, it stays.
            let give_up = Instant::now() + PATIENCE;
            while Instant::now() < give_up {
                let turn = locked(&node.turn);
                if node.has(&server) || !node.is_leaving(&server).unwrap_or(true) {
                    break;
                }
                let _ = node.say(&[
                    format!("set server {server} state maint"),
                    format!("shutdown sessions server {server}"),
                    format!("del server {server}"),
                ]);
                drop(turn);
                thread::sleep(step);
            }
        });
        Ok(())
    }

    /// Whether a server belongs to what it does.
    fn has(&self, server: &str) -> bool {
        let applied = locked(&self.applied);
        let groups = applied.as_ref().map(|it| it.groups.as_slice()).unwrap_or_default();
        let named = |it: &TargetGroup| it.targets.keys().any(|name| format!("{}/{name}", it.name) == server);
        groups.iter().any(named)
    }

    /// Whether a server was told to leave. Its status does not say so once it is down: a dead target drains, too.
    fn is_leaving(&self, server: &str) -> anyhow::Result<bool> {
        /// `SRV_ADMF_FMAINT` and `SRV_ADMF_FDRAIN`, "show servers state" in HAProxy's management guide.
        const LEAVING: u32 = 0x01 | 0x08;
        let (group, name) = server.split_once('/').context("a server without a group")?;
        let said = self.say(&[format!("show servers state {group}")])?;
        let line =
            said.lines().map(|it| it.split(' ').collect::<Vec<_>>()).find(|it| it.get(3) == Some(&name));
        let admin = line.and_then(|it| it.get(6)?.parse::<u32>().ok());
        Ok(admin.is_some_and(|it| it & LEAVING != 0))
    }

    /// How many requests a server is busy with.
    fn sessions(&self, server: &str) -> anyhow::Result<u32> {
        let (group, name) = server.split_once('/').context("a server without a group")?;
        let stat = self.stat()?;
        let line = stat.lines().find(|it| it.starts_with(&format!("{group},{name},")));
        Ok(line.and_then(|it| it.split(',').nth(4)?.parse().ok()).unwrap_or(0))
    }

    fn stat(&self) -> anyhow::Result<String> {
        self.say(&["show stat".to_owned()])
    }

    pub(super) fn health(&self, group: &str) -> anyhow::Result<BTreeMap<String, Health>> {
        Ok(health::read(&self.stat()?, group, &mut locked(&self.past)))
    }

    /// Gives HAProxy orders, one after the other.
    fn say(&self, orders: &[String]) -> anyhow::Result<String> {
        let name = self.machine.name();
        let mut line = self.machine.region().dial(name, control(self.generation.load(Ordering::Relaxed)))?;
        line.set_read_timeout(Some(PATIENCE)).with_context(|| format!("talking to {name}"))?;
        line.write_all((orders.join("; ") + "\n").as_bytes())
            .with_context(|| format!("talking to {name}"))?;
        let mut said = String::new();
        line.read_to_string(&mut said).with_context(|| format!("listening to {name}"))?;
        Ok(said)
    }
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

fn without_targets(spec: &BalancerSpec) -> BalancerSpec {
    let mut bare = spec.clone();
    bare.groups.iter_mut().for_each(|it| it.targets.clear());
    bare
}

fn control(generation: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, CONTROL + generation)
}

fn configuration(spec: &BalancerSpec, address: Ipv4Addr, generation: u16) -> String {
    let mut text = format!(
        "global\n  stats socket {SOCKET} mode 600 level admin expose-fd listeners\n  \
         stats socket ipv4@{} level admin\n  maxconn 8000\n  nbthread 1\n  \
         server-state-file {STATE}\n\
         defaults\n  mode http\n  load-server-state-from-file global\n  timeout connect 5s\n  timeout client 60s\n  \
         timeout server 60s\n  timeout queue 5s\n  option forwardfor\n",
        control(generation)
    );
    for it in &spec.listeners {
        listener(&mut text, it, address);
    }
    for it in &spec.groups {
        group(&mut text, it);
    }
    text
}

fn listener(text: &mut String, it: &Listener, address: Ipv4Addr) {
    let _ = write!(
        text,
        "frontend port{port}\n  bind {address}:{port}\n  \
         http-request set-header X-Forwarded-Proto http\n  \
         http-request set-header X-Forwarded-Port {port}\n  \
         unique-id-format \"Root=1-%[date,hex]-%[uuid]\"\n  \
         http-request set-header X-Amzn-Trace-Id %[unique-id]\n",
        port = it.port
    );
    for (number, rule) in it.rules.iter().enumerate() {
        for pattern in &rule.patterns {
            let _ = writeln!(text, "  acl rule{number} path_reg {}", expression(pattern));
        }
        let _ = writeln!(text, "  use_backend {} if rule{number}", rule.group);
    }
    let _ = writeln!(text, "  default_backend {}", it.default);
}

fn group(text: &mut String, it: &TargetGroup) {
    let algorithm = if it.least_outstanding { "leastconn" } else { "roundrobin" };
    let _ = write!(
        text,
        "backend {}\n  balance {algorithm}\n  option httpchk\n  \
         http-check send meth GET uri {} hdr User-Agent ELB-HealthChecker/2.0\n  \
         http-check expect status {}\n  timeout check {}ms\n",
        it.name,
        it.check.path,
        it.check.codes,
        it.check.timeout.as_millis()
    );
    for (name, address) in &it.targets {
        let _ = writeln!(text, "  server {name} {}", server_line(it, *address));
    }
}

fn server_line(it: &TargetGroup, address: Ipv4Addr) -> String {
    format!(
        "{address}:{} check port {} inter {}ms rise {} fall {}",
        it.port,
        it.check.port,
        it.check.interval.as_millis(),
        it.check.healthy,
        it.check.unhealthy
    )
}

/// A pattern of ELB as a regular expression.
fn expression(pattern: &str) -> String {
    let mut out = String::from("^");
    for it in pattern.chars() {
        match it {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            it if it.is_ascii_alphanumeric() || "/_-~@:".contains(it) => out.push(it),
            // Everything else loses its meaning, for the expression and for the configuration file.
            it => {
                let _ = write!(out, "\\\\x{:02x}", u32::from(it));
            }
        }
    }
    out.push('$');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths_and_nothing_in_them_is_special() {
        assert_eq!(expression("/"), "^/$");
        assert_eq!(expression("/img/*.p?g"), r"^/img/.*\\x2ep.g$");
        assert_eq!(expression("/a b$"), r"^/a\\x20b\\x24$");
    }
}
