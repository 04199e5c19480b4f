//! Hosts, what they start from, and the load balancer before them.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::HttpTokensState;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, LoadBalancerAttribute, RulePriorityPair, Tag, TargetDescription,
};
use provisioner::{
    aws::Aws,
    engine::{AtCreation, Events, Ref, Stack, Stop, Value, What, apply, destroy, plan},
    kinds::{
        self, Attributes, Check, Image, ImageSource, Instance, InternetGateway, KeyPair, Listener,
        ListenerRule, LoadBalancer, Metadata, Role, RootVolume, Rule, SecurityGroup, Source, Subnet,
        TRAFFIC_PORT, Target, TargetGroup, Vpc,
    },
};

use super::{Moto, build, differences, look, planned, repairs, take_away, up};

/// What hosts and scaling groups need around them.
pub(super) struct Ground {
    pub(super) subnets: Vec<Ref<Subnet>>,
    pub(super) group: Ref<SecurityGroup>,
    pub(super) key: Ref<KeyPair>,
    pub(super) role: Ref<Role>,
    pub(super) web: Ref<TargetGroup>,
    pub(super) index: Ref<TargetGroup>,
    _keys: tempfile::TempDir,
}

pub(super) const PARAMETER: &str = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";

/// A network, a balancer with two target groups, a key and a role, all named after `stack`.
pub(super) fn ground(s: &mut Stack, stack: &str, delay: u32) -> Ground {
    let keys = tempfile::tempdir().unwrap();
    let vpc = s.add("main", Vpc { cidr: "10.1.0.0/16".into(), dns_hostnames: true });
    s.add("main", InternetGateway { vpc });
    let zone = |it: &str| format!("ap-northeast-2{it}");
    let subnets = vec![
        s.add("a", Subnet::new(vpc, &zone("a"), "10.1.1.0/24")),
        s.add("c", Subnet::new(vpc, &zone("c"), "10.1.2.0/24")),
    ];
    let inbound = vec![Rule::tcp(80, Source::Cidr("0.0.0.0/0".into()))];
    let spec = SecurityGroup {
        vpc,
        name: format!("{stack}-sg"),
        description: "the page".into(),
        inbound,
        outbound: vec![Rule::everything()],
    };
    let group = s.add("web", spec);
    let name = format!("{stack}-key");
    let dir = AtCreation::from(keys.path().to_owned());
    let key = s.add("key", KeyPair { name, public_key: None, dir });
    let who = (stack, "ap-northeast-2", "123456789012");
    let role = s.add("host", Role::of_hosts(&format!("{stack}-host"), who, "artefacts", None));

    let mut targets = |name: String, port: u16, path: &str| {
        let check = Check {
            path: path.into(),
            port: TRAFFIC_PORT.into(),
            codes: "200".into(),
            interval: 10,
            timeout: 5,
            healthy: 2,
            unhealthy: 3,
        };
        let spec = TargetGroup { name: name.clone(), vpc, port, check, deregistration_delay: delay };
        s.add(&name, spec)
    };
    let web = targets(format!("{stack}-tg"), 80, "/lamp-ready");
    let index = targets(format!("{stack}-index-tg"), 8080, "/healthz");
    let attributes = Attributes { drop_invalid_headers: true, deletion_protection: false, idle_timeout: 60 };
    let name = format!("{stack}-alb");
    let spec = LoadBalancer { name, subnets: subnets.clone(), groups: vec![group], attributes };
    let balancer = s.add("alb", spec);
    let listener = s.add("alb", Listener { balancer, port: 80, protocol: "HTTP".into(), group: web });
    s.add("alb", ListenerRule { listener, priority: 1, path: "/".into(), group: index });
    Ground { subnets, group, key, role, web, index, _keys: keys }
}

pub(super) fn host(ground: &Ground, image: ImageSource) -> Instance {
    Instance {
        subnet: ground.subnets[0],
        key: ground.key,
        groups: vec![ground.group],
        profile: ground.role,
        instance_type: "t3.micro".into(),
        metadata: Metadata { v2_required: true, hops: 1 },
        detailed_monitoring: false,
        running: true,
        image: image.into(),
        volume: RootVolume::gp3(8, true).into(),
        user_data: AtCreation::from(Value::from("#!/bin/sh\necho hello\n")),
    }
}

/// A host behind both target groups of the ground, and its image.
pub(super) fn host_and_image(s: &mut Stack, stack: &str, ground: &Ground) -> (Ref<Instance>, Ref<Image>) {
    let it = s.add("web", host(ground, ImageSource::from(PARAMETER)));
    let join = [(ground.web, format!("{stack}-tg"), 80), (ground.index, format!("{stack}-index-tg"), 8080)];
    let targets =
        join.map(|(group, name, port)| s.add(&Target::node("web", &name), Target { group, host: it, port }));
    let spec = Image {
        name: format!("{stack}-image"),
        source: it.into(),
        healthy_in: targets.to_vec().into(),
        snapshots: AtCreation::unknown(),
    };
    (it, s.add("image", spec))
}

