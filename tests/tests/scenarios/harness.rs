//! The ground that all other scenarios stand on holds.

use std::process::Command;
use std::time::Duration;

use scenarios::account::Account;
use scenarios::slow::Slow;
use scenarios::{Fault, Lab, lamp};
use serde_json::json;

/// boto3 through the proxy: a caller that is not ours.
fn caller(lab: &Lab) -> Account {
    Account::open(lab.proxy.url().strip_prefix("http://").unwrap().parse().unwrap())
}

fn vpc(name: &str) -> serde_json::Value {
    let tags = json!([{ "Key": "Name", "Value": name }]);
    json!({ "CidrBlock": "10.1.0.0/16", "TagSpecifications": [{ "ResourceType": "vpc", "Tags": tags }] })
}

#[test]
fn the_proxy_passes_every_protocol_on_and_names_the_calls() {
    let lab = Lab::new("");
    let it = caller(&lab);
    it.call("ec2", "create_vpc", vpc("a"));
    it.call("ssm", "put_parameter", json!({ "Name": "/a", "Value": "1", "Type": "String" }));
    it.call("efs", "create_file_system", json!({ "CreationToken": "t" }));
    it.call(
        "s3",
        "create_bucket",
        json!({ "Bucket": "lab-b", "CreateBucketConfiguration": { "LocationConstraint": "ap-northeast-2" } }),
    );
    it.call("s3", "put_object", json!({ "Bucket": "lab-b", "Key": "a/b c", "Body": "x".repeat(100_000) }));
    it.call("s3", "head_object", json!({ "Bucket": "lab-b", "Key": "a/b c" }));
    it.call("rds", "describe_db_instances", json!({}));
    it.call("iam", "list_roles", json!({}));
    it.call("cloudfront", "list_distributions", json!({}));
    it.call(
        "cloudwatch",
        "put_metric_data",
        json!({ "Namespace": "a", "MetricData": [{ "MetricName": "m", "Value": 1 }] }),
    );
    let calls = lab.proxy.calls();
    let seen: Vec<String> =
        calls.iter().map(|it| format!("{}{}", it.name(), if it.mutating { "!" } else { "" })).collect();
    assert_eq!(
        seen,
        [
            "ec2:CreateVpc!",
            "ssm:PutParameter!",
            "elasticfilesystem:CreateFileSystem!",
            "s3:CreateBucket!",
            "s3:PutObject!",
            "s3:HeadObject",
            "rds:DescribeDBInstances",
            "iam:ListRoles",
            "cloudfront:ListDistributions",
            "monitoring:PutMetricData!",
        ]
    );
    assert!(calls.iter().all(|it| (200..300).contains(&it.status)), "{calls:?}");
}

#[test]
fn every_service_gets_its_errors_in_its_own_words() {
    let lab = Lab::new("");
    let it = caller(&lab);
    let code = |name: &str, service: &str, operation: &str, fault: Fault| {
        // Once more than boto3 tries.
        lab.proxy.fail(name, 2, fault);
        let refused = it.try_call(service, operation, json!({})).unwrap_err().code;
        lab.proxy.heal();
        refused
    };
    for (name, service, operation, slower, denied) in [
        ("ec2:DescribeVpcs", "ec2", "describe_vpcs", "RequestLimitExceeded", "UnauthorizedOperation"),
        ("rds:DescribeDBInstances", "rds", "describe_db_instances", "Throttling", "AccessDenied"),
        ("iam:ListRoles", "iam", "list_roles", "Throttling", "AccessDenied"),
        (
            "ssm:DescribeParameters",
            "ssm",
            "describe_parameters",
            "ThrottlingException",
            "AccessDeniedException",
        ),
        (
            "elasticfilesystem:*",
            "efs",
            "describe_file_systems",
            "ThrottlingException",
            "AccessDeniedException",
        ),
        ("s3:ListBuckets", "s3", "list_buckets", "SlowDown", "AccessDenied"),
        ("cloudfront:*", "cloudfront", "list_distributions", "Throttling", "AccessDenied"),
    ] {
        assert_eq!(code(name, service, operation, Fault::Throttled), slower);
        assert_eq!(code(name, service, operation, Fault::Denied), denied);
    }
    assert_eq!(
        code("ec2:*", "ec2", "describe_vpcs", Fault::in_use("vpc-1")),
        "DependencyViolation",
        "any error can be had"
    );
    assert_eq!(code("ec2:*", "ec2", "describe_vpcs", Fault::Dropped), "ConnectionClosedError");
}

#[test]
fn a_lost_answer_has_its_effect_and_a_dropped_call_has_none() {
    let lab = Lab::new("");
    let it = caller(&lab);
    lab.proxy.fail("ec2:CreateVpc", 2, Fault::Dropped);
    it.try_call("ec2", "create_vpc", vpc("dropped")).unwrap_err();
    lab.proxy.fail("ec2:CreateVpc", 1, Fault::AnswerLost);
    it.call("ec2", "create_vpc", vpc("lost"));
    lab.proxy.settle();
    // boto3 tried twice: moto knows no token for a VPC.
    assert_eq!(lab.snapshot().names("vpc"), ["lost", "lost"]);
}

