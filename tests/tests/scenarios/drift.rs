//! What somebody changed by hand is named by `plan` and repaired by `up`.

use scenarios::lab::undisturbed;
use scenarios::{Account, Fault, Lab, Snapshot};
use serde_json::{Value, json};

/// A hand at the console: what it does, whose node `plan` must name, and the deed.
type Drift = (&'static str, &'static str, fn(&Account, &Snapshot));

const DRIFTS: &[Drift] = &[
    ("a route is gone", "route-table/private-subnet-a1-rt", |hand, seen| {
        let table = &seen.one("route-table", "route-table/private-subnet-a1-rt")["RouteTableId"];
        hand.call(
            "ec2",
            "delete_route",
            json!({ "RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0" }),
        );
    }),
    ("a route leads elsewhere", "route-table/private-subnet-c1-rt", |hand, seen| {
        let table = &seen.one("route-table", "route-table/private-subnet-c1-rt")["RouteTableId"];
        let nat = &seen.one("nat-gateway", "nat-gw-a1")["NatGatewayId"];
        let route =
            json!({ "RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": nat });
        hand.call("ec2", "replace_route", route);
    }),
    ("a route is added", "route-table/private-subnet-a2-rt", |hand, seen| {
        let table = &seen.one("route-table", "route-table/private-subnet-a2-rt")["RouteTableId"];
        let nat = &seen.one("nat-gateway", "nat-gw-a1")["NatGatewayId"];
        let route =
            json!({ "RouteTableId": table, "DestinationCidrBlock": "192.168.0.0/16", "NatGatewayId": nat });
        hand.call("ec2", "create_route", route);
    }),
    ("a route of IPv6 is added", "route-table/private-subnet-c2-rt", |hand, seen| {
        let table = &seen.one("route-table", "route-table/private-subnet-c2-rt")["RouteTableId"];
        let gateway = &seen.one("internet-gateway", "lab-igw")["InternetGatewayId"];
        let route =
            json!({ "RouteTableId": table, "DestinationIpv6CidrBlock": "::/0", "GatewayId": gateway });
        hand.call("ec2", "create_route", route);
    }),
    ("a subnet gives public addresses", "subnet/private-subnet-a1", |hand, seen| {
        let id = &seen.one("subnet", "private-subnet-a1")["SubnetId"];
        let it = json!({ "SubnetId": id, "MapPublicIpOnLaunch": { "Value": true } });
        hand.call("ec2", "modify_subnet_attribute", it);
    }),
    ("a rule is gone", "security-group/rds-sg", |hand, seen| {
        let group = seen.all("security-group").iter().find(|it| it["GroupName"] == "lab-vpc-rds-sg").unwrap();
        let rules = json!({ "GroupId": group["GroupId"], "IpPermissions": group["IpPermissions"] });
        hand.call("ec2", "revoke_security_group_ingress", rules);
    }),
    ("a rule is added", "security-group/private-ec2-sg", |hand, seen| {
        let group = seen.all("security-group").iter().find(|it| it["GroupName"] == "private-ec2-sg").unwrap();
        let rule = json!({
            "GroupId": group["GroupId"], "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0",
        });
        hand.call("ec2", "authorize_security_group_ingress", rule);
    }),
    ("an outbound rule is gone", "security-group/alb-asg-sg", |hand, seen| {
        let group =
            seen.all("security-group").iter().find(|it| it["GroupName"] == "lab-vpc-alb-asg-sg").unwrap();
        let rules = json!({ "GroupId": group["GroupId"], "IpPermissions": group["IpPermissionsEgress"] });
        hand.call("ec2", "revoke_security_group_egress", rules);
    }),
    ("an outbound rule is narrowed", "security-group/public-ec2-sg", |hand, seen| {
        let group = seen.all("security-group").iter().find(|it| it["GroupName"] == "public-ec2-sg").unwrap();
        let rules = json!({ "GroupId": group["GroupId"], "IpPermissions": group["IpPermissionsEgress"] });
        hand.call("ec2", "revoke_security_group_egress", rules);
        let https = json!([{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{ "CidrIp": "0.0.0.0/0" }] }]);
        let rules = json!({ "GroupId": group["GroupId"], "IpPermissions": https });
        hand.call("ec2", "authorize_security_group_egress", rules);
    }),
    ("the endpoint lets everybody pass", "vpc-endpoint/s3", |hand, seen| {
        let open =
            json!({ "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*" }] });
        let id = &seen.all("endpoint")[0]["VpcEndpointId"];
        let open = json!({ "VpcEndpointId": id, "PolicyDocument": open.to_string() });
        hand.call("ec2", "modify_vpc_endpoint", open);
    }),
    ("a tag is changed", "subnet/public-subnet-a1", |hand, seen| {
        let id = &seen.one("subnet", "public-subnet-a1")["SubnetId"];
        hand.call(
            "ec2",
            "create_tags",
            json!({ "Resources": [id], "Tags": [{ "Key": "Name", "Value": "odd" }] }),
        );
    }),
    ("a mount target is gone", "mount-target", |hand, seen| {
        let id = &seen.all("mount-target")[0]["MountTargetId"];
        hand.call("efs", "delete_mount_target", json!({ "MountTargetId": id }));
    }),
    ("the scaling group is too small", "scaling-group/asg", |hand, _| {
        let size = json!({ "AutoScalingGroupName": "lab-vpc-asg", "MinSize": 1, "MaxSize": 3 });
        hand.call("autoscaling", "update_auto_scaling_group", size);
    }),
    ("a process is suspended", "scaling-group", |hand, _| {
        let it = json!({ "AutoScalingGroupName": "lab-vpc-asg", "ScalingProcesses": ["AZRebalance"] });
        hand.call("autoscaling", "suspend_processes", it);
    }),
    ("the policy is gone", "scaling-policy/lab-policy-01", |hand, _| {
        let it = json!({ "AutoScalingGroupName": "lab-vpc-asg", "PolicyName": "lab-policy-01" });
        hand.call("autoscaling", "delete_policy", it);
    }),
    ("a host is terminated", "instance/private-ec2-c1", |hand, seen| {
        let id = &seen.one("instance", "instance/private-ec2-c1")["InstanceId"];
        hand.call("ec2", "terminate_instances", json!({ "InstanceIds": [id] }));
    }),
    ("a host is stopped", "instance/public-ec2-c1", |hand, seen| {
        let id = &seen.one("instance", "instance/public-ec2-c1")["InstanceId"];
        hand.call("ec2", "stop_instances", json!({ "InstanceIds": [id] }));
    }),
    ("an address is detached", "address-association/eip-public-ec2-a1", |hand, seen| {
        let id = &seen.one("elastic-ip", "eip-public-ec2-a1")["AssociationId"];
        hand.call("ec2", "disassociate_address", json!({ "AssociationId": id }));
    }),
    ("the listener is gone", "listener", |hand, seen| {
        hand.call(
            "elbv2",
            "delete_listener",
            json!({ "ListenerArn": seen.all("listener")[0]["ListenerArn"] }),
        );
    }),
    ("a target is deregistered", "target/public-ec2", |hand, seen| {
        let group =
            seen.all("target-group").iter().find(|it| it["TargetGroupName"] == "lab-vpc-alb-public-tg");
        let group = group.unwrap();
        let target = json!([{ "Id": group["Targets"][0]["Id"] }]);
        hand.call(
            "elbv2",
            "deregister_targets",
            json!({ "TargetGroupArn": group["TargetGroupArn"], "Targets": target }),
        );
    }),
    ("the health check is changed", "target-group/alb-asg-tg", |hand, seen| {
        let group =
            seen.all("target-group").iter().find(|it| it["TargetGroupName"] == "lab-vpc-alb-asg-tg").unwrap();
        let check = json!({ "TargetGroupArn": group["TargetGroupArn"], "HealthCheckPath": "/odd" });
        hand.call("elbv2", "modify_target_group", check);
    }),
    ("the replica is gone", "replica/rds-rr", |hand, _| {
        let it = json!({ "DBInstanceIdentifier": "lab-vpc-rds-rr", "SkipFinalSnapshot": true });
        hand.call("rds", "delete_db_instance", it);
    }),
    ("the backups are shortened", "db-instance/rds", |hand, _| {
        let it = json!({ "DBInstanceIdentifier": "lab-vpc-rds", "BackupRetentionPeriod": 1, "ApplyImmediately": true });
        hand.call("rds", "modify_db_instance", it);
    }),
    ("the role's policy is gone", "role/host", |hand, seen| {
        let role =
            seen.all("role").iter().find(|it| it["Inline"].as_object().is_some_and(|it| !it.is_empty()));
        let role = role.expect("a role with an inline policy");
        let policy = role["Inline"].as_object().unwrap().keys().next().unwrap();
        hand.call("iam", "delete_role_policy", json!({ "RoleName": role["RoleName"], "PolicyName": policy }));
    }),
    ("a parameter says something else", "parameter/db/endpoint", |hand, _| {
        let it = json!({ "Name": "/lamp/lab-vpc/db/endpoint", "Value": "odd", "Overwrite": true, "Type": "String" });
        hand.call("ssm", "put_parameter", it);
    }),
    ("a bucket is public", "bucket/site", |hand, seen| {
        let name =
            &seen.all("bucket").iter().find(|it| it["Name"].to_string().contains("site")).unwrap()["Name"];
        hand.call("s3", "delete_public_access_block", json!({ "Bucket": name }));
    }),
    ("a bucket's policy is gone", "bucket-policy/site", |hand, seen| {
        let name =
            &seen.all("bucket").iter().find(|it| it["Name"].to_string().contains("site")).unwrap()["Name"];
        hand.call("s3", "delete_bucket_policy", json!({ "Bucket": name }));
    }),
    ("a page is gone", "site-content/site", |hand, seen| {
        let bucket = seen.all("bucket").iter().find(|it| it["Name"].to_string().contains("site")).unwrap();
        hand.call(
            "s3",
            "delete_object",
            json!({ "Bucket": bucket["Name"], "Key": bucket["Objects"][0]["Key"] }),
        );
    }),
];

