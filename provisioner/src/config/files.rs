//! The shared file system.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// EFS, mounted by every host at /var/www/html/efs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// "generalPurpose" or "maxIO" (more parallel, slower each; not with elastic throughput).
    pub performance_mode: PerformanceMode,
    /// "bursting" (grows with what is stored), "elastic" (pay per use) or "provisioned".
    pub throughput_mode: ThroughputMode,
    /// MiB/s for "provisioned"; 0 otherwise.
    pub provisioned_mibps: u32,
    /// Automatic daily backups (AWS Backup).
    pub backups: bool,
    /// How hosts mount it: "tls" (amazon-efs-utils) or "nfs" (plain NFS 4.1, which anyone who can
    /// listen on the network can read).
    pub transport: Transport,
}

impl Default for Files {
    fn default() -> Files {
        Files {
            performance_mode: PerformanceMode::GeneralPurpose,
            throughput_mode: ThroughputMode::Bursting,
            provisioned_mibps: 0,
            backups: false,
            transport: Transport::Tls,
        }
    }
}

/// EFS's own words for its performance modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PerformanceMode {
    #[serde(rename = "generalPurpose")]
    GeneralPurpose,
    #[serde(rename = "maxIO")]
    MaxIo,
}

/// EFS's own words for its throughput modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ThroughputMode {
    Bursting,
    Elastic,
    Provisioned,
}

/// How a host speaks to the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Tls,
    Nfs,
}
