//! What AWS refuses, with its own codes.

use aws_sdk_cloudfront::types::{
    DefaultCacheBehavior, DistributionConfig, Origin, OriginAccessControlConfig,
    OriginAccessControlOriginTypes, OriginAccessControlSigningBehaviors, OriginAccessControlSigningProtocols,
    Origins, S3OriginConfig, ViewerProtocolPolicy,
};
use aws_sdk_ec2::types::{
    Filter, IamInstanceProfileSpecification, IpPermission, NetworkInterface, UserIdGroupPair,
};
use aws_sdk_elasticloadbalancingv2::types::{Action, ActionTypeEnum, ProtocolEnum, TargetDescription};

use crate::aws::code;
use crate::{aws, block_on, still, until};

#[test]
fn groups_that_are_named_or_default_stay() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.4.0.0/16").await;
        let (one, two) = (aws.group(&vpc, "one").await, aws.group(&vpc, "two").await);
        let pair = UserIdGroupPair::builder().group_id(&one).build();
        let rule =
            IpPermission::builder().ip_protocol("tcp").from_port(80).to_port(80).user_id_group_pairs(pair);
        let rule = rule.build();
        let allow = aws.ec2.authorize_security_group_ingress().group_id(&two).ip_permissions(rule.clone());
        allow.send().await.unwrap();
        assert_eq!(code(aws.ec2.delete_security_group().group_id(&one).send().await), "DependencyViolation");
        let revoke = aws.ec2.revoke_security_group_ingress().group_id(&two).ip_permissions(rule);
        revoke.send().await.unwrap();
        aws.ec2.delete_security_group().group_id(&one).send().await.unwrap();
        let all = aws.ec2.describe_security_groups().send().await.unwrap();
        let own = all.security_groups().iter();
        let default =
            own.filter(|it| it.vpc_id() == Some(&vpc)).find(|it| it.group_name() == Some("default"));
        let default = default.unwrap().group_id().unwrap();
        assert_eq!(code(aws.ec2.delete_security_group().group_id(default).send().await), "CannotDelete");
        assert_eq!(code(aws.ec2.delete_vpc().vpc_id(&vpc).send().await), "DependencyViolation");
    });
}

#[test]
fn a_gateway_stays_while_addresses_are_mapped() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.5.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.5.1.0/24", "ap-northeast-2a").await;
        let gateway = aws.ec2.create_internet_gateway().send().await.unwrap().internet_gateway.unwrap();
        let gateway = gateway.internet_gateway_id.unwrap();
        let attach = aws.ec2.attach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc);
        attach.send().await.unwrap();
        let seen = still();
        let (nat, _) = aws.nat_gateway(&subnet).await;
        let detach = || aws.ec2.detach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc).send();
        assert_eq!(code(detach().await), "DependencyViolation");
        aws.ec2.delete_nat_gateway().nat_gateway_id(&nat).send().await.unwrap();
        drop(seen);
        until("the gateway can be detached", async || detach().await.ok()).await;
    });
}

#[test]
fn nothing_starts_from_what_does_not_exist_and_a_token_counts_once() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.1.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.1.93.0/24", "ap-northeast-2a").await;
        let run = |image: &str| {
            aws.ec2.run_instances().image_id(image).min_count(1).max_count(1).subnet_id(&subnet)
        };
        assert_eq!(code(run("ami-00000000000000000").send().await), "InvalidAMIID.NotFound");
        let known = "ami-0870825cefcaafcc8";
        assert_eq!(code(run(known).key_name("nobody").send().await), "InvalidKeyPair.NotFound");
        let odd = run(known).instance_type("t9.micro".into()).send().await;
        assert_eq!(code(odd), "InvalidParameterValue");
        let (one, two) =
            (run(known).client_token("t").send().await, run(known).client_token("t").send().await);
        let id = |it: aws_sdk_ec2::operation::run_instances::RunInstancesOutput| {
            it.instances()[0].instance_id().unwrap().to_owned()
        };
        let (one, two) = (id(one.unwrap()), id(two.unwrap()));
        assert_eq!(one, two);
        aws.ec2.terminate_instances().instance_ids(&one).send().await.unwrap();
    });
}

