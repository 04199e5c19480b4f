//! `down` takes everything away, in an order that AWS accepts, and says what holds the rest.

use std::time::Duration;

use scenarios::lab::undisturbed;
use scenarios::slow::Slow;
use scenarios::{Call, Fault, Lab};
use serde_json::{Value, json};

/// Where in the log a call of this name (and with this text) came; all of them.
fn when(calls: &[Call], name: &str, text: &str) -> Vec<usize> {
    let found = calls.iter().enumerate().filter(|(_, it)| it.name() == name && it.text.contains(text));
    found.map(|it| it.0).collect()
}

/// A call, told by its name and a text in it.
type Told<'a> = (&'a str, &'a str);

/// Fails unless all calls of the first sort came before all of the second, and there were some of both.
#[track_caller]
fn assert_order(calls: &[Call], first: Told<'_>, then: Told<'_>) {
    let (before, after) = (when(calls, first.0, first.1), when(calls, then.0, then.1));
    assert!(!before.is_empty() && !after.is_empty(), "{first:?} and {then:?} are called");
    assert!(before.iter().max() < after.iter().min(), "{first:?} must come before {then:?}");
}

#[test]
fn down_goes_in_the_order_that_aws_demands() {
    let calls = &undisturbed().down.calls;
    // moto accepts most wrong orders, so the log is the proof: (what goes first, what comes after it).
    for (first, then) in [
        (("autoscaling:DeleteAutoScalingGroup", ""), ("ec2:DeleteLaunchTemplate", "")),
        // Its listeners, which hold the target groups, go with it.
        (("elasticloadbalancing:DeleteLoadBalancer", ""), ("elasticloadbalancing:DeleteTargetGroup", "")),
        (("elasticloadbalancing:DeleteLoadBalancer", ""), ("ec2:DeleteSubnet", "")),
        (
            ("rds:DeleteDBInstance", "lab-vpc-rds-rr"),
            ("rds:DeleteDBInstance", "DBInstanceIdentifier=lab-vpc-rds&"),
        ),
        (("rds:DeleteDBInstance", ""), ("rds:DeleteDBSubnetGroup", "")),
        (("rds:DeleteDBInstance", ""), ("rds:DeleteDBParameterGroup", "")),
        (("rds:DeleteDBInstance", ""), ("ssm:DeleteParameter", "/lamp/lab-vpc/db/password")),
        (("elasticfilesystem:DeleteMountTarget", ""), ("elasticfilesystem:DeleteFileSystem", "")),
        (("ec2:DeleteNatGateway", ""), ("ec2:DetachInternetGateway", "")),
        (("ec2:ReleaseAddress", ""), ("ec2:DetachInternetGateway", "")),
        (("ec2:DetachInternetGateway", ""), ("ec2:DeleteInternetGateway", "")),
        (("ec2:TerminateInstances", ""), ("ec2:DeleteSubnet", "")),
        (("ec2:DeleteSubnet", ""), ("ec2:DeleteVpc", "")),
        (("ec2:DeleteSecurityGroup", ""), ("ec2:DeleteVpc", "")),
        (("ec2:DeleteRouteTable", ""), ("ec2:DeleteVpc", "")),
        (("cloudfront:UpdateDistribution", ""), ("cloudfront:DeleteDistribution", "")),
        (("cloudfront:DeleteDistribution", ""), ("cloudfront:DeleteOriginAccessControl", "")),
        (("cloudfront:DeleteDistribution", ""), ("s3:DeleteBucket", "-site-")),
        (("iam:RemoveRoleFromInstanceProfile", ""), ("iam:DeleteInstanceProfile", "")),
        (("iam:RemoveRoleFromInstanceProfile", ""), ("iam:DeleteRole", "")),
        (("iam:DeleteRolePolicy", ""), ("iam:DeleteRole", "")),
    ] {
        assert_order(calls, first, then);
    }
}

