//! Policies that somebody attached to the hosts' role beside ours: they widen what hosts may do, and hold the role.

use crate::aws::{self, Aws};

/// ARNs, and names of those that are in the role itself, other than `ours`. Nothing, where the role is gone meanwhile.
pub(super) async fn beside(ours: &str, role: &str, aws: &Aws) -> aws::Result<Vec<String>> {
    let attached = async { Ok(aws.iam.list_attached_role_policies().role_name(role).send().await?) };
    let inside = async { Ok(aws.iam.list_role_policies().role_name(role).send().await?) };
    let (attached, inside) = match tokio::try_join!(attached, inside) {
        Err::<_, aws::Error>(err) if err.is_missing() => return Ok(Vec::new()),
        other => other?,
    };
    let attached = attached.attached_policies.unwrap_or_default().into_iter().filter_map(|it| it.policy_arn);
    let inside = inside.policy_names.into_iter().filter(|it| it != ours);
    Ok(attached.chain(inside).collect())
}

pub(super) async fn detach(these: &[String], role: &str, aws: &Aws) -> aws::Result<()> {
    for it in these {
        // No name of a policy has a colon.
        if it.contains(':') {
            aws::gone(aws.iam.detach_role_policy().role_name(role).policy_arn(it).send().await)?;
        } else {
            aws::gone(aws.iam.delete_role_policy().role_name(role).policy_name(it).send().await)?;
        }
    }
    Ok(())
}
