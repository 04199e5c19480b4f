//! One machine: a bastion or a private host. Those of a scaling group belong to the group.

use std::{sync::Arc, time::Duration};

use aws_sdk_ec2::types::{
    Filter, IamInstanceProfileSpecification, Instance as Sdk, InstanceStateName, ResourceType,
    RunInstancesMonitoringEnabled,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::{ImageSource, KeyPair, Metadata, Role, RootVolume, SecurityGroup, Subnet};
use crate::{
    aws::{self, Aws, Tags, tag_value},
    engine::{AtCreation, Cx, Found, Output, Phase, Ref, Resource, Value},
};

#[derive(Clone, Debug, Serialize)]
pub struct Instance {
    pub subnet: Ref<Subnet>,
    pub key: Ref<KeyPair>,
    pub groups: Vec<Ref<SecurityGroup>>,
    pub profile: Ref<Role>,
    pub instance_type: String,
    pub metadata: Metadata,
    pub detailed_monitoring: bool,
    /// Always wanted; somebody may have stopped it.
    pub running: bool,
    /// The image moves on (a parameter names the newest one) while its machines live on.
    pub image: AtCreation<ImageSource>,
    /// Read with the volume, not with the machine.
    pub volume: AtCreation<RootVolume>,
    /// Runs once, at the first start.
    pub user_data: AtCreation<Value>,
}

impl Instance {
    /// Its address in the VPC.
    pub const PRIVATE_IP: Output<Instance> = Output::new("private_ip");
}

impl Resource for Instance {
    const KIND: &'static str = "instance";
    const EC2_TAGGED: bool = true;
    const FIXED: &'static [&'static str] = &["subnet", "key", "instance_type"];
    const USUALLY: Duration = Duration::from_secs(20);
    const PATIENCE: Duration = Duration::from_secs(15 * 60);
    const LINGERS: bool = true;

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let seen = aws.instances().await?;
        Ok(seen.iter().filter(|it| !is_of_scaling_group(it)).map(found).collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        cx.aws.with_token(cx.node, |token| async move { self.run(&token, cx).await }).await
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let (ec2, id) = (&cx.aws.ec2, &have.id);
        let sorted = |mut ids: Vec<String>| {
            ids.sort();
            ids
        };
        let groups = sorted(cx.ids(&self.groups));
        if groups != sorted(cx.ids(&have.spec.groups)) {
            ec2.modify_instance_attribute().instance_id(id).set_groups(Some(groups)).send().await?;
        }
        if self.metadata != have.spec.metadata {
            self.metadata.set(id, cx.aws).await?;
        }
        match (self.detailed_monitoring, have.spec.detailed_monitoring) {
            (true, false) => drop(ec2.monitor_instances().instance_ids(id).send().await?),
            (false, true) => drop(ec2.unmonitor_instances().instance_ids(id).send().await?),
            _ => (),
        }
        let profile = cx.id(self.profile);
        if profile != cx.id(have.spec.profile) {
            set_profile(id, &profile, cx.aws).await?;
        }
        if self.running && !have.spec.running {
            ec2.start_instances().instance_ids(id).send().await?;
        }
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_ec2(id, tags).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.ec2.terminate_instances().instance_ids(&have.id).send().await?;
        Ok(())
    }
}

impl Instance {
    async fn run(&self, token: &str, cx: &Cx<'_>) -> aws::Result<String> {
        let Some(image) = &self.image.0 else {
            return Err(aws::Error::refused("no image is given for this host"));
        };
        let image = image.id(cx).await?;
        let mut run = cx.aws.ec2.run_instances().min_count(1).max_count(1).client_token(token);
        if let Some(volume) = &self.volume.0 {
            run = run.block_device_mappings(volume.mapping(&image, cx.aws).await?);
        }
        if let Some(script) = &self.user_data.0 {
            run = run.user_data(BASE64_STANDARD.encode(cx.text(script)));
        }
        let made = run
            .image_id(image)
            .subnet_id(cx.id(self.subnet))
            .key_name(cx.id(self.key))
            .set_security_group_ids(Some(cx.ids(&self.groups)))
            .iam_instance_profile(
                IamInstanceProfileSpecification::builder().name(cx.id(self.profile)).build(),
            )
            .instance_type(self.instance_type.as_str().into())
            .metadata_options(self.metadata.for_instance())
            .monitoring(RunInstancesMonitoringEnabled::builder().enabled(self.detailed_monitoring).build())
            .tag_specifications(Aws::ec2_tags(cx.tags, ResourceType::Instance))
            .tag_specifications(Aws::ec2_tags(cx.tags, ResourceType::Volume))
            .send()
            .await?;
        let it = made.instances().first();
        // The token's first machine, which somebody has terminated since.
        let state = it.and_then(|it| it.state()).and_then(|it| it.name());
        if matches!(state, Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated)) {
            return Err(aws::Error::stale_token());
        }
        Ok(it.and_then(|it| it.instance_id()).unwrap_or_default().to_owned())
    }
}

