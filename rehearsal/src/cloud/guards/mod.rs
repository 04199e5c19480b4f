//! What AWS would refuse and the control plane would not: looked up there, and answered with AWS's own codes.

mod database;
mod interfaces;
mod network;
mod policy;
mod site;

pub(super) use interfaces::{Interface, left_by, shown};
pub(super) use network::{unknown_profile, unlaunchable};

use super::call::Call;
use super::life::Kind;
use super::refusal::Refusal;
use super::sync::Sync;

/// Why not, if there is a reason. What cannot be looked up is left to the control plane.
pub(super) async fn refuse(sync: &Sync, call: &Call) -> Option<Refusal> {
    match call.service.as_str() {
        "ec2" => network::refuse(sync, call).await,
        "rds" => database::refuse(sync, call).await,
        "elasticloadbalancing" => network::refuse_balancer(sync, call).await,
        "elasticfilesystem" => network::refuse_files(sync, call).await,
        "iam" => policy::refuse(call),
        "s3" => policy::refuse_bucket(sync, call).await,
        "cloudfront" => site::refuse(sync, call).await,
        _ => None,
    }
}

/// Whether there is such a thing that could go.
pub(super) async fn exists(sync: &Sync, kind: Kind, id: &str) -> bool {
    let aws = &sync.clients;
    match kind {
        Kind::NatGateway => network::gateway_exists(sync, id).await,
        Kind::Database => aws.rds.describe_db_instances().db_instance_identifier(id).send().await.is_ok(),
        Kind::FileSystem => aws.efs.describe_file_systems().file_system_id(id).send().await.is_ok(),
        Kind::MountTarget => aws.efs.describe_mount_targets().mount_target_id(id).send().await.is_ok(),
        _ => false,
    }
}

/// The values of a list in a form: `Subnets.member.1` and so on.
fn listed<'a>(call: &'a Call, prefix: &str) -> Vec<&'a str> {
    let fits = |name: &str| name.strip_prefix(prefix).is_some_and(|it| it.starts_with('.'));
    call.parameters.iter().filter(|it| fits(it.0)).map(|it| it.1.as_str()).collect()
}