#[test]
fn what_was_changed_by_hand_is_named_and_repaired() {
    let want = undisturbed();
    let lab = Lab::new("");
    lab.up();
    let mut failures = Vec::new();
    let mut seen = lab.snapshot();
    for (what, node, deed) in DRIFTS {
        deed(lab.account(), &seen);
        let plan = lab.lamp("--on aws plan");
        if plan.code != Some(2) || !plan.text().contains(node) {
            failures.push(format!("{what}: plan does not name {node}: {plan}"));
        }
        let up = lab.lamp("--on aws up --yes");
        if up.code != Some(0) {
            failures.push(format!("{what}: {up}"));
        }
        seen = lab.snapshot();
        let differs = seen.differs(&want.snapshot);
        if !differs.is_empty() {
            failures.push(format!("{what}: not repaired:\n{}", differs.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), DRIFTS.len(), failures.join("\n\n"));
}

#[test]
fn status_names_what_differs_and_ends_with_1() {
    let lab = Lab::new("");
    lab.up();
    lab.lamp("--on aws status").ok();
    let (what, node, deed) = DRIFTS.iter().find(|it| it.0 == "a rule is added").unwrap();
    deed(lab.account(), &lab.snapshot());
    let status = lab.lamp("--on aws status").expect(1).says(&[node]);
    assert!(status.changes().is_empty(), "{what}: status only looks");
}

#[test]
fn the_scaling_groups_settings_change_later() {
    let lab = Lab::new("");
    lab.up();
    let kept = "[scaling]\nmin = 1\nmax = 3\nhealth_check = \"ELB\"\nhealth_check_grace = 90\n\
                scale_in_protection = true\ncpu_target = 50.0\nsuspended_processes = [\"AZRebalance\"]\n";
    lab.configure(kept);
    lab.lamp("--on aws plan").expect(2).says(&[
        "scaling-group/asg",
        "scaling-policy/lab-policy-01",
        "AZRebalance",
    ]);
    lab.up();
    lab.lamp("--on aws plan").ok();
    let account = lab.snapshot();
    let group = account.one("scaling-group", "lab-vpc-asg");
    for (key, want) in [
        ("MinSize", json!(1)),
        ("MaxSize", json!(3)),
        ("HealthCheckType", json!("ELB")),
        ("HealthCheckGracePeriod", json!(90)),
        ("NewInstancesProtectedFromScaleIn", json!(true)),
    ] {
        assert_eq!(group[key], want, "{key} of {group}");
    }
    assert_eq!(group["SuspendedProcesses"][0]["ProcessName"], "AZRebalance");
    // moto takes these at creation only: what is asked for is all that can be seen.
    lab.configure(&format!(
        "{kept}cooldown = 120\nmax_instance_lifetime = 604800\n\
         termination_policies = [\"OldestLaunchTemplate\", \"NewestInstance\"]\n"
    ));
    lab.lamp("--on aws plan").expect(2).says(&["cooldown", "max_lifetime", "termination_policies"]);
    let seen = Fault::error("ValidationError", "seen, and that is enough");
    lab.proxy.fail("autoscaling:UpdateAutoScalingGroup", usize::MAX, seen);
    let up = lab.lamp("--on aws up --yes").expect(1);
    let asked = up.calls.iter().find(|it| it.action == "UpdateAutoScalingGroup").unwrap();
    for it in [
        "DefaultCooldown=120",
        "MaxInstanceLifetime=604800",
        "TerminationPolicies.member.1=OldestLaunchTemplate",
        "TerminationPolicies.member.2=NewestInstance",
    ] {
        assert!(asked.text.contains(it), "{it} in {}", asked.text);
    }
}

#[test]
fn a_plan_searches_for_what_is_not_where_the_last_up_saw_it() {
    let lab = Lab::new("");
    lab.up();
    let short = lab.lamp("--on aws plan").ok().calls.len();
    let seen = lab.snapshot();
    let vpc = seen.one("vpc", "lab-vpc");
    let noted = vpc["Tags"].as_array().unwrap().iter();
    let noted: Vec<Value> =
        noted.filter(|it| it["Key"].to_string().contains("lamp:seen:")).cloned().collect();
    assert!(!noted.is_empty(), "{vpc}");
    // Something else of the same kind in its place is not taken for it.
    let (image, other) = ("lamp:seen:image/ami-public-ec2", json!("ami-0123456789abcdef0"));
    let odd = json!({ "Resources": [vpc["VpcId"]], "Tags": [{ "Key": image, "Value": other }] });
    lab.account().call("ec2", "create_tags", odd);
    assert!(short < lab.lamp("--on aws plan").ok().calls.len());
    // Without the notes all is found as well, and the next change writes them again.
    lab.account().call("ec2", "delete_tags", json!({ "Resources": [vpc["VpcId"]], "Tags": noted }));
    assert!(short < lab.lamp("--on aws plan").ok().calls.len());
    lab.configure("[scaling]\ncpu_target = 50.0\n");
    lab.up();
    assert_eq!(lab.lamp("--on aws plan").ok().calls.len(), short);
}

#[test]
fn what_cannot_change_in_place_is_refused_with_the_way_out() {
    let lab = Lab::new("");
    lab.up();
    let built = lab.snapshot();
    lab.configure("[network]\npublic_cidrs = [\"10.1.11.0/24\", \"10.1.12.0/24\"]\n");
    let plan = lab.lamp("--on aws plan").says(&["public-subnet-a1", "in place", "10.1.11.0/24"]);
    assert_ne!(plan.code, Some(0));
    let up = lab.lamp("--on aws up --yes").expect(1).says(&["public-subnet-a1"]);
    let calls: Vec<Value> = up.changes().iter().map(|it| json!(it.name())).collect();
    assert!(
        lab.snapshot().not_in(&built).is_empty(),
        "nothing is replaced behind the operator's back: {calls:?}"
    );
}

#[test]
fn a_key_that_is_another_one_on_this_machine_is_refused_with_its_own_way_out() {
    let lab = Lab::new("");
    lab.up();
    let file = |name: &str| lab.path(&format!("keys/{name}.pem"));
    std::fs::rename(file("ec2-public"), file("aside")).unwrap();
    std::fs::rename(file("ec2-private-seoul"), file("ec2-public")).unwrap();
    let plan = lab.lamp("--on aws plan").expect(1);
    plan.says(&[
        "! key-pair/",
        "ec2-public is another key to AWS than in",
        "put the old files back",
        "the old key",
    ]);
    std::fs::rename(file("aside"), file("ec2-public")).unwrap();
    lab.lamp("--on aws plan").ok();
}

#[test]
fn what_left_the_configuration_is_removed() {
    let lab = Lab::new("");
    lab.up();
    lab.configure("[parts]\npublic_hosts = false\n");
    lab.lamp("--on aws plan").expect(2).says(&["public-ec2-a1"]);
    lab.up();
    let names = lab.snapshot().names("instance");
    assert!(!names.iter().any(|it| it.contains("public-ec2")), "{names:?}");
    lab.lamp("--on aws plan").ok();
    lab.down();
    lab.assert_nothing_left("after a part was switched off");
}
