//! The files that all hosts share (EFS).

use std::{sync::Arc, time::Duration};

use aws_sdk_efs::types::{
    BackupPolicy, FileSystemDescription, LifeCycleState, PerformanceMode, Status, ThroughputMode,
};
use serde::Serialize;

use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Output, Phase, Resource},
};

#[derive(Clone, Debug, Serialize)]
pub struct FileSystem {
    pub encrypted: bool,
    /// `generalPurpose` or `maxIO`.
    pub performance: String,
    /// `bursting`, `elastic` or `provisioned`.
    pub throughput: String,
    /// MiB/s for `provisioned`, otherwise 0.
    pub provisioned_mibps: u32,
    /// Daily backups by AWS Backup.
    pub backups: bool,
}

impl FileSystem {
    pub const ARN: Output<FileSystem> = Output::new("arn");
    pub const ID: Output<FileSystem> = Output::new("id");
}

impl Resource for FileSystem {
    const KIND: &'static str = "file-system";
    const FIXED: &'static [&'static str] = &["encrypted", "performance"];
    const USUALLY: Duration = Duration::from_secs(10);
    const PATIENCE: Duration = Duration::from_secs(600);
    const LINGERS: bool = true;
    const HOLDS_DATA: bool = true;

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        for it in file_systems(aws).await?.iter() {
            let provisioned = it.provisioned_throughput_in_mibps().unwrap_or_default();
            let spec = FileSystem {
                encrypted: it.encrypted() == Some(true),
                performance: it.performance_mode().as_str().to_owned(),
                throughput: it.throughput_mode().map(|it| it.as_str().to_owned()).unwrap_or_default(),
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at most a few thousand"
                )]
                provisioned_mibps: provisioned as u32,
                backups: backups(it.file_system_id(), aws).await?,
            };
            let phase = phase(it.life_cycle_state());
            let file_system =
                Found::new(Some(it.file_system_id()), Aws::from_efs(it.tags()), spec).phase(phase);
            let arn = it.file_system_arn().unwrap_or_default();
            found.push(file_system.out(Self::ARN, arn).out(Self::ID, it.file_system_id()));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        // EFS refuses a second one of the same token, and forgets the token with the file system.
        let token = cx.aws.token(cx.node, "");
        let create = cx.aws.efs.create_file_system().creation_token(token).encrypted(self.encrypted);
        let create = create.performance_mode(PerformanceMode::from(self.performance.as_str()));
        let create = create.throughput_mode(ThroughputMode::from(self.throughput.as_str()));
        let create = create.set_provisioned_throughput_in_mibps(self.provisioned());
        let made = create.backup(self.backups).set_tags(Some(Aws::to_efs(cx.tags)?)).send().await?;
        Ok(made.file_system_id)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let same = (&have.spec.throughput, have.spec.provisioned_mibps)
            == (&self.throughput, self.provisioned_mibps);
        if !same {
            let update = cx.aws.efs.update_file_system().file_system_id(&have.id);
            let update = update.throughput_mode(ThroughputMode::from(self.throughput.as_str()));
            update.set_provisioned_throughput_in_mibps(self.provisioned()).send().await?;
        }
        if have.spec.backups != self.backups {
            let status = if self.backups { Status::Enabled } else { Status::Disabled };
            let policy = BackupPolicy::builder().status(status).build()?;
            cx.aws.efs.put_backup_policy().file_system_id(&have.id).backup_policy(policy).send().await?;
        }
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.efs.tag_resource().resource_id(id).set_tags(Some(Aws::to_efs(tags)?)).send().await?;
        Ok(())
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.efs.delete_file_system().file_system_id(&have.id).send().await?;
        Ok(())
    }
}

impl FileSystem {
    fn provisioned(&self) -> Option<f64> {
        (self.throughput == "provisioned").then(|| f64::from(self.provisioned_mibps))
    }
}

/// The stack's file systems, as AWS describes them.
pub(super) async fn file_systems(aws: &Aws) -> aws::Result<Arc<Vec<FileSystemDescription>>> {
    aws.once("file systems", || async {
        let mut pages = aws.efs.describe_file_systems().into_paginator().items().send();
        let mut ours = Vec::new();
        while let Some(it) = pages.try_next().await? {
            if aws.is_ours(&Aws::from_efs(it.tags())) && *it.life_cycle_state() != LifeCycleState::Deleted {
                ours.push(it);
            }
        }
        Ok(ours)
    })
    .await
}

async fn backups(id: &str, aws: &Aws) -> aws::Result<bool> {
    match aws.efs.describe_backup_policy().file_system_id(id).send().await.map_err(aws::Error::from) {
        Ok(it) => {
            Ok(it.backup_policy().is_some_and(|it| matches!(it.status(), Status::Enabled | Status::Enabling)))
        }
        Err(err) if err.is_missing() => Ok(false),
        Err(err) => Err(err),
    }
}

pub(super) fn phase(state: &LifeCycleState) -> Phase {
    match state {
        LifeCycleState::Available => Phase::Ready,
        LifeCycleState::Error => Phase::Failed("AWS says that it is in error".into()),
        other => Phase::Pending(other.to_string()),
    }
}
