//! The Auto Scaling group: private hosts that come and go with the load.

use std::{sync::Arc, time::Duration};

use aws_sdk_autoscaling::types::{
    AutoScalingGroup as Sdk, Filter, LaunchTemplateSpecification, LifecycleState, Tag,
};
use serde::{Serialize, Serializer};
use shared::tags::{NODE, STACK};

use super::{LaunchTemplate, Subnet, TargetGroup, desired_capacity};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Phase, Ref, Resource},
};

/// Its id is its name. Its `Name` tag is that of its hosts, as in the lab.
#[derive(Clone, Debug, Serialize)]
pub struct ScalingGroup {
    /// Unique in the account and region.
    pub name: String,
    pub subnets: Vec<Ref<Subnet>>,
    pub template: Ref<LaunchTemplate>,
    /// `$Default`, or a number.
    pub version: String,
    pub target_groups: Vec<Ref<TargetGroup>>,
    pub min: u32,
    pub max: u32,
    /// At first; what its own policy made of it since counts as wanted, what a person made of it does
    /// not (see [`desired_capacity`]).
    pub desired: u32,
    /// `EC2` or `ELB`.
    pub health_check: String,
    pub grace: u32,
    pub cooldown: u32,
    pub metrics: bool,
    /// The first one counts first.
    #[serde(serialize_with = "in_order")]
    pub termination_policies: Vec<String>,
    pub suspended: Vec<String>,
    /// Seconds; 0: without limit.
    pub max_lifetime: u32,
    pub scale_in_protection: bool,
}

/// Lists are compared as sets; this one is not.
fn in_order<S: Serializer>(list: &[String], s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&list.join(", "))
}

impl Resource for ScalingGroup {
    const KIND: &'static str = "scaling-group";
    const FIXED: &'static [&'static str] = &["name"];
    const USUALLY: Duration = Duration::from_secs(60);
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const LINGERS: bool = true;
    /// It may ask for more hosts than there can be.
    const CHANGES_WHILE_PENDING: bool = true;

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        for it in aws.scaling_groups().await?.iter() {
            let spec = spec(it, desired_capacity::asked(it, aws).await?);
            let phase = phase(it, aws).await?;
            found.push(Found::new(it.auto_scaling_group_name(), tags_of(it), spec).phase(phase));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.scaling.create_auto_scaling_group().auto_scaling_group_name(&self.name);
        create
            .vpc_zone_identifier(cx.ids(&self.subnets).join(","))
            .launch_template(self.launches(cx))
            .set_target_group_arns(Some(cx.ids(&self.target_groups)))
            .min_size(number(self.min))
            .max_size(number(self.max))
            .desired_capacity(number(self.desired))
            .health_check_type(&self.health_check)
            .health_check_grace_period(number(self.grace))
            .default_cooldown(number(self.cooldown))
            .set_termination_policies(Some(self.termination_policies.clone()))
            .set_max_instance_lifetime((self.max_lifetime != 0).then_some(number(self.max_lifetime)))
            .new_instances_protected_from_scale_in(self.scale_in_protection)
            .set_tags(Some(self.tags(cx.tags)))
            .send()
            .await?;
        let bare = ScalingGroup { metrics: false, suspended: Vec::new(), ..self.clone() };
        self.switch(&bare, cx.aws).await?;
        Ok(self.name.clone())
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let is = &have.spec;
        let (want_groups, have_groups) = (cx.ids(&self.target_groups), cx.ids(&is.target_groups));
        let missing: Vec<_> = want_groups.iter().filter(|it| !have_groups.contains(it)).cloned().collect();
        if !missing.is_empty() {
            let attach = cx.aws.scaling.attach_load_balancer_target_groups();
            let attach = attach.auto_scaling_group_name(&self.name).set_target_group_arns(Some(missing));
            attach.send().await?;
        }
        let extra: Vec<_> = have_groups.into_iter().filter(|it| !want_groups.contains(it)).collect();
        if !extra.is_empty() {
            let detach = cx.aws.scaling.detach_load_balancer_target_groups();
            let detach = detach.auto_scaling_group_name(&self.name).set_target_group_arns(Some(extra));
            detach.send().await?;
        }
        self.update(is, cx).await?;
        if self.desired != is.desired {
            let tag = desired_capacity::tag(self.desired);
            cx.aws.scaling.create_or_update_tags().tags(of_group(tag, &self.name)).send().await?;
        }
        self.switch(is, cx.aws).await
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        let tags = to_scaling(tags).into_iter().map(|it| of_group(it, id)).collect();
        aws.scaling.create_or_update_tags().set_tags(Some(tags)).send().await?;
        Ok(())
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let delete = aws.scaling.delete_auto_scaling_group().auto_scaling_group_name(&have.id);
        // With its hosts.
        delete.force_delete(true).send().await?;
        Ok(())
    }
}

