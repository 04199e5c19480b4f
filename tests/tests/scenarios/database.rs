//! A database in need of a person says of what, and one in need of room gets it.

use scenarios::slow::Slow;
use scenarios::{Fault, Lab};
use serde_json::json;

/// The network and a database, with these keys of its own.
fn with_database(keys: &str) -> String {
    format!(
        "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\nreplica = false\n\
         site = false\n\n[database]\n{keys}\n"
    )
}

#[test]
fn a_stopped_database_is_to_be_started_and_not_to_be_deleted() {
    let lab = Lab::new(&with_database(""));
    lab.up();
    lab.account().call("rds", "stop_db_instance", json!({ "DBInstanceIdentifier": "lab-vpc-rds" }));
    let way_out = "lab-vpc-rds failed: it is stopped; start it with `aws rds start-db-instance \
                   --db-instance-identifier lab-vpc-rds`";
    for words in ["plan", "up --yes", "status", "status --json"] {
        let run = lab.lamp(&format!("--on aws {words}")).expect(1).says(&[way_out]);
        assert!(!run.text().contains("delete it"), "{run}");
    }
    let refused = format!("refused: {way_out}");
    lab.lamp("--on aws status").says(&[&refused, "to be decided by you: db-instance/rds"]);
    lab.lamp("--on aws status --json").says(&[&format!("\"phase\":\"{refused}\"")]);
}

#[test]
fn a_full_database_is_given_more_room() {
    for (before, after) in [
        ("storage_gib = 20", "storage_gib = 30"),
        ("storage_max_gib = 100", "storage_max_gib = 200\napply_immediately = false"),
    ] {
        let lab = Lab::new(&with_database(before));
        lab.up();
        lab.proxy.slow(Slow { full: true, ..Slow::default() });
        lab.lamp("--on aws up --yes").expect(1).says(&["storage-full", "raise database.storage_gib"]);
        lab.configure(&with_database(after));
        lab.proxy.fail("rds:ModifyDBInstance", 1, Fault::Throttled);
        lab.up();
        lab.lamp("--on aws plan").ok();
    }
}
