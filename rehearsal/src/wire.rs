//! What is said between the outside and a region, over a Unix socket that also carries file descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use ipnet::Ipv4Net;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::metadata::Metadata;
use crate::vpc::Network;

/// Where in the region something happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// The router of the region's own network; has the address 10.1.0.2.
    Router,
    /// What lies beyond the internet gateway; its server has the address 198.51.100.1, and who connects from
    /// there comes from 198.51.100.10.
    Internet,
    /// An instance, or a bare network namespace made by [`crate::Region::namespace`].
    Named(String),
}

impl From<&str> for Place {
    fn from(name: &str) -> Place {
        Place::Named(name.to_owned())
    }
}

/// What the outside asks of a region; one connection each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// A network namespace with one interface.
    Namespace {
        name: String,
        address: Ipv4Addr,
    },
    RemoveNamespace {
        name: String,
    },
    /// Says a line to whoever connects there, as long as the region lives.
    Greet {
        place: Place,
        at: SocketAddrV4,
        text: String,
    },
    /// Makes an instance without starting it.
    Create(InstanceSpec),
    /// Writes the attached file into an instance that does not run.
    Put {
        name: String,
        path: String,
        mode: u32,
    },
    Start {
        name: String,
    },
    State {
        name: String,
    },
    Signal {
        name: String,
        signal: Signal,
    },
    /// Copies what it has written so far, whether it runs or not.
    Snapshot {
        name: String,
        layer: PathBuf,
    },
    /// Ends it; what it wrote is deleted or moved there, to become a layer of an image.
    Remove {
        name: String,
        layer: Option<PathBuf>,
    },
    /// Deletes a directory of the region's.
    Discard {
        dir: PathBuf,
    },
    /// Runs a command with the three attached descriptors; answered when it started and when it ended.
    Exec {
        place: Place,
        command: Exec,
    },
    /// A connection from inside, handed out.
    Dial {
        place: Place,
        to: SocketAddrV4,
    },
    /// A listening socket inside, handed out.
    Listen {
        place: Place,
        at: SocketAddrV4,
    },
    /// What a DNS name resolves to; nothing removes it.
    Name {
        name: String,
        addresses: Vec<Ipv4Addr>,
    },
    /// What a DNS name resolves to, by who asks; nobody at all removes it.
    NearName {
        name: String,
        near: Vec<Near>,
    },
    /// Lets an instance have at most this share of one processor, or as much as there is.
    Limit {
        name: String,
        share: Option<f64>,
    },
    /// Links of a place up or down.
    Link {
        name: String,
        up: bool,
    },
    /// What the metadata service tells an instance.
    Metadata {
        name: String,
        it: Option<Box<Metadata>>,
    },
    /// Deletes a file of an instance that does not run.
    Erase {
        name: String,
        path: String,
    },
    /// Silences a service of the region, or lets it speak again.
    Break {
        service: Service,
        broken: bool,
    },
    /// Lets a file system that is mounted answer no more, or again.
    Outage {
        of: String,
        over: bool,
    },
    /// Replaces what the routers do.
    Network(Network),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InstanceSpec {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    /// Topmost first.
    pub(crate) layers: Vec<PathBuf>,
    /// Share of one processor.
    pub(crate) cpu: Option<f64>,
}

/// What every instance relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Service {
    /// The metadata service.
    Metadata,
    /// Names.
    Names,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Signal {
    /// As the power button: services end in order.
    Stop,
    Reboot,
    /// As a power cut.
    Kill,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Exec {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
}

/// An address for those who ask from a block of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Near {
    pub(crate) vpc: String,
    pub(crate) block: Ipv4Net,
    pub(crate) address: Ipv4Addr,
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Made, never started.
    Created,
    /// Its first process lives.
    Running,
    /// It powered itself off.
    Stopped,
    /// Its first process was killed or died.
    Crashed,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// How often it was started, reboots included.
    pub(crate) boots: u32,
    /// Its first process, as the region numbers it.
    pub(crate) pid: Option<i32>,
    /// Processor time used by all its boots.
    pub(crate) cpu: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    State(State),
    Started,
    /// As a shell would say it: above 128 is a signal.
    Exited(i32),
    /// A descriptor is attached.
    Handed,
}

/// Longer messages than this are a mistake.
const LONGEST: usize = 1 << 20;

/// Sends one message: four bytes of length, then JSON; descriptors travel with the length.
pub(crate) fn send<T: Serialize>(to: &UnixStream, message: &T, fds: &[RawFd]) -> anyhow::Result<()> {
    let body = serde_json::to_vec(message)?;
    let head = u32::try_from(body.len())?.to_be_bytes();
    let rights = [ControlMessage::ScmRights(fds)];
    let extra = if fds.is_empty() { &[][..] } else { &rights[..] };
    let sent =
        sendmsg::<UnixAddr>(to.as_raw_fd(), &[IoSlice::new(&head)], extra, MsgFlags::MSG_NOSIGNAL, None)
            .context("sending to the region")?;
    if sent != head.len() {
        bail!("the region took {sent} of {} bytes", head.len());
    }
    std::io::Write::write_all(&mut &*to, &body).context("sending to the region")
}

/// Receives one message; `None` when the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(from: &UnixStream) -> anyhow::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut head = [0; 4];
    let mut fds = Vec::new();
    let read = {
        let mut space = nix::cmsg_space!([RawFd; 3]);
        let mut into = [IoSliceMut::new(&mut head)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_WAITALL;
        let got = recvmsg::<UnixAddr>(from.as_raw_fd(), &mut into, Some(&mut space), flags);
        let got = got.context("receiving from the region")?;
        for message in got.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = message {
                // SAFETY: the kernel has just made these descriptors for us, and nobody else knows them.
                fds.extend(raw.into_iter().map(|it| unsafe { OwnedFd::from_raw_fd(it) }));
            }
        }
        got.bytes
    };
    match read {
        0 => return Ok(None),
        4 => {}
        n => bail!("the region's message ended after {n} bytes"),
    }
    let length = u32::from_be_bytes(head) as usize;
    if length > LONGEST {
        bail!("the region's message of {length} bytes is too long");
    }
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut &*from, &mut body).context("receiving from the region")?;
    Ok(Some((serde_json::from_slice(&body)?, fds)))
}

/// Answers are results: errors arrive as their text.
pub(crate) type Reply = Result<Answer, String>;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_descriptor_travels_with_its_message() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut left, right) = UnixStream::pair().unwrap();
        send(&a, &Ask::Start { name: "web1".into() }, &[right.as_raw_fd()]).unwrap();
        drop((a, right));
        let (ask, mut fds) = receive::<Ask>(&b).unwrap().unwrap();
        assert!(matches!(ask, Ask::Start { name } if name == "web1"));
        UnixStream::from(fds.remove(0)).write_all(b"over there").unwrap();
        let mut said = String::new();
        left.read_to_string(&mut said).unwrap();
        assert_eq!(said, "over there");
        assert!(receive::<Ask>(&b).unwrap().is_none());
    }
}
