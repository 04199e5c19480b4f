//! Cables: a network namespace per place, at the end of its own cable to a router.
//!
//! There is no bridge: every packet, also between neighbours, is routed, so that one place can filter it.

use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use ipnet::Ipv4Net;
use nix::sched::{CloneFlags, unshare};

/// Where namespaces have names, as `ip netns` has it.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// Makes a network namespace with a name and one interface, `ens5`. Runs in the router's namespace.
pub(super) fn add(name: &str, number: u32, address: Ipv4Addr, subnet: Ipv4Net) -> anyhow::Result<()> {
    let path = make(name)?;
    let gateway = nth(subnet, 1);
    let port = port(number);
    let mac = crate::metadata::mac(address);
    let prefix = subnet.prefix_len();
    ip(&format!(
        "link add {port} type veth peer name ens5 address {mac} netns {name}\n\
         addr replace {gateway}/32 dev lo\nlink set {port} up\nroute replace {address}/32 dev {port}\n"
    ))
    .and_then(|()| {
        super::within(&path, || {
            // Neighbours, too, are reached through the gateway: there is no wire between them.
            ip(&format!(
                "link set lo up\naddr add {address}/{prefix} dev ens5 noprefixroute\nlink set ens5 up\n\
                 route add {gateway} dev ens5 scope link\nroute add default via {gateway} dev ens5\n"
            ))
        })
    })
    .inspect_err(|_| remove(name))
}

/// Takes a namespace away; its cable goes with it.
pub(super) fn remove(name: &str) {
    let path = path(name);
    let _ = nix::mount::umount2(&path, nix::mount::MntFlags::MNT_DETACH);
    let _ = fs::remove_file(path);
}

/// Takes the cable away, even if somebody still holds the namespace at its other end.
pub(super) fn unplug(number: u32) -> anyhow::Result<()> {
    if nix::net::if_::if_nametoindex(port(number).as_str()).is_err() {
        return Ok(());
    }
    ip(&format!("link del {}\n", port(number)))
}

/// Pulls the cable at the router's side, or plugs it in.
pub(super) fn link(number: u32, address: Ipv4Addr, up: bool) -> anyhow::Result<()> {
    let port = port(number);
    if up {
        return ip(&format!("link set {port} up\nroute replace {address}/32 dev {port}\n"));
    }
    ip(&format!("link set {port} down\n"))
}

pub(super) fn path(name: &str) -> PathBuf {
    Path::new(NAMESPACES).join(name)
}

/// An address of a block; its last one if there are not so many.
pub(super) fn nth(block: Ipv4Net, number: u32) -> Ipv4Addr {
    let last = u32::from(block.broadcast());
    Ipv4Addr::from(u32::from(block.network()).saturating_add(number).min(last))
}

/// The router's end of a cable.
pub(super) fn port(number: u32) -> String {
    format!("port{number}")
}

pub(super) fn make(name: &str) -> anyhow::Result<PathBuf> {
    let path = path(name);
    if path.exists() {
        bail!("the region already has a place {name}");
    }
    File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let made = std::thread::scope(|scope| {
        let work = || {
            unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace")?;
            super::bind(Path::new("/proc/thread-self/ns/net"), &path)
        };
        scope.spawn(work).join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of the region broke")))
    });
    made.map(|()| path)
}

pub(super) fn sysctl(name: &str, value: &str) -> anyhow::Result<()> {
    // This path answers for the network namespace of the thread that opens it.
    let file = format!("/proc/sys/net/ipv4/{name}");
    fs::write(&file, value).with_context(|| format!("writing {value} to {file}"))
}

/// Lines for `ip -batch`, in the namespace of the calling thread.
pub(super) fn ip(batch: &str) -> anyhow::Result<()> {
    feed(Command::new("ip").args(["-batch", "-"]), batch, "iproute2")
}

/// Runs a tool that reads its orders from standard input.
pub(super) fn feed(command: &mut Command, text: &str, package: &str) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running {name} (package {package})"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).with_context(|| format!("talking to {name}"))?;
    }
    let said = child.wait_with_output().with_context(|| format!("running {name}"))?;
    if !said.status.success() {
        bail!("{name} refused `{}`: {}", text.trim(), String::from_utf8_lossy(&said.stderr).trim());
    }
    Ok(())
}
