//! What the hosts may do: a role and the instance profile of the same name through which hosts wear it.
//!
//! The profile is made first and deleted last, so that it tells of a role which a crash left behind.

use aws_sdk_iam::types::InstanceProfile;
use serde::Serialize;

use super::{
    FileSystem, attached_policies,
    policy::{self, Statement},
};
use crate::{
    aws::{self, Aws, patiently},
    engine::{Cx, Found, Ref, Resource, Value},
};

/// Its id is the name of both.
#[derive(Clone, Debug, Serialize)]
pub struct Role {
    pub name: String,
    /// Who may wear it.
    pub trust: Vec<Statement>,
    /// What it may do.
    pub policy: Vec<Statement>,
    /// Policies that somebody attached beside ours: ARNs, and names of those in the role itself. None are wanted.
    pub others: Vec<String>,
    /// Whether the profile holds the role.
    pub in_profile: bool,
}

/// How Systems Manager's orders and their answers travel.
const CHANNELS: [&str; 4] = [
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
];

/// The name of the role's only policy.
const POLICY: &str = "lamp";

impl Role {
    /// The least that a host needs: its own stack's parameters, its own report, the agent, the files, and orders.
    pub fn of_hosts(
        name: &str,
        (stack, region, account): (&str, &str, &str),
        artefacts: &str,
        files: Option<Ref<FileSystem>>,
    ) -> Role {
        let parameter = |path: &str| format!("arn:aws:ssm:{region}:{account}:parameter/lamp/{stack}{path}");
        let read = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"];
        let mut policy = vec![
            Statement::allow("ReadParameters", &read).on(parameter("")).on(parameter("/*")),
            Statement::allow("Report", &["ssm:PutParameter"]).on(parameter("/hosts/*")),
            // The key is the Parameter Store's own; only by way of it, and only for this stack's values.
            Statement::allow("DecryptParameters", &["kms:Decrypt"])
                .on(format!("arn:aws:kms:{region}:{account}:key/*"))
                .when("StringEquals", "kms:ViaService", format!("ssm.{region}.amazonaws.com"))
                .when("StringLike", "kms:EncryptionContext:PARAMETER_ARN", parameter("/*")),
            // What Amazon's own agent needs for Run Command; the channels know no resources.
            Statement::allow("BeManaged", &["ssm:UpdateInstanceInformation"])
                .on(format!("arn:aws:ec2:{region}:{account}:instance/*")),
            Statement::allow("TakeOrders", &CHANNELS).on("*"),
            Statement::allow("FetchAgent", &["s3:GetObject"]).on(format!("arn:aws:s3:::{artefacts}/*/lampd")),
        ];
        if let Some(files) = files {
            let mount = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"];
            policy.push(Statement::allow("MountFiles", &mount).on(files.out(FileSystem::ARN)));
        }
        let trust = Statement::allow("Hosts", &["sts:AssumeRole"]).to("Service: ec2.amazonaws.com");
        Role { trust: vec![trust], policy, in_profile: true, ..Role::bare(name) }
    }
}

impl Role {
    fn bare(name: &str) -> Role {
        let (trust, policy, others) = Default::default();
        Role { name: name.to_owned(), trust, policy, others, in_profile: false }
    }
}

impl Resource for Role {
    const KIND: &'static str = "role";
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["name"];
    const USUALLY: std::time::Duration = std::time::Duration::from_secs(20);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let prefix = prefix(aws);
        let mut pages = aws.iam.list_instance_profiles().path_prefix(&prefix).into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(it) = pages.try_next().await? {
            let Some(node) = it.path().strip_prefix(&prefix) else { continue };
            let spec = read(&it, aws).await?;
            found.push(Found::untagged(node.trim_end_matches('/'), it.instance_profile_name(), spec));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.iam.create_instance_profile().instance_profile_name(&self.name);
        create.path(path(cx)).set_tags(Some(Aws::to_iam(cx.tags)?)).send().await?;
        self.complete(&Role::bare(&self.name), cx).await?;
        Ok(self.name.clone())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        attached_policies::detach(&have.spec.others, &have.id, cx.aws).await?;
        self.complete(&have.spec, cx).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let (iam, name) = (&aws.iam, &have.id);
        if have.spec.in_profile {
            let remove = iam.remove_role_from_instance_profile().instance_profile_name(name).role_name(name);
            aws::gone(remove.send().await)?;
        }
        // A role of that name that is not in our profile may be anybody's.
        if have.spec.in_profile || is_ours(name, &prefix(aws), aws).await? == Some(true) {
            aws::gone(
                iam.delete_role_policy()
                    .role_name(name)
                    .policy_name(POLICY)
                    .send()
                    .await
                    .map_err(aws::Error::from),
            )?;
            match aws::gone(iam.delete_role().role_name(name).send().await) {
                Err(err) if err.is_in_use() => {
                    let others = attached_policies::beside(POLICY, name, aws).await?;
                    attached_policies::detach(&others, name, aws).await?;
                    aws::gone(iam.delete_role().role_name(name).send().await)?;
                }
                other => other?,
            }
        }
        iam.delete_instance_profile().instance_profile_name(name).send().await?;
        Ok(())
    }
}

