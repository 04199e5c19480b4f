//! Keys, types and choices: what the schema says.

use super::refuses;

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    refuses(
        r#"regoin = "eu-west-1""#,
        (1, 1),
        "regoin",
        "there is no such key at the top of the file",
        r#"did you mean "region"?"#,
    );
}

#[test]
fn a_key_in_the_wrong_section_is_sent_home() {
    refuses(
        r#"vpc_cidr = "10.2.0.0/16""#,
        (1, 1),
        "vpc_cidr",
        "there is no such key at the top of the file",
        "it belongs into [network]",
    );
}

#[test]
fn a_key_that_resembles_none_lists_those_that_exist() {
    refuses(
        "[access]\nzzz = 1",
        (2, 1),
        "access.zzz",
        "there is no such key in [access]",
        "remove it; the keys here are ssh_from, key_dir",
    );
}

#[test]
fn an_unknown_section_is_refused() {
    refuses(
        "[netwrok]\nnat = \"single\"",
        (1, 2),
        "netwrok",
        "there is no such key at the top of the file",
        r#"did you mean "network"?"#,
    );
}

#[test]
fn a_text_in_place_of_a_number_is_refused() {
    refuses(
        "[scaling]\nmax = \"4\"",
        (2, 7),
        r#"scaling.max = "4""#,
        "is not a whole number without quotes",
        "write a whole number without quotes, such as 4",
    );
}

#[test]
fn a_number_in_place_of_a_text_is_refused() {
    refuses(
        "stack = 7",
        (1, 9),
        "stack = 7",
        "is not a text in quotes",
        r#"write a text in quotes, such as "lab-vpc""#,
    );
}

#[test]
fn a_word_in_place_of_a_switch_is_refused() {
    refuses(
        "[parts]\nsite = \"no\"",
        (2, 8),
        r#"parts.site = "no""#,
        "is not true or false",
        "write true or false, such as true",
    );
}

#[test]
fn a_text_in_place_of_a_list_is_refused() {
    refuses(
        r#"zones = "ap-northeast-2a""#,
        (1, 9),
        r#"zones = "ap-northeast-2a""#,
        "is not a list in square brackets",
        r#"write a list in square brackets, such as ["ap-northeast-2a","ap-northeast-2c"]"#,
    );
}

#[test]
fn a_value_in_place_of_a_section_is_refused() {
    refuses(
        r#"network = "10.1.0.0/16""#,
        (1, 11),
        r#"network = "10.1.0.0/16""#,
        "is not a table",
        "write its keys below a line [network]",
    );
}

#[test]
fn a_date_is_no_text() {
    refuses(
        "[database]\nengine_version = 2026-07-31",
        (2, 18),
        "database.engine_version = 2026-07-31",
        "is not a text in quotes",
        r#"write a text in quotes, such as "8.4""#,
    );
}

#[test]
fn a_negative_count_is_out_of_range() {
    refuses(
        "[scaling]\ncooldown = -1",
        (2, 12),
        "scaling.cooldown = -1",
        "is not between 0 and 86400",
        "write a number from 0 to 86400, such as 300",
    );
}

#[test]
fn a_number_beyond_sixty_four_bits_is_out_of_range() {
    refuses(
        "[scaling]\ncooldown = 99999999999999999999",
        (2, 12),
        "scaling.cooldown = 99999999999999999999",
        "is not between 0 and 86400",
        "write a number from 0 to 86400, such as 300",
    );
}

#[test]
fn a_port_below_those_of_rds_is_out_of_range() {
    refuses(
        "[database]\nport = 3",
        (2, 8),
        "database.port = 3",
        "is not between 1150 and 65535",
        "write a number from 1150 to 65535, such as 3306",
    );
}

#[test]
fn a_word_that_is_no_choice_gets_the_nearest_one() {
    refuses(
        "[network]\nnat = \"per-zones\"",
        (2, 7),
        r#"network.nat = "per-zones""#,
        "is not one of the choices",
        r#"write "per-zone"; the choices are "per-zone", "single", "none""#,
    );
}

#[test]
fn a_termination_policy_is_one_of_awss() {
    refuses(
        "[scaling]\ntermination_policies = [\"Default\", \"Oldest\"]",
        (2, 36),
        r#"scaling.termination_policies[1] = "Oldest""#,
        "is not one of the choices",
        r#"write "OldestInstance"; the choices are "Default", "AllocationStrategy", "OldestLaunchTemplate", "OldestLaunchConfiguration", "ClosestToNextInstanceHour", "NewestInstance", "OldestInstance""#,
    );
}

#[test]
fn a_suspended_process_is_one_of_awss() {
    refuses(
        "[scaling]\nsuspended_processes = [\"AzRebalance\"]",
        (2, 24),
        r#"scaling.suspended_processes[0] = "AzRebalance""#,
        "is not one of the choices",
        r#"write "AZRebalance"; the choices are "Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification", "AZRebalance", "HealthCheck", "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions""#,
    );
}

#[test]
fn a_line_that_is_no_toml_is_shown() {
    refuses(
        "[hosts]\npublic_type = t3.micro",
        (2, 15),
        "t3.micro",
        "is no TOML (invalid boolean, expected `true`)",
        "correct the line; texts stand in quotes, lists in square brackets, sections as [name]",
    );
}

#[test]
fn a_key_given_twice_is_refused() {
    refuses(
        "region = \"ap-northeast-2\"\nregion = \"ap-northeast-2\"",
        (2, 1),
        "region",
        "is no TOML (duplicate key)",
        "correct the line; texts stand in quotes, lists in square brackets, sections as [name]",
    );
}
