//! The whole lab, rehearsed on this machine through the command line: what `lamp up` builds really serves, survives
//! and goes. One test, since building it is what takes time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failure here is the answer"
)]

#[path = "rehearsal/operator.rs"]
mod operator;
#[path = "rehearsal/traces.rs"]
mod traces;

use std::collections::{BTreeMap, BTreeSet};

use operator::{Operator, get, headers};
use serde_json::json;

#[test]
fn the_whole_lab_comes_true_serves_survives_and_goes_without_a_trace() {
    let it = Operator::new("[access]\nssh_from = [\"198.51.100.10/32\"]\n");

    // Before there is a cloud, nothing is there, and nothing is started in order to say so.
    it.lamp("status").expect(1).says(&["no rehearsal cloud runs", "--on aws"]);
    it.lamp("down --yes").ok().says(&["no rehearsal cloud runs"]);

    let up = it
        .lamp("up --yes")
        .ok()
        .says(&["on the rehearsal cloud of this machine", "all 12 targets are healthy"]);
    eprintln!("lamp up took {:.0?}: {}", up.took, up.text().lines().last().unwrap_or_default());
    it.lamp("plan").ok();
    let urls = it.urls();
    assert_eq!(urls.len(), 4, "{urls:?}");
    let private = &urls["private hosts"];

    // The page comes from both hosts in turn. There is no table yet, which it says.
    let hosts: BTreeSet<String> = (0..8).map(|_| it.host_of(private)).collect();
    assert_eq!(hosts.len(), 2, "{hosts:?}");
    let (code, body) = get(&format!("{private}index.php"));
    assert!(code == 503 && body.contains("The table is missing"), "{code} {body}");
    it.lamp("db seed").ok().says(&["0 rows before, 2 now; added (KIM, SEOUL) (LEE, BUSAN); written by"]);
    it.lamp("db seed").ok().says(&["2 rows before, 2 now; nothing was missing"]);
    for url in urls.iter().filter(|it| it.0.contains("hosts") || it.0.contains("group")).map(|it| it.1) {
        it.until(&format!("{url} shows the rows"), || shows_rows(url));
    }

    // The site comes through CloudFront, the second time from its edge.
    it.until("the site is served", || get(&urls["site"]).0 == 200);
    assert!(headers(&urls["site"]).contains("x-cache: Hit from cloudfront"), "{}", headers(&urls["site"]));

    // What one host writes to the shared files, another one of another part reads.
    it.on("private-ec2-a1", &["sh", "-c", "echo from-a1 > /var/www/html/efs/note"]);
    let read = it.on("private-ec2-c1", &["cat", "/var/www/html/efs/note"]);
    assert_eq!(read, "from-a1\n");
    assert_eq!(get(&format!("{}efs/note", urls["public hosts"])), (200, "from-a1\n".to_owned()));

    // To a private host through the bastion, with the keys of this stack.
    let ssh = it.lamp("ssh private-ec2-c1 -- hostname -I && id -un").ok();
    assert!(ssh.stdout.starts_with("10.1.4.") && ssh.stdout.ends_with("ec2-user\n"), "{ssh}");
    // And straight to the other public host, which takes nobody in from the first.
    let ssh = it.lamp("ssh public-ec2-c1 -- hostname -I && id -un").ok();
    assert!(ssh.stdout.starts_with("10.1.2.") && ssh.stdout.ends_with("ec2-user\n"), "{ssh}");

    // All hosts read the replica, and what is written to the primary arrives there; then back.
    it.lamp("db use replica").ok().says(&["6 of 6 hosts", "the hosts use the replica, lab-vpc-rds-rr."]);
    it.lamp("plan").ok();
    it.lamp("db add PARK SUWON").ok().says(&["2 rows before, 3 now"]);
    it.until("the replica's page has the new row", || {
        let page = it.page(private);
        page["database"]["role"] == "replica" && page["rows"].to_string().contains("SUWON")
    });
    assert!(get(&format!("{private}index.php")).1.contains("SUWON"));
    it.lamp("db use primary").ok();
    assert_eq!(it.page(private)["database"]["role"], "primary");

    // Without dbinfo.inc PHP says so, and the agent brings it back.
    let without = "systemctl stop lampd; rm /etc/lamp/php/dbinfo.inc; curl -s localhost/index.php; systemctl start lampd";
    let said = it.on("private-ec2-a1", &["sh", "-c", without]);
    assert!(said.contains("Failed to connect to MySQL"), "{said}");
    it.until("dbinfo.inc is back", || {
        it.on("private-ec2-a1", &["curl", "-s", "localhost/index.php"]).contains("SUWON")
    });

    // The primary dies: its standby takes over with all rows, and no host is replaced because of it.
    let (before, primary) = (it.instances(), it.primary("lab-vpc-rds"));
    it.lamp("rehearsal break database lab-vpc-rds").ok();
    it.until("the standby is the primary", || it.primary("lab-vpc-rds") != primary);
    it.until("the rows are back", || shows_rows(private));
    assert_eq!(it.instances(), before);

    // A host of the scaling group dies, and another one takes its place.
    let victim = before.iter().find(|it| it.1 == "asg-ec2").unwrap().0;
    it.lamp(&format!("rehearsal break instance {victim}")).ok();
    it.until("the dead host is replaced", || {
        let now = it.instances();
        !now.contains_key(victim) && now.values().filter(|it| *it == "asg-ec2").count() == 2
    });
    it.until("its successor serves", || {
        it.instances().keys().filter(|id| it.health("lab-vpc-alb-asg-tg", id) == "healthy").count() == 2
    });
    assert_eq!(get(&urls["scaling group"]).0, 200);

    grows_under_the_labs_load_and_shrinks(&it);
    survives_without_a_zone(&it, &urls);

    let region = it.region();
    assert!(traces::of(&region, it.state()).len() > 3, "this test cannot see a region");
    it.lamp("down --yes").ok().says(&["nothing left", "lamp rehearsal stop"]);
    it.lamp("rehearsal stop").ok();
    assert_eq!(traces::of(&region, it.state()), [""; 0]);
    it.lamp("rehearsal status").expect(1).says(&["no rehearsal cloud runs"]);
}

