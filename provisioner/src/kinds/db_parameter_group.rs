//! The database server's own settings, such as that it takes encrypted connections only.

use std::collections::BTreeMap;

use aws_sdk_rds::types::{ApplyMethod, DbInstance, Parameter};
use serde::Serialize;

use super::{
    db_reading::db_instances,
    mark::{mark, marked},
};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Resource},
};

/// Its id is its name.
#[derive(Clone, Debug, Serialize)]
pub struct DbParameterGroup {
    pub name: String,
    /// `mysql8.4`
    pub family: String,
    /// What differs from the family's own values.
    pub parameters: BTreeMap<String, String>,
}

impl Resource for DbParameterGroup {
    const KIND: &'static str = "db-parameter-group";
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["name", "family"];
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1800);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        if let Some(known) = aws.bearings(Self::KIND).await?
            && let Some(found) = in_use(&known, aws).await?
        {
            return Ok(found);
        }
        let mut pages = aws.rds.describe_db_parameter_groups().into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(it) = pages.try_next().await? {
            let Some(node) = marked(it.description(), aws) else { continue };
            let name = it.db_parameter_group_name().unwrap_or_default();
            let parameters = match parameters(name, aws).await {
                // Deleted a moment ago, or not known everywhere yet.
                Err(err) if err.is_missing() => continue,
                other => other?,
            };
            let family = it.db_parameter_group_family().unwrap_or_default().to_owned();
            let spec = DbParameterGroup { name: name.to_owned(), family, parameters };
            found.push(Found::untagged(node, name, spec));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.rds.create_db_parameter_group().db_parameter_group_name(&self.name);
        let create = create.db_parameter_group_family(&self.family).description(mark(cx.name(), cx.aws));
        create.set_tags(Some(Aws::to_rds(cx.tags))).send().await?;
        self.set(&BTreeMap::new(), cx.aws).await?;
        Ok(self.name.clone())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        self.set(&have.spec.parameters, cx.aws).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.rds.delete_db_parameter_group().db_parameter_group_name(&have.id).send().await?;
        Ok(())
    }
}

impl DbParameterGroup {
    /// Sets what differs and takes back what is not wanted; AWS takes twenty at a time.
    async fn set(&self, have: &BTreeMap<String, String>, aws: &Aws) -> aws::Result<()> {
        let differing = self.parameters.iter().filter(|(name, value)| have.get(*name) != Some(value));
        let set: Vec<_> =
            differing.map(|(name, value)| parameter(name).parameter_value(value).build()).collect();
        for some in set.chunks(20) {
            let modify = aws.rds.modify_db_parameter_group().db_parameter_group_name(&self.name);
            modify.set_parameters(Some(some.to_vec())).send().await?;
        }
        let unwanted = have.keys().filter(|it| !self.parameters.contains_key(*it));
        let unwanted: Vec<_> = unwanted.map(|it| parameter(it).build()).collect();
        for some in unwanted.chunks(20) {
            let reset = aws.rds.reset_db_parameter_group().db_parameter_group_name(&self.name);
            reset.set_parameters(Some(some.to_vec())).send().await?;
        }
        Ok(())
    }
}

/// Changed at once where the server can, so that nobody has to reboot it.
fn parameter(name: &str) -> aws_sdk_rds::types::builders::ParameterBuilder {
    // The few that MySQL reads at its start only.
    const AT_START: &[&str] = &[
        "innodb_log_file_size",
        "innodb_buffer_pool_instances",
        "lower_case_table_names",
        "performance_schema",
        "skip_name_resolve",
    ];
    let method = if AT_START.contains(&name) { ApplyMethod::PendingReboot } else { ApplyMethod::Immediate };
    Parameter::builder().parameter_name(name).apply_method(method)
}

/// These groups, by node, as the stack's databases use them, whose series is the group's family; `None` unless all are
/// in use.
async fn in_use(
    known: &BTreeMap<String, String>,
    aws: &Aws,
) -> aws::Result<Option<Vec<Found<DbParameterGroup>>>> {
    let databases = db_instances(aws).await?;
    let mut found = Vec::new();
    for (node, name) in known {
        let uses = |it: &&DbInstance| {
            let groups = it.db_parameter_groups();
            groups.iter().any(|it| it.db_parameter_group_name() == Some(name))
        };
        let Some(it) = databases.iter().find(uses) else { return Ok(None) };
        let (series, _) = super::DbInstance::version(it.engine_version().unwrap_or_default());
        let family = format!("{}{series}", it.engine().unwrap_or_default());
        let spec = DbParameterGroup { name: name.clone(), family, parameters: parameters(name, aws).await? };
        found.push(Found::untagged(node.split_once('/').map_or("", |it| it.1), name, spec));
    }
    Ok((!found.is_empty()).then_some(found))
}

async fn parameters(name: &str, aws: &Aws) -> aws::Result<BTreeMap<String, String>> {
    let describe = aws.rds.describe_db_parameters().db_parameter_group_name(name).source("user");
    let mut pages = describe.into_paginator().items().send();
    let mut all = BTreeMap::new();
    while let Some(it) = pages.try_next().await? {
        if let (Some(name), Some(value)) = (it.parameter_name, it.parameter_value) {
            all.insert(name, value);
        }
    }
    Ok(all)
}