#[test]
fn down_lets_each_thing_go_before_what_it_stands_on() {
    let (seen, calls) = (&undisturbed().snapshot, &undisturbed().down.calls);
    let text = |it: &'static Value| it.as_str().unwrap();
    let group = |name: &str| {
        let mut all = seen.all("security-group").iter();
        text(&all.find(|it| it["GroupName"] == name).unwrap()["GroupId"])
    };
    for zone in ["a1", "c1"] {
        let gateway = text(&seen.one("nat-gateway", &format!("nat-gw-{zone}"))["NatGatewayId"]);
        let address = text(&seen.one("elastic-ip", &format!("eip-nat-gw-{zone}"))["AllocationId"]);
        assert_order(calls, ("ec2:DeleteNatGateway", gateway), ("ec2:ReleaseAddress", address));
    }
    for name in ["lab-vpc-alb-public", "lab-vpc-alb-private", "lab-vpc-alb-asg"] {
        let group = group(&format!("{name}-sg"));
        assert_order(
            calls,
            ("elasticloadbalancing:DeleteLoadBalancer", name),
            ("ec2:DeleteSecurityGroup", group),
        );
    }
    for it in seen.all("mount-target") {
        let (target, subnet) = (text(&it["MountTargetId"]), text(&it["SubnetId"]));
        for then in [("ec2:DeleteSubnet", subnet), ("ec2:DeleteSecurityGroup", group("lab-vpc-efs-sg"))] {
            assert_order(calls, ("elasticfilesystem:DeleteMountTarget", target), then);
        }
    }
    let images = seen.all("image").iter().filter(|it| it["Tags"].to_string().contains("lamp:stack"));
    let images: Vec<_> = images.collect();
    assert_eq!(images.len(), 2, "{images:?}");
    for it in images {
        let (image, snapshot) = (&it["ImageId"], &it["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]);
        assert_order(calls, ("ec2:DeregisterImage", text(image)), ("ec2:DeleteSnapshot", text(snapshot)));
    }
}

#[test]
fn down_ends_with_a_sweep_that_finds_nothing() {
    let lab = Lab::new("");
    lab.up();
    let down = lab.down();
    lab.assert_nothing_left("after down");
    let last = down.calls.iter().rposition(|it| it.mutating && it.service != "ssm").unwrap();
    let swept: std::collections::BTreeSet<_> =
        down.calls[last..].iter().map(|it| it.service.clone()).collect();
    for service in
        ["ec2", "rds", "elasticfilesystem", "elasticloadbalancing", "autoscaling", "iam", "s3", "ssm"]
    {
        assert!(swept.contains(service), "the sweep does not ask {service}: {swept:?}");
    }
    down.says(&["nothing left"]);
    // And once more: there is nothing to do.
    lab.lamp("--on aws down --yes").ok();
}

#[test]
fn what_is_held_for_a_while_is_waited_for() {
    let lab = Lab::new("");
    lab.up();
    lab.proxy.fail("ec2:DeleteSecurityGroup", 5, Fault::in_use("sg-1"));
    lab.proxy.fail("ec2:DeleteSubnet", 3, Fault::in_use("subnet-1"));
    lab.proxy.fail("ec2:ReleaseAddress", 3, Fault::address_still_held());
    lab.proxy.fail("ec2:DetachInternetGateway", 2, Fault::error(
        "DependencyViolation",
        "Network vpc-1 has some mapped public address(es). Please unmap those before detaching the gateway.",
    ));
    lab.proxy.fail(
        "elasticloadbalancing:DeleteTargetGroup",
        2,
        Fault::error("ResourceInUse", "in use by a listener"),
    );
    lab.proxy.fail(
        "rds:DeleteDBSubnetGroup",
        2,
        Fault::error("InvalidDBSubnetGroupStateFault", "still used"),
    );
    let down = lab.down();
    assert!(!down.text().contains("lack the permission"), "AuthFailure on ReleaseAddress is none: {down}");
    lab.assert_nothing_left("after a down that had to wait");
}

#[test]
fn what_takes_time_to_go_is_waited_for_in_the_right_order() {
    let lab = Lab::new("");
    lab.up();
    lab.proxy.slow(Slow { deletion: Duration::from_secs(3), ..Slow::default() });
    lab.down();
    lab.assert_nothing_left("after a slow down");
}

#[test]
fn the_files_that_a_stack_was_made_of_may_be_gone() {
    let lab = Lab::new(
        "[agent]\nbinary = \"lampd\"\n[site]\nfolder = \"site\"\n[database]\npassword_file = \"password\"\n",
    );
    std::fs::create_dir(lab.path("site")).unwrap();
    std::fs::write(lab.path("site/index.html"), "<h1>mine</h1>\n").unwrap();
    std::fs::write(lab.path("password"), "correct-horse-battery\n").unwrap();
    lab.up();
    std::fs::remove_dir_all(lab.path("site")).unwrap();
    std::fs::remove_file(lab.path("password")).unwrap();
    std::fs::remove_file(lab.path("lampd")).unwrap();
    for it in std::fs::read_dir(lab.path("keys")).unwrap() {
        std::fs::write(it.unwrap().path(), "no key").unwrap();
    }
    lab.lamp("--on aws plan").expect(2).says(&["is not a folder"]);
    lab.lamp("--on aws unlock --yes").ok();
    // It gets as far as the rule that forbids it.
    lab.lamp("--on aws ssh").expect(1).says(&["SSH is closed"]);
    lab.down();
    lab.assert_nothing_left("without the files");
}

#[test]
fn backups_of_files_outlive_them_and_are_told_of() {
    let lab = Lab::new(
        "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\ndatabase = false\nreplica = false\n\
         site = false\n[files]\nbackups = true\n",
    );
    lab.up();
    lab.down().says(&["backups of fs-", "aws/efs/automatic-backup-vault"]);
}

#[test]
fn the_final_snapshot_is_the_only_thing_that_stays_and_is_said() {
    let lab = Lab::new("");
    lab.up();
    let down = lab.lamp("--on aws down --yes --final-snapshot").ok().says(&["snapshot"]);
    let left = lab.snapshot().not_in(&lab.before);
    assert!(left.len() == 1 && left[0].starts_with("db-snapshot"), "{left:#?}");
    assert!(
        !down
            .calls
            .iter()
            .any(|it| it.text.contains("lab-vpc-rds-rr") && it.text.contains("FinalDBSnapshot"))
    );
}

#[test]
fn the_file_can_ask_for_the_final_snapshot() {
    let lab = Lab::new(
        "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\nsite = false\n\
         replica = false\n[network]\nnat = \"none\"\n[database]\nfinal_snapshot = true\n",
    );
    lab.up();
    lab.lamp("--on aws plan").ok();
    lab.down().says(&["a final snapshot was asked for"]);
    let left = lab.snapshot().not_in(&lab.before);
    assert!(left.len() == 1 && left[0].starts_with("db-snapshot"), "{left:#?}");
}

#[test]
fn objects_and_versions_in_the_buckets_do_not_stop_it() {
    let lab = Lab::new("");
    lab.up();
    for bucket in lab.snapshot().all("bucket") {
        for n in 0..3 {
            let object =
                serde_json::json!({ "Bucket": bucket["Name"], "Key": format!("by-hand-{n}"), "Body": "x" });
            lab.account().call("s3", "put_object", object);
        }
    }
    lab.down();
    lab.assert_nothing_left("after down with filled buckets");
}

/// The network and the files in it, which have a group.
const FILES: &str = "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\ndatabase = false\n\
                     site = false\n\n[network]\nnat = \"none\"\n";

/// A subnet that somebody made in the stack's VPC, and a group there that lets the file system's in.
fn by_hand(lab: &Lab) -> (Value, Value) {
    let (hand, seen) = (lab.account(), lab.snapshot());
    let vpc = &seen.one("vpc", "lab-vpc")["VpcId"];
    let name = json!([{ "ResourceType": "subnet", "Tags": [{ "Key": "Name", "Value": "mine" }] }]);
    let subnet = json!({ "VpcId": vpc, "CidrBlock": "10.1.77.0/24", "TagSpecifications": name });
    let subnet = hand.call("ec2", "create_subnet", subnet)["Subnet"]["SubnetId"].clone();
    let group = json!({ "VpcId": vpc, "GroupName": "odd-group", "Description": "by hand" });
    let group = hand.call("ec2", "create_security_group", group)["GroupId"].clone();
    let ours = seen.all("security-group").iter().find(|it| it["GroupName"] == "lab-vpc-efs-sg").unwrap();
    let from = json!([{ "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{ "GroupId": ours["GroupId"] }] }]);
    let rule = json!({ "GroupId": group, "IpPermissions": from });
    hand.call("ec2", "authorize_security_group_ingress", rule);
    (subnet, group)
}

#[test]
fn what_somebody_made_in_the_vpc_is_named_while_it_holds_what_is_ours() {
    let lab = Lab::new(FILES);
    lab.up();
    let (subnet, group) = by_hand(&lab);
    // moto lets a group go that others name.
    lab.proxy.fail("ec2:DeleteSecurityGroup", 2, Fault::in_use("sg-1"));
    let down = std::thread::scope(|scope| {
        let down = scope.spawn(|| lab.lamp("--on aws down --yes"));
        lab.eventually("the VPC is held, and what holds it is looked up", || {
            let calls = lab.proxy.calls();
            let refused = calls.iter().position(|it| it.action == "DeleteVpc" && 400 <= it.status);
            refused.is_some_and(|at| calls[at..].iter().any(|it| it.action == "DescribeNatGateways"))
        });
        lab.account().call("ec2", "delete_subnet", json!({ "SubnetId": subnet }));
        lab.account().call("ec2", "delete_security_group", json!({ "GroupId": group }));
        down.join().unwrap().ok()
    });
    let id = |it: &Value| it.as_str().unwrap().to_owned();
    down.says(&[
        &format!("{} (security group whose rules name it odd-group)", id(&group)),
        &format!("{} (subnet mine)", id(&subnet)),
        "nothing left",
    ]);
    lab.assert_nothing_left("after it was let go");
}

#[test]
fn a_balancer_of_somebodys_that_uses_a_target_group_is_named() {
    let lab = Lab::new(
        "[parts]\nprivate_hosts = false\nscaling_group = false\nfiles = false\ndatabase = false\nreplica = false\n\
         site = false\n\n[network]\nnat = \"none\"\n",
    );
    lab.up();
    let (hand, seen) = (lab.account(), lab.snapshot());
    let subnets =
        ["public-subnet-a1", "public-subnet-c1"].map(|it| seen.one("subnet", it)["SubnetId"].clone());
    let mine = hand.call("elbv2", "create_load_balancer", json!({ "Name": "mine", "Subnets": subnets }));
    let mine = &mine["LoadBalancers"][0]["LoadBalancerArn"];
    let groups = seen.all("target-group").iter();
    let group = groups.clone().find(|it| it["TargetGroupName"] == "lab-vpc-alb-public-tg").unwrap();
    let forward = json!([{ "Type": "forward", "TargetGroupArn": group["TargetGroupArn"] }]);
    let listener =
        json!({ "LoadBalancerArn": mine, "Protocol": "HTTP", "Port": 80, "DefaultActions": forward });
    hand.call("elbv2", "create_listener", listener);
    let down = std::thread::scope(|scope| {
        let down = scope.spawn(|| lab.lamp("--on aws down --yes"));
        lab.eventually("the target group is held, and what holds it is looked up", || {
            let calls = lab.proxy.calls();
            let refused = calls.iter().position(|it| it.action == "DeleteTargetGroup" && 400 <= it.status);
            refused.is_some_and(|at| calls[at..].iter().any(|it| it.action == "DescribeTargetGroups"))
        });
        lab.account().call("elbv2", "delete_load_balancer", json!({ "LoadBalancerArn": mine }));
        down.join().unwrap().ok()
    });
    down.says(&["held by ", "load balancer mine", "nothing left"]);
    lab.assert_nothing_left("after it was let go");
}

#[test]
fn the_sweep_names_what_is_in_a_vpc_that_did_not_go_and_what_carries_the_tag() {
    let lab = Lab::new(FILES);
    lab.up();
    let (subnet, group) = by_hand(&lab);
    let tags = json!([{ "ResourceType": "volume", "Tags": [{ "Key": "lamp:stack", "Value": "lab-vpc" }] }]);
    let volume = json!({ "AvailabilityZone": "ap-northeast-2a", "Size": 1, "TagSpecifications": tags });
    let volume = lab.account().call("ec2", "create_volume", volume)["VolumeId"].clone();
    lab.proxy.fail("ec2:DeleteVpc", usize::MAX, Fault::Denied);
    let down = lab.lamp("--on aws down --yes").expect(1);
    let id = |it: &Value| it.as_str().unwrap().to_owned();
    down.says(&[
        &format!("subnet {}  lies in the stack's VPC", id(&subnet)),
        &format!("security-group {}  lies in the stack's VPC", id(&group)),
        &format!("volume {}  carries the stack's tag", id(&volume)),
    ]);
}

#[test]
fn the_sweep_finds_what_kept_an_earlier_name() {
    let lab = Lab::new("");
    lab.up();
    let renamed = ["scaling_group", "launch_template", "host_role", "database", "replica"];
    let renamed = renamed.into_iter().chain(["database_subnets", "database_parameters", "origin_access"]);
    let names: String = renamed.map(|it| format!("{it} = \"new-{}\"\n", it.replace('_', "-"))).collect();
    lab.configure(&format!("[names]\n{names}"));
    for call in [
        "autoscaling:DeleteAutoScalingGroup",
        "rds:DeleteDBSubnetGroup",
        "rds:DeleteDBParameterGroup",
        "iam:DeleteRole",
        "logs:DeleteLogGroup",
        "cloudfront:DeleteOriginAccessControl",
        "s3:DeleteBucket",
    ] {
        lab.proxy.fail(call, usize::MAX, Fault::Denied);
    }
    let down = lab.lamp("--on aws down --yes").expect(1);
    let (_, left) = down.stdout.split_once(" left:\n").unwrap_or_else(|| panic!("no list: {down}"));
    for it in [
        "autoscaling           lab-vpc-asg",
        "subnet group lab-vpc-rds-subnet-group",
        "parameter group ",
        "role lab-vpc-",
        "instance profile lab-vpc-",
        "/aws/rds/instance/lab-vpc-rds/general",
        "origin access control ",
        "lab-vpc-artefacts-",
        "lab-vpc-site-",
    ] {
        assert!(left.contains(it), "{it} is not listed: {down}");
    }
}

#[test]
fn a_strangers_things_of_our_names_are_not_taken_for_a_remainder() {
    let lab = Lab::new("[site]\nbucket = \"taken-by-another\"\n");
    let hand = lab.account();
    let trust = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
    hand.call(
        "iam",
        "create_role",
        json!({ "RoleName": "lab-vpc-host-ap-northeast-2", "AssumeRolePolicyDocument": trust }),
    );
    hand.call(
        "iam",
        "create_instance_profile",
        json!({ "InstanceProfileName": "lab-vpc-host-ap-northeast-2" }),
    );
    hand.call("s3", "create_bucket", json!({ "Bucket": "taken-by-another", "region": "us-east-1" }));
    let parameters = json!({
        "DBParameterGroupName": "lab-vpc-rds-parameters", "DBParameterGroupFamily": "mysql8.4", "Description": "mine",
    });
    hand.call("rds", "create_db_parameter_group", parameters);
    let before = lab.snapshot();
    lab.down().says(&["nothing left"]);
    assert_eq!(before.not_in(&lab.snapshot()), [""; 0]);
}
