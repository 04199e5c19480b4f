//! The Auto Scaling group: private hosts that come and go with the load.

use super::{entrance::Entrances, firewall::Firewall, network::Network, role::HostKit};
use crate::{
    config::{Behind, Config, ScalingImage},
    engine::{Ref, Stack},
    kinds::{Image, ImageSource, LaunchTemplate, RootVolume, ScalingGroup, ScalingPolicy},
};

pub(super) fn scaling(
    s: &mut Stack,
    c: &Config,
    net: &Network,
    fw: &Firewall,
    kit: &HostKit,
    doors: &Entrances,
    image: Option<Ref<Image>>,
) {
    let (Some(group), Some(key), Some(door)) =
        (fw.private_hosts, kit.private_key, doors.get(&Behind::ScalingGroup))
    else {
        return;
    };
    let g = &c.scaling;
    let image = match (&g.image, image) {
        (ScalingImage::PrivateHosts, Some(image)) => ImageSource::Node(image),
        (ScalingImage::Given(id), _) => ImageSource::Id(id.clone()),
        _ => kit.image.clone(),
    };
    let spec = LaunchTemplate {
        name: c.names.launch_template.clone(),
        image,
        instance_type: g.instance_type.clone(),
        key,
        groups: vec![group],
        profile: kit.role,
        metadata: kit.metadata.clone(),
        detailed_monitoring: g.detailed_monitoring,
        volume: RootVolume::gp3(c.hosts.volume_gib, !c.unsafe_choices.unencrypted_volumes),
        user_data: kit.user_data.clone(),
        host_tags: LaunchTemplate::host_tags(&s.common_tags(), &c.names.scaling_host),
    };
    let template = s.add_named("asg-lt", &c.names.launch_template, spec);
    let spec = ScalingGroup {
        name: c.names.scaling_group.clone(),
        subnets: net.private.clone(),
        template,
        version: "$Default".into(),
        target_groups: vec![door.web.group, door.index.group],
        min: g.min,
        max: g.max,
        desired: g.desired,
        health_check: g.health_check.as_str().into(),
        grace: g.health_check_grace,
        cooldown: g.cooldown,
        metrics: g.group_metrics,
        termination_policies: g.termination_policies.iter().map(|it| it.as_str().to_owned()).collect(),
        suspended: g.suspended_processes.iter().map(|it| it.as_str().to_owned()).collect(),
        max_lifetime: g.max_instance_lifetime,
        scale_in_protection: g.scale_in_protection,
    };
    let hosts = s.add_named("asg", &c.names.scaling_host, spec);
    let spec = ScalingPolicy { group: hosts, cpu_target: g.cpu_target, warmup: g.warmup, enabled: true };
    s.add(&c.names.scaling_policy, spec);
}
