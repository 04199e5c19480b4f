//! Hosts and the shared file system.

use super::refuses;

#[test]
fn an_image_is_an_id_or_a_parameter() {
    refuses(
        "[hosts]\nimage = \"Amazon Linux\"",
        (2, 9),
        r#"hosts.image = "Amazon Linux""#,
        "is neither an image's id nor the name of a public parameter",
        r#"write an id such as "ami-0123456789abcdef0", or "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64""#,
    );
}

#[test]
fn an_image_id_has_hexadecimal_digits() {
    refuses(
        "[hosts]\nimage = \"ami-xyz\"",
        (2, 9),
        r#"hosts.image = "ami-xyz""#,
        "is neither an image's id nor the name of a public parameter",
        r#"write an id such as "ami-0123456789abcdef0", or "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64""#,
    );
}

#[test]
fn an_instance_type_has_a_family_and_a_size() {
    refuses(
        "[hosts]\npublic_type = \"micro\"",
        (2, 15),
        r#"hosts.public_type = "micro""#,
        "is not an instance type",
        r#"write a family, a dot and a size, such as "t3.micro""#,
    );
}

#[test]
fn an_arm_type_does_not_start_an_x86_image() {
    refuses(
        "[hosts]\nprivate_type = \"t4g.micro\"",
        (2, 16),
        r#"hosts.private_type = "t4g.micro""#,
        "is an ARM type, but the image is for x86_64",
        r#"take an x86_64 type such as "t3.micro", or an arm64 image (and lampd built for it)"#,
    );
}

#[test]
fn a_root_volume_has_room_for_the_image() {
    refuses(
        "[hosts]\nvolume_gib = 4",
        (2, 14),
        "hosts.volume_gib = 4",
        "is not between 8 and 65536",
        "write a number from 8 to 65536, such as 8",
    );
}

#[test]
fn metadata_hops_end_at_64() {
    refuses(
        "[hosts]\nmetadata_hops = 65",
        (2, 17),
        "hosts.metadata_hops = 65",
        "is not between 1 and 64",
        "write a number from 1 to 64, such as 1",
    );
}

#[test]
fn no_host_at_all_is_said_by_parts() {
    refuses(
        "[hosts]\npublic_per_zone = 0",
        (2, 19),
        "hosts.public_per_zone = 0",
        "is not between 1 and 100",
        "write a number from 1 to 100, such as 1",
    );
}

#[test]
fn elastic_throughput_has_no_max_io() {
    refuses(
        "[files]\nperformance_mode = \"maxIO\"\nthroughput_mode = \"elastic\"",
        (2, 20),
        r#"files.performance_mode = "maxIO""#,
        "EFS has no maxIO with elastic throughput",
        r#"write "generalPurpose", or throughput_mode = "bursting""#,
    );
}

#[test]
fn provisioned_throughput_needs_its_number() {
    refuses(
        "[files]\nthroughput_mode = \"provisioned\"",
        (2, 19),
        "files.provisioned_mibps = 0",
        "provisioned throughput needs its number of MiB/s",
        r#"set files.provisioned_mibps, such as 10, or throughput_mode = "bursting""#,
    );
}

#[test]
fn a_throughput_that_is_not_provisioned_has_no_number() {
    refuses(
        "[files]\nprovisioned_mibps = 10",
        (2, 21),
        "files.provisioned_mibps = 10",
        "has no meaning unless throughput is provisioned",
        r#"set files.throughput_mode = "provisioned", or remove this"#,
    );
}