impl Role {
    /// Every call is the same made twice, and what it did shows only when the profile holds the role: so a lost
    /// answer is asked for again at once instead of beginning anew.
    async fn complete(&self, have: &Role, cx: &Cx<'_>) -> aws::Result<()> {
        let (iam, text) = (&cx.aws.iam, |it: &Value| cx.text(it));
        let differ = |some: &[Statement], others: &[Statement]| sorted(some, cx) != sorted(others, cx);
        if !have.in_profile {
            let create = iam.create_role().role_name(&self.name).path(path(cx));
            let create = create.description(format!("Hosts of stack {}", cx.aws.stack));
            let create = create.assume_role_policy_document(policy::render(&self.trust, text));
            let create = create.set_tags(Some(Aws::to_iam(cx.tags)?));
            match patiently(|| create.clone().send()).await {
                Err(err) if err.is_there_already() => {
                    if is_ours(&self.name, &path(cx), cx.aws).await? == Some(false) {
                        return Err(aws::Error::refused(format!(
                            "a role {} exists that is not this stack's; choose another names.host_role or remove it",
                            self.name
                        )));
                    }
                    self.trust(cx).await?;
                }
                other => drop(other?),
            }
        } else if differ(&have.trust, &self.trust) {
            self.trust(cx).await?;
        }
        if !have.in_profile || differ(&have.policy, &self.policy) {
            let put = iam.put_role_policy().role_name(&self.name).policy_name(POLICY);
            let put = put.policy_document(policy::render(&self.policy, text));
            patiently(|| put.clone().send()).await?;
        }
        if !have.in_profile {
            self.put_in_profile(cx.aws).await?;
        }
        Ok(())
    }

    async fn trust(&self, cx: &Cx<'_>) -> aws::Result<()> {
        let document = policy::render(&self.trust, |it| cx.text(it));
        let update = cx.aws.iam.update_assume_role_policy().role_name(&self.name).policy_document(document);
        patiently(|| update.clone().send()).await?;
        Ok(())
    }

    /// A profile holds one role: another one that somebody put there has to go first.
    async fn put_in_profile(&self, aws: &Aws) -> aws::Result<()> {
        let add =
            aws.iam.add_role_to_instance_profile().instance_profile_name(&self.name).role_name(&self.name);
        let add = || patiently(|| add.clone().send());
        let err = match add().await {
            Err(err) if err.code.starts_with("LimitExceeded") => err,
            other => return other.map(drop),
        };
        let profile = aws.iam.get_instance_profile().instance_profile_name(&self.name).send().await?;
        let roles = profile.instance_profile.map(|it| it.roles).unwrap_or_default();
        match roles.first() {
            Some(it) if it.role_name() == self.name => Ok(()),
            Some(it) => {
                let remove = aws.iam.remove_role_from_instance_profile().instance_profile_name(&self.name);
                remove.role_name(it.role_name()).send().await?;
                add().await?;
                Ok(())
            }
            None => Err(err),
        }
    }
}

async fn read(profile: &InstanceProfile, aws: &Aws) -> aws::Result<Role> {
    let name = profile.instance_profile_name();
    let mut spec = Role::bare(name);
    if let Some(role) = profile.roles().iter().find(|it| it.role_name() == name) {
        spec.in_profile = true;
        spec.trust = policy::parse(role.assume_role_policy_document().unwrap_or_default());
        let get = aws.iam.get_role_policy().role_name(name).policy_name(POLICY);
        match get.send().await.map_err(aws::Error::from) {
            Ok(it) => spec.policy = policy::parse(it.policy_document()),
            Err(err) if err.is_missing() => (),
            Err(err) => return Err(err),
        }
        // Two calls more, which a plan leaves out.
        if !aws.trusts_bearings() {
            spec.others = attached_policies::beside(POLICY, name, aws).await?;
        }
    }
    Ok(spec)
}