#[test]
fn databases_need_two_zones_and_a_password() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.6.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.6.1.0/24", "ap-northeast-2a").await;
        let group = aws.rds.create_db_subnet_group().db_subnet_group_name("one-zone");
        let group = group.db_subnet_group_description("x").subnet_ids(&subnet).send().await;
        assert_eq!(code(group), "DBSubnetGroupDoesNotCoverEnoughAZs");
        let make =
            aws.rds.create_db_instance().db_instance_identifier("short").db_instance_class("db.t3.micro");
        let make = make.engine("mysql").master_username("admin").master_user_password("short").send().await;
        assert_eq!(code(make), "InvalidParameterValue");
        let make = async |class: &str, version: &str| {
            let make = aws.rds.create_db_instance().db_instance_identifier("odd").db_instance_class(class);
            let make = make.engine("mysql").engine_version(version).master_username("admin");
            code(make.master_user_password("administrator").send().await)
        };
        assert_eq!(make("db.t9.micro", "8.4").await, "InvalidParameterValue");
        assert_eq!(make("db.t3.micro", "9.9").await, "InvalidParameterCombination");
    });
}

#[test]
fn main_tables_stay_and_what_is_only_tried_is_not_done() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.7.0.0/16").await;
        let all = aws.ec2.describe_route_tables().send().await.unwrap();
        let main = all.route_tables().iter().find(|it| it.vpc_id() == Some(&vpc)).unwrap();
        let delete = aws.ec2.delete_route_table().route_table_id(main.route_table_id().unwrap());
        assert_eq!(code(delete.send().await), "DependencyViolation");
        let subnet = aws.subnet(&vpc, "10.7.1.0/24", "ap-northeast-2a").await;
        let delete = || aws.ec2.delete_subnet().subnet_id(&subnet);
        assert_eq!(code(delete().dry_run(true).send().await), "DryRunOperation");
        assert!(aws.ec2.describe_subnets().subnet_ids(&subnet).send().await.is_ok());
        // What would be refused is refused.
        let table = aws.ec2.delete_route_table().route_table_id(main.route_table_id().unwrap());
        assert_eq!(code(table.dry_run(true).send().await), "DependencyViolation");
        delete().send().await.unwrap();
    });
}

#[test]
fn policies_are_json_with_statements() {
    block_on(async {
        let aws = aws();
        let make = aws.iam.create_role().role_name("no-policy").assume_role_policy_document("{");
        assert_eq!(code(make.send().await), "MalformedPolicyDocument");
        let make = aws.iam.create_policy().policy_name("no-policy").policy_document("{}");
        assert_eq!(code(make.send().await), "MalformedPolicyDocument");
    });
}

