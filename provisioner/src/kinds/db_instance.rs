//! The database (RDS for MySQL).

use std::time::Duration;

use aws_sdk_rds::types::{CloudwatchLogsExportConfiguration, DbInstance as Sdk};
use serde::Serialize;
use shared::params::Param;

use super::{
    DbParameterGroup, DbSubnetGroup, LogGroup, Parameter, SecurityGroup, Storage,
    db_reading::{current, db_instances, endpoint, groups, is_full, is_stopped, ours, phase, tag},
    log_group, parameter,
};
use crate::{
    aws::{self, Aws, Tags},
    engine::{AtCreation, Cx, Found, Output, Phase, Ref, Resource, Value},
};

/// The tag that notes which writing of the parameter holds the password that the database was given.
const GIVEN: &str = "lamp:password";

/// Its id is its identifier. AWS's paid support for old releases is always declined.
#[derive(Clone, Debug, Serialize)]
pub struct DbInstance {
    pub name: String,
    /// The release series, such as `8.4`.
    pub series: String,
    /// One release of it, such as `8.4.6`; `None`: whichever AWS runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    pub class: String,
    pub storage: Storage,
    pub encrypted: bool,
    /// A standby in another zone that takes over.
    pub multi_az: bool,
    pub subnets: Ref<DbSubnetGroup>,
    pub parameters: Ref<DbParameterGroup>,
    pub groups: Vec<Ref<SecurityGroup>>,
    /// Whether it has an address that the internet can reach.
    pub public: bool,
    pub port: i32,
    /// The initial database.
    pub database: String,
    pub user: String,
    /// Where the password is kept.
    pub password: AtCreation<Ref<Parameter>>,
    /// Which writing of that parameter it was given.
    pub password_given: Value,
    pub backup_days: i32,
    /// The logs that are exported.
    pub logs: Vec<Ref<LogGroup>>,
    pub minor_upgrades: bool,
    pub deletion_protection: bool,
    /// Whether snapshots carry its tags.
    pub tagged_snapshots: bool,
    /// Whether changes wait for the maintenance window.
    #[serde(skip)]
    pub apply_later: bool,
}

impl DbInstance {
    /// The server's name, which moves to the standby in a failover.
    pub const ENDPOINT: Output<DbInstance> = Output::new("endpoint");

    /// Splits `8.4` or `8.4.6` into series and release.
    pub fn version(text: &str) -> (String, Option<String>) {
        let parts: Vec<&str> = text.split('.').collect();
        let release = (2 < parts.len()).then(|| text.to_owned());
        (parts[..parts.len().min(2)].join("."), release)
    }
}

