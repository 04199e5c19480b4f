//! What is left of the databases: themselves, their snapshots and backups, what they were made with, and their logs.

use std::collections::BTreeSet;

use super::{ASKED_FOR, DESCRIBED, INSIDE, Leftover, NAMED, TAGGED, found, leftover, says_ours};
use crate::{
    aws::{self, Aws, Tags},
    config::Config,
};

pub(super) async fn databases(c: &Config, aws: &Aws, vpc: Option<&str>) -> aws::Result<Vec<Leftover>> {
    let mut left = Vec::new();
    let mut others = BTreeSet::new();
    let mut pages = aws.rds.describe_db_instances().into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        let id = it.db_instance_identifier().unwrap_or_default();
        if aws.is_ours(&Aws::from_rds(it.tag_list())) {
            left.push(leftover("rds", format!("instance {id}"), TAGGED));
        } else if vpc.is_some() && it.db_subnet_group().and_then(|it| it.vpc_id()) == vpc {
            left.push(leftover("rds", format!("instance {id}"), INSIDE));
        } else {
            others.insert(id.to_owned());
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
    let mut pages = aws.rds.describe_db_subnet_groups().into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        if says_ours(it.db_subnet_group_description(), aws) {
            let name = it.db_subnet_group_name().unwrap_or_default();
            left.push(leftover("rds", format!("subnet group {name}"), DESCRIBED));
        }
    }
    let mut pages = aws.rds.describe_db_parameter_groups().into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        if says_ours(it.description(), aws) {
            let name = it.db_parameter_group_name().unwrap_or_default();
            left.push(leftover("rds", format!("parameter group {name}"), DESCRIBED));
        }
    }
    left.extend(logs(c, aws, &others).await?);
    Ok(left)
}

/// Where `others`' logs go is theirs. RDS makes a group by itself where a late line finds none: that one has no tags.
async fn logs(c: &Config, aws: &Aws, others: &BTreeSet<String>) -> aws::Result<Vec<Leftover>> {
    const PREFIX: &str = "/aws/rds/instance/";
    let mut left = Vec::new();
    let groups = aws.logs.describe_log_groups().log_group_name_prefix(PREFIX);
    let mut pages = groups.into_paginator().items().send();
    while let Some(it) = pages.try_next().await? {
        let name = it.log_group_name().unwrap_or_default();
        let database = name.strip_prefix(PREFIX).and_then(|it| it.split('/').next()).unwrap_or_default();
        if [&c.names.database, &c.names.replica].iter().any(|it| *it == database) {
            left.push(leftover("logs", name, NAMED));
        } else if !others.contains(database) {
            let arn = it.log_group_arn().or(it.arn()).unwrap_or_default().trim_end_matches(":*");
            let tags = aws.logs.list_tags_for_resource().resource_arn(arn).send().await;
            let is_ours = |tags: Tags| aws.is_ours(&tags);
            if found(tags.map(|it| is_ours(it.tags.unwrap_or_default().into_iter().collect())))? {
                left.push(leftover("logs", name, TAGGED));
            }
        }
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
