//! Databases: what their state, their replicas and their settings forbid.

use aws_sdk_rds::types::DbInstance;

use super::listed;
use crate::cloud::call::Call;
use crate::cloud::life::Kind;
use crate::cloud::refusal::Refusal;
use crate::cloud::sync::Sync;

pub(super) async fn refuse(sync: &Sync, call: &Call) -> Option<Refusal> {
    let given = |name: &str| call.parameter(name);
    match call.action.as_str() {
        "CreateDBInstance" => {
            let short = given("MasterUserPassword").is_some_and(|it| it.chars().count() < 8);
            let words = "The parameter MasterUserPassword is not a valid password because it is shorter than 8 characters.";
            let short = short.then(|| Refusal::new("InvalidParameterValue", words));
            short
                .or_else(|| no_class(given("DBInstanceClass")?))
                .or_else(|| no_version(given("Engine")?, given("EngineVersion")?))
        }
        "CreateDBInstanceReadReplica" => {
            if let Some(refusal) = given("DBInstanceClass").and_then(no_class) {
                return Some(refusal);
            }
            let source = find(sync, given("SourceDBInstanceIdentifier")?).await?;
            if let Some(refusal) = not_available(sync, &source) {
                return Some(refusal);
            }
            let name = source.db_instance_identifier().unwrap_or_default();
            let words = format!(
                "Automated backups are not enabled for this database instance. To enable automated backups, use \
                 ModifyDBInstance to set the backup retention period to a non-zero value. ({name})"
            );
            let none = source.backup_retention_period().unwrap_or_default() == 0;
            none.then(|| Refusal::new("InvalidDBInstanceState", words))
        }
        "ModifyDBInstance" | "PromoteReadReplica" | "RebootDBInstance" => {
            let it = find(sync, given("DBInstanceIdentifier")?).await?;
            let wants_other = call.action == "RebootDBInstance" && given("ForceFailover") == Some("true");
            if wants_other && it.multi_az() != Some(true) {
                let words = "Reboot with failover is only possible for Multi-AZ DB instances";
                return Some(Refusal::new("InvalidParameterCombination", words));
            }
            not_available(sync, &it)
        }
        "DeleteDBInstance" => delete(sync, call).await,
        "DeleteDBSubnetGroup" => {
            let name = given("DBSubnetGroupName")?;
            let uses = |it: &DbInstance| {
                it.db_subnet_group().and_then(|it| it.db_subnet_group_name()).is_some_and(|it| it == name)
            };
            let words = format!(
                "Cannot delete the subnet group '{name}' because at least one database instance is still using it."
            );
            all(sync).await?.iter().any(uses).then(|| Refusal::new("InvalidDBSubnetGroupStateFault", words))
        }
        "DeleteDBParameterGroup" => {
            let name = given("DBParameterGroupName")?;
            let uses = |it: &DbInstance| {
                it.db_parameter_groups().iter().any(|it| it.db_parameter_group_name() == Some(name))
            };
            let words = format!(
                "One or more database instances are still members of this parameter group {name}, so the group cannot be deleted"
            );
            all(sync).await?.iter().any(uses).then(|| Refusal::new("InvalidDBParameterGroupState", words))
        }
        "CreateDBSubnetGroup" => {
            let ids = listed(call, "SubnetIds").into_iter().map(str::to_owned).collect::<Vec<_>>();
            let seen = sync.clients.ec2.describe_subnets().set_subnet_ids(Some(ids)).send().await.ok()?;
            let mut zones: Vec<_> = seen.subnets().iter().filter_map(|it| it.availability_zone()).collect();
            zones.sort_unstable();
            zones.dedup();
            let words = "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ \
                         coverage: one. Add subnets to cover at least 2 AZs.";
            (zones.len() == 1).then(|| Refusal::new("DBSubnetGroupDoesNotCoverEnoughAZs", words))
        }
        _ => None,
    }
}

