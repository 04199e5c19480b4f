//! The database's copy that only reads.

use std::time::Duration;

use serde::Serialize;

use super::{
    DbInstance, SecurityGroup,
    db_reading::{current, db_instances, endpoint, groups, ours, phase, tag},
};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Output, Ref, Resource},
};

/// Its id is its identifier. Engine, storage, encryption, subnets and parameters are its source's.
#[derive(Clone, Debug, Serialize)]
pub struct Replica {
    pub name: String,
    /// Deleted after it: a source that goes first would make it a database of its own.
    pub source: Ref<DbInstance>,
    pub class: String,
    pub zone: String,
    pub multi_az: bool,
    pub groups: Vec<Ref<SecurityGroup>>,
    /// Whether it has an address that the internet can reach.
    pub public: bool,
    pub minor_upgrades: bool,
    /// Never wanted: it holds nothing that its source does not.
    pub deletion_protection: bool,
    pub tagged_snapshots: bool,
}

impl Replica {
    /// The server's name.
    pub const ENDPOINT: Output<Replica> = Output::new("endpoint");
}

impl Resource for Replica {
    const KIND: &'static str = "replica";
    const FIXED: &'static [&'static str] = &["name", "source", "zone"];
    const USUALLY: Duration = Duration::from_secs(12 * 60);
    const PATIENCE: Duration = Duration::from_secs(60 * 60);
    const LINGERS: bool = true;

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let all = db_instances(aws).await?;
        let found = all.iter().filter_map(|it| {
            let tags = ours(it, Self::KIND, aws)?;
            let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
            let pending = it.pending_modified_values();
            let spec = Replica {
                name: text(it.db_instance_identifier()),
                source: Ref::id(it.read_replica_source_db_instance_identifier()),
                class: text(pending.and_then(|it| it.db_instance_class()).or(it.db_instance_class())),
                zone: text(it.availability_zone()),
                multi_az: pending.and_then(|it| it.multi_az()).or(it.multi_az()) == Some(true),
                groups: groups(it),
                public: it.publicly_accessible() == Some(true),
                minor_upgrades: it.auto_minor_version_upgrade() == Some(true),
                deletion_protection: it.deletion_protection() == Some(true),
                tagged_snapshots: it.copy_tags_to_snapshot() == Some(true),
            };
            let found = Found::new(it.db_instance_identifier(), tags, spec).phase(phase(it));
            Some(found.out(Self::ENDPOINT, endpoint(it)))
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.rds.create_db_instance_read_replica().db_instance_identifier(&self.name);
        let create = create.source_db_instance_identifier(cx.id(self.source));
        let create =
            create.db_instance_class(&self.class).availability_zone(&self.zone).multi_az(self.multi_az);
        let create = create.set_vpc_security_group_ids(Some(cx.ids(&self.groups)));
        let create = create.publicly_accessible(self.public).auto_minor_version_upgrade(self.minor_upgrades);
        let create = create.deletion_protection(self.deletion_protection);
        let create = create.copy_tags_to_snapshot(self.tagged_snapshots);
        // Said, not left out: otherwise the source's exports may be copied.
        let create = create.set_enable_cloudwatch_logs_exports(Some(Vec::new()));
        match create.set_tags(Some(Aws::to_rds(cx.tags))).send().await.map_err(aws::Error::from) {
            Ok(_) => Ok(self.name.clone()),
            // The source is busy, with its first backup for example.
            Err(err) if err.is_in_use() => Err(aws::Error::not_yet(err.to_string())),
            Err(err) => Err(err),
        }
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let was = &have.spec;
        let mut modify = cx.aws.rds.modify_db_instance().db_instance_identifier(&have.id);
        if was.class != self.class {
            modify = modify.db_instance_class(&self.class);
        }
        if was.multi_az != self.multi_az {
            modify = modify.multi_az(self.multi_az);
        }
        let wanted = cx.ids(&self.groups);
        let had = cx.ids(&was.groups);
        if had.len() != wanted.len() || !had.iter().all(|it| wanted.contains(it)) {
            modify = modify.set_vpc_security_group_ids(Some(wanted));
        }
        if was.public != self.public {
            modify = modify.publicly_accessible(self.public);
        }
        if was.minor_upgrades != self.minor_upgrades {
            modify = modify.auto_minor_version_upgrade(self.minor_upgrades);
        }
        if was.deletion_protection != self.deletion_protection {
            modify = modify.deletion_protection(self.deletion_protection);
        }
        if was.tagged_snapshots != self.tagged_snapshots {
            modify = modify.copy_tags_to_snapshot(self.tagged_snapshots);
        }
        modify.apply_immediately(true).send().await?;
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        tag(id, tags, aws).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let Some(now) = current(&have.id, aws).await? else { return Ok(()) };
        if now.db_instance_status() == Some("deleting") {
            return Ok(());
        }
        // A replica takes no last snapshot: AWS refuses the wish for one.
        let delete = aws.rds.delete_db_instance().db_instance_identifier(&have.id).skip_final_snapshot(true);
        delete.send().await?;
        Ok(())
    }

    fn protected(have: &Found<Self>) -> Option<String> {
        have.spec.deletion_protection.then(|| {
            format!("{} is protected from deletion: run `lamp up`, which ends that, then this again", have.id)
        })
    }
}
