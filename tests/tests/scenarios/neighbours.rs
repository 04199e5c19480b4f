//! What is not ours stays as it is.

use scenarios::Lab;
use serde_json::json;

#[test]
fn a_second_stack_and_a_hand_made_vpc_survive_up_and_down() {
    let lab = Lab::new("");
    // By hand, untagged, with the very same addresses and names.
    let hand = lab.account();
    let vpc = hand.call("ec2", "create_vpc", json!({ "CidrBlock": "10.1.0.0/16" }))["Vpc"]["VpcId"].clone();
    let subnet = json!({ "VpcId": vpc, "CidrBlock": "10.1.1.0/24", "AvailabilityZone": "ap-northeast-2a" });
    hand.call("ec2", "create_subnet", subnet);
    let group = json!({ "VpcId": vpc, "GroupName": "public-ec2-sg", "Description": "mine" });
    hand.call("ec2", "create_security_group", group);
    hand.call("ec2", "allocate_address", json!({ "Domain": "vpc" }));
    hand.call("ssm", "put_parameter", json!({ "Name": "/mine", "Value": "1", "Type": "String" }));
    hand.call("efs", "create_file_system", json!({ "CreationToken": "mine" }));
    let by_hand = lab.snapshot();

    lab.configure("stack = \"other\"\n");
    lab.up();
    let other = lab.snapshot();
    assert_eq!(by_hand.not_in(&other), [""; 0], "the hand-made ones survive");

    lab.configure("");
    lab.up();
    let both = lab.snapshot();
    assert_eq!(other.not_in(&both), [""; 0], "up touches nothing of others");
    lab.lamp("--on aws plan").ok();
    lab.down();
    let after = lab.snapshot();
    assert_eq!(after.not_in(&other), [""; 0], "nothing of ours is left");
    assert_eq!(other.not_in(&after), [""; 0], "down touches nothing of others");

    lab.configure("stack = \"other\"\n");
    lab.lamp("--on aws plan").ok();
    lab.down();
    let end = lab.snapshot();
    assert_eq!((end.not_in(&by_hand), by_hand.not_in(&end)), (vec![], vec![]));
}

#[test]
fn a_stack_of_the_same_name_in_another_region_survives() {
    let site = "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\n\
                database = false\nreplica = false\n\n[network]\nnat = \"none\"\n";
    let lab = Lab::new(&format!("region = \"eu-west-1\"\n{site}"));
    lab.up();
    let elsewhere = lab.snapshot();
    assert_eq!(elsewhere.all("distribution").len(), 1);
    lab.configure(site);
    lab.up();
    assert_eq!(lab.snapshot().all("distribution").len(), 2);
    lab.down().says(&["nothing left"]);
    let after = lab.snapshot();
    assert_eq!((after.not_in(&elsewhere), elsewhere.not_in(&after)), (vec![], vec![]));

    lab.configure(&format!("region = \"eu-west-1\"\n{site}"));
    lab.lamp("--on aws plan").ok();
    lab.down();
    lab.assert_nothing_left("after both are gone");
}

#[test]
fn a_resource_of_our_name_that_is_not_ours_is_refused_and_not_adopted() {
    let lab = Lab::new("");
    let hand = lab.account();
    hand.call("ec2", "create_key_pair", json!({ "KeyName": "ec2-public" }));
    let before = lab.snapshot();
    lab.lamp("--on aws up --yes").expect(1).says(&["ec2-public", "does not belong to this stack"]);
    assert_eq!(before.not_in(&lab.snapshot()), [""; 0]);
    lab.down();
    let after = lab.snapshot();
    assert_eq!((after.not_in(&before), before.not_in(&after)), (vec![], vec![]));
}