#[test]
fn an_address_a_port_and_a_group_of_settings_stay_while_they_are_in_use() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.1.0.0/16").await;
        let one = aws.subnet(&vpc, "10.1.71.0/24", "ap-northeast-2a").await;
        let two = aws.subnet(&vpc, "10.1.72.0/24", "ap-northeast-2c").await;
        let near = aws.subnet(&vpc, "10.1.73.0/24", "ap-northeast-2a").await;
        let host = aws.host(&one, "with-an-address", None).await;
        let address = aws.ec2.allocate_address().send().await.unwrap().allocation_id.unwrap();
        let associate = aws.ec2.associate_address().allocation_id(&address).instance_id(&host);
        associate.send().await.unwrap();
        let release = aws.ec2.release_address().allocation_id(&address).send().await;
        assert_eq!(code(release), "InvalidIPAddress.InUse");

        let make = |subnets: [&String; 2]| {
            aws.elb.create_load_balancer().name("in-use").subnets(subnets[0]).subnets(subnets[1]).send()
        };
        assert_eq!(code(make([&one, &near]).await), "InvalidConfigurationRequest");
        let made = make([&one, &two]).await.unwrap().load_balancers.unwrap();
        let arn = made[0].load_balancer_arn().unwrap();
        let group = aws.elb.create_target_group().name("in-use").protocol(ProtocolEnum::Http).port(80);
        let group = group.vpc_id(&vpc).send().await.unwrap().target_groups.unwrap();
        let group = group[0].target_group_arn().unwrap();
        let target = TargetDescription::builder().id(&host).build();
        aws.elb.register_targets().target_group_arn(group).targets(target.clone()).send().await.unwrap();
        // Without a listener nobody looks at a target.
        let health = async || {
            let said = aws.elb.describe_target_health().target_group_arn(group).send().await.unwrap();
            let one = said.target_health_descriptions().first()?.target_health()?.clone();
            Some((one.state()?.as_str().to_owned(), one.reason().map_or("-", |it| it.as_str()).to_owned()))
        };
        assert_eq!(health().await, Some(("unused".to_owned(), "Target.NotInUse".to_owned())));
        let forward = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(group).build();
        let listen = || {
            let listen = aws.elb.create_listener().load_balancer_arn(arn).protocol(ProtocolEnum::Http);
            listen.port(80).default_actions(forward.clone()).send()
        };
        listen().await.unwrap();
        assert_eq!(code(listen().await), "DuplicateListener");
        until("the balancer looks at it", async || health().await.filter(|it| it.0 != "unused")).await;

        let settings = aws.rds.create_db_parameter_group().db_parameter_group_name("in-use");
        settings.db_parameter_group_family("mysql8.4").description("x").send().await.unwrap();
        let data = aws.rds.create_db_subnet_group().db_subnet_group_name("in-use");
        data.db_subnet_group_description("x").subnet_ids(&one).subnet_ids(&two).send().await.unwrap();
        let make = aws.rds.create_db_instance().db_instance_identifier("in-use-db");
        let make = make.db_instance_class("db.t3.micro").engine("mysql").master_username("admin");
        let make = make.master_user_password("administrator").allocated_storage(20);
        let make = make.db_subnet_group_name("in-use").db_parameter_group_name("in-use");
        make.backup_retention_period(0).send().await.unwrap();
        let drop_settings = aws.rds.delete_db_parameter_group().db_parameter_group_name("in-use");
        assert_eq!(code(drop_settings.send().await), "InvalidDBParameterGroupState");
        until("the database is available", async || {
            let said =
                aws.rds.describe_db_instances().db_instance_identifier("in-use-db").send().await.unwrap();
            (said.db_instances()[0].db_instance_status() == Some("available")).then_some(())
        })
        .await;
        let copy = aws.rds.create_db_instance_read_replica().db_instance_identifier("in-use-rr");
        let copy = copy.source_db_instance_identifier("in-use-db").send().await.unwrap_err();
        assert!(format!("{copy:?}").contains("Automated backups are not enabled"), "{copy:?}");

        // Who holds the network says so.
        let seen = async |filter: &str, value: &str| {
            let filter = Filter::builder().name(filter).values(value).build();
            let said = aws.ec2.describe_network_interfaces().filters(filter).send().await.unwrap();
            let owner = |it: &NetworkInterface| it.requester_id().unwrap_or("-").to_owned();
            let words = |it: &NetworkInterface| it.description().unwrap_or_default().to_owned();
            said.network_interfaces().iter().map(|it| (owner(it), words(it))).collect::<Vec<_>>()
        };
        let holds = async |subnet: &str, owner: &str, words: &str| {
            let all = seen("subnet-id", subnet).await;
            all.iter().any(|it| it.0 == owner && it.1.starts_with(words))
        };
        assert!(holds(&one, "amazon-elb", "ELB app/in-use/").await);
        assert!(holds(&one, "amazon-rds", "RDSNetworkInterface").await);
        assert!(!holds(&two, "amazon-rds", "RDSNetworkInterface").await);
        aws.elb.delete_load_balancer().load_balancer_arn(arn).send().await.unwrap();
        let delete = aws.rds.delete_db_instance().db_instance_identifier("in-use-db");
        delete.skip_final_snapshot(true).send().await.unwrap();
        aws.ec2.terminate_instances().instance_ids(&host).send().await.unwrap();
        until("nobody holds the subnets", async || {
            (seen("subnet-id", &one).await.is_empty() && seen("subnet-id", &two).await.is_empty())
                .then_some(())
        })
        .await;
    });
}

