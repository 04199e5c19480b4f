//! The shared files' door in one zone. A node's name is its zone's: `mount-target/ap-northeast-2a`.

use std::{collections::HashMap, time::Duration};

use aws_sdk_ec2::types::Filter;
use serde::Serialize;

use super::{
    FileSystem, SecurityGroup, Subnet,
    file_system::{file_systems, phase},
};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Output, Ref, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct MountTarget {
    pub file_system: Ref<FileSystem>,
    pub subnet: Ref<Subnet>,
    pub groups: Vec<Ref<SecurityGroup>>,
}

impl MountTarget {
    /// Its address, for hosts on which the file system's name does not resolve yet.
    pub const IP: Output<MountTarget> = Output::new("ip");
}

impl Resource for MountTarget {
    const KIND: &'static str = "mount-target";
    const FIXED: &'static [&'static str] = &["file_system", "subnet"];
    const USUALLY: Duration = Duration::from_secs(90);
    const PATIENCE: Duration = Duration::from_secs(900);
    const LINGERS: bool = true;

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut targets = Vec::new();
        for it in file_systems(aws).await?.iter() {
            let describe = aws.efs.describe_mount_targets().file_system_id(it.file_system_id());
            let mut pages = describe.into_paginator().items().send();
            loop {
                match pages.try_next().await.map_err(aws::Error::from) {
                    Ok(Some(it)) => targets.push(it),
                    // One that is being deleted may be gone by now.
                    Err(err) if !err.is_missing() => return Err(err),
                    _ => break,
                }
            }
        }
        let interfaces: Vec<_> = targets.iter().filter_map(|it| it.network_interface_id()).collect();
        let groups = groups_of(&interfaces, aws).await?;
        let found = targets.iter().map(|it| {
            let groups = it.network_interface_id().and_then(|it| groups.get(it));
            let spec = MountTarget {
                file_system: Ref::id(Some(it.file_system_id())),
                subnet: Ref::id(Some(it.subnet_id())),
                groups: groups.cloned().unwrap_or_default(),
            };
            let target =
                Found::untagged(it.availability_zone_name().unwrap_or_default(), it.mount_target_id(), spec);
            target.phase(phase(it.life_cycle_state())).out(Self::IP, it.ip_address().unwrap_or_default())
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.efs.create_mount_target().file_system_id(cx.id(self.file_system));
        let create = create.subnet_id(cx.id(self.subnet)).set_security_groups(Some(cx.ids(&self.groups)));
        Ok(create.send().await?.mount_target_id)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let modify = cx.aws.efs.modify_mount_target_security_groups().mount_target_id(&have.id);
        modify.set_security_groups(Some(cx.ids(&self.groups))).send().await?;
        Ok(())
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.efs.delete_mount_target().mount_target_id(&have.id).send().await?;
        Ok(())
    }
}

/// The security groups by interface: EFS itself answers for one mount target at a time only.
async fn groups_of(interfaces: &[&str], aws: &Aws) -> aws::Result<HashMap<String, Vec<Ref<SecurityGroup>>>> {
    let mut groups = HashMap::new();
    if interfaces.is_empty() {
        return Ok(groups);
    }
    let ids = interfaces.iter().map(ToString::to_string).collect();
    let filter = Filter::builder().name("network-interface-id").set_values(Some(ids)).build();
    let seen = aws.ec2.describe_network_interfaces().filters(filter).send().await?;
    for it in seen.network_interfaces() {
        let ids = it.groups().iter().map(|it| Ref::id(it.group_id())).collect();
        groups.insert(it.network_interface_id().unwrap_or_default().to_owned(), ids);
    }
    Ok(groups)
}
