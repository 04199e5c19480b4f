//! The database and its replica.

use super::refuses;

#[test]
fn a_replica_needs_backups() {
    refuses(
        "[database]\nbackup_days = 0",
        (2, 15),
        "database.backup_days = 0",
        "a read replica needs automatic backups of its source",
        "set database.backup_days to 1 or more, or parts.replica = false",
    );
}

#[test]
fn backups_end_at_35_days() {
    refuses(
        "[database]\nbackup_days = 36",
        (2, 15),
        "database.backup_days = 36",
        "is not between 0 and 35",
        "write a number from 0 to 35, such as 7",
    );
}

#[test]
fn storage_begins_at_20() {
    refuses(
        "[database]\nstorage_gib = 10",
        (2, 15),
        "database.storage_gib = 10",
        "is not between 20 and 65536",
        "write a number from 20 to 65536, such as 20",
    );
}

#[test]
fn storage_grows_by_a_tenth_at_least() {
    refuses(
        "[database]\nstorage_gib = 100\nstorage_max_gib = 105",
        (3, 19),
        "database.storage_max_gib = 105",
        "leaves storage of 100 GiB less than 10 % to grow",
        "write at least 110, or 0 for no growth",
    );
}

#[test]
fn a_withdrawn_class_is_refused() {
    refuses(
        "[database]\nclass = \"db.t2.micro\"",
        (2, 9),
        r#"database.class = "db.t2.micro""#,
        "is of a generation that RDS has withdrawn",
        r#"write "db.t3.micro" or "db.t4g.micro", for example"#,
    );
}

#[test]
fn a_class_begins_with_db() {
    refuses(
        "[database]\nreplica_class = \"t3.micro\"",
        (2, 17),
        r#"database.replica_class = "t3.micro""#,
        "is not a class of database instances",
        r#"write "db.t3.micro" or "db.t4g.micro", for example"#,
    );
}

#[test]
fn mysql_8_0_is_out_of_support() {
    refuses(
        "[database]\nengine_version = \"8.0\"",
        (2, 18),
        r#"database.engine_version = "8.0""#,
        "has left RDS's standard support (8.0 did on 2026-07-31), and extended support is switched off",
        r#"write "8.4" for the newest of that series, or one release such as "8.4.6""#,
    );
}

#[test]
fn one_release_and_upgrades_of_it_exclude_each_other() {
    refuses(
        "[database]\nengine_version = \"8.4.6\"",
        (2, 18),
        r#"database.engine_version = "8.4.6""#,
        "is one release, and minor_upgrades lets RDS leave it for a newer one, from which there is no way back",
        "set database.minor_upgrades = false, or name the series alone",
    );
}

#[test]
fn a_version_has_numbers() {
    refuses(
        "[database]\nengine_version = \"latest\"",
        (2, 18),
        r#"database.engine_version = "latest""#,
        "is not a version of MySQL",
        r#"write "8.4" for the newest of that series, or one release such as "8.4.6""#,
    );
}

#[test]
fn a_database_name_has_no_hyphen() {
    refuses(
        "[database]\nname = \"lab-db\"",
        (2, 8),
        r#"database.name = "lab-db""#,
        "RDS wants 1 to 64 letters, digits and underscores, with a letter first",
        r#"write a name such as "labvpcrds""#,
    );
}

#[test]
fn a_reserved_word_is_no_database() {
    refuses(
        "[database]\nname = \"mysql\"",
        (2, 8),
        r#"database.name = "mysql""#,
        "is a word that MySQL keeps for itself",
        r#"write another, such as "labvpcrds""#,
    );
}

#[test]
fn a_user_has_at_most_16_characters() {
    refuses(
        "[database]\nuser = \"administrator-of-all\"",
        (2, 8),
        r#"database.user = "administrator-of-all""#,
        "RDS wants 1 to 16 letters, digits and underscores, with a letter first",
        r#"write a name such as "admin""#,
    );
}

#[test]
fn a_user_of_the_servers_own_is_refused() {
    refuses(
        "[database]\nuser = \"rdsadmin\"",
        (2, 8),
        r#"database.user = "rdsadmin""#,
        "is a word that MySQL keeps for itself",
        r#"write another, such as "admin""#,
    );
}

#[test]
fn a_replica_stands_in_one_of_the_zones() {
    refuses(
        "[database]\nreplica_zone = \"ap-northeast-2b\"",
        (2, 16),
        r#"database.replica_zone = "ap-northeast-2b""#,
        "is not one of the stack's zones",
        "write one of ap-northeast-2a, ap-northeast-2c",
    );
}

#[test]
fn a_log_is_exported_once() {
    refuses(
        "[database]\nlog_exports = [\"general\", \"general\"]",
        (2, 27),
        r#"database.log_exports[1] = "general""#,
        "is listed twice",
        "remove one of the two",
    );
}

#[test]
fn hosts_cannot_use_a_replica_that_is_switched_off() {
    refuses(
        "[database]\nhosts_use = \"replica\"\n[parts]\nreplica = false",
        (2, 13),
        r#"database.hosts_use = "replica""#,
        "the stack has no replica",
        r#"set parts.replica = true or database.hosts_use = "primary""#,
    );
}
