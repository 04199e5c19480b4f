//! A small cloud on one Linux machine.
//!
//! A [`Region`] is one private tree of namespaces; an [`Instance`] in it is a Debian with a real systemd.
//! Dropping the region, or killing the program that made it, ends everything and leaves nothing behind.
//!
//! ```no_run
//! let region = rehearsal::Region::start()?;
//! let web = region.instance("web1").image(rehearsal::Image::web()).boot()?;
//! assert!(web.sh("systemctl is-active apache2")?.starts_with("active"));
//! # Ok::<(), anyhow::Error>(())
//! ```

mod accept;
mod authority;
mod balancer;
mod builder;
mod cgroups;
pub mod cli;
mod cloud;
mod command;
mod database;
mod doctor;
mod edge;
mod files;
mod forward;
mod image;
mod inside;
mod instance;
mod keeper;
mod metadata;
mod packages;
mod region;
mod roles;
mod state;
mod user;
mod vpc;
mod wire;

pub use authority::{Authority, Certificate};
pub use balancer::{Balancer, BalancerSpec, Check, Health, Listener, PathRule, TargetGroup, TargetState};
pub use builder::Builder;
pub use cloud::{Cloud, ControlPlane, Fault, FaultKind, Options, Status};
pub use command::{Output, Running};
pub use database::{Around, Database, DatabaseEvent, DatabaseSpec};
pub use doctor::{Finding, doctor};
pub use edge::Viewer;
pub use files::FileSystem;
pub use forward::Forward;
pub use image::Image;
pub use instance::Instance;
pub use ipnet::Ipv4Net;
pub use keeper::PACKAGES;
pub use metadata::{Metadata, Role};
pub use region::Region;
pub use state::State;
pub use vpc::{Group, Network, Peer, Port, Protocol, Rule, Subnet, Vpc, WayOut};
pub use wire::{Phase, Place, Service};

/// Where the operator of a region is, as its hosts see it.
pub const OPERATOR: std::net::Ipv4Addr = inside::router::OPERATOR;

/// Where programs are, inside and outside.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
