//! Parts that need one another.

use super::refuses;

#[test]
fn a_replica_needs_the_database() {
    refuses(
        "[parts]\ndatabase = false\nreplica = true",
        (3, 11),
        "parts.replica = true",
        "a read replica needs the database that it copies",
        "set parts.database = true or parts.replica = false",
    );
}

#[test]
fn hosts_need_the_network() {
    refuses(
        "[parts]\nnetwork = false\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\ndatabase = false",
        (2, 11),
        "parts.network = false",
        "the other parts need the network to stand in",
        "set parts.network = true, or switch off files",
    );
}

#[test]
fn nothing_at_all_is_refused() {
    refuses(
        "[parts]\nnetwork = false\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\ndatabase = false\nsite = false",
        (2, 11),
        "parts.network = false",
        "nothing is left to build",
        "set parts.network = true or parts.site = true",
    );
}

#[test]
fn a_group_without_private_hosts_needs_another_image() {
    refuses(
        "[parts]\nprivate_hosts = false\n[scaling]\nimage = \"private-hosts\"",
        (4, 9),
        r#"scaling.image = "private-hosts""#,
        "there is no private host to take the image from",
        r#"write "plain" or an image's id, or set parts.private_hosts = true"#,
    );
}
