//! The scaling group, its launch template and its policy.

use std::collections::BTreeMap;

use aws_sdk_autoscaling::types::Tag;
use aws_sdk_ec2::types::RequestLaunchTemplateData;
use provisioner::{
    aws::Aws,
    engine::{Ref, Stack},
    kinds::{ImageSource, LaunchTemplate, Metadata, RootVolume, ScalingGroup, ScalingPolicy},
};

use super::{
    Moto, build, differences,
    hosts::{Ground, PARAMETER, ground, host_and_image},
    look, repairs, take_away,
};

const POLICY: &str = "lab-policy-01";

fn template(ground: &Ground, image: ImageSource, script: &str) -> LaunchTemplate {
    let tags =
        BTreeMap::from([("lamp:stack".to_owned(), "t".to_owned()), ("team".to_owned(), "web".to_owned())]);
    LaunchTemplate {
        name: "t-lt".into(),
        image,
        instance_type: "t3.micro".into(),
        key: ground.key,
        groups: vec![ground.group],
        profile: ground.role,
        metadata: Metadata { v2_required: true, hops: 1 },
        detailed_monitoring: true,
        volume: RootVolume::gp3(8, true),
        user_data: script.into(),
        host_tags: LaunchTemplate::host_tags(&tags, "asg-ec2"),
    }
}

fn group(ground: &Ground, template: Ref<LaunchTemplate>, sizes: (u32, u32, u32)) -> ScalingGroup {
    ScalingGroup {
        name: "t-asg".into(),
        subnets: ground.subnets.clone(),
        template,
        version: "$Default".into(),
        target_groups: vec![ground.web, ground.index],
        min: sizes.0,
        desired: sizes.1,
        max: sizes.2,
        health_check: "EC2".into(),
        grace: 60,
        cooldown: 300,
        metrics: true,
        termination_policies: vec!["OldestLaunchTemplate".into(), "Default".into()],
        suspended: vec!["AZRebalance".into()],
        max_lifetime: 0,
        scale_in_protection: false,
    }
}

/// A group whose hosts start from the plain image.
fn plain(script: &str, sizes: (u32, u32, u32), with_policy: bool) -> (Stack, Ground) {
    let mut s = Stack::new("t", BTreeMap::new());
    let ground = ground(&mut s, "t", 300);
    let template = s.add("lt", template(&ground, ImageSource::from(PARAMETER), script));
    let group = s.add_named("asg", "asg-ec2", group(&ground, template, sizes));
    if with_policy {
        s.add(POLICY, ScalingPolicy { group, cpu_target: 7.0, warmup: 60, enabled: true });
    }
    (s, ground)
}

