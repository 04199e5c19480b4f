//! The database's password: parameter and database agree, whatever was interrupted, deleted or chosen anew.

use scenarios::lamp::Run;
use scenarios::{Fault, Lab};
use serde_json::{Value, json};

const NAME: &str = "/lamp/lab-vpc/db/password";

/// The network, the database and its replica.
const DATABASE: &str = "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\n\
                        site = false\n";

fn password(lab: &Lab) -> String {
    let it = lab.account().call("ssm", "get_parameter", json!({ "Name": NAME, "WithDecryption": true }));
    it["Parameter"]["Value"].as_str().unwrap().to_owned()
}

/// The password that a run gave the database, as it was sent.
fn given(run: &Run, action: &str) -> Option<String> {
    let call =
        run.calls.iter().rfind(|it| it.action == action && it.field("MasterUserPassword").is_some())?;
    let sent = call.field("MasterUserPassword")?;
    Some(percent_encoding::percent_decode_str(sent).decode_utf8_lossy().into_owned())
}

/// `up` gives the database the password that the hosts read, and then all agrees.
#[track_caller]
fn agrees_again(lab: &Lab) -> Run {
    let up = lab.up();
    assert_eq!(given(&up, "ModifyDBInstance"), Some(password(lab)), "{up}");
    lab.lamp("--on aws plan").ok();
    assert!(lab.up().changes().is_empty(), "once is enough");
    up
}

#[test]
fn a_down_that_ends_at_the_database_leaves_its_password() {
    let lab = Lab::new(DATABASE);
    let up = lab.up();
    let first = password(&lab);
    assert_eq!(given(&up, "CreateDBInstance"), Some(first.clone()));
    lab.proxy.fail("rds:DeleteDBInstance", usize::MAX, Fault::Denied);
    lab.lamp("--on aws down --yes").expect(1).says(&["rds:DeleteDBInstance"]);
    lab.proxy.heal();
    assert_eq!(password(&lab), first);
    let up = lab.up();
    assert_eq!((given(&up, "ModifyDBInstance"), password(&lab)), (None, first), "nothing had changed");
    lab.lamp("--on aws plan").ok();
    lab.down();
    lab.assert_nothing_left("in the end");
}

#[test]
fn a_password_that_somebody_deleted_is_made_anew_for_both_sides() {
    let lab = Lab::new(DATABASE);
    lab.up();
    let first = password(&lab);
    lab.account().call("ssm", "delete_parameter", json!({ "Name": NAME }));
    lab.lamp("--on aws plan").expect(2).says(&[
        "+ parameter/db/password",
        "~ db-instance/rds",
        "password_given",
    ]);
    // The new one is there, and the database has not heard of it.
    lab.proxy.fail("rds:ModifyDBInstance", usize::MAX, Fault::Denied);
    lab.lamp("--on aws up --yes").expect(1);
    lab.proxy.heal();
    assert_ne!(password(&lab), first);
    lab.lamp("--on aws plan").expect(2).says(&["password_given: version 1 of "]);
    agrees_again(&lab);
    // The database has it, but the run died before it could note so: it is given once more.
    let database = lab.snapshot().one("database", "lab-vpc-rds")["DBInstanceArn"].clone();
    let note = json!({ "ResourceName": database, "TagKeys": ["lamp:password"] });
    lab.account().call("rds", "remove_tags_from_resource", note);
    agrees_again(&lab);
}

#[test]
fn another_password_file_changes_both_sides_and_shows_neither_password() {
    let lab = Lab::new(&format!("{DATABASE}[database]\npassword_file = \"password.txt\"\n"));
    let choose = |it: &str| std::fs::write(lab.path("password.txt"), format!("{it}\n")).unwrap();
    choose("correct-horse");
    let up = lab.up();
    assert_eq!(given(&up, "CreateDBInstance").as_deref(), Some("correct-horse"));
    choose("battery+staple");
    let plan = lab.lamp("--on aws plan").expect(2);
    let plan =
        plan.says(&["~ parameter/db/password", "password: (secret)", "~ db-instance/rds", "password_given"]);
    let up = agrees_again(&lab);
    assert_eq!(password(&lab), "battery+staple");
    for text in [plan.text(), up.text(), lab.snapshot().one("database", "lab-vpc-rds").to_string()] {
        assert!(!text.contains("horse") && !text.contains("staple"), "{text}");
    }
    // From a chosen one to one that is generated there is nothing to do, and back again there is.
    lab.configure(DATABASE);
    lab.lamp("--on aws plan").ok();
}

#[test]
fn a_protected_database_stops_down_before_anything_is_deleted() {
    let protected = format!("{DATABASE}[database]\ndeletion_protection = true\n");
    let lab = Lab::new(&protected);
    lab.up();
    let built = lab.snapshot();
    let down = lab.lamp("--on aws down --yes").expect(1);
    let down = down.says(&["lab-vpc-rds is protected", "database.deletion_protection = false", "lamp up"]);
    // The lock, and back.
    let changed: Vec<_> =
        down.changes().iter().map(|it| it.name()).filter(|it| !it.starts_with("ssm:")).collect();
    assert!(changed.is_empty(), "{down}");
    assert_eq!(built.not_in(&lab.snapshot()), [""; 0]);
    // Neither does it go when it leaves the configuration.
    lab.configure(&protected.replace("site", "database = false\nreplica = false\nsite"));
    lab.lamp("--on aws plan").expect(1).says(&["! db-instance/rds", "is protected"]);
    lab.configure(DATABASE);
    lab.up();
    lab.down();
    lab.assert_nothing_left("once it may go");
}

#[test]
fn storage_that_would_have_to_shrink_is_refused_with_the_way_out() {
    let with = |database: &str| format!("{DATABASE}[database]\n{database}\n");
    let lab = Lab::new(&with("storage_gib = 40"));
    lab.up();
    for (database, setting) in [
        ("storage_gib = 20", "database.storage_gib to 40 or more"),
        ("storage_gib = 20\nstorage_max_gib = 30", "database.storage_max_gib to 44 or more"),
    ] {
        lab.configure(&with(database));
        lab.lamp("--on aws plan").expect(1).says(&["! db-instance/rds", "cannot shrink storage", setting]);
        let up = lab.lamp("--on aws up --yes").expect(1);
        assert!(up.changes().is_empty(), "{up}");
    }
    // What can be less stays possible, and so does growth.
    lab.configure(&with("storage_gib = 50\nmulti_az = false\nbackup_days = 1"));
    lab.up();
    lab.lamp("--on aws plan").ok();
    let database = lab.snapshot().one("database", "lab-vpc-rds").clone();
    let have: Vec<&Value> = ["AllocatedStorage", "MultiAZ"].iter().map(|it| &database[it]).collect();
    assert_eq!(have, [&json!(50), &json!(false)]);
}
