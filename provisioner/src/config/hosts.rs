//! The bastions and the private hosts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the hosts are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hosts {
    /// Where plain hosts start from: an image (ami-…) or a public parameter that names one.
    pub image: String,
    /// Instance type of the public hosts (the lab's t2.micro has a successor).
    pub public_type: String,
    /// Instance type of the private hosts.
    pub private_type: String,
    /// Public hosts in each zone: public-ec2-a1, public-ec2-a2, …
    pub public_per_zone: u32,
    /// Private hosts in each zone: private-ec2-a1, private-ec2-a2, …
    pub private_per_zone: u32,
    /// Make the public hosts after the first from the first one's image, as in the lab. Off: all start
    /// from the plain image, and no image of a public host is made.
    pub public_copies: bool,
    /// Size of the root volume (gp3) in GiB.
    pub volume_gib: u32,
    /// How many network hops the metadata service answers over: 1 keeps containers and proxies out.
    pub metadata_hops: u32,
    /// One-minute CloudWatch metrics instead of five-minute ones (paid). The scaling group has its own.
    pub detailed_monitoring: bool,
}

impl Default for Hosts {
    fn default() -> Hosts {
        Hosts {
            image: "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64".into(),
            public_type: "t3.micro".into(),
            private_type: "t3.micro".into(),
            public_per_zone: 1,
            private_per_zone: 1,
            public_copies: true,
            volume_gib: 8,
            metadata_hops: 1,
            detailed_monitoring: false,
        }
    }
}