fn stack(name: &str, delay: u32) -> (Stack, Ground) {
    let mut s = Stack::new(name, BTreeMap::new());
    let ground = ground(&mut s, name, delay);
    let (_, image) = host_and_image(&mut s, name, &ground);
    s.add("copy", host(&ground, ImageSource::Node(image)));
    (s, ground)
}

async fn id(stack: &Stack, aws: &Aws, node: &str) -> String {
    look(stack, aws).await.nodes[node].id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_made_as_wanted_and_repaired() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, _ground) = stack("t", 300);
    build(&s, &aws).await;

    let host = id(&s, &aws, "instance/web").await;
    let seen = aws.ec2.describe_instances().instance_ids(&host).send().await.unwrap();
    let it = &seen.reservations()[0].instances()[0];
    assert_eq!(it.public_ip_address(), None);
    let volume = it.block_device_mappings()[0].ebs().and_then(|it| it.volume_id()).unwrap();
    let seen = aws.ec2.describe_volumes().volume_ids(volume).send().await.unwrap();
    let volume = &seen.volumes()[0];
    assert_eq!(volume.encrypted(), Some(true));
    assert_eq!(volume.volume_type().map(|it| it.as_str()), Some("gp3"));
    assert!(Aws::from_ec2(volume.tags()).contains_key("lamp:stack"));
    let image = id(&s, &aws, "image/image").await;
    let copy = id(&s, &aws, "instance/copy").await;
    let seen = aws.ec2.describe_instances().instance_ids(&copy).send().await.unwrap();
    assert_eq!(seen.reservations()[0].instances()[0].image_id(), Some(image.as_str()));

    // Somebody stops it.
    aws.ec2.stop_instances().instance_ids(&host).send().await.unwrap();
    repairs(&s, &aws, &["instance/web"]).await;
    // Opens its metadata service, and its group.
    let open = aws.ec2.modify_instance_metadata_options().instance_id(&host);
    open.http_tokens(HttpTokensState::Optional).http_put_response_hop_limit(3).send().await.unwrap();
    repairs(&s, &aws, &["instance/web"]).await;
    let vpc = id(&s, &aws, "vpc/main").await;
    let other = aws.ec2.create_security_group().group_name("other").description("other").vpc_id(vpc);
    let other = other.send().await.unwrap().group_id.unwrap();
    let set = aws.ec2.modify_instance_attribute().instance_id(&host).groups(other);
    set.send().await.unwrap();
    repairs(&s, &aws, &["instance/web"]).await;
    // Takes a tag.
    let tag = aws_sdk_ec2::types::Tag::builder().key("lamp:node").build();
    aws.ec2.delete_tags().resources(&host).tags(tag).send().await.unwrap();
    let targets = ["target/web.t-tg", "target/web.t-index-tg"];
    repairs(&s, &aws, &["instance/web", targets[0], targets[1]]).await;
    // Takes the role off.
    let seen = aws.ec2.describe_iam_instance_profile_associations().send().await.unwrap();
    for it in seen.iam_instance_profile_associations() {
        let off = aws.ec2.disassociate_iam_instance_profile();
        off.association_id(it.association_id().unwrap()).send().await.unwrap();
    }
    repairs(&s, &aws, &["instance/copy", "instance/web"]).await;
    // Terminates it: another one takes its place behind the balancer.
    aws.ec2.terminate_instances().instance_ids(&host).send().await.unwrap();
    repairs(&s, &aws, &["instance/web", targets[0], targets[1]]).await;
    assert_ne!(id(&s, &aws, "instance/web").await, host);
    take_away(&s, &aws).await;
    let seen = aws.ec2.describe_snapshots().owner_ids("self").filters(aws.ours()).send().await.unwrap();
    assert!(seen.snapshots().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_type_is_refused_with_the_way_out() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, ground) = stack("t", 300);
    build(&s, &aws).await;
    let mut s = Stack::new("t", BTreeMap::new());
    let again = super::hosts::ground(&mut s, "t", 300);
    drop(ground);
    s.add("web", Instance { instance_type: "t3.small".into(), ..host(&again, ImageSource::from(PARAMETER)) });
    let plan = planned(&s, &aws).await;
    let refused: Vec<_> = plan.refusals().map(|it| format!("{it:?}")).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("instance_type"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_and_its_snapshots_are_one_thing() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, _ground) = stack("t", 300);
    build(&s, &aws).await;
    let snapshots = || async {
        let seen = aws.ec2.describe_snapshots().owner_ids("self").filters(aws.ours()).send().await.unwrap();
        seen.snapshots().iter().map(|it| it.snapshot_id().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let [first] = <[String; 1]>::try_from(snapshots().await).unwrap();
    // A sweep could not find the snapshot without its tag.
    let tag = aws_sdk_ec2::types::Tag::builder().key("lamp:stack").build();
    aws.ec2.delete_tags().resources(&first).tags(tag).send().await.unwrap();
    repairs(&s, &aws, &["image/image"]).await;
    // The image goes, as if a removal had been interrupted: its snapshot costs money until it goes, too.
    let image = id(&s, &aws, "image/image").await;
    aws.ec2.deregister_image().image_id(image).send().await.unwrap();
    let left = format!("image/{first}");
    repairs(&s, &aws, &["image/image", &left]).await;
    let [second] = <[String; 1]>::try_from(snapshots().await).unwrap();
    assert_ne!(first, second);
    take_away(&s, &aws).await;
    assert_eq!(snapshots().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_waits_for_its_host_and_says_for_what() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, _ground) = stack("t", 300);
    build(&s, &aws).await;
    let image = id(&s, &aws, "image/image").await;
    aws.ec2.deregister_image().image_id(image).send().await.unwrap();
    let mut observed = look(&s, &aws).await;
    let plan = plan(&s, &observed);
    // It was not healthy yet when it was looked at, and it stops after that.
    let target = observed.nodes.get_mut("target/web.t-tg").unwrap();
    target.out.insert(Target::HEALTH.name(), "initial".into());
    let host = observed.nodes["instance/web"].id.clone();
    aws.ec2.stop_instances().instance_ids(&host).send().await.unwrap();

    let (sender, mut said) = tokio::sync::mpsc::unbounded_channel();
    let (kinds, events, stop) = (kinds::all(), Events(sender), Stop::default());
    let helper = async {
        loop {
            let it = said.recv().await.expect("the image says something first");
            if let What::Waiting { why } = it.what {
                aws.ec2.start_instances().instance_ids(&host).send().await.unwrap();
                return format!("{}: {why}", it.node);
            }
        }
    };
    let ((report, _), waited) =
        tokio::join!(apply(&s, &kinds, &plan, observed, &aws, &events, &stop), helper);
    assert!(report.is_ok(), "{report:#?}");
    let why = "image/image: i-… to be healthy in t-tg: unused (Target.InvalidState: Target is in the stopped state)";
    assert_eq!(waited.replace(&format!("{host}:80"), "i-…"), why);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_is_made_as_wanted_and_repaired() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, _ground) = stack("t", 300);
    build(&s, &aws).await;
    let balancer = id(&s, &aws, "load-balancer/alb").await;
    let listener = id(&s, &aws, "listener/alb").await;
    let rule = id(&s, &aws, "listener-rule/alb").await;
    let (web, index) =
        (id(&s, &aws, "target-group/t-tg").await, id(&s, &aws, "target-group/t-index-tg").await);
    let host = id(&s, &aws, "instance/web").await;

    let attribute = LoadBalancerAttribute::builder().key("routing.http.drop_invalid_header_fields.enabled");
    let modify = aws.elb.modify_load_balancer_attributes().load_balancer_arn(&balancer);
    modify.attributes(attribute.value("false").build()).send().await.unwrap();
    repairs(&s, &aws, &["load-balancer/alb"]).await;
    let vpc = id(&s, &aws, "vpc/main").await;
    let other = aws.ec2.create_security_group().group_name("other").description("other").vpc_id(vpc);
    let other = other.send().await.unwrap().group_id.unwrap();
    let set = aws.elb.set_security_groups().load_balancer_arn(&balancer).security_groups(other);
    set.send().await.unwrap();
    repairs(&s, &aws, &["load-balancer/alb"]).await;
    let subnet = id(&s, &aws, "subnet/a").await;
    let set = aws.elb.set_subnets().load_balancer_arn(&balancer).subnets(subnet);
    match set.send().await {
        Ok(_) => repairs(&s, &aws, &["load-balancer/alb"]).await,
        Err(_) => assert_eq!(differences(&s, &aws).await, [""; 0]),
    }

    let elsewhere = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(&index).build();
    let modify = aws.elb.modify_listener().listener_arn(&listener).default_actions(elsewhere);
    modify.send().await.unwrap();
    repairs(&s, &aws, &["listener/alb"]).await;
    let pair = RulePriorityPair::builder().rule_arn(&rule).priority(7).build();
    aws.elb.set_rule_priorities().rule_priorities(pair).send().await.unwrap();
    repairs(&s, &aws, &["listener-rule/alb"]).await;
    let elsewhere = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(&web).build();
    aws.elb.modify_rule().rule_arn(&rule).actions(elsewhere).send().await.unwrap();
    repairs(&s, &aws, &["listener-rule/alb"]).await;
    aws.elb.delete_rule().rule_arn(&rule).send().await.unwrap();
    repairs(&s, &aws, &["listener-rule/alb"]).await;
    aws.elb.delete_listener().listener_arn(&listener).send().await.unwrap();
    repairs(&s, &aws, &["listener/alb", "listener-rule/alb"]).await;

    let modify = aws.elb.modify_target_group().target_group_arn(&web);
    modify.health_check_path("/other").unhealthy_threshold_count(9).send().await.unwrap();
    repairs(&s, &aws, &["target-group/t-tg"]).await;
    aws.elb.remove_tags().resource_arns(&web).tag_keys("Name").send().await.unwrap();
    repairs(&s, &aws, &["target-group/t-tg"]).await;
    let target = TargetDescription::builder().id(&host).port(80).build();
    aws.elb.deregister_targets().target_group_arn(&web).targets(target).send().await.unwrap();
    repairs(&s, &aws, &["target/web.t-tg"]).await;
    // A host of nobody's behind our balancer.
    let stray = aws.ec2.run_instances().min_count(1).max_count(1).image_id("ami-0870825cefcaafcc8");
    let stray = stray.send().await.unwrap().instances()[0].instance_id().unwrap().to_owned();
    let target = TargetDescription::builder().id(&stray).port(80).build();
    aws.elb.register_targets().target_group_arn(&web).targets(target).send().await.unwrap();
    repairs(&s, &aws, &[&format!("target/{stray}.t-tg")]).await;
    take_away(&s, &aws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deregistration_delay_is_read_where_it_was_set() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, _first) = stack("t", 60);
    build(&s, &aws).await;
    let web = id(&s, &aws, "target-group/t-tg").await;
    let attribute = aws_sdk_elasticloadbalancingv2::types::TargetGroupAttribute::builder();
    let attribute = attribute.key("deregistration_delay.timeout_seconds").value("5").build();
    let modify = aws.elb.modify_target_group_attributes().target_group_arn(&web).attributes(attribute);
    modify.send().await.unwrap();
    repairs(&s, &aws, &["target-group/t-tg"]).await;
    let (usual, _second) = stack("t", 300);
    repairs(&usual, &aws, &["target-group/t-tg", "target-group/t-index-tg"]).await;
    repairs(&s, &aws, &["target-group/t-tg", "target-group/t-index-tg"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_balancer_stays_and_says_why() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let mut s = Stack::new("t", BTreeMap::new());
    let ground = ground(&mut s, "t", 300);
    let attributes = Attributes { drop_invalid_headers: true, deletion_protection: true, idle_timeout: 120 };
    let name = "t-protected".to_owned();
    s.add(
        "protected",
        LoadBalancer { name, subnets: ground.subnets, groups: vec![ground.group], attributes },
    );
    build(&s, &aws).await;
    let seen: Vec<_> = look(&s, &aws).await.nodes.into_values().collect();
    let report = destroy(&seen, &kinds::all(), &aws, &super::events(), &Stop::default()).await;
    assert!(!report.is_ok());
    assert!(format!("{report:?}").contains("balancers.deletion_protection = false"), "{report:?}");
    assert!(look(&s, &aws).await.nodes.contains_key("load-balancer/protected"));
}

#[tokio::test(flavor = "multi_thread")]
async fn balancers_of_others_are_left_alone() {
    let moto = Moto::start();
    let (ours, theirs) = (moto.connect("t").await, moto.connect("other").await);
    let ((s, _a), (other, _b)) = (stack("t", 300), stack("other", 300));
    build(&other, &theirs).await;
    build(&s, &ours).await;
    // An untagged listener on a balancer of ours is a person's.
    let balancer = id(&s, &ours, "load-balancer/alb").await;
    let web = id(&s, &ours, "target-group/t-tg").await;
    let action = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(web).build();
    let create = ours.elb.create_listener().load_balancer_arn(balancer).port(81).default_actions(action);
    let create = create.protocol("HTTP".into());
    create.tags(Tag::builder().key("whose").value("mine").build()).send().await.unwrap();
    assert_eq!(differences(&s, &ours).await, [""; 0]);
    take_away(&s, &ours).await;
    assert_eq!(differences(&other, &theirs).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_again_while_acting_asks_for_few_things() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let (s, _ground) = stack("t", 300);
    let before = moto.requests().len();
    let report = up(&s, &aws).await;
    assert!(report.is_ok(), "{report:#?}");
    let calls = moto.requests().len() - before;
    let before = moto.requests().len();
    assert_eq!(differences(&s, &aws).await, [""; 0]);
    let idle = moto.requests().len() - before;
    println!("{calls} calls for up, {idle} for a look");
    assert!(calls < 140, "{calls} calls");
    assert!(idle < 45, "{idle} calls");
}
