//! The static site: a bucket and CloudFront before it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// S3 and CloudFront.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// Region of the bucket.
    pub region: String,
    /// The bucket's name, unique in the world. When left out: <stack>-site-<account>-<region>.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Folder that is synchronised into the bucket, relative to this file. When left out: a small
    /// page that comes with lamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// What CloudFront serves for "/".
    pub default_root_object: String,
    /// What the public website (unsafe_choices.public_website) serves for a folder.
    pub index_document: String,
    /// What the public website serves for an error.
    pub error_document: String,
    /// Seconds that browsers and CloudFront may keep an object (its Cache-Control header).
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
    /// ARN of a certificate (ACM, in us-east-1) for these names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// An existing bucket for CloudFront's access logs. When left out: no logs.
    #[serde(skip_serializing_if = "Option::is_none")]
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
