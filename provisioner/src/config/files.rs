//! The shared file system.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::findings::Findings;

/// EFS, mounted by every host at /var/www/html/efs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// "generalPurpose" or "maxIO" (more parallel, slower each; not with elastic throughput).
    pub performance_mode: PerformanceMode,
    /// "bursting" (grows with what is stored), "elastic" (pay per use) or "provisioned".
    pub throughput_mode: ThroughputMode,
    /// MiB/s for "provisioned"; 0 otherwise.
    #[schemars(range(min = 0, max = 3414))]
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

pub(super) fn check(config: &Config, found: &mut Findings) {
    let files = &config.files;
    if files.performance_mode == PerformanceMode::MaxIo && files.throughput_mode == ThroughputMode::Elastic {
        let rule = "EFS has no maxIO with elastic throughput";
        let remedy = "write \"generalPurpose\", or throughput_mode = \"bursting\"";
        found
            .add("files.performance_mode", "maxIO", rule, remedy)
            .because("files.throughput_mode")
            .related("files.throughput_mode", "elastic here");
    }
    let provisioned = files.throughput_mode == ThroughputMode::Provisioned;
    if provisioned && files.provisioned_mibps == 0 {
        let rule = "provisioned throughput needs its number of MiB/s";
        let remedy = "set files.provisioned_mibps, such as 10, or throughput_mode = \"bursting\"";
        found.add("files.provisioned_mibps", 0, rule, remedy).because("files.throughput_mode");
    }
    if !provisioned && files.provisioned_mibps != 0 {
        let rule = "has no meaning unless throughput is provisioned";
        let remedy = "set files.throughput_mode = \"provisioned\", or remove this";
        found.add("files.provisioned_mibps", files.provisioned_mibps, rule, remedy);
    }
}

impl PerformanceMode {
    /// EFS's own word.
    pub fn as_str(self) -> &'static str {
        match self {
            PerformanceMode::GeneralPurpose => "generalPurpose",
            PerformanceMode::MaxIo => "maxIO",
        }
    }
}

impl ThroughputMode {
    /// EFS's own word.
    pub fn as_str(self) -> &'static str {
        match self {
            ThroughputMode::Bursting => "bursting",
            ThroughputMode::Elastic => "elastic",
            ThroughputMode::Provisioned => "provisioned",
        }
    }
}
