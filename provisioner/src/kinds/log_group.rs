//! Where the database's log goes. Made before the database so that it does not grow for ever, and so
//! that it goes with it: RDS would make it by itself and leave it behind.

use aws_sdk_cloudwatchlogs::types::LogGroup as Sdk;
use serde::Serialize;

use super::db_reading::db_instances;
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Resource},
};

/// Its id is its name, `/aws/rds/instance/<database>/<log>`, which RDS prescribes; its node's name is
/// the database's with the log's behind it: `log-group/lab-vpc-rds-general`.
#[derive(Clone, Debug, Serialize)]
pub struct LogGroup {
    /// The database's identifier.
    pub database: String,
    /// RDS's word for the log: `general`, `error`, `slowquery`, `audit`.
    pub log: String,
    /// Days that it is kept, one of CloudWatch's choices; 0: for ever.
    pub days: i32,
}

const PREFIX: &str = "/aws/rds/instance/";

impl LogGroup {
    /// The second half of its node's name.
    pub fn node(&self) -> String {
        format!("{}-{}", self.database, self.log)
    }

    fn name(&self) -> String {
        name(&self.database, &self.log)
    }
}

/// The name that RDS prescribes.
pub(super) fn name(database: &str, log: &str) -> String {
    format!("{PREFIX}{database}/{log}")
}

impl Resource for LogGroup {
    const KIND: &'static str = "log-group";
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["database", "log"];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let describe = aws.logs.describe_log_groups().log_group_name_prefix(PREFIX);
        let mut pages = describe.into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(it) = pages.try_next().await? {
            let name = it.log_group_name().unwrap_or_default();
            let Some((database, log)) = name.strip_prefix(PREFIX).and_then(|it| it.split_once('/')) else {
                continue;
            };
            if !is_ours(&it, database, aws).await? {
                continue;
            }
            let spec = LogGroup {
                database: database.to_owned(),
                log: log.to_owned(),
                days: it.retention_in_days().unwrap_or_default(),
            };
            found.push(Found::untagged(&spec.node(), name, spec));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let tags = cx.tags.clone().into_iter().collect();
        let create = cx.aws.logs.create_log_group().log_group_name(self.name()).set_tags(Some(tags));
        match create.send().await.map_err(aws::Error::from) {
            Err(err) if err.is_there_already() && self.is_left_behind(cx.aws).await? => {
                self.adopt(cx).await?
            }
            other => drop(other?),
        }
        self.keep(cx.aws).await?;
        Ok(self.name())
    }

    async fn configure(&self, _have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        self.keep(cx.aws).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.logs.delete_log_group().log_group_name(&have.id).send().await?;
        Ok(())
    }
}

impl LogGroup {
    /// Whether RDS made it for a database that is no more: the name is RDS's own, and nobody has put a tag on it.
    async fn is_left_behind(&self, aws: &Aws) -> aws::Result<bool> {
        let databases = db_instances(aws).await?;
        if databases.iter().any(|it| it.db_instance_identifier() == Some(&self.database)) {
            return Ok(false);
        }
        let Some(it) = described(&self.name(), aws).await? else { return Ok(false) };
        Ok(tags_of(&it, aws).await?.is_some_and(|it| it.is_empty()))
    }

    async fn adopt(&self, cx: &Cx<'_>) -> aws::Result<()> {
        let Some(it) = described(&self.name(), cx.aws).await? else { return Ok(()) };
        let tags = cx.tags.clone().into_iter().collect();
        cx.aws.logs.tag_resource().resource_arn(arn(&it)).set_tags(Some(tags)).send().await?;
        Ok(())
    }

    async fn keep(&self, aws: &Aws) -> aws::Result<()> {
        if self.days == 0 {
            aws.logs.delete_retention_policy().log_group_name(self.name()).send().await?;
        } else {
            let put = aws.logs.put_retention_policy().log_group_name(self.name());
            put.retention_in_days(self.days).send().await?;
        }
        Ok(())
    }
}

/// A log is whose database it belongs to; without a database its own tags say it, at a call each.
async fn is_ours(it: &Sdk, database: &str, aws: &Aws) -> aws::Result<bool> {
    let databases = db_instances(aws).await?;
    if let Some(owner) = databases.iter().find(|it| it.db_instance_identifier() == Some(database)) {
        return Ok(aws.is_ours(&Aws::from_rds(owner.tag_list())));
    }
    Ok(tags_of(it, aws).await?.is_some_and(|it| aws.is_ours(&it)))
}

async fn described(name: &str, aws: &Aws) -> aws::Result<Option<Sdk>> {
    let seen = aws.logs.describe_log_groups().log_group_name_prefix(name).send().await?;
    Ok(seen.log_groups.unwrap_or_default().into_iter().find(|it| it.log_group_name() == Some(name)))
}

/// `None` for a group that is gone.
async fn tags_of(it: &Sdk, aws: &Aws) -> aws::Result<Option<Tags>> {
    let seen = aws.logs.list_tags_for_resource().resource_arn(arn(it)).send().await;
    match seen.map_err(aws::Error::from) {
        Ok(it) => Ok(Some(it.tags.unwrap_or_default().into_iter().collect())),
        Err(err) if err.is_missing() => Ok(None),
        Err(err) => Err(err),
    }
}

fn arn(it: &Sdk) -> &str {
    it.log_group_arn().or(it.arn()).unwrap_or_default().trim_end_matches(":*")
}
