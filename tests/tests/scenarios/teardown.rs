//! `down` takes everything away, in an order that AWS accepts, and says what holds the rest.

use std::time::Duration;

use scenarios::lab::undisturbed;
use scenarios::slow::Slow;
use scenarios::{Call, Fault, Lab};

/// Where in the log a call of this name (and with this text) came; all of them.
fn when(calls: &[Call], name: &str, text: &str) -> Vec<usize> {
    let found = calls.iter().enumerate().filter(|(_, it)| it.name() == name && it.text.contains(text));
    found.map(|it| it.0).collect()
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
        (("iam:RemoveRoleFromInstanceProfile", ""), ("iam:DeleteInstanceProfile", "")),
        (("iam:RemoveRoleFromInstanceProfile", ""), ("iam:DeleteRole", "")),
        (("iam:DeleteRolePolicy", ""), ("iam:DeleteRole", "")),
    ] {
        let (before, after) = (when(calls, first.0, first.1), when(calls, then.0, then.1));
        assert!(!before.is_empty() && !after.is_empty(), "{first:?} and {then:?} are called");
        assert!(before.iter().max() < after.iter().min(), "{first:?} must come before {then:?}");
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