/// Comparable texts, whatever the order.
fn sorted(statements: &[Statement], cx: &Cx<'_>) -> Vec<String> {
    let mut texts: Vec<_> =
        statements.iter().map(|it| policy::render(std::slice::from_ref(it), |it| cx.text(it))).collect();
    texts.sort();
    texts
}

/// Whether the role of that name lies under our path; `None` if there is none.
async fn is_ours(name: &str, path: &str, aws: &Aws) -> aws::Result<Option<bool>> {
    match aws.iam.get_role().role_name(name).send().await.map_err(aws::Error::from) {
        Ok(it) => Ok(it.role.map(|it| it.path.starts_with(path))),
        Err(err) if err.is_missing() => Ok(None),
        Err(err) => Err(err),
    }
}

/// IAM is one for all regions, and its listings filter by path rather than by tag.
fn prefix(aws: &Aws) -> String {
    format!("/lamp/{}/{}/", aws.region, aws.stack)
}

fn path(cx: &Cx<'_>) -> String {
    format!("{}{}/", prefix(cx.aws), cx.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As IAM decides, for policies that only allow.
    fn allows(role: &Role, action: &str, resource: &str) -> bool {
        let fits = |pattern: &str, text: &str| {
            let mut rest = text;
            let parts: Vec<&str> = pattern.split('*').collect();
            for (i, part) in parts.iter().enumerate() {
                match (rest.find(part), i) {
                    (Some(at), 0) if at != 0 => return false,
                    (Some(at), _) => rest = &rest[at + part.len()..],
                    (None, _) => return false,
                }
            }
            rest.is_empty() || pattern.ends_with('*')
        };
        role.policy.iter().any(|it| {
            let on = |pattern: &Value| matches!(pattern, Value::Text(it) if fits(it, resource));
            it.allow && it.actions.iter().any(|it| fits(it, action)) && it.resources.iter().any(on)
        })
    }

    #[test]
    fn a_host_may_read_its_own_stack_report_and_fetch_the_agent_and_nothing_else() {
        let files = Ref::id(Some("fs-1"));
        let role = Role::of_hosts("h", ("lab", "eu-west-1", "123456789012"), "artefacts", Some(files));
        let ssm = |path: &str| format!("arn:aws:ssm:eu-west-1:123456789012:parameter{path}");
        let may = [
            ("ssm:GetParametersByPath", ssm("/lamp/lab/")),
            ("ssm:GetParametersByPath", ssm("/lamp/lab")),
            ("ssm:GetParameter", ssm("/lamp/lab/generation")),
            ("ssm:PutParameter", ssm("/lamp/lab/hosts/i-1")),
            ("s3:GetObject", "arn:aws:s3:::artefacts/0a/lampd".into()),
            ("ssm:UpdateInstanceInformation", "arn:aws:ec2:eu-west-1:123456789012:instance/i-1".into()),
            ("ssmmessages:OpenDataChannel", "*".into()),
        ];
        for (action, resource) in may {
            assert!(allows(&role, action, &resource), "{action} on {resource}");
        }
        let may_not = [
            ("ssm:GetParameter", ssm("/lamp/lab2/db/password")),
            ("ssm:PutParameter", ssm("/lamp/lab/db/endpoint")),
            ("ssm:PutParameter", ssm("/lamp/lab/generation")),
            ("ssm:DeleteParameter", ssm("/lamp/lab/hosts/i-1")),
            ("s3:GetObject", "arn:aws:s3:::lab-site/index.html".into()),
            ("s3:PutObject", "arn:aws:s3:::artefacts/0a/lampd".into()),
            ("s3:ListBucket", "arn:aws:s3:::artefacts".into()),
            ("ec2:DescribeInstances", "*".into()),
            ("ssm:SendCommand", "*".into()),
        ];
        for (action, resource) in may_not {
            assert!(!allows(&role, action, &resource), "{action} on {resource}");
        }
    }
}
