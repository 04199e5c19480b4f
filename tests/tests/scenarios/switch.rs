//! `lamp db use`: the hosts read another of the database's servers, and nothing else changes by the way.

use scenarios::Lab;
use serde_json::{Value, json};

fn parameter(lab: &Lab, name: &str) -> String {
    let name = format!("/lamp/lab-vpc/{name}");
    let got: Value = lab.account().call("ssm", "get_parameter", json!({ "Name": name }));
    got["Parameter"]["Value"].as_str().unwrap().to_owned()
}

#[test]
fn hosts_are_led_to_the_replica_and_back_by_one_key_of_the_configuration() {
    let lab = Lab::new("# mine\nstack = \"lab-vpc\"\n");
    lab.lamp("--on aws db use replica")
        .expect(1)
        .says(&["differs in more than its hosts' server", "lamp up"]);
    lab.up();
    let (config, generation) = (lab.config(), parameter(&lab, "generation"));
    assert!(config.starts_with("# mine") && !config.contains("hosts_use"), "{config}");
    assert!(parameter(&lab, "db/endpoint").starts_with("lab-vpc-rds."));

    let used = lab.lamp("--on aws db use replica --no-wait").ok();
    let used = used.says(&["the hosts are told to use the replica, lab-vpc-rds-rr."]);
    let changed: Vec<String> =
        used.changes().iter().map(|it| it.name()).filter(|it| it.contains("Parameter")).collect();
    // The lock, the two values, and the lock again.
    assert_eq!(changed, ["ssm:PutParameter", "ssm:PutParameter", "ssm:PutParameter", "ssm:DeleteParameter"]);
    assert!(parameter(&lab, "db/endpoint").starts_with("lab-vpc-rds-rr."));
    assert_ne!(parameter(&lab, "generation"), generation);
    assert!(lab.config().starts_with("# mine") && lab.config().contains("hosts_use = \"replica\""));
    lab.lamp("--on aws plan").ok();

    // What else differs is not carried out on the way, and the file stays as it is.
    lab.configure("[scaling]\nmax = 5\n[database]\nhosts_use = \"replica\"\n");
    let refused = lab.lamp("--on aws db use primary").expect(1);
    let refused = refused.says(&["scaling-group/", "run `lamp up` first"]);
    assert!(refused.changes().is_empty());
    assert!(lab.config().contains("hosts_use = \"replica\""));

    lab.configure("[database]\nhosts_use = \"replica\" # for the drill\n");
    lab.lamp("--on aws db use primary --no-wait").ok();
    assert!(parameter(&lab, "db/endpoint").starts_with("lab-vpc-rds."));
    assert!(lab.config().contains("hosts_use = \"primary\" # for the drill"));
    lab.lamp("--on aws plan").ok();
}

#[test]
fn a_stack_without_a_replica_refuses_and_keeps_its_file() {
    let lab = Lab::new("[parts]\nreplica = false\n");
    let before = lab.config();
    lab.lamp("--on aws db use replica").expect(2).says(&["the stack has no replica", "parts.replica = true"]);
    assert_eq!(lab.config(), before);
}
