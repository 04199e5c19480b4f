//! What AWS refuses, with its own codes.

use aws_sdk_cloudfront::types::{
    DefaultCacheBehavior, DistributionConfig, Origin, Origins, S3OriginConfig, ViewerProtocolPolicy,
};
use aws_sdk_ec2::types::{IpPermission, UserIdGroupPair};

use crate::aws::code;
use crate::{aws, block_on, until};

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
        let (nat, _) = aws.nat_gateway(&subnet).await;
        let detach = || aws.ec2.detach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc).send();
        assert_eq!(code(detach().await), "DependencyViolation");
        aws.ec2.delete_nat_gateway().nat_gateway_id(&nat).send().await.unwrap();
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
    });
}

#[test]
fn a_distribution_goes_disabled_deployed_and_by_its_newest_version() {
    block_on(async {
        let aws = aws();
        let origin = Origin::builder().id("o").domain_name("b.s3.amazonaws.com");
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
        let made =
            aws.cloudfront.create_distribution().distribution_config(config(true)).send().await.unwrap();
        let id = made.distribution().unwrap().id().to_owned();
        assert_eq!(made.distribution().unwrap().status(), "InProgress");
        let tag = made.e_tag.unwrap();
        let delete = |tag: &str| aws.cloudfront.delete_distribution().id(&id).if_match(tag).send();
        assert_eq!(code(delete(&tag).await), "DistributionNotDisabled");
        let update = aws.cloudfront.update_distribution().id(&id).distribution_config(config(false));
        assert_eq!(code(update.clone().if_match("E-old").send().await), "PreconditionFailed");
        let changed = update.if_match(&tag).send().await.unwrap();
        let tag = changed.e_tag.unwrap();
        assert_eq!(code(delete(&tag).await), "DistributionNotDisabled");
        until("it is deployed and gone", async || delete(&tag).await.ok()).await;
    });
}
