//! The subnets among which the database moves.

use aws_sdk_rds::types::DbSubnetGroup as Sdk;
use serde::Serialize;

use super::{
    Subnet,
    db_reading::db_instances,
    mark::{mark, marked},
};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Ref, Resource},
};

/// Its id is its name.
#[derive(Clone, Debug, Serialize)]
pub struct DbSubnetGroup {
    pub name: String,
    pub subnets: Vec<Ref<Subnet>>,
}

impl Resource for DbSubnetGroup {
    const KIND: &'static str = "db-subnet-group";
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["name"];
    // Longer than a database takes to go.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1800);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        // The database, once it is there, shows its group whole: a call saved.
        let databases = db_instances(aws).await?;
        let theirs = databases.iter().filter_map(|it| it.db_subnet_group());
        let mut found: Vec<Found<Self>> = Vec::new();
        for it in theirs.filter_map(|it| read(it, aws)) {
            if found.iter().all(|other| other.id != it.id) {
                found.push(it);
            }
        }
        if found.is_empty() {
            let mut pages = aws.rds.describe_db_subnet_groups().into_paginator().items().send();
            while let Some(it) = pages.try_next().await? {
                found.extend(read(&it, aws));
            }
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.rds.create_db_subnet_group().db_subnet_group_name(&self.name);
        let create = create.db_subnet_group_description(mark(cx.name(), cx.aws));
        let create = create.set_subnet_ids(Some(cx.ids(&self.subnets)));
        create.set_tags(Some(Aws::to_rds(cx.tags))).send().await?;
        Ok(self.name.clone())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let modify = cx.aws.rds.modify_db_subnet_group().db_subnet_group_name(&have.id);
        let modify = modify.db_subnet_group_description(mark(cx.name(), cx.aws));
        modify.set_subnet_ids(Some(cx.ids(&self.subnets))).send().await?;
        Ok(())
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.rds.delete_db_subnet_group().db_subnet_group_name(&have.id).send().await?;
        Ok(())
    }
}

fn read(it: &Sdk, aws: &Aws) -> Option<Found<DbSubnetGroup>> {
    let node = marked(it.db_subnet_group_description(), aws)?;
    let name = it.db_subnet_group_name().unwrap_or_default();
    let subnets = it.subnets().iter().map(|it| Ref::id(it.subnet_identifier())).collect();
    Some(Found::untagged(node, name, DbSubnetGroup { name: name.to_owned(), subnets }))
}