impl ScalingGroup {
    fn launches(&self, cx: &Cx<'_>) -> LaunchTemplateSpecification {
        let template = LaunchTemplateSpecification::builder().launch_template_id(cx.id(self.template));
        template.version(&self.version).build()
    }

    fn tags(&self, tags: &Tags) -> Vec<Tag> {
        let mut tags = to_scaling(tags);
        tags.push(desired_capacity::tag(self.desired));
        tags
    }

    /// One call for everything that it can change, and only if something differs.
    async fn update(&self, is: &ScalingGroup, cx: &Cx<'_>) -> aws::Result<()> {
        let sorted = |them: &[Ref<Subnet>]| {
            let mut ids = cx.ids(them);
            ids.sort();
            ids
        };
        let subnets = sorted(&self.subnets);
        let moved = subnets != sorted(&is.subnets);
        let relaunched = cx.id(self.template) != cx.id(is.template) || self.version != is.version;
        let numbers = |it: &ScalingGroup| {
            (it.min, it.max, it.desired, it.grace, it.cooldown, it.max_lifetime, it.scale_in_protection)
        };
        let words = |it: &ScalingGroup| (it.health_check.clone(), it.termination_policies.clone());
        if !moved && !relaunched && numbers(self) == numbers(is) && words(self) == words(is) {
            return Ok(());
        }
        let update = cx.aws.scaling.update_auto_scaling_group().auto_scaling_group_name(&self.name);
        update
            .set_vpc_zone_identifier(moved.then(|| subnets.join(",")))
            .set_launch_template(relaunched.then(|| self.launches(cx)))
            .min_size(number(self.min))
            .max_size(number(self.max))
            .set_desired_capacity((self.desired != is.desired).then_some(number(self.desired)))
            .health_check_type(&self.health_check)
            .health_check_grace_period(number(self.grace))
            .default_cooldown(number(self.cooldown))
            .set_termination_policies(Some(self.termination_policies.clone()))
            .set_max_instance_lifetime(
                (self.max_lifetime != is.max_lifetime).then_some(number(self.max_lifetime)),
            )
            .new_instances_protected_from_scale_in(self.scale_in_protection)
            .send()
            .await?;
        Ok(())
    }

    /// What has calls of its own: metrics and suspended processes.
    async fn switch(&self, is: &ScalingGroup, aws: &Aws) -> aws::Result<()> {
        let scaling = &aws.scaling;
        match (self.metrics, is.metrics) {
            (true, false) => {
                let enable = scaling.enable_metrics_collection().auto_scaling_group_name(&self.name);
                enable
                    .set_metrics(Some(METRICS.map(String::from).to_vec()))
                    .granularity("1Minute")
                    .send()
                    .await?;
            }
            (false, true) => {
                scaling.disable_metrics_collection().auto_scaling_group_name(&self.name).send().await?;
            }
            _ => (),
        }
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|it| !those.contains(it)).cloned().collect()
        };
        let suspend = only(&self.suspended, &is.suspended);
        if !suspend.is_empty() {
            let call = scaling.suspend_processes().auto_scaling_group_name(&self.name);
            call.set_scaling_processes(Some(suspend)).send().await?;
        }
        let resume = only(&is.suspended, &self.suspended);
        if !resume.is_empty() {
            let call = scaling.resume_processes().auto_scaling_group_name(&self.name);
            call.set_scaling_processes(Some(resume)).send().await?;
        }
        Ok(())
    }
}

