//! The bastions and the private hosts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::findings::Findings;

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
    #[schemars(range(min = 1, max = 100))]
    pub public_per_zone: u32,
    /// Private hosts in each zone: private-ec2-a1, private-ec2-a2, …
    #[schemars(range(min = 1, max = 100))]
    pub private_per_zone: u32,
    /// Make the public hosts after the first from the first one's image, as in the lab. Off: all start
    /// from the plain image, and no image of a public host is made.
    pub public_copies: bool,
    /// Size of the root volume (gp3) in GiB.
    #[schemars(range(min = 8, max = 65536))]
    pub volume_gib: u32,
    /// How many network hops the metadata service answers over: 1 keeps containers and proxies out.
    #[schemars(range(min = 1, max = 64))]
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

pub(super) fn check(config: &Config, found: &mut Findings) {
    let hosts = &config.hosts;
    let is_parameter = hosts.image.starts_with('/') && hosts.image.len() > 1 && !hosts.image.ends_with('/');
    if !is_parameter && !is_image(&hosts.image) {
        let rule = "is neither an image's id nor the name of a public parameter";
        let remedy =
            format!("write an id such as \"ami-0123456789abcdef0\", or {:?}", Hosts::default().image);
        found.add("hosts.image", &hosts.image, rule, remedy);
    }
    instance_type("hosts.public_type", &hosts.public_type, config, found);
    instance_type("hosts.private_type", &hosts.private_type, config, found);
}

/// An instance type that fits the image.
pub(super) fn instance_type(key: &str, value: &str, config: &Config, found: &mut Findings) {
    if !is_instance_type(value) {
        let remedy = "write a family, a dot and a size, such as \"t3.micro\"";
        found.add(key, value, "is not an instance type", remedy);
    } else if is_arm(value) && config.hosts.image.ends_with("x86_64") {
        let rule = "is an ARM type, but the image is for x86_64";
        let remedy = "take an x86_64 type such as \"t3.micro\", or an arm64 image (and lampd built for it)";
        found.add(key, value, rule, remedy).related("hosts.image", "this image");
    }
}

/// `ami-` and 8 or 17 hexadecimal digits.
pub(super) fn is_image(id: &str) -> bool {
    let is_hex = |it: &str| it.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    id.strip_prefix("ami-").is_some_and(|it| is_hex(it) && (it.len() == 8 || it.len() == 17))
}

fn is_instance_type(text: &str) -> bool {
    let fits = |it: &str| it.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    text.split_once('.').is_some_and(|(family, size)| {
        family.starts_with(|c: char| c.is_ascii_lowercase())
            && family.contains(|c: char| c.is_ascii_digit())
            && fits(family)
            && !size.is_empty()
            && fits(size)
    })
}

/// AWS marks its own processors by a g behind the generation: t4g, m7gd; a1 came before.
fn is_arm(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    let behind = family.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let behind = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    let attributes = behind.split('-').next().unwrap_or_default();
    family == "a1" || attributes.contains('g')
}
