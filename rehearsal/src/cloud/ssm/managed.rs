//! Which hosts Systems Manager knows: those whose agent could have called it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::cloud::sync::Sync;
use crate::instance::Instance;
use crate::metadata::Metadata;
use crate::wire::Phase;

/// What the agent calls first; a role without it stays unknown for ever.
const NEEDED: [&str; 3] =
    ["ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:OpenControlChannel"];

/// What a host's kernel says of its network cable.
const CARRIER: &str = "/sys/class/net/ens5/carrier";

/// One host that Systems Manager knows.
#[derive(Clone)]
pub(super) struct Managed {
    pub(super) machine: Instance,
    pub(super) about: Metadata,
}

impl Managed {
    /// Whether its agent can be reached at this moment: by the service, and by any cable at all.
    pub(super) fn is_online(&self, sync: &Sync) -> bool {
        if sync.shared.lock().ssm_broken {
            return false;
        }
        self.machine.exec(&["grep", "-qx", "1", CARRIER]).is_ok_and(|it| it.success())
    }
}

/// All of them, by id. What was stopped or has crashed is known no longer.
pub(super) fn all(sync: &Sync) -> BTreeMap<String, Managed> {
    let known: Vec<(String, Instance, Metadata)> = {
        let running = sync.running();
        let about = |id: &String| running.described.get(id).cloned();
        running.machines.iter().filter_map(|(id, it)| Some((id.clone(), it.clone(), about(id)?))).collect()
    };
    let mut allowed: BTreeMap<String, bool> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for (id, machine, about) in known {
        let Some(role) = &about.role else { continue };
        if !matches!(machine.phase(), Ok(Phase::Running)) {
            continue;
        }
        let may = allowed
            .entry(role.name.clone())
            .or_insert_with(|| sync.runtime.block_on(may_be_managed(&sync.clients.iam, &role.name)));
        if *may {
            all.insert(id, Managed { machine, about });
        }
    }
    all
}

/// Whether the roles of an instance profile allow what the agent needs; what cannot be read allows nothing.
async fn may_be_managed(iam: &aws_sdk_iam::Client, profile: &str) -> bool {
    let Ok(profile) = iam.get_instance_profile().instance_profile_name(profile).send().await else {
        return false;
    };
    let mut documents = Vec::new();
    for role in profile.instance_profile().map(|it| it.roles()).unwrap_or_default() {
        let role = role.role_name();
        if let Ok(inline) = iam.list_role_policies().role_name(role).send().await {
            for name in inline.policy_names() {
                let read = iam.get_role_policy().role_name(role).policy_name(name).send().await;
                documents.extend(read.ok().map(|it| it.policy_document));
            }
        }
        if let Ok(attached) = iam.list_attached_role_policies().role_name(role).send().await {
            for arn in attached.attached_policies().iter().filter_map(|it| it.policy_arn()) {
                let version = iam.get_policy().policy_arn(arn).send().await.ok();
                let version = version.and_then(|it| it.policy?.default_version_id).unwrap_or_default();
                let read = iam.get_policy_version().policy_arn(arn).version_id(version).send().await;
                documents.extend(read.ok().and_then(|it| it.policy_version?.document));
            }
        }
    }
    NEEDED.iter().all(|action| documents.iter().any(|it| allows(it, action)))
}

/// Whether a policy allows an action, on whatever.
fn allows(document: &str, action: &str) -> bool {
    let text = percent_decode_str(document).decode_utf8_lossy();
    let Ok(policy) = serde_json::from_str::<Value>(&text) else { return false };
    let list = |it: &Value| match it {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    list(&policy["Statement"]).iter().filter(|it| it["Effect"] == "Allow").any(|it| {
        list(&it["Action"]).iter().filter_map(Value::as_str).any(|pattern| match pattern.split_once('*') {
            Some((start, _)) => action.to_lowercase().starts_with(&start.to_lowercase()),
            None => pattern.eq_ignore_ascii_case(action),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_allows_what_it_names_and_what_its_star_covers() {
        let policy = r#"{"Statement":[{"Effect":"Allow","Action":["ssm:UpdateInstanceInformation","ssmmessages:*"]},
                         {"Effect":"Deny","Action":"s3:*"}]}"#;
        assert!(NEEDED.iter().all(|it| allows(policy, it)));
        assert!(!allows(policy, "s3:GetObject") && !allows(policy, "ssm:GetParameter"));
        assert!(allows(&policy.replace('"', "%22"), NEEDED[0]) && !allows("nonsense", NEEDED[0]));
    }
}
