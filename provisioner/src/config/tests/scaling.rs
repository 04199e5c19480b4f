//! The Auto Scaling group.

use super::refuses;

#[test]
fn the_smallest_size_is_not_above_the_largest() {
    refuses(
        "[scaling]\nmin = 5",
        (2, 7),
        "scaling.min = 5",
        "is more than scaling.max, 4",
        "write at most 4, or raise scaling.max",
    );
}

#[test]
fn the_desired_size_is_not_below_the_smallest() {
    refuses(
        "[scaling]\nmin = 3",
        (2, 7),
        "scaling.desired = 2",
        "does not lie between scaling.min, 3, and scaling.max, 4",
        "write a number from 3 to 4, or change the limits",
    );
}

#[test]
fn the_desired_size_is_not_above_the_largest() {
    refuses(
        "[scaling]\ndesired = 9",
        (2, 11),
        "scaling.desired = 9",
        "does not lie between scaling.min, 2, and scaling.max, 4",
        "write a number from 2 to 4, or change the limits",
    );
}

#[test]
fn a_lifetime_is_a_day_at_least() {
    refuses(
        "[scaling]\nmax_instance_lifetime = 3600",
        (2, 25),
        "scaling.max_instance_lifetime = 3600",
        "AWS replaces hosts after a day at the earliest",
        "write at least 86400, or 0 for never",
    );
}

#[test]
fn a_group_has_a_termination_policy() {
    refuses(
        "[scaling]\ntermination_policies = []",
        (2, 24),
        "scaling.termination_policies = []",
        "needs at least one policy",
        r#"write ["Default"]"#,
    );
}

#[test]
fn a_policy_behind_default_is_never_asked() {
    refuses(
        "[scaling]\ntermination_policies = [\"Default\", \"OldestInstance\"]",
        (2, 25),
        r#"scaling.termination_policies[0] = "Default""#,
        "decides every case, so the policies behind it would never be asked",
        "put it last, or remove it",
    );
}

#[test]
fn a_process_is_suspended_once() {
    refuses(
        "[scaling]\nsuspended_processes = [\"Launch\", \"Launch\"]",
        (2, 34),
        r#"scaling.suspended_processes[1] = "Launch""#,
        "is listed twice",
        "remove one of the two",
    );
}

#[test]
fn a_groups_image_is_a_word_or_an_id() {
    refuses(
        "[scaling]\nimage = \"private_hosts\"",
        (2, 9),
        r#"scaling.image = "private_hosts""#,
        "is no image",
        r#"write "private-hosts", "plain" or an id such as "ami-0123456789abcdef0""#,
    );
}

#[test]
fn a_groups_instance_type_fits_the_image() {
    refuses(
        "[scaling]\ninstance_type = \"m7g.large\"",
        (2, 17),
        r#"scaling.instance_type = "m7g.large""#,
        "is an ARM type, but the image is for x86_64",
        r#"take an x86_64 type such as "t3.micro", or an arm64 image (and lampd built for it)"#,
    );
}

#[test]
fn a_cpu_target_is_a_percentage() {
    refuses(
        "[scaling]\ncpu_target = 101",
        (2, 14),
        "scaling.cpu_target = 101",
        "is not between 1 and 100",
        "write a number from 1 to 100, such as 7.0",
    );
}