/// Families of instance classes for MySQL, and sizes.
const FAMILIES: [&str; 18] = [
    "t3", "t4g", "m5", "m5d", "m6g", "m6gd", "m6i", "m6id", "m7g", "m7i", "m8g", "r5", "r5b", "r6g", "r6i",
    "r7g", "r7i", "r8g",
];
const SIZES: [&str; 12] = [
    "micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge",
    "24xlarge", "48xlarge",
];
/// The versions that each engine has, whatever comes after.
const VERSIONS: [(&str, &[&str]); 2] =
    [("mysql", &["5.7", "8.0", "8.4"]), ("mariadb", &["10.5", "10.6", "10.11", "11.4", "11.8"])];

fn no_class(class: &str) -> Option<Refusal> {
    let parts: Vec<&str> = class.split('.').collect();
    let known =
        matches!(parts[..], ["db", family, size] if FAMILIES.contains(&family) && SIZES.contains(&size));
    let words = format!("Invalid DB Instance class: {class}");
    (!known).then(|| Refusal::new("InvalidParameterValue", words))
}

fn no_version(engine: &str, version: &str) -> Option<Refusal> {
    let all = VERSIONS.iter().find(|it| it.0 == engine)?.1;
    let known =
        all.iter().any(|it| version.strip_prefix(it).is_some_and(|it| it.is_empty() || it.starts_with('.')));
    let words = format!("Cannot find version {version} for {engine}");
    (!known).then(|| Refusal::new("InvalidParameterCombination", words))
}

async fn delete(sync: &Sync, call: &Call) -> Option<Refusal> {
    let it = find(sync, call.parameter("DBInstanceIdentifier")?).await?;
    let name = it.db_instance_identifier().unwrap_or_default();
    if sync.shared.lock().lives.word(Kind::Database, name) == Some("deleting") {
        let words = format!("Instance {name} is already being deleted.");
        return Some(Refusal::new("InvalidDBInstanceState", words));
    }
    if it.deletion_protection() == Some(true) {
        let words = "Cannot delete protected DB Instance, please disable deletion protection and try again.";
        return Some(Refusal::new("InvalidParameterCombination", words));
    }
    let skips = call.parameter("SkipFinalSnapshot") == Some("true");
    let named = call.parameter("FinalDBSnapshotIdentifier").is_some();
    let is_replica = it.read_replica_source_db_instance_identifier().is_some()
        && !sync.shared.lock().promoted.contains(name);
    let words = match (skips, named) {
        (true, true) => "FinalDBSnapshotIdentifier can not be specified when deleting with SkipFinalSnapshot",
        (_, true) if is_replica => {
            "FinalDBSnapshotIdentifier can not be specified when deleting a replica instance"
        }
        (false, false) if !is_replica => {
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
        }
        _ => return None,
    };
    Some(Refusal::new("InvalidParameterCombination", words))
}

fn not_available(sync: &Sync, it: &DbInstance) -> Option<Refusal> {
    let name = it.db_instance_identifier().unwrap_or_default();
    let known = sync.shared.lock();
    let word = known.lives.word(Kind::Database, name);
    let word = word.or(known.pending_databases.contains(name).then_some("creating"))?;
    // A daily backup and a change disturb few orders, but a database that is not there yet takes none.
    let busy = matches!(word, "creating" | "deleting" | "rebooting");
    let words = format!("Instance {name} is not in available state: it is {word}.");
    busy.then(|| Refusal::new("InvalidDBInstanceState", words))
}

async fn find(sync: &Sync, name: &str) -> Option<DbInstance> {
    let seen = sync.clients.rds.describe_db_instances().db_instance_identifier(name).send().await.ok()?;
    seen.db_instances().first().cloned()
}

async fn all(sync: &Sync) -> Option<Vec<DbInstance>> {
    Some(sync.clients.rds.describe_db_instances().send().await.ok()?.db_instances().to_vec())
}