#[test]
fn the_caller_dies_right_after_the_chosen_call_or_before_it() {
    let lab = Lab::new("");
    for (after, effects) in [(true, 2), (false, 1)] {
        let pid = if after { lab.proxy.kill_after(2) } else { lab.proxy.kill_before(2) };
        let script = format!(
            "for i in 1 2 3 4; do curl -s -o /dev/null -d Action=CreateKeyPair -d KeyName=k{after}$i \
             -H 'Authorization: AWS4-HMAC-SHA256 Credential=a/20261122/ap-northeast-2/ec2/aws4_request, x' {}/; \
             done",
            lab.proxy.url()
        );
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]);
        let run = lamp::run(shell, Duration::from_secs(20), Some(pid));
        lab.proxy.settle();
        assert_eq!(run.code, None, "killed: {run}");
        let made =
            lab.snapshot().names("key-pair").iter().filter(|it| it.contains(&after.to_string())).count();
        assert_eq!(made, effects);
    }
}

const MOMENT: Duration = Duration::from_millis(500);

#[test]
fn what_is_new_is_unknown_for_a_while_and_then_pending_for_a_while() {
    let lab = Lab::new("");
    let it = caller(&lab);
    let ages = Duration::from_secs(3600);
    lab.proxy.slow(Slow { invisible: ages, ..Slow::default() });
    let made = it.call("ec2", "create_vpc", vpc("new"));
    let id = &made["Vpc"]["VpcId"];
    let subnet = json!({ "VpcId": id, "CidrBlock": "10.1.1.0/24" });
    assert_eq!(
        it.try_call("ec2", "create_subnet", subnet.clone()).unwrap_err().code,
        "InvalidVpcID.NotFound"
    );
    let listed = || it.call("ec2", "describe_vpcs", json!({}))["Vpcs"].as_array().unwrap().len();
    assert_eq!(listed(), 1, "only the default one");
    lab.proxy.slow(Slow { nat_gateway: ages, files: ages, ..Slow::default() });
    assert_eq!(listed(), 2);
    let subnet = it.call("ec2", "create_subnet", subnet)["Subnet"]["SubnetId"].clone();
    it.call("ec2", "create_nat_gateway", json!({ "SubnetId": subnet, "ConnectivityType": "private" }));
    let state = || {
        let found = it.call("ec2", "describe_nat_gateways", json!({}));
        found["NatGateways"][0]["State"].as_str().unwrap_or("absent").to_owned()
    };
    assert_eq!(state(), "pending");
    it.call("efs", "create_file_system", json!({ "CreationToken": "t" }));
    let files =
        || it.call("efs", "describe_file_systems", json!({}))["FileSystems"][0]["LifeCycleState"].clone();
    assert_eq!(files(), "creating");
    // And what took a moment is over by itself.
    lab.proxy.slow(Slow { invisible: MOMENT, nat_gateway: MOMENT, files: MOMENT, ..Slow::default() });
    it.call("ec2", "create_vpc", vpc("newer"));
    it.call("efs", "create_file_system", json!({ "CreationToken": "u" }));
    lab.eventually("it shows", || listed() == 3);
    lab.eventually("they are available", || state() == "available" && files() == "available");
}

#[test]
fn what_leaves_is_listed_and_holds_others_until_it_is_gone() {
    let lab = Lab::new("");
    let it = caller(&lab);
    lab.proxy.slow(Slow { deletion: Duration::from_secs(8), ..Slow::default() });
    let database =
        json!({ "DBInstanceIdentifier": "a", "DBInstanceClass": "db.t3.micro", "Engine": "mysql" });
    it.call("rds", "create_db_instance", database);
    it.call("rds", "delete_db_instance", json!({ "DBInstanceIdentifier": "a", "SkipFinalSnapshot": true }));
    let status = || {
        let found = it.call("rds", "describe_db_instances", json!({}));
        found["DBInstances"][0]["DBInstanceStatus"].as_str().unwrap_or("gone").to_owned()
    };
    assert_eq!(status(), "deleting");
    let group = json!({ "DBSubnetGroupName": "g" });
    assert_eq!(
        it.try_call("rds", "delete_db_subnet_group", group.clone()).unwrap_err().code,
        "InvalidDBSubnetGroupStateFault"
    );
    lab.eventually("it is gone", || status() == "gone");
    assert_eq!(
        it.try_call("rds", "delete_db_subnet_group", group).unwrap_err().code,
        "DBSubnetGroupNotFoundFault"
    );
}

#[test]
fn the_reader_sees_what_is_left_and_what_is_gone() {
    let lab = Lab::new("");
    lab.assert_nothing_left("at first");
    let it = lab.account();
    let id = it.call("ec2", "create_vpc", vpc("mine"))["Vpc"]["VpcId"].clone();
    let left = lab.snapshot().not_in(&lab.before);
    assert!(left.iter().any(|it| it.starts_with("vpc mine")), "{left:?}");
    it.call("ec2", "delete_vpc", json!({ "VpcId": id }));
    lab.assert_nothing_left("after the deletion");
}

#[test]
fn equal_work_in_two_accounts_has_one_shape() {
    let build = |lab: &Lab| {
        let id = lab.account().call("ec2", "create_vpc", vpc("same"))["Vpc"]["VpcId"].clone();
        lab.account().call(
            "ec2",
            "create_subnet",
            json!({ "VpcId": id, "CidrBlock": "10.1.1.0/24", "AvailabilityZone": "ap-northeast-2a" }),
        );
        lab.snapshot()
    };
    let mut lab = Lab::new("");
    let first = build(&lab);
    lab.renew();
    let second = build(&lab);
    assert_eq!(second.differs(&first), [""; 0]);
}
