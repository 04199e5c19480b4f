//! What databases and replicas have in common: both are instances to RDS, read at once.

use std::sync::Arc;

use aws_sdk_rds::types::DbInstance as Sdk;

use super::SecurityGroup;
use crate::{
    aws::{self, Aws, Tags},
    engine::{Phase, Ref, Resource},
};

/// Every database of the account in this region: one read for databases, replicas and subnet groups.
pub(super) async fn db_instances(aws: &Aws) -> aws::Result<Arc<Vec<Sdk>>> {
    aws.once("db instances", || async {
        let mut pages = aws.rds.describe_db_instances().into_paginator().items().send();
        let mut all = Vec::new();
        while let Some(it) = pages.try_next().await? {
            all.push(it);
        }
        Ok(all)
    })
    .await
}

/// The tags of an instance, if it is this stack's and of this kind.
pub(super) fn ours(it: &Sdk, kind: &str, aws: &Aws) -> Option<Tags> {
    let tags = Aws::from_rds(it.tag_list());
    let is_of_kind = match aws::tag_value(&tags, shared::tags::NODE).split_once('/') {
        Some((node, _)) => node == kind,
        // Somebody removed the tag: what it does tells what it is.
        None => it.read_replica_source_db_instance_identifier().is_some() == (kind == super::Replica::KIND),
    };
    (aws.is_ours(&tags) && is_of_kind).then_some(tags)
}

/// One instance as it is now; `None` if it is gone.
pub(super) async fn current(id: &str, aws: &Aws) -> aws::Result<Option<Sdk>> {
    let seen = aws.rds.describe_db_instances().db_instance_identifier(id).send().await;
    match seen.map_err(aws::Error::from) {
        Ok(it) => Ok(it.db_instances().first().cloned()),
        Err(err) if err.is_missing() => Ok(None),
        Err(err) => Err(err),
    }
}

pub(super) fn endpoint(it: &Sdk) -> String {
    it.endpoint().and_then(|it| it.address()).unwrap_or_default().to_owned()
}

pub(super) fn groups(it: &Sdk) -> Vec<Ref<SecurityGroup>> {
    let staying = it.vpc_security_groups().iter().filter(|it| it.status() != Some("removing"));
    staying.map(|it| Ref::id(it.vpc_security_group_id())).collect()
}

pub(super) async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
    let Some(arn) = current(id, aws).await?.and_then(|it| it.db_instance_arn) else { return Ok(()) };
    aws.rds.add_tags_to_resource().resource_name(arn).set_tags(Some(Aws::to_rds(tags))).send().await?;
    Ok(())
}

const STOPPED: &str = "it is stopped";
const FULL: &str = "storage-full";

pub(super) fn is_stopped(phase: &Phase) -> bool {
    matches!(phase, Phase::Failed(why) if why == STOPPED)
}

pub(super) fn is_full(phase: &Phase) -> bool {
    matches!(phase, Phase::Failed(why) if why == FULL)
}

/// RDS's many states, as far as they matter: usable, busy, or in need of a person.
pub(super) fn phase(it: &Sdk) -> Phase {
    match it.db_instance_status().unwrap_or_default() {
        "available" | "storage-optimization" | "storage-config-upgrade" | "storage-initialization" => {
            Phase::Ready
        }
        // The first backup is part of creation; the daily ones disturb nobody.
        "backing-up" if it.latest_restorable_time().is_some() => Phase::Ready,
        "stopped" => Phase::Failed(STOPPED.into()),
        "storage-full" => match it.pending_modified_values().and_then(|it| it.allocated_storage()) {
            Some(size) => Phase::Pending(format!("{FULL}, until it has {size} GiB")),
            None => Phase::Failed(FULL.into()),
        },
        state @ ("failed"
        | "restore-error"
        | "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable"
        | "insufficient-capacity") => Phase::Failed(format!("RDS says {state}")),
        state if state.starts_with("incompatible-") => Phase::Failed(format!("RDS says {state}")),
        state => Phase::Pending(state.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_backup_is_waited_for_and_later_ones_are_not() {
        let first = Sdk::builder().db_instance_status("backing-up");
        assert_eq!(phase(&first.clone().build()), Phase::Pending("backing-up".into()));
        let later = first.latest_restorable_time(aws_smithy_types::DateTime::from_secs(1));
        assert_eq!(phase(&later.build()), Phase::Ready);
    }
}