impl Resource for DbInstance {
    const KIND: &'static str = "db-instance";
    const FIXED: &'static [&'static str] = &["name", "series", "encrypted", "subnets", "database", "user"];
    const USUALLY: Duration = Duration::from_secs(15 * 60);
    const PATIENCE: Duration = Duration::from_secs(60 * 60);
    const LINGERS: bool = true;
    const HOLDS_DATA: bool = true;

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let all = db_instances(aws).await?;
        let found = all.iter().filter_map(|it| {
            let tags = ours(it, Self::KIND, aws)?;
            let phase = phase(it);
            let mut spec = read(it);
            // AWS does not tell; every stack keeps it there, and so it goes after the database.
            spec.password = Ref::id(Some(&Param::DbPassword.path(&aws.stack))).into();
            spec.password_given = aws::tag_value(&tags, GIVEN).into();
            let found = Found::new(it.db_instance_identifier(), tags, spec).phase(phase);
            Some(found.out(Self::ENDPOINT, endpoint(it)))
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let (password, given) = self.password(cx).await?;
        let (size, limit) = self.storage.at_first();
        let create = cx.aws.rds.create_db_instance().db_instance_identifier(&self.name);
        let create = create.engine("mysql").engine_version(self.release.as_ref().unwrap_or(&self.series));
        let create = create.engine_lifecycle_support("open-source-rds-extended-support-disabled");
        let create = create.db_instance_class(&self.class).storage_type("gp3");
        let create = create.allocated_storage(size).set_max_allocated_storage(limit);
        let create = create.storage_encrypted(self.encrypted).multi_az(self.multi_az);
        let create = create.db_subnet_group_name(cx.id(self.subnets));
        let create = create.db_parameter_group_name(cx.id(self.parameters));
        let create = create.set_vpc_security_group_ids(Some(cx.ids(&self.groups)));
        let create = create.publicly_accessible(self.public).port(self.port).db_name(&self.database);
        let create = create.master_username(&self.user).master_user_password(password);
        let create = create.backup_retention_period(self.backup_days);
        let create = create.set_enable_cloudwatch_logs_exports(Some(logs(&cx.ids(&self.logs))));
        let create = create.auto_minor_version_upgrade(self.minor_upgrades);
        let create = create.deletion_protection(self.deletion_protection);
        let create = create.copy_tags_to_snapshot(self.tagged_snapshots);
        let mut tags = cx.tags.clone();
        tags.insert(GIVEN.into(), given);
        create.set_tags(Some(Aws::to_rds(&tags))).send().await?;
        Ok(self.name.clone())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let was = &have.spec;
        let differs = |differ: bool| differ.then_some(());
        let mut modify = cx.aws.rds.modify_db_instance().db_instance_identifier(&have.id);
        if let Some(release) = self.release.as_ref().filter(|_| was.release != self.release) {
            upgrade_replicas(&have.id, release, !self.apply_later, cx.aws).await?;
            modify = modify.engine_version(release);
        }
        modify = modify.set_db_instance_class(differs(was.class != self.class).map(|()| self.class.clone()));
        if was.storage != self.storage {
            modify = self.storage.change(was.storage, is_full(&have.phase), modify);
        }
        modify = modify.set_multi_az(differs(was.multi_az != self.multi_az).map(|()| self.multi_az));
        let parameters = cx.id(self.parameters);
        if cx.id(was.parameters) != parameters {
            modify = modify.db_parameter_group_name(parameters);
        }
        if !same(&cx.ids(&was.groups), &cx.ids(&self.groups)) {
            modify = modify.set_vpc_security_group_ids(Some(cx.ids(&self.groups)));
        }
        modify = modify.set_publicly_accessible(differs(was.public != self.public).map(|()| self.public));
        modify = modify.set_db_port_number(differs(was.port != self.port).map(|()| self.port));
        let days = differs(was.backup_days != self.backup_days).map(|()| self.backup_days);
        modify = modify.set_backup_retention_period(days);
        let (had, wanted) = (logs(&cx.ids(&was.logs)), logs(&cx.ids(&self.logs)));
        if !same(&had, &wanted) {
            let not_in = |them: &[String], others: &[String]| {
                Some(them.iter().filter(|it| !others.contains(it)).cloned().collect())
            };
            let logs = CloudwatchLogsExportConfiguration::builder();
            let logs = logs.set_enable_log_types(not_in(&wanted, &had));
            let logs = logs.set_disable_log_types(not_in(&had, &wanted));
            modify = modify.cloudwatch_logs_export_configuration(logs.build());
        }
        let upgrades = differs(was.minor_upgrades != self.minor_upgrades).map(|()| self.minor_upgrades);
        modify = modify.set_auto_minor_version_upgrade(upgrades);
        let protection = differs(was.deletion_protection != self.deletion_protection);
        modify = modify.set_deletion_protection(protection.map(|()| self.deletion_protection));
        let tagged = differs(was.tagged_snapshots != self.tagged_snapshots).map(|()| self.tagged_snapshots);
        modify = modify.set_copy_tags_to_snapshot(tagged);
        // One that is full takes nothing more until then.
        modify = modify.apply_immediately(!self.apply_later || is_full(&have.phase));
        if cx.text(&was.password_given) == cx.text(&self.password_given) {
            modify.send().await?;
            return Ok(());
        }
        let (password, given) = self.password(cx).await?;
        // AWS applies it at once, whatever waits for the window. It is noted afterwards: a run that ends in
        // between gives it once more.
        modify.master_user_password(password).send().await?;
        tag(&have.id, &Tags::from([(GIVEN.into(), given)]), cx.aws).await
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        tag(id, tags, aws).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let Some(now) = current(&have.id, aws).await? else { return Ok(()) };
        if now.db_instance_status() == Some("deleting") {
            return Ok(());
        }
        if now.deletion_protection() == Some(true) {
            return Err(aws::Error::refused(is_protected(&have.id)));
        }
        // A replica whose source goes becomes a database of its own, and is paid for ever after.
        let replicas = now.read_replica_db_instance_identifiers();
        if !replicas.is_empty() {
            let replicas = replicas.join(", ");
            return Err(aws::Error::not_yet(format!(
                "{replicas}, which replicates {}, to be deleted",
                have.id
            )));
        }
        let delete = aws.rds.delete_db_instance().db_instance_identifier(&have.id);
        let delete = match &aws.settings.final_snapshot {
            Some(end) => {
                delete.skip_final_snapshot(false).final_db_snapshot_identifier(format!("{}-{end}", have.id))
            }
            None => delete.skip_final_snapshot(true),
        };
        delete.delete_automated_backups(true).send().await?;
        Ok(())
    }

    fn protected(have: &Found<Self>) -> Option<String> {
        have.spec.deletion_protection.then(|| is_protected(&have.id))
    }

    fn cures(&self, have: &Found<Self>) -> bool {
        is_full(&have.phase) && self.storage.is_larger_than(have.spec.storage)
    }

    fn way_out(have: &Found<Self>) -> Option<String> {
        if is_full(&have.phase) {
            return Some(
                "raise database.storage_gib or database.storage_max_gib and run `lamp up`".to_owned(),
            );
        }
        is_stopped(&have.phase).then(|| {
            format!("start it with `aws rds start-db-instance --db-instance-identifier {}`", have.id)
        })
    }

    fn impossible(&self, have: &Found<Self>) -> Option<String> {
        self.storage.impossible(have.spec.storage, &have.id).or_else(|| {
            let (wanted, is) = (self.release.as_deref()?, have.spec.release.as_deref()?);
            (numbers(wanted) < numbers(is)).then(|| {
                format!(
                    "AWS cannot go back to an older release, and {} runs {is}: set database.engine_version to \"{is}\" or \"{}\"",
                    have.id, self.series
                )
            })
        })
    }
}

