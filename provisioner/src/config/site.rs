//! The static site: a bucket and CloudFront before it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::aws_names;
use super::findings::Findings;
use super::key::Key;

/// S3 and CloudFront.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// Region of the bucket.
    pub region: String,
    /// The bucket's name, unique in the world. When left out:
    /// <stack>-site-<account>-<the stack's region>-<this region>.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"lab-site-2f9c")]
    pub bucket: Option<String>,
    /// Folder that is synchronised into the bucket, relative to this file. When left out: a small
    /// page that comes with lamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"site")]
    pub folder: Option<PathBuf>,
    /// What CloudFront serves for "/".
    pub default_root_object: String,
    /// What the public website (unsafe_choices.public_website) serves for a folder.
    pub index_document: String,
    /// What the public website serves for an error.
    pub error_document: String,
    /// Seconds that browsers and CloudFront may keep an object (its Cache-Control header).
    #[schemars(range(min = 0, max = 31536000))]
    pub max_age: u32,
    /// CloudFront's managed cache policy: "CachingOptimized" or "CachingDisabled".
    pub cache_policy: CachePolicy,
    /// Where CloudFront serves from: "PriceClass_100" (North America, Europe), "PriceClass_200" (and
    /// Asia, Middle East, Africa) or "PriceClass_All".
    pub price_class: PriceClass,
    /// Compress what can be compressed.
    pub compress: bool,
    /// Answer over IPv6, too.
    pub ipv6: bool,
    /// Names of your own for the site, such as ["www.example.org"]; they need a certificate.
    pub aliases: Vec<String>,
    /// ARN of a certificate (ACM, in us-east-1) for these names; then TLS 1.2 is the oldest that CloudFront
    /// takes. When left out: CloudFront's own certificate, for which AWS itself says which is the oldest (TLS 1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"arn:aws:acm:us-east-1:123456789012:certificate/0f1e2d3c")]
    pub certificate: Option<String>,
    /// An existing bucket for CloudFront's access logs. When left out: no logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"lab-logs")]
    pub log_bucket: Option<String>,
}

impl Default for Site {
    fn default() -> Site {
        Site {
            region: "us-east-1".into(),
            bucket: None,
            folder: None,
            default_root_object: "index.html".into(),
            index_document: "index.html".into(),
            error_document: "error.html".into(),
            max_age: 3600,
            cache_policy: CachePolicy::CachingOptimized,
            price_class: PriceClass::All,
            compress: true,
            ipv6: true,
            aliases: Vec::new(),
            certificate: None,
            log_bucket: None,
        }
    }
}

/// CloudFront's managed cache policies that suit a static site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CachePolicy {
    CachingOptimized,
    CachingDisabled,
}

impl CachePolicy {
    /// The policy's id, the same in every account.
    pub fn id(self) -> &'static str {
        match self {
            CachePolicy::CachingOptimized => "658327ea-f89d-4fab-a63d-7e88639e58f6",
            CachePolicy::CachingDisabled => "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
        }
    }
}

/// CloudFront's own words for how much of the world it serves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PriceClass {
    #[serde(rename = "PriceClass_100")]
    Cheapest,
    #[serde(rename = "PriceClass_200")]
    Middle,
    #[serde(rename = "PriceClass_All")]
    All,
}

pub(super) fn check(config: &Config, found: &mut Findings) {
    let site = &config.site;
    if !super::network::is_region(&site.region) {
        let remedy = "write a region's code, such as \"us-east-1\"";
        found.add("site.region", &site.region, "is not the code of an AWS region", remedy);
    } else if !super::network::is_in_reach(&site.region) {
        let remedy = "write a region of the others, such as \"us-east-1\"";
        found.add("site.region", &site.region, super::network::OUT_OF_REACH, remedy);
    }
    for (key, bucket) in [("site.bucket", &site.bucket), ("site.log_bucket", &site.log_bucket)] {
        if let Some(name) = bucket
            && !aws_names::BUCKET.accepts(name)
        {
            let rule = format!("S3 wants {}", aws_names::BUCKET.rule);
            found.add(key, name, rule, "write a name such as \"lab-site-2f9c\", or leave the key out");
        }
    }
    let documents = [
        ("site.default_root_object", &site.default_root_object),
        ("site.index_document", &site.index_document),
        ("site.error_document", &site.error_document),
    ];
    for (key, name) in documents {
        let is_plain = name.chars().all(|c| c.is_ascii_graphic()) && !name.is_empty() && name.len() <= 255;
        let has_slash =
            if key.ends_with("index_document") { name.contains('/') } else { name.starts_with('/') };
        if !is_plain || has_slash {
            let rule = "is not the name of an object: no slash before it, no spaces";
            found.add(key, name, rule, "write a name such as \"index.html\"");
        }
    }
    names_and_certificate(site, found);
}

fn names_and_certificate(site: &Site, found: &mut Findings) {
    let aliases = Key::from("site.aliases");
    found.no_twins("site.aliases", &site.aliases);
    for (at, name) in site.aliases.iter().enumerate().filter(|it| !is_host_name(it.1)) {
        let rule = "is not a host name of your own";
        found.add(aliases.index(at), name, rule, "write a name such as \"www.example.org\"");
    }
    if !site.aliases.is_empty() && site.certificate.is_none() && found.is_usable("site.certificate") {
        let rule = "CloudFront serves a name of yours only with a certificate for it";
        let remedy = "set site.certificate to the ARN of one (ACM, in us-east-1), or remove the names";
        found.add(&aliases, &site.aliases, rule, remedy);
    }
    if let Some(arn) = &site.certificate
        && !is_certificate(arn)
    {
        let rule = "is not the ARN of a certificate in us-east-1, the only region that CloudFront looks in";
        let remedy = "write it as \"arn:aws:acm:us-east-1:<account>:certificate/<id>\"";
        found.add("site.certificate", arn, rule, remedy);
    }
}

fn is_certificate(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    matches!(parts.as_slice(), ["arn", "aws", "acm", "us-east-1", account, id]
        if account.len() == 12
            && account.chars().all(|c| c.is_ascii_digit())
            && id.strip_prefix("certificate/").is_some_and(|it| !it.is_empty()))
}

/// Labels of letters, digits and hyphens with dots between; the first may be `*`.
fn is_host_name(name: &str) -> bool {
    let is_label = |it: &str| {
        (1..=63).contains(&it.len())
            && it.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !it.starts_with('-')
            && !it.ends_with('-')
    };
    let rest = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= 253 && rest.contains('.') && rest.split('.').all(is_label)
}

impl PriceClass {
    /// CloudFront's own word.
    pub fn as_str(self) -> &'static str {
        match self {
            PriceClass::Cheapest => "PriceClass_100",
            PriceClass::Middle => "PriceClass_200",
            PriceClass::All => "PriceClass_All",
        }
    }
}