async fn hosts(aws: &Aws) -> Vec<(String, aws_sdk_ec2::types::Instance)> {
    let running = aws_sdk_ec2::types::Filter::builder().name("instance-state-name").values("running").build();
    let seen = aws.ec2.describe_instances().filters(running).send().await.unwrap();
    let all = seen.reservations().iter().flat_map(|it| it.instances());
    all.map(|it| (it.instance_id().unwrap().to_owned(), it.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaling_group_is_made_as_wanted_and_repaired() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, _ground) = plain("#!/bin/sh\n", (2, 2, 4), true);
    build(&s, &aws).await;
    let all = hosts(&aws).await;
    assert_eq!(all.len(), 2);
    for (_, it) in &all {
        let tags = Aws::from_ec2(it.tags());
        assert_eq!(tags.get("Name").map(String::as_str), Some("asg-ec2"));
        assert_eq!(tags.get("lamp:stack").map(String::as_str), Some("t"));
        assert_eq!(tags.get("team").map(String::as_str), Some("web"));
        assert_eq!(tags.get("lamp:node"), None);
    }
    let scaling = &aws.scaling;

    // Its size.
    let set = scaling.set_desired_capacity().auto_scaling_group_name("t-asg").desired_capacity(3);
    set.send().await.unwrap();
    let found = differences(&s, &aws).await;
    assert_eq!(found, ["scaling-group/asg: desired: 3 → 2"]);
    repairs(&s, &aws, &["scaling-group/asg"]).await;
    let update = scaling.update_auto_scaling_group().auto_scaling_group_name("t-asg");
    update.max_size(10).min_size(1).desired_capacity(1).health_check_type("ELB").send().await.unwrap();
    repairs(&s, &aws, &["scaling-group/asg"]).await;
    assert_eq!(hosts(&aws).await.len(), 2);
    // Its switches.
    let suspend = scaling.suspend_processes().auto_scaling_group_name("t-asg");
    suspend.scaling_processes("Launch").send().await.unwrap();
    repairs(&s, &aws, &["scaling-group/asg"]).await;
    let resume = scaling.resume_processes().auto_scaling_group_name("t-asg");
    resume.scaling_processes("AZRebalance").send().await.unwrap();
    repairs(&s, &aws, &["scaling-group/asg"]).await;
    // Its balancer.
    let web = look(&s, &aws).await.nodes["target-group/t-tg"].id.clone();
    let detach = scaling.detach_load_balancer_target_groups().auto_scaling_group_name("t-asg");
    detach.target_group_arns(web).send().await.unwrap();
    repairs(&s, &aws, &["scaling-group/asg"]).await;
    // Its tags.
    let tag = Tag::builder().key("Name").resource_id("t-asg").resource_type("auto-scaling-group").build();
    scaling.delete_tags().tags(tag).send().await.unwrap();
    repairs(&s, &aws, &["scaling-group/asg"]).await;
    // Its policy.
    let delete = scaling.delete_policy().policy_name(POLICY).auto_scaling_group_name("t-asg");
    delete.send().await.unwrap();
    repairs(&s, &aws, &[&format!("scaling-policy/{POLICY}")]).await;
    take_away(&s, &aws).await;
    assert!(hosts(&aws).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_template_becomes_a_new_default_version() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, _ground) = plain("#!/bin/sh\necho 1\n", (1, 1, 2), true);
    build(&s, &aws).await;
    let (changed, _ground) = plain("#!/bin/sh\necho 2\n", (1, 1, 2), true);
    repairs(&changed, &aws, &["launch-template/lt"]).await;
    let template = look(&changed, &aws).await.nodes["launch-template/lt"].clone();
    assert_eq!(template.out["version"], "2");
    // Somebody makes another version the default.
    let data = RequestLaunchTemplateData::builder().instance_type("m5.large".into()).build();
    let create = aws.ec2.create_launch_template_version().launch_template_id(&template.id);
    create.launch_template_data(data).send().await.unwrap();
    assert_eq!(differences(&changed, &aws).await, [""; 0]);
    let modify = aws.ec2.modify_launch_template().launch_template_id(&template.id).default_version("3");
    modify.send().await.unwrap();
    repairs(&changed, &aws, &["launch-template/lt"]).await;
    take_away(&changed, &aws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wanted_size_is_set_and_kept() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, _ground) = plain("", (1, 1, 2), false);
    build(&s, &aws).await;
    let (larger, _ground) = plain("", (2, 3, 4), false);
    repairs(&larger, &aws, &["scaling-group/asg"]).await;
    assert_eq!(hosts(&aws).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_start_from_the_image_of_one_that_works() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let mut s = Stack::new("t", BTreeMap::new());
    let ground = ground(&mut s, "t", 300);
    let (_, image) = host_and_image(&mut s, "t", &ground);
    let template = s.add("lt", template(&ground, ImageSource::Node(image), ""));
    let spec = ScalingGroup { target_groups: Vec::new(), ..group(&ground, template, (2, 2, 4)) };
    s.add_named("asg", "asg-ec2", spec);
    build(&s, &aws).await;
    let image = look(&s, &aws).await.nodes["image/image"].id.clone();
    let from_it = hosts(&aws).await.iter().filter(|(_, it)| it.image_id() == Some(&image)).count();
    assert_eq!(from_it, 2);
    take_away(&s, &aws).await;
}
