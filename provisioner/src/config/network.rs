//! Addresses: the VPC, its subnets and the ways in and out.

use std::fmt;
use std::str::FromStr;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The VPC and its subnets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The VPC's addresses: /16 to /28.
    pub vpc_cidr: Cidr,
    /// One public subnet per zone, in the order of zones. When left out: the VPC's subnets 1, 2, … of
    /// 256 addresses (less in a small VPC).
    pub public_cidrs: Vec<Cidr>,
    /// One private subnet per zone, for the private hosts and the scaling group. When left out: the
    /// next ones after the public.
    pub private_cidrs: Vec<Cidr>,
    /// One private subnet per zone, for the database. When left out: the next ones after the private.
    pub database_cidrs: Vec<Cidr>,
    /// The private subnets' way out: "per-zone" (a NAT gateway in every zone, as in the lab: a zone
    /// that fails takes no other with it), "single" (one for all zones: cheaper) or "none".
    pub nat: Nat,
    /// A gateway endpoint for S3: free, and traffic to buckets does not pass (and pay) the NAT gateways.
    pub s3_endpoint: bool,
}

impl Default for Network {
    fn default() -> Network {
        let nets = |octets: [u8; 2]| octets.map(|it| Cidr::new([10, 1, it, 0], 24)).to_vec();
        Network {
            vpc_cidr: Cidr::new([10, 1, 0, 0], 16),
            public_cidrs: nets([1, 2]),
            private_cidrs: nets([3, 4]),
            database_cidrs: nets([5, 6]),
            nat: Nat::PerZone,
            s3_endpoint: true,
        }
    }
}

/// How the private subnets reach the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    PerZone,
    Single,
    None,
}

/// A block of IPv4 addresses such as 10.1.0.0/16. May have bits set behind its prefix until it is checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cidr(pub Ipv4Net);

impl Cidr {
    /// Every IPv4 address.
    pub const ANYWHERE: Cidr = Cidr::new([0, 0, 0, 0], 0);

    const fn new(octets: [u8; 4], prefix: u8) -> Cidr {
        let [a, b, c, d] = octets;
        Cidr(Ipv4Net::new_assert(std::net::Ipv4Addr::new(a, b, c, d), prefix))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cidr {
    type Err = ipnet::AddrParseError;
    fn from_str(text: &str) -> Result<Cidr, Self::Err> {
        text.parse().map(Cidr)
    }
}

impl JsonSchema for Cidr {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cidr".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "ipv4-cidr",
            "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$"
        })
    }
}
