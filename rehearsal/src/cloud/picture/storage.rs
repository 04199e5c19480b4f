//! The file systems and databases of the picture.

use std::collections::BTreeMap;

use anyhow::Context;

use super::{DatabasePlan, MountTargetPlan, Picture};
use crate::cloud::clients::Clients;

/// Settings that mean the same to MariaDB.
const TAKEN: [&str; 4] = ["require_secure_transport", "max_connections", "general_log", "slow_query_log"];

impl Picture {
    pub(super) async fn read_files(&mut self, aws: &Clients) -> anyhow::Result<()> {
        let systems = aws.efs.describe_file_systems().send().await.context("file systems")?;
        for system in systems.file_systems() {
            let name = system.tags().iter().find(|it| it.key() == "Name").map(|it| it.value());
            self.file_systems.insert(system.file_system_id().to_owned(), name.unwrap_or_default().to_owned());
            let targets =
                aws.efs.describe_mount_targets().file_system_id(system.file_system_id()).send().await;
            for it in targets.context("mount targets")?.mount_targets() {
                let id = it.mount_target_id();
                let groups = aws.efs.describe_mount_target_security_groups().mount_target_id(id).send().await;
                let groups = groups.context("groups of a mount target")?.security_groups().to_vec();
                let Some(address) = it.ip_address().and_then(|it| it.parse().ok()) else { continue };
                let plan = MountTargetPlan {
                    file_system: system.file_system_id().to_owned(),
                    address,
                    subnet: it.subnet_id().to_owned(),
                    groups,
                };
                self.mount_targets.insert(id.to_owned(), plan);
            }
        }
        Ok(())
    }

    pub(super) async fn read_databases(&mut self, aws: &Clients) -> anyhow::Result<()> {
        let all = aws.rds.describe_db_instances().send().await.context("instances")?;
        for it in all.db_instances() {
            let (Some(name), Some(endpoint)) =
                (it.db_instance_identifier(), it.endpoint().and_then(|it| it.address()))
            else {
                continue;
            };
            let own = it.availability_zone();
            let mut subnets: Vec<(bool, String)> = it
                .db_subnet_group()
                .map(|it| it.subnets())
                .unwrap_or_default()
                .iter()
                .filter_map(|it| {
                    let zone = it.subnet_availability_zone().and_then(|it| it.name());
                    Some((zone != own, it.subnet_identifier()?.to_owned()))
                })
                .collect();
            subnets.sort();
            let mut parameters = BTreeMap::new();
            for group in it.db_parameter_groups().iter().filter_map(|it| it.db_parameter_group_name()) {
                if group.starts_with("default.") {
                    continue;
                }
                let read = aws.rds.describe_db_parameters().db_parameter_group_name(group).send().await;
                for it in read.context("parameters")?.parameters() {
                    if let (Some(name), Some(value)) = (it.parameter_name(), it.parameter_value())
                        && TAKEN.contains(&name)
                    {
                        parameters.insert(name.to_owned(), value.to_owned());
                    }
                }
            }
            let groups = it.vpc_security_groups().iter().filter_map(|it| it.vpc_security_group_id());
            let port = it.endpoint().and_then(|it| u16::try_from(it.port()?).ok());
            let plan = DatabasePlan {
                endpoint: endpoint.to_owned(),
                port: port.filter(|it| *it > 0).unwrap_or(3306),
                user: it.master_username().unwrap_or("admin").to_owned(),
                database: it.db_name().unwrap_or("main").to_owned(),
                multi_az: it.multi_az().unwrap_or(false),
                subnets: subnets.into_iter().map(|it| it.1).collect(),
                groups: groups.map(str::to_owned).collect(),
                parameters,
                source: it.read_replica_source_db_instance_identifier().map(str::to_owned),
            };
            self.databases.insert(name.to_owned(), plan);
        }
        Ok(())
    }
}