impl DbInstance {
    /// The password as it is now, and which writing of the parameter that is.
    async fn password(&self, cx: &Cx<'_>) -> aws::Result<(String, String)> {
        match self.password.0 {
            Some(it) => parameter::secret(cx.aws, &cx.id(it)).await,
            None => Err(aws::Error::refused("no parameter with the database's password")),
        }
    }
}

fn is_protected(id: &str) -> String {
    format!(
        "{id} is protected from deletion: with it still in the configuration, set database.deletion_protection = false and \
         run `lamp up`, then this again"
    )
}

fn read(it: &Sdk) -> DbInstance {
    // What waits for the maintenance window is accepted, and so counts as done.
    let pending = it.pending_modified_values();
    let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
    let version = pending.and_then(|it| it.engine_version()).or(it.engine_version()).unwrap_or_default();
    let (series, _) = DbInstance::version(version);
    DbInstance {
        name: text(it.db_instance_identifier()),
        series,
        release: Some(version.to_owned()),
        class: text(pending.and_then(|it| it.db_instance_class()).or(it.db_instance_class())),
        storage: Storage::read(it),
        encrypted: it.storage_encrypted() == Some(true),
        multi_az: pending.and_then(|it| it.multi_az()).or(it.multi_az()) == Some(true),
        subnets: Ref::id(it.db_subnet_group().and_then(|it| it.db_subnet_group_name())),
        parameters: Ref::id(it.db_parameter_groups().first().and_then(|it| it.db_parameter_group_name())),
        groups: groups(it),
        public: it.publicly_accessible() == Some(true),
        port: pending
            .and_then(|it| it.port())
            .or(it.endpoint().and_then(|it| it.port()))
            .or(it.db_instance_port().filter(|it| *it != 0))
            .unwrap_or_default(),
        database: text(it.db_name()),
        user: text(it.master_username()),
        password: AtCreation::unknown(),
        password_given: Value::from(""),
        backup_days: pending
            .and_then(|it| it.backup_retention_period())
            .or(it.backup_retention_period())
            .unwrap_or_default(),
        logs: exported(it),
        minor_upgrades: it.auto_minor_version_upgrade() == Some(true),
        deletion_protection: it.deletion_protection() == Some(true),
        tagged_snapshots: it.copy_tags_to_snapshot() == Some(true),
        apply_later: false,
    }
}

