//! `lamp.toml` as typed values: every default is the lab's, an empty file is the lab.

// The values, section by section, each with its rules.
mod access;
mod agent;
mod balancers;
mod database;
mod files;
mod hosts;
mod names;
mod network;
mod parts;
mod scaling;
mod site;
mod tags;
mod unsafe_choices;
// What follows from them.
mod derived;
// From text to values, with all mistakes at once.
mod aws_names;
mod defaults;
mod edit;
mod findings;
mod issue;
mod key;
mod load;
mod shape;
mod used_names;
// And back to text.
mod init;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use access::Access;
pub use agent::Agent;
pub use balancers::{Balancers, HealthCheck};
pub use database::{Database, LogExport, Server};
pub use derived::{Behind, EntrancePlan, PlacePlan, SubnetPlan, Tier};
pub use edit::with_key;
pub use files::{Files, PerformanceMode, ThroughputMode, Transport};
pub use hosts::Hosts;
pub use init::{schema, template};
pub use issue::{ConfigErrors, Issue};
pub use load::{Paths, SaidRegion, load, parse, read_at};
pub use names::Names;
pub use network::{Cidr, Nat, Network};
pub use parts::Parts;
pub use scaling::{HealthCheckType, Process, Scaling, ScalingImage, TerminationPolicy};
pub use site::{CachePolicy, PriceClass, Site};
pub use unsafe_choices::UnsafeChoices;

/// The stack's name when the file does not give one. All names of the lab derive from it.
pub const LAB: &str = "lab-vpc";

/// One stack: which parts it has, what they are called and how they are set up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The stack's name. It marks every resource (tag lamp:stack), is the path of the hosts' parameters
    /// (/lamp/<stack>/) and begins the names of most resources, so stacks of different names can live
    /// side by side in one account.
    pub stack: String,
    /// The AWS region.
    pub region: String,
    /// Two or more availability zones of that region. When left out: its zones a and c.
    pub zones: Vec<String>,
    /// What to build. Switch off what you do not want.
    pub parts: Parts,
    /// Addresses: the VPC, its subnets and the ways in and out.
    pub network: Network,
    /// Who may log in, and where the private keys lie.
    pub access: Access,
    /// The bastions (public hosts) and the private hosts.
    pub hosts: Hosts,
    /// The shared file system (EFS).
    pub files: Files,
    /// The database (RDS) and its read replica.
    pub database: Database,
    /// The load balancers, their listeners and health checks.
    pub balancers: Balancers,
    /// The Auto Scaling group.
    pub scaling: Scaling,
    /// The static site: S3 and CloudFront.
    pub site: Site,
    /// The agent that makes each host a web server.
    pub agent: Agent,
    /// What the resources are called. When left out, names derive from the stack's name; those of the
    /// lab that do not contain it (such as public-ec2-a1) get it as a prefix in any other stack.
    pub names: Names,
    /// The lab's choices that are unsafe today. All are off; each says what it would open.
    pub unsafe_choices: UnsafeChoices,
    /// More tags for every resource, such as team = "web". lamp's own tags are always set.
    pub tags: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            stack: LAB.into(),
            region: "ap-northeast-2".into(),
            zones: vec!["ap-northeast-2a".into(), "ap-northeast-2c".into()],
            parts: Parts::default(),
            network: Network::default(),
            access: Access::default(),
            hosts: Hosts::default(),
            files: Files::default(),
            database: Database::default(),
            balancers: Balancers::default(),
            scaling: Scaling::default(),
            site: Site::default(),
            agent: Agent::default(),
            names: Names::default(),
            unsafe_choices: UnsafeChoices::default(),
            tags: BTreeMap::new(),
        }
    }
}