/// Named one by one: without names, AWS switches on more with time, and an emulator none.
const METRICS: [&str; 8] = [
    "GroupMinSize",
    "GroupMaxSize",
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
];

fn spec(it: &Sdk, desired: u32) -> ScalingGroup {
    let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
    let template = it.launch_template();
    let metrics: Vec<&str> = it.enabled_metrics().iter().filter_map(|it| it.metric()).collect();
    ScalingGroup {
        name: text(it.auto_scaling_group_name()),
        subnets: text(it.vpc_zone_identifier())
            .split(',')
            .filter(|it| !it.is_empty())
            .map(|it| Ref::id(Some(it)))
            .collect(),
        template: Ref::id(template.and_then(|it| it.launch_template_id())),
        // Left out, AWS takes the default one and shows none.
        version: template.and_then(|it| it.version()).unwrap_or("$Default").to_owned(),
        target_groups: it.target_group_arns().iter().map(|it| Ref::id(Some(it))).collect(),
        min: count(it.min_size()),
        max: count(it.max_size()),
        desired,
        health_check: text(it.health_check_type()),
        grace: count(it.health_check_grace_period()),
        cooldown: count(it.default_cooldown()),
        metrics: METRICS.iter().all(|it| metrics.contains(it)),
        termination_policies: it.termination_policies().to_vec(),
        suspended: it
            .suspended_processes()
            .iter()
            .filter_map(|it| it.process_name().map(str::to_owned))
            .collect(),
        max_lifetime: count(it.max_instance_lifetime()),
        scale_in_protection: it.new_instances_protected_from_scale_in() == Some(true),
    }
}

/// Ready once the smallest wanted number of hosts serves.
async fn phase(it: &Sdk, aws: &Aws) -> aws::Result<Phase> {
    if let Some(status) = it.status().filter(|it| !it.is_empty()) {
        // AWS says "Delete in progress": the name is free once it is gone, so the way on is to delete it.
        return Ok(Phase::Failed(status.to_lowercase()));
    }
    let serving =
        |it: &&aws_sdk_autoscaling::types::Instance| it.lifecycle_state() == Some(&LifecycleState::InService);
    let (serving, min) = (it.instances().iter().filter(serving).count(), it.min_size().unwrap_or(0));
    let launches = it.suspended_processes().iter().all(|it| it.process_name() != Some("Launch"));
    if !launches || usize::try_from(min).unwrap_or(0) <= serving {
        return Ok(Phase::Ready);
    }
    let why = desired_capacity::last_failure(it.auto_scaling_group_name().unwrap_or_default(), aws).await?;
    let why = why.map(|it| format!(" ({it})")).unwrap_or_default();
    Ok(Phase::Pending(format!("{serving} of {min} hosts in service{why}")))
}

pub(super) fn count(it: Option<i32>) -> u32 {
    it.and_then(|it| u32::try_from(it).ok()).unwrap_or_default()
}

pub(super) fn number(it: u32) -> i32 {
    i32::try_from(it).unwrap_or(i32::MAX)
}

pub(super) fn tags_of(it: &Sdk) -> Tags {
    let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
    it.tags().iter().map(|it| (text(it.key()), text(it.value()))).collect()
}

/// A host belongs to the group and not to its node, so that tag does not go on.
fn to_scaling(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).propagate_at_launch(key != NODE).build())
        .collect()
}

fn of_group(mut tag: Tag, group: &str) -> Tag {
    tag.resource_id = Some(group.to_owned());
    tag.resource_type = Some("auto-scaling-group".into());
    tag
}

impl Aws {
    /// The stack's groups; read by three kinds.
    pub(super) async fn scaling_groups(&self) -> aws::Result<Arc<Vec<Sdk>>> {
        self.once("scaling groups", || async {
            let ours = Filter::builder().name(format!("tag:{STACK}")).values(&self.stack).build();
            let pages = self.scaling.describe_auto_scaling_groups().filters(ours).into_paginator().items();
            Ok(pages.send().collect::<Result<Vec<Sdk>, _>>().await?)
        })
        .await
    }
}
