//! The lab's choices that are unsafe today, each behind a switch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All off by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnsafeChoices {
    /// SSH to the bastions from any address: the whole internet may try. Rather name yours in
    /// access.ssh_from.
    pub ssh_from_anywhere: bool,
    /// Ports 80 and 443 of the hosts open to everybody, past the load balancer and its checks.
    pub web_from_anywhere: bool,
    /// Hosts answer version 1 of the metadata service, which hands the role's credentials to anyone
    /// who can make a host fetch a URL.
    pub metadata_v1: bool,
    /// Volumes and images of the hosts unencrypted.
    pub unencrypted_volumes: bool,
    /// The shared file system unencrypted (cannot be changed later).
    pub unencrypted_files: bool,
    /// The database's storage and backups unencrypted (cannot be changed later).
    pub unencrypted_database: bool,
    /// The database's port open to all of the VPC instead of the hosts only.
    pub database_open_to_vpc: bool,
    /// The database accepts connections without TLS, and hosts use none: passwords and rows travel
    /// readable.
    pub database_without_tls: bool,
    /// The site's bucket readable by everybody over the S3 website endpoint (HTTP only), past CloudFront.
    pub public_website: bool,
    /// CloudFront answers plain HTTP instead of redirecting to HTTPS.
    pub site_over_http: bool,
    /// Balancers pass on malformed headers, which can smuggle requests past them.
    pub keep_invalid_headers: bool,
    /// Leave the rules of the VPC's default security group, through which whatever is put into it by
    /// mistake can talk.
    pub keep_default_group: bool,
}
