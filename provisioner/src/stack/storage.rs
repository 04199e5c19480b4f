//! The files that all hosts share.

use super::{firewall::Firewall, network::Network};
use crate::{
    config::Config,
    engine::{Ref, Stack},
    kinds::{FileSystem, MountTarget},
};

/// The file system and its doors, by zone.
pub(super) struct Storage {
    pub(super) file_system: Ref<FileSystem>,
    pub(super) targets: Vec<(String, Ref<MountTarget>)>,
}

pub(super) fn storage(s: &mut Stack, c: &Config, net: &Network, fw: &Firewall) -> Option<Storage> {
    let group = fw.files?;
    let spec = FileSystem {
        encrypted: !c.unsafe_choices.unencrypted_files,
        performance: c.files.performance_mode.as_str().into(),
        throughput: c.files.throughput_mode.as_str().into(),
        provisioned_mibps: c.files.provisioned_mibps,
        backups: c.files.backups,
    };
    let file_system = s.add_named("efs", &c.names.files, spec);
    let doors = c.zones.iter().zip(&net.private);
    let targets = doors.map(|(zone, subnet)| {
        let spec = MountTarget { file_system, subnet: *subnet, groups: vec![group] };
        (zone.clone(), s.add_named(zone, &c.names.files, spec))
    });
    let targets = targets.collect();
    Some(Storage { file_system, targets })
}