/// The logs that are exported, or will be once a change is through.
fn exported(it: &Sdk) -> Vec<Ref<LogGroup>> {
    let pending = it.pending_modified_values().and_then(|it| it.pending_cloudwatch_logs_exports());
    let (on, off) =
        pending.map_or((&[][..], &[][..]), |it| (it.log_types_to_enable(), it.log_types_to_disable()));
    let name = it.db_instance_identifier().unwrap_or_default();
    let logs = it.enabled_cloudwatch_logs_exports().iter().filter(|it| !off.contains(it)).chain(on);
    logs.map(|it| Ref::id(Some(&log_group::name(name, it)))).collect()
}

/// RDS's words for the logs in these log groups.
fn logs(groups: &[String]) -> Vec<String> {
    groups.iter().filter_map(|it| it.rsplit('/').next()).map(str::to_owned).collect()
}

/// `8.4.6` as numbers, so that 8.4.10 is the newer one.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|it| it.parse().unwrap_or_default()).collect()
}

/// AWS upgrades a source after its replicas only: not yet, in words, until all of them run `release`.
async fn upgrade_replicas(source: &str, release: &str, at_once: bool, aws: &Aws) -> aws::Result<()> {
    let source = current(source, aws).await?;
    for id in source.iter().flat_map(|it| it.read_replica_db_instance_identifiers()) {
        let Some(it) = current(id, aws).await? else { continue };
        let coming = it.pending_modified_values().and_then(|it| it.engine_version());
        if coming.or(it.engine_version()) != Some(release) {
            let modify = aws.rds.modify_db_instance().db_instance_identifier(id).engine_version(release);
            modify.apply_immediately(at_once).send().await?;
            return Err(aws::Error::not_yet(format!("{id} to be upgraded to {release} first")));
        }
        if at_once && (coming.is_some() || phase(&it) != Phase::Ready) {
            return Err(aws::Error::not_yet(format!("{id} to be upgraded to {release} first")));
        }
    }
    Ok(())
}

fn same(some: &[String], others: &[String]) -> bool {
    some.len() == others.len() && some.iter().all(|it| others.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_a_series_or_one_release_of_it() {
        assert_eq!(DbInstance::version("8.4"), ("8.4".into(), None));
        assert_eq!(DbInstance::version("8.4.6"), ("8.4".into(), Some("8.4.6".into())));
    }

    #[test]
    fn a_release_is_compared_by_its_numbers() {
        assert!(numbers("8.4.9") < numbers("8.4.10") && numbers("8.4.10") < numbers("9.0.1"));
    }

    #[test]
    fn a_change_that_waits_for_the_window_counts_as_made() {
        let pending = aws_sdk_rds::types::PendingModifiedValues::builder().db_instance_class("db.t4g.micro");
        let it = Sdk::builder().db_instance_class("db.t3.micro").pending_modified_values(pending.build());
        assert_eq!(read(&it.build()).class, "db.t4g.micro");
    }
}
