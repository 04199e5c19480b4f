//! Questions on a terminal: only the right answer counts, and only for what was asked about.

use scenarios::Lab;
use serde_json::json;

/// The network and the site.
const NETWORK: &str = "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\n\
                       database = false\nreplica = false\n";

#[test]
fn what_is_asked_on_a_terminal_is_done_after_the_right_answer_only() {
    let lab = Lab::new(NETWORK);
    lab.lamp_asked("--on aws up", "n").expect(1).says(&["[y/N]", "nothing was changed"]);
    assert!(lab.snapshot().all("vpc").is_empty());
    lab.lamp_asked("--on aws up", "y").ok();
    let built = lab.snapshot();
    lab.lamp_asked("--on aws down", "lab").expect(1).says(&["Type its name, lab-vpc", "nothing was deleted"]);
    let gone = built.not_in(&lab.snapshot());
    assert!(gone.is_empty(), "{gone:?}");
    lab.lamp_asked("--on aws down", "lab-vpc").ok();
    lab.assert_nothing_left("after the right name");
}

#[test]
fn what_came_after_the_question_is_not_deleted_unasked() {
    let lab = Lab::new(NETWORK);
    lab.up();
    let built = lab.snapshot();
    // It has asked, and waits for the lock.
    let hold = lab.hold("ssm:PutParameter");
    std::thread::scope(|scope| {
        let down = scope.spawn(|| lab.lamp_asked("--on aws down", "lab-vpc"));
        lab.until_held(&hold);
        let tags = json!([{ "Key": "lamp:stack", "Value": "lab-vpc" }, { "Key": "lamp:node", "Value": "elastic-ip/late" }]);
        let tags = json!([{ "ResourceType": "elastic-ip", "Tags": tags }]);
        lab.account().call("ec2", "allocate_address", json!({ "Domain": "vpc", "TagSpecifications": tags }));
        drop(hold);
        let down = down.join().unwrap().expect(1);
        down.says(&["nothing was deleted", "more by now", "elastic-ip/late"]);
    });
    let gone = built.not_in(&lab.snapshot());
    assert!(gone.is_empty(), "{gone:?}");
    lab.down();
    lab.assert_nothing_left("after the second down");
}
