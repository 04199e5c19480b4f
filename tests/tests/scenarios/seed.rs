//! `lamp db`: the order carries no secret, and what did not happen is not claimed.

use scenarios::Lab;
use serde_json::json;

#[test]
fn the_order_carries_no_secret_and_a_pretended_success_is_seen_through() {
    let lab = Lab::new("");
    lab.lamp("--on aws db seed").expect(1).says(&["lamp up"]);
    lab.up();
    let run = lab.lamp("--on aws db add PARK SU'WON").expect(1);
    run.says(&["only pretends to run commands"]);
    let sent = lab.account().call("ssm", "list_commands", json!({}));
    let sent = sent["Commands"].as_array().unwrap();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let script = sent[0]["Parameters"]["commands"][0].as_str().unwrap();
    assert!(script.starts_with("exec /usr/local/bin/lampd db add --server 'lab-vpc-rds."), "{script}");
    assert!(script.ends_with(r"-- 'PARK' 'SU'\''WON'"), "{script}");
    let name = json!({ "Name": "/lamp/lab-vpc/db/password", "WithDecryption": true });
    let password = lab.account().call("ssm", "get_parameter", name);
    let password = password["Parameter"]["Value"].as_str().unwrap();
    assert!(password.len() > 8 && !sent[0].to_string().contains(password));
}