/// The lab's own test, from a bastion to the balancer, with its policy of 7 % and a load that a small machine carries.
fn grows_under_the_labs_load_and_shrinks(it: &Operator) {
    let members = || it.instances().values().filter(|it| *it == "asg-ec2").count();
    let account = it.account();
    let balancer = account.call("elbv2", "describe_load_balancers", json!({ "Names": ["lab-vpc-alb-asg"] }));
    let url = format!("http://{}/", balancer["LoadBalancers"][0]["DNSName"].as_str().unwrap());
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            it.on("public-ec2-a1", &["ab", "-q", "-l", "-t", "60", "-n", "200000", "-c", "100", &url])
        });
        it.until("the group has grown", || members() == 4);
        let report = load.join().unwrap();
        assert!(report.contains("Failed requests:        0"), "{report}");
        assert!(!report.contains("Non-2xx"), "{report}");
    });
    it.until("the group has shrunk", || members() == 2);
    let group = json!({ "AutoScalingGroupName": "lab-vpc-asg" });
    let history = account.call("autoscaling", "describe_scaling_activities", group);
    let causes: Vec<&str> =
        history["Activities"].as_array().unwrap().iter().map(|it| it["Cause"].as_str().unwrap()).collect();
    for (alarm, change) in [("AlarmHigh", "from 2 to 4"), ("AlarmLow", "from 3 to 2")] {
        let says = |it: &&&str| it.contains(alarm) && it.contains("triggered policy lab-policy-01");
        assert!(causes.iter().filter(says).any(|it| it.contains(change)), "{alarm} {change}: {causes:#?}");
    }
}

/// The zone of the database's primary loses its power, and half of everything with it: hosts, a node of each balancer,
/// a NAT gateway, a mount target.
fn survives_without_a_zone(it: &Operator, urls: &BTreeMap<String, String>) {
    let wanted = json!({ "DBInstanceIdentifier": "lab-vpc-rds" });
    let database = it.account().call("rds", "describe_db_instances", wanted);
    let zone = database["DBInstances"][0]["AvailabilityZone"].as_str().unwrap();
    let (dark, primary) = (it.instances(), it.primary("lab-vpc-rds"));
    let serves = |label: &str| (0..6).all(|_| shows_rows(&urls[label]));
    let all = ["public hosts", "private hosts", "scaling group"];
    it.lamp(&format!("rehearsal break zone {zone}")).ok();
    it.until("half of the hosts are gone", || it.instances().len() < dark.len());
    it.until("the standby is the primary", || it.primary("lab-vpc-rds") != primary);
    it.until("the other zone serves alone", || all.iter().all(|label| serves(label)));
    let members = || it.instances().values().filter(|name| *name == "asg-ec2").count();
    it.until("the group has its members in the other zone", || members() == 2);
    it.lamp(&format!("rehearsal mend zone {zone}")).ok();
    it.until("all is well again", || it.lamp("status").code == Some(0));
    it.lamp("plan").ok();
}

/// Both by the agent's page and by PHP.
fn shows_rows(url: &str) -> bool {
    ["", "index.php"].iter().all(|path| {
        let (code, body) = get(&format!("{url}{path}"));
        code == 200 && ["KIM", "SEOUL", "LEE", "BUSAN"].iter().all(|it| body.contains(it))
    })
}
