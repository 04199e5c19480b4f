//! AWS on a bad day: what passes is waited out, what does not pass is told, and siblings go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use scenarios::lab::undisturbed;
use scenarios::slow::Slow;
use scenarios::{Fault, Lab};

/// The network and a database.
const NETWORK: &str = "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\n\
                       replica = false\nsite = false\n";

#[test]
fn a_failing_node_skips_exactly_its_dependents() {
    let lab = Lab::new("");
    lab.proxy.fail(
        "elasticfilesystem:CreateFileSystem",
        usize::MAX,
        Fault::Error {
            status: 403,
            code: "FileSystemLimitExceeded",
            message: "the account has too many file systems".to_owned(),
        },
    );
    let up = lab.lamp("--on aws up --yes").expect(1).says(&["FileSystemLimitExceeded", "file-system"]);
    let account = lab.snapshot();
    assert!(account.all("file-system").is_empty() && account.all("mount-target").is_empty());
    // What does not need the files is there all the same.
    assert_eq!(account.all("database").len(), 2, "{up}");
    assert_eq!(account.all("load-balancer").len(), 3, "{up}");
    assert_eq!(account.all("distribution").len(), 1, "{up}");
    lab.proxy.heal();
    lab.up();
    lab.lamp("--on aws plan").ok();
}

