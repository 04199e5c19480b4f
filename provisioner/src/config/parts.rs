//! Which parts of the lab a stack has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::findings::Findings;

/// Each part can be left out; what only it needs is left out with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parts {
    /// The VPC with its subnets, gateways and routes. When left out: true unless the site is all there is.
    pub network: bool,
    /// The bastions in the public subnets, with their load balancer.
    pub public_hosts: bool,
    /// The hosts in the private subnets, with their load balancer.
    pub private_hosts: bool,
    /// The Auto Scaling group, with its launch template, policy and load balancer.
    pub scaling_group: bool,
    /// The shared file system with a mount target per zone.
    pub files: bool,
    /// The Multi-AZ database.
    pub database: bool,
    /// The database's read replica. When left out: true if there is a database.
    pub replica: bool,
    /// The static site: bucket and CloudFront distribution.
    pub site: bool,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts {
            network: true,
            public_hosts: true,
            private_hosts: true,
            scaling_group: true,
            files: true,
            database: true,
            replica: true,
            site: true,
        }
    }
}

impl Parts {
    /// Whether there is any host, and so need for the role, the parameters and the agent's artefact.
    pub fn has_hosts(&self) -> bool {
        self.public_hosts || self.private_hosts || self.scaling_group
    }
}

/// Parts that cannot be without one another.
pub(super) fn check(config: &Config, found: &mut Findings) {
    let parts = &config.parts;
    if parts.replica && !parts.database {
        let rule = "a read replica needs the database that it copies";
        let remedy = "set parts.database = true or parts.replica = false";
        found.add("parts.replica", true, rule, remedy).related("parts.database", "switched off here");
    }
    let inside = [
        ("public_hosts", parts.public_hosts),
        ("private_hosts", parts.private_hosts),
        ("scaling_group", parts.scaling_group),
        ("files", parts.files),
        ("database", parts.database),
    ];
    let inside: Vec<&str> = inside.into_iter().filter(|it| it.1).map(|it| it.0).collect();
    if !parts.network && !inside.is_empty() {
        let remedy = format!("set parts.network = true, or switch off {}", inside.join(", "));
        found.add("parts.network", false, "the other parts need the network to stand in", remedy);
    }
    if !parts.network && !parts.site && inside.is_empty() {
        let rule = "nothing is left to build";
        found.add("parts.network", false, rule, "set parts.network = true or parts.site = true");
    }
}