/// A host without its profile can read neither its parameters nor the agent.
async fn set_profile(id: &str, profile: &str, aws: &Aws) -> aws::Result<()> {
    let wanted = IamInstanceProfileSpecification::builder().name(profile).build();
    let of_this = Filter::builder().name("instance-id").values(id).build();
    let seen = aws.ec2.describe_iam_instance_profile_associations().filters(of_this).send().await?;
    match seen.iam_instance_profile_associations().first().and_then(|it| it.association_id()) {
        Some(there) => {
            let replace = aws.ec2.replace_iam_instance_profile_association().association_id(there);
            replace.iam_instance_profile(wanted).send().await?;
        }
        None => {
            let associate = aws.ec2.associate_iam_instance_profile().instance_id(id);
            associate.iam_instance_profile(wanted).send().await?;
        }
    }
    Ok(())
}

fn found(it: &Sdk) -> Found<Instance> {
    let state = it.state().and_then(|it| it.name()).cloned().unwrap_or(InstanceStateName::Pending);
    let profile = it.iam_instance_profile().and_then(|it| it.arn()).and_then(|it| it.rsplit('/').next());
    let spec = Instance {
        subnet: Ref::id(it.subnet_id()),
        key: Ref::id(it.key_name()),
        groups: it.security_groups().iter().map(|it| Ref::id(it.group_id())).collect(),
        profile: Ref::id(profile),
        instance_type: it.instance_type().map(|it| it.as_str().to_owned()).unwrap_or_default(),
        metadata: Metadata::of_instance(it),
        detailed_monitoring: it
            .monitoring()
            .and_then(|it| it.state())
            .is_some_and(|it| ["enabled", "pending"].contains(&it.as_str())),
        running: state != InstanceStateName::Stopped,
        image: AtCreation::unknown(),
        volume: AtCreation::unknown(),
        user_data: AtCreation::unknown(),
    };
    let phase = match state {
        InstanceStateName::Running | InstanceStateName::Stopped => Phase::Ready,
        other => Phase::Pending(other.to_string()),
    };
    let is_going = phase == Phase::Pending(InstanceStateName::ShuttingDown.to_string());
    let found = Found::new(it.instance_id(), Aws::from_ec2(it.tags()), spec).phase(phase);
    let mut found = found.out(Instance::PRIVATE_IP, it.private_ip_address().unwrap_or_default());
    if is_going {
        // It will not come back: its node is free for another machine meanwhile.
        found.node = format!("{}/{}", Instance::KIND, found.id);
    }
    found
}

/// A machine of the stack, as those see it who want to reach it.
pub struct Host {
    pub id: String,
    pub name: String,
    pub address: String,
    pub is_running: bool,
}

/// All that are not gone, those of the scaling group among them.
///
/// # Errors
/// The machines cannot be read.
pub async fn hosts(aws: &Aws) -> aws::Result<Vec<Host>> {
    let all = aws.instances().await?;
    let hosts = all.iter().map(|it| Host {
        id: it.instance_id().unwrap_or_default().to_owned(),
        name: tag_value(&Aws::from_ec2(it.tags()), shared::tags::NAME),
        address: it.private_ip_address().unwrap_or_default().to_owned(),
        is_running: it.state().and_then(|it| it.name()) == Some(&InstanceStateName::Running),
    });
    Ok(hosts.collect())
}

/// Whether an Auto Scaling group launched it, and takes it away.
pub(super) fn is_of_scaling_group(it: &Sdk) -> bool {
    it.tags().iter().any(|it| it.key() == Some("aws:autoscaling:groupName"))
}

impl Aws {
    /// The stack's machines that are not gone, those of its scaling group among them; read by two kinds.
    pub(super) async fn instances(&self) -> aws::Result<Arc<Vec<Sdk>>> {
        self.once("instances", || async {
            let alive = ["pending", "running", "shutting-down", "stopping", "stopped"].map(String::from);
            let alive =
                Filter::builder().name("instance-state-name").set_values(Some(alive.to_vec())).build();
            let pages = self.ec2.describe_instances().filters(self.ours()).filters(alive).into_paginator();
            let mut pages = pages.send();
            let mut all = Vec::new();
            while let Some(page) = pages.try_next().await? {
                all.extend(
                    page.reservations
                        .unwrap_or_default()
                        .into_iter()
                        .flat_map(|it| it.instances.unwrap_or_default()),
                );
            }
            Ok(all)
        })
        .await
    }
}

/// The node's own name of the stack's machine with this id.
pub(super) fn host_name(it: &Sdk) -> Option<String> {
    let node = tag_value(&Aws::from_ec2(it.tags()), shared::tags::NODE);
    node.strip_prefix("instance/").map(str::to_owned)
}