#[test]
fn the_skipped_ones_are_named_and_are_the_dependents_alone() {
    let lab = Lab::new("");
    let limit = |code| Fault::error(code, "the account has too many of them");
    lab.proxy.fail("rds:CreateDBInstance", usize::MAX, limit("InstanceQuotaExceeded"));
    lab.proxy.fail("cloudfront:CreateOriginAccessControl", usize::MAX, limit("TooManyOriginAccessControls"));
    let up = lab.lamp("--on aws up --yes --json").expect(1);
    let events: Vec<serde_json::Value> =
        up.stdout.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let nodes = |event: &str| {
        let those = events.iter().filter(|it| it["event"] == event);
        let mut nodes: Vec<_> = those.filter_map(|it| it["node"].as_str()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    };
    assert_eq!(nodes("failed"), ["db-instance/rds", "origin-access-control/site"], "{up}");
    let skipped = [
        "bucket-policy/site",
        "distribution/site",
        "parameter/db/endpoint",
        "parameter/generation",
        "replica/rds-rr",
    ];
    assert_eq!(nodes("skipped"), skipped, "{up}");
    let because = |node: &str| {
        let event = events.iter().find(|it| it["event"] == "skipped" && it["node"] == node).unwrap();
        event["because"].as_str().unwrap().to_owned()
    };
    assert_eq!(because("distribution/site"), "origin-access-control/site");
    assert_eq!(because("replica/rds-rr"), "db-instance/rds");
    let plan = events.iter().find(|it| it["event"] == "plan").unwrap();
    let all = plan["steps"].as_array().unwrap().len();
    assert_eq!(nodes("done").len(), all - skipped.len() - 2, "all others: {up}");
}

#[test]
fn throttling_server_errors_and_lost_connections_are_waited_out() {
    let want = undisturbed();
    let mut lab = Lab::new("");
    for (what, fault, every) in [
        ("throttled", Fault::Throttled, 7),
        ("a server error", Fault::Broken(503), 11),
        ("a dropped connection", Fault::Dropped, 11),
        ("a lost answer", Fault::AnswerLost, 9),
    ] {
        let begun = std::time::Instant::now();
        lab.renew();
        let mut count = 0;
        lab.proxy.fail_if(usize::MAX, fault, move |call| {
            // CloudWatch speaks CBOR, in which the proxy has no words.
            count += usize::from(call.service != "monitoring");
            call.service != "monitoring" && count % every == 0
        });
        let up = lab.lamp("--on aws up --yes");
        assert_eq!(up.code, Some(0), "{what}: {up}");
        let differs = lab.snapshot().differs(&want.snapshot);
        assert!(differs.is_empty(), "{what}:\n{}", differs.join("\n"));
        let down = lab.lamp("--on aws down --yes");
        assert_eq!(down.code, Some(0), "{what}: {down}");
        lab.assert_nothing_left(what);
        eprintln!("{what}: {:.1?}, {} + {} calls", begun.elapsed(), up.calls.len(), down.calls.len());
    }
}

#[test]
fn a_host_that_is_registered_during_a_look_keeps_its_name() {
    let lab = Lab::new("");
    let looking = Arc::new(AtomicBool::new(false));
    // The first registration is lost, so all are looked for, which lasts until the other hosts have come as well.
    let begins = looking.clone();
    lab.proxy.fail_if(1, Fault::Dropped, move |call| {
        let is_it = call.action == "RegisterTargets";
        begins.fetch_or(is_it, Ordering::Relaxed);
        is_it
    });
    let mut is_first = true;
    lab.proxy.fail_if(3, Fault::Late(Duration::from_secs(3)), move |call| {
        call.action == "RunInstances" && !std::mem::take(&mut is_first)
    });
    lab.proxy.fail_if(1, Fault::Late(Duration::from_secs(8)), move |call| {
        call.action == "DescribeTargetGroups" && looking.load(Ordering::Relaxed)
    });
    lab.up();
    lab.lamp("--on aws plan").ok();
}

#[test]
fn what_is_not_visible_yet_is_waited_for_and_not_made_twice() {
    let want = undisturbed();
    let lab = Lab::new("");
    lab.proxy.slow(Slow { invisible: Duration::from_millis(1500), ..Slow::default() });
    lab.proxy.fail("ec2:RunInstances", 2, Fault::profile_not_yet_visible());
    lab.proxy.fail("ec2:CreateLaunchTemplate", 1, Fault::profile_not_yet_visible());
    lab.up();
    let differs = lab.snapshot().differs(&want.snapshot);
    assert!(differs.is_empty(), "{}", differs.join("\n"));
}

#[test]
fn what_takes_time_to_become_ready_is_waited_for() {
    let want = undisturbed();
    let lab = Lab::new("");
    let second = Duration::from_secs(1);
    lab.proxy.slow(Slow {
        nat_gateway: 2 * second,
        load_balancer: 3 * second,
        database: 5 * second,
        files: 2 * second,
        image: 3 * second,
        ..Slow::default()
    });
    let up = lab.up();
    assert!(up.took > 5 * second, "the replica waits for its primary: {up}");
    let differs = lab.snapshot().differs(&want.snapshot);
    assert!(differs.is_empty(), "{}", differs.join("\n"));
}

#[test]
fn a_missing_permission_is_named_at_once() {
    let lab = Lab::new("");
    lab.proxy.fail("rds:CreateDBInstance", usize::MAX, Fault::Denied);
    let up = lab.lamp("--on aws up --yes").expect(1);
    let tries = up.calls.iter().filter(|it| it.action == "CreateDBInstance").count();
    assert_eq!(tries, 1, "never repeated");
    up.says(&["rds:CreateDBInstance", "lab-vpc-rds", "permission"]);
}

#[test]
fn a_validation_error_is_not_repeated() {
    let lab = Lab::new("");
    let fault = Fault::error("ValidationError", "Desired capacity is no number that this account likes");
    lab.proxy.fail("autoscaling:CreateAutoScalingGroup", usize::MAX, fault);
    let up = lab.lamp("--on aws up --yes").expect(1);
    let tries = up.calls.iter().filter(|it| it.action == "CreateAutoScalingGroup").count();
    assert_eq!(tries, 1, "never repeated");
    up.says(&["CreateAutoScalingGroup", "no number that this account likes"]);
}

#[test]
fn a_template_that_is_refused_for_good_is_not_tried_again() {
    let lab = Lab::new("");
    let why = "You must use a valid fully-formed launch template. You are not authorized to perform this operation.";
    let refused = Fault::error("ValidationError", why);
    lab.proxy.fail("autoscaling:CreateAutoScalingGroup", usize::MAX, refused);
    let up = lab.lamp("--on aws up --yes").expect(1);
    let tries = up.calls.iter().filter(|it| it.action == "CreateAutoScalingGroup").count();
    assert_eq!(tries, 1, "never repeated");
    up.says(&["scaling-group/asg", "You are not authorized"]);
    // The same words about a profile that is a moment old are no refusal.
    lab.proxy.heal();
    let young = "You must use a valid fully-formed launch template. Invalid IAM Instance Profile name";
    let young = Fault::error("ValidationError", young);
    lab.proxy.fail("autoscaling:CreateAutoScalingGroup", 1, young);
    lab.up();
}

#[test]
fn a_log_that_rds_left_behind_is_taken_over_and_somebody_elses_is_not() {
    const LOG: &str = "/aws/rds/instance/lab-vpc-rds/general";
    let log = |tags: serde_json::Value| {
        let lab = Lab::new(NETWORK);
        lab.account().call("logs", "create_log_group", json!({ "logGroupName": LOG, "tags": tags }));
        lab
    };
    // As RDS makes it: without a tag, and without an end.
    let lab = log(json!({}));
    lab.up();
    lab.lamp("--on aws plan").ok();
    lab.down();
    lab.assert_nothing_left("with the log that was there before");
    drop(lab);
    let up = log(json!({ "owner": "somebody" })).lamp("--on aws up --yes").expect(1);
    up.says(&["log-group/lab-vpc-rds-general", "does not belong to this stack"]);
}

#[test]
fn a_change_that_was_half_made_goes_on_from_there() {
    let lab = Lab::new(NETWORK);
    lab.up();
    let seen = lab.snapshot();
    let group = seen.all("security-group").iter().find(|it| it["GroupName"] == "lab-vpc-rds-sg").unwrap();
    let port = |it: u16| json!([{ "IpProtocol": "tcp", "FromPort": it, "ToPort": it, "IpRanges": [{ "CidrIp": "10.1.0.0/16" }] }]);
    let rules = json!({ "GroupId": group["GroupId"], "IpPermissions": group["IpPermissions"] });
    lab.account().call("ec2", "revoke_security_group_ingress", rules);
    let odd = json!({ "GroupId": group["GroupId"], "IpPermissions": port(99) });
    lab.account().call("ec2", "authorize_security_group_ingress", odd);
    // What is to go goes; what is to come is not known for a moment.
    let unknown = Fault::error("InvalidGroup.NotFound", "The security group 'sg-1' does not exist");
    lab.proxy.fail("ec2:AuthorizeSecurityGroupIngress", 1, unknown);
    let up = lab.up();
    let revoked = up.calls.iter().filter(|it| it.action == "RevokeSecurityGroupIngress").count();
    assert_eq!(revoked, 1, "what is gone is not taken away again: {up}");
    lab.lamp("--on aws plan").ok();
}

#[test]
fn a_removal_whose_answer_was_lost_goes_on_from_what_is_left() {
    let lab = Lab::new("");
    lab.up();
    for it in ["iam:RemoveRoleFromInstanceProfile", "iam:DeleteRole", "autoscaling:DeleteAutoScalingGroup"] {
        lab.proxy.fail(it, 1, Fault::AnswerLost);
    }
    lab.down();
    lab.assert_nothing_left("after lost answers");
}

#[test]
fn a_role_of_which_nothing_shows_yet_is_not_begun_anew_for_each_lost_answer() {
    let lab = Lab::new("");
    for it in ["iam:CreateRole", "iam:PutRolePolicy", "iam:AddRoleToInstanceProfile"] {
        lab.proxy.fail(it, 4, Fault::AnswerLost);
    }
    let up = lab.up();
    let created = up.calls.iter().filter(|it| it.action == "CreateRole").count();
    assert_eq!(created, 5, "four answers lost: {up}");
    lab.lamp("--on aws plan").ok();
}

#[test]
fn a_denied_read_stops_everything_before_anything_is_made() {
    let lab = Lab::new("");
    lab.proxy.fail("ec2:DescribeVpcs", usize::MAX, Fault::Denied);
    let up = lab.lamp("--on aws up --yes").expect(1).says(&["ec2:DescribeVpcs", "permission"]);
    let made: Vec<_> = up.changes().iter().map(|it| it.name()).filter(|it| !it.starts_with("ssm:")).collect();
    assert!(made.is_empty(), "{made:?}");
}

#[test]
fn an_emulators_own_failure_is_not_taken_for_a_deletion() {
    let lab = Lab::new("");
    lab.up();
    let built = lab.snapshot();
    lab.proxy.fail("rds:DescribeDBInstances", usize::MAX, Fault::Broken(500));
    lab.lamp("--on aws plan").expect(1).says(&["rds:DescribeDBInstances"]);
    lab.lamp("--on aws up --yes").expect(1);
    lab.lamp("--on aws down --yes").expect(1);
    lab.proxy.heal();
    assert!(lab.snapshot().all("database").len() == built.all("database").len());
}

#[test]
fn a_busy_bucket_service_is_asked_again() {
    let lab = Lab::new(
        "[parts]\nnetwork = false\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\ndatabase = false\nreplica = false\n\
         [site]\nbucket = \"lab-site-of-mine\"\n",
    );
    // A HEAD has no body, so only its status says what is wrong.
    lab.proxy.fail("s3:HeadBucket", 1, Fault::Throttled);
    let up = lab.up();
    assert_eq!(up.calls.iter().filter(|it| it.action == "HeadBucket").count(), 2, "{up}");
    lab.proxy.fail("s3:ListBuckets", 1, Fault::Throttled);
    lab.down();
    lab.assert_nothing_left("after down");
}