#[test]
fn a_profile_is_not_known_to_launches_at_once() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.8.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.8.1.0/24", "ap-northeast-2a").await;
        let profile = IamInstanceProfileSpecification::builder().name("young").build();
        let run = || {
            let run = aws.ec2.run_instances().image_id("ami-0870825cefcaafcc8").min_count(1).max_count(1);
            run.subnet_id(&subnet).iam_instance_profile(profile.clone()).dry_run(true).send()
        };
        let seen = still();
        aws.iam.create_instance_profile().instance_profile_name("young").send().await.unwrap();
        assert_eq!(code(run().await), "InvalidParameterValue");
        drop(seen);
        until("it is known", async || (code(run().await) == "DryRunOperation").then_some(())).await;
    });
}

#[test]
fn a_distribution_goes_disabled_deployed_and_by_its_newest_version() {
    block_on(async {
        let aws = aws();
        let config = OriginAccessControlConfig::builder().name("of-refusals");
        let config = config.signing_protocol(OriginAccessControlSigningProtocols::Sigv4);
        let config = config.signing_behavior(OriginAccessControlSigningBehaviors::Always);
        let config = config.origin_access_control_origin_type(OriginAccessControlOriginTypes::S3);
        let make = aws.cloudfront.create_origin_access_control();
        let made = make.origin_access_control_config(config.build().unwrap()).send().await.unwrap();
        let control_tag = made.e_tag().unwrap().to_owned();
        let control = made.origin_access_control().unwrap().id().to_owned();
        let origin = Origin::builder().id("o").domain_name("b.s3.amazonaws.com");
        let origin = origin.origin_access_control_id(&control);
        let origin = origin.s3_origin_config(S3OriginConfig::builder().origin_access_identity("").build());
        let origins = Origins::builder().quantity(1).items(origin.build().unwrap()).build().unwrap();
        let behaviour = DefaultCacheBehavior::builder()
            .target_origin_id("o")
            .viewer_protocol_policy(ViewerProtocolPolicy::AllowAll)
            .cache_policy_id("658327ea-f89d-4fab-a63d-7e88639e58f6");
        let config = |enabled: bool| {
            let config = DistributionConfig::builder().caller_reference("door").comment("").enabled(enabled);
            let config = config.origins(origins.clone());
            config.default_cache_behavior(behaviour.clone().build().unwrap()).build().unwrap()
        };
        let seen = still();
        let made =
            aws.cloudfront.create_distribution().distribution_config(config(true)).send().await.unwrap();
        let id = made.distribution().unwrap().id().to_owned();
        let drop_control =
            || aws.cloudfront.delete_origin_access_control().id(&control).if_match(&control_tag);
        assert_eq!(code(drop_control().send().await), "OriginAccessControlInUse");
        assert_eq!(made.distribution().unwrap().status(), "InProgress");
        let tag = made.e_tag.unwrap();
        let delete = |tag: &str| aws.cloudfront.delete_distribution().id(&id).if_match(tag).send();
        assert_eq!(code(delete(&tag).await), "DistributionNotDisabled");
        let update = aws.cloudfront.update_distribution().id(&id).distribution_config(config(false));
        assert_eq!(code(update.clone().if_match("E-old").send().await), "PreconditionFailed");
        let changed = update.if_match(&tag).send().await.unwrap();
        let tag = changed.e_tag.unwrap();
        assert_eq!(code(delete(&tag).await), "DistributionNotDisabled");
        drop(seen);
        until("it is deployed and gone", async || delete(&tag).await.ok()).await;
        drop_control().send().await.unwrap();
    });
}
