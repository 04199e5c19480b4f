//! What is left of the databases: themselves, their snapshots and backups, and what they were made with.

use super::{ASKED_FOR, Leftover, NAMED, TAGGED, found, leftover};
use crate::{
    aws::{self, Aws},
    config::Config,
};

pub(super) async fn databases(c: &Config, aws: &Aws) -> aws::Result<Vec<Leftover>> {
    let mut left = Vec::new();
    let mut pages = aws.rds.describe_db_instances().into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        let id = it.db_instance_identifier().unwrap_or_default();
        if aws.is_ours(&Aws::from_rds(it.tag_list())) {
            left.push(leftover("rds", format!("instance {id}"), TAGGED));
        }
    }
    // Automated snapshots go with their database, these do not.
    let mut pages = aws.rds.describe_db_snapshots().snapshot_type("manual").into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        let id = it.db_snapshot_identifier().unwrap_or_default();
        if is_final_snapshot(id, &c.names.database) {
            left.push(leftover("rds", format!("snapshot {id}"), ASKED_FOR));
        } else if aws.is_ours(&Aws::from_rds(it.tag_list())) {
            left.push(leftover("rds", format!("snapshot {id}"), TAGGED));
        }
    }
    // Backups that outlive their database.
    let mut pages = aws.rds.describe_db_instance_automated_backups().into_paginator().items().send();
    loop {
        let it = match pages.try_next().await.map_err(aws::Error::from) {
            Ok(Some(it)) => it,
            Ok(None) => break,
            // Not every emulator keeps such backups.
            Err(_) if aws.endpoint.is_some() => break,
            Err(err) => return Err(err),
        };
        let id = it.db_instance_identifier().unwrap_or_default();
        if it.status() == Some("retained")
            && [&c.names.database, &c.names.replica].iter().any(|name| *name == id)
        {
            left.push(leftover("rds", format!("retained backup of {id}"), NAMED));
        }
    }
    let subnets =
        aws.rds.describe_db_subnet_groups().db_subnet_group_name(&c.names.database_subnets).send().await;
    if found(subnets.map(|it| !it.db_subnet_groups().is_empty()))? {
        left.push(leftover("rds", format!("subnet group {}", c.names.database_subnets), NAMED));
    }
    let parameters =
        aws.rds.describe_db_parameter_groups().db_parameter_group_name(&c.names.database_parameters);
    if found(parameters.send().await.map(|it| !it.db_parameter_groups().is_empty()))? {
        left.push(leftover("rds", format!("parameter group {}", c.names.database_parameters), NAMED));
    }
    Ok(left)
}

/// Whether this is the name of a snapshot that `down` makes when asked: `lab-vpc-rds-2026-11-22-2130`.
fn is_final_snapshot(id: &str, database: &str) -> bool {
    let end = id.strip_prefix(database).and_then(|it| it.strip_prefix('-'));
    end.is_some_and(|end| {
        let pattern = "dddd-dd-dd-dddd";
        end.len() == pattern.len()
            && end.bytes().zip(pattern.bytes()).all(|(is, want)| match want {
                b'd' => is.is_ascii_digit(),
                _ => is == want,
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_snapshot_that_was_asked_for_bears_its_databases_name_and_a_time() {
        assert!(is_final_snapshot("lab-vpc-rds-2026-11-22-2130", "lab-vpc-rds"));
        assert!(!is_final_snapshot("lab-vpc-rds-rr-2026-11-22-2130", "lab-vpc-rds"));
        assert!(!is_final_snapshot("lab-vpc-rds-before-the-move", "lab-vpc-rds"));
    }
}
