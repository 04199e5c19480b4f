//! Nothing is there at once, and nothing goes at once.

use aws_sdk_elasticloadbalancingv2::types::LoadBalancerStateEnum;

use crate::aws::{Aws, code};
use crate::{aws, block_on, still, until};

async fn instance_state(aws: &Aws, id: &str) -> String {
    let said = aws.ec2.describe_instances().instance_ids(id).send().await.unwrap();
    said.reservations()[0].instances()[0].state().unwrap().name().unwrap().as_str().to_owned()
}

#[test]
fn a_nat_gateway_takes_its_time_both_ways_and_holds_its_address() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.2.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.2.1.0/24", "ap-northeast-2a").await;
        let seen = still();
        let (gateway, address) = aws.nat_gateway(&subnet).await;
        assert_eq!(aws.nat_state(&gateway).await, "pending");
        drop(seen);
        until("it is available", async || (aws.nat_state(&gateway).await == "available").then_some(())).await;
        let seen = still();
        aws.ec2.delete_nat_gateway().nat_gateway_id(&gateway).send().await.unwrap();
        assert_eq!(aws.nat_state(&gateway).await, "deleting");
        let refused = aws.ec2.release_address().allocation_id(&address).send().await;
        assert_eq!(code(refused), "AuthFailure");
        assert_eq!(code(aws.ec2.delete_subnet().subnet_id(&subnet).send().await), "DependencyViolation");
        drop(seen);
        until("it is gone", async || (aws.nat_state(&gateway).await == "deleted").then_some(())).await;
        aws.ec2.release_address().allocation_id(&address).send().await.unwrap();
        aws.ec2.delete_subnet().subnet_id(&subnet).send().await.unwrap();
    });
}

#[test]
fn an_instance_is_pending_and_ends_in_order() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.1.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.1.91.0/24", "ap-northeast-2a").await;
        let host = aws.host(&subnet, "short-lived", None).await;
        until("it runs", async || (instance_state(&aws, &host).await == "running").then_some(())).await;
        let seen = still();
        let said = aws.ec2.terminate_instances().instance_ids(&host).send().await.unwrap();
        let now = said.terminating_instances()[0].current_state().unwrap();
        assert_eq!((now.code(), now.name().unwrap().as_str()), (Some(32), "shutting-down"));
        drop(seen);
        until("it is gone", async || (instance_state(&aws, &host).await == "terminated").then_some(())).await;
    });
}

#[test]
fn files_are_created_mounted_and_removed_in_steps() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.3.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.3.1.0/24", "ap-northeast-2a").await;
        let seen = still();
        let made = aws.efs.create_file_system().creation_token("states").send().await.unwrap();
        let system = made.file_system_id().to_owned();
        assert_eq!(made.life_cycle_state().as_str(), "creating");
        let made =
            aws.efs.create_mount_target().file_system_id(&system).subnet_id(&subnet).send().await.unwrap();
        let target = made.mount_target_id().to_owned();
        let state = async || {
            let said = aws.efs.describe_mount_targets().file_system_id(&system).send().await.unwrap();
            said.mount_targets().first().map(|it| it.life_cycle_state().as_str().to_owned())
        };
        assert_eq!(state().await.as_deref(), Some("creating"));
        drop(seen);
        until("it is available", async || (state().await.as_deref() == Some("available")).then_some(()))
            .await;
        assert_eq!(
            code(aws.efs.delete_file_system().file_system_id(&system).send().await),
            "FileSystemInUse"
        );
        let seen = still();
        aws.efs.delete_mount_target().mount_target_id(&target).send().await.unwrap();
        assert_eq!(state().await.as_deref(), Some("deleting"));
        drop(seen);
        until("it is gone", async || state().await.is_none().then_some(())).await;
        aws.efs.delete_file_system().file_system_id(&system).send().await.unwrap();
        until("the file system is gone", async || {
            let said = aws.efs.describe_file_systems().file_system_id(&system).send().await;
            said.is_err().then(|| assert_eq!(code(said), "FileSystemNotFound"))
        })
        .await;
    });
}

#[test]
fn a_balancer_is_provisioned_and_outlived_by_its_interfaces() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.1.0.0/16").await;
        let one = aws.subnet(&vpc, "10.1.81.0/24", "ap-northeast-2a").await;
        let two = aws.subnet(&vpc, "10.1.82.0/24", "ap-northeast-2c").await;
        let group = aws.group(&vpc, "of-the-balancer").await;
        let alone = aws.elb.create_load_balancer().name("states").subnets(&one).send().await;
        assert_eq!(code(alone), "ValidationError");
        let make = || {
            aws.elb.create_load_balancer().name("states").subnets(&one).subnets(&two).security_groups(&group)
        };
        let made = make().send().await.unwrap().load_balancers.unwrap();
        let arn = made[0].load_balancer_arn().unwrap();
        assert_eq!(made[0].state().unwrap().code(), Some(&LoadBalancerStateEnum::Provisioning));
        assert_eq!(code(make().send().await), "DuplicateLoadBalancerName");
        until("it is active", async || {
            let said = aws.elb.describe_load_balancers().load_balancer_arns(arn).send().await.unwrap();
            (said.load_balancers()[0].state().unwrap().code() == Some(&LoadBalancerStateEnum::Active))
                .then_some(())
        })
        .await;
        assert_eq!(
            code(aws.ec2.delete_security_group().group_id(&group).send().await),
            "DependencyViolation"
        );
        let seen = still();
        aws.elb.delete_load_balancer().load_balancer_arn(arn).send().await.unwrap();
        assert_eq!(
            code(aws.ec2.delete_security_group().group_id(&group).send().await),
            "DependencyViolation"
        );
        drop(seen);
        until("its interfaces are gone", async || {
            aws.ec2.delete_security_group().group_id(&group).send().await.ok()
        })
        .await;
    });
}

#[test]
fn an_image_is_pending_before_anything_starts_from_it() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.1.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.1.92.0/24", "ap-northeast-2a").await;
        let host = aws.host(&subnet, "of-an-image", None).await;
        let seen = still();
        let image = aws.ec2.create_image().instance_id(&host).name("states").send().await.unwrap();
        let image = image.image_id.unwrap();
        let run = || aws.ec2.run_instances().image_id(&image).min_count(1).max_count(1).subnet_id(&subnet);
        assert_eq!(code(run().send().await), "InvalidAMIID.Unavailable");
        drop(seen);
        until("it is available", async || {
            let said = aws.ec2.describe_images().image_ids(&image).send().await.unwrap();
            (said.images()[0].state().unwrap().as_str() == "available").then_some(())
        })
        .await;
        aws.ec2.terminate_instances().instance_ids(&host).send().await.unwrap();
    });
}
