//! Region, zones and addresses.

use super::refuses;

#[test]
fn a_region_is_a_code() {
    refuses(
        r#"region = "Seoul""#,
        (1, 10),
        r#"region = "Seoul""#,
        "is not the code of an AWS region",
        r#"write a region's code, such as "ap-northeast-2""#,
    );
}

#[test]
fn a_region_of_another_partition_is_refused() {
    for region in ["cn-north-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1"] {
        refuses(
            &format!("region = \"{region}\""),
            (1, 10),
            &format!("region = \"{region}\""),
            "lies in a partition of its own (as China and GovCloud do), whose ARNs lamp does not write",
            r#"write a region of the others, such as "ap-northeast-2""#,
        );
    }
}

#[test]
fn one_zone_is_not_enough() {
    refuses(
        r#"zones = ["ap-northeast-2a"]"#,
        (1, 9),
        r#"zones = ["ap-northeast-2a"]"#,
        "high availability and RDS need at least two zones",
        r#"add one such as "ap-northeast-2c""#,
    );
}

#[test]
fn no_zone_is_not_enough() {
    refuses(
        "zones = []",
        (1, 9),
        "zones = []",
        "high availability and RDS need at least two zones",
        r#"add one such as "ap-northeast-2a""#,
    );
}

#[test]
fn a_zone_of_another_region_is_refused() {
    refuses(
        "region = \"eu-west-1\"\nzones = [\"eu-west-1a\", \"ap-northeast-2c\"]",
        (2, 24),
        r#"zones[1] = "ap-northeast-2c""#,
        r#"is not a zone of the region "eu-west-1""#,
        r#"write the region's code and a letter, such as "eu-west-1c", or change region"#,
    );
}

#[test]
fn a_local_zone_is_no_zone_of_the_region() {
    refuses(
        "region = \"us-west-2\"\nzones = [\"us-west-2a\", \"us-west-2-lax-1a\"]",
        (2, 24),
        r#"zones[1] = "us-west-2-lax-1a""#,
        r#"is not a zone of the region "us-west-2""#,
        r#"write the region's code and a letter, such as "us-west-2c", or change region"#,
    );
}

#[test]
fn a_zone_is_listed_once() {
    refuses(
        r#"zones = ["ap-northeast-2a", "ap-northeast-2a"]"#,
        (1, 29),
        r#"zones[1] = "ap-northeast-2a""#,
        "is listed twice",
        r#"write another zone, such as "ap-northeast-2c""#,
    );
}

#[test]
fn a_vpc_is_not_larger_than_16() {
    refuses(
        "[network]\nvpc_cidr = \"10.0.0.0/8\"",
        (2, 12),
        r#"network.vpc_cidr = "10.0.0.0/8""#,
        "AWS wants a VPC between /16 and /28",
        r#"write "10.0.0.0/16", for example"#,
    );
}

#[test]
fn a_vpc_is_not_smaller_than_28() {
    refuses(
        "[network]\nvpc_cidr = \"10.1.0.0/29\"",
        (2, 12),
        r#"network.vpc_cidr = "10.1.0.0/29""#,
        "AWS wants a VPC between /16 and /28",
        r#"write "10.1.0.0/16", for example"#,
    );
}

#[test]
fn a_vpc_is_not_in_a_reserved_block() {
    refuses(
        "[network]\nvpc_cidr = \"169.254.0.0/16\"",
        (2, 12),
        r#"network.vpc_cidr = "169.254.0.0/16""#,
        "lies in 169.254.0.0/16, which is not for networks",
        "take a private block: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 have room",
    );
}

#[test]
fn a_vpc_too_small_for_its_subnets_is_refused() {
    refuses(
        "[network]\nvpc_cidr = \"10.1.0.0/25\"",
        (2, 12),
        r#"network.vpc_cidr = "10.1.0.0/25""#,
        "is too small for 6 subnets of /27 or larger",
        r#"take a larger block, such as "10.1.0.0/16", or give the subnets' blocks yourself"#,
    );
}

#[test]
fn a_vpc_too_small_for_three_zones_is_refused() {
    refuses(
        r#"zones = ["ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c"]
[network]
vpc_cidr = "10.1.0.0/24""#,
        (3, 12),
        r#"network.vpc_cidr = "10.1.0.0/24""#,
        "is too small for 9 subnets of /27 or larger",
        r#"take a larger block, such as "10.1.0.0/16", or give the subnets' blocks yourself"#,
    );
}

#[test]
fn a_block_without_prefix_is_refused() {
    refuses(
        "[network]\nvpc_cidr = \"10.1.0.0\"",
        (2, 12),
        r#"network.vpc_cidr = "10.1.0.0""#,
        "is not a block of IPv4 addresses",
        r#"write an address, a slash and the prefix's length, such as "10.1.0.0/16""#,
    );
}

#[test]
fn a_block_with_bits_behind_its_prefix_is_refused() {
    refuses(
        "[network]\npublic_cidrs = [\"10.1.1.7/24\", \"10.1.2.0/24\"]",
        (2, 17),
        r#"network.public_cidrs[0] = "10.1.1.7/24""#,
        "has bits set behind its prefix /24",
        r#"write "10.1.1.0/24" for the block or "10.1.1.7/32" for the one address"#,
    );
}

#[test]
fn a_subnet_outside_the_vpc_is_refused() {
    refuses(
        "[network]\npublic_cidrs = [\"10.1.1.0/24\", \"10.2.2.0/24\"]",
        (2, 32),
        r#"network.public_cidrs[1] = "10.2.2.0/24""#,
        "lies outside the VPC, 10.1.0.0/16",
        "take a block inside 10.1.0.0/16, or leave the key out to have it derived",
    );
}

#[test]
fn subnets_left_outside_a_moved_vpc_are_refused() {
    refuses(
        "[network]\nvpc_cidr = \"10.2.0.0/16\"\ndatabase_cidrs = [\"10.2.5.0/24\", \"10.1.6.0/24\"]",
        (3, 34),
        r#"network.database_cidrs[1] = "10.1.6.0/24""#,
        "lies outside the VPC, 10.2.0.0/16",
        "take a block inside 10.2.0.0/16, or leave the key out to have it derived",
    );
}

#[test]
fn overlapping_subnets_are_refused() {
    refuses(
        "[network]\nprivate_cidrs = [\"10.1.3.0/24\", \"10.1.0.0/20\"]",
        (2, 33),
        r#"network.private_cidrs[1] = "10.1.0.0/20""#,
        "overlaps 10.1.3.0/24 (network.private_cidrs[0])",
        "give each subnet a block of its own, or leave the keys out to have them derived",
    );
}

#[test]
fn the_same_block_twice_is_refused() {
    refuses(
        "[network]\npublic_cidrs = [\"10.1.1.0/24\", \"10.1.1.0/24\"]",
        (2, 32),
        r#"network.public_cidrs[1] = "10.1.1.0/24""#,
        "overlaps 10.1.1.0/24 (network.public_cidrs[0])",
        "give each subnet a block of its own, or leave the keys out to have them derived",
    );
}

#[test]
fn a_subnet_smaller_than_28_is_refused() {
    refuses(
        "[network]\ndatabase_cidrs = [\"10.1.5.0/29\", \"10.1.6.0/24\"]",
        (2, 19),
        r#"network.database_cidrs[0] = "10.1.5.0/29""#,
        "AWS wants a subnet between /16 and /28",
        r#"write "10.1.5.0/24", for example"#,
    );
}

#[test]
fn a_public_subnet_smaller_than_27_is_refused() {
    refuses(
        "[network]\npublic_cidrs = [\"10.1.1.0/28\", \"10.1.2.0/24\"]",
        (2, 17),
        r#"network.public_cidrs[0] = "10.1.1.0/28""#,
        "AWS wants a balancer's subnet between /16 and /27",
        r#"write "10.1.1.0/24", for example"#,
    );
}

#[test]
fn a_zone_without_a_block_is_refused() {
    refuses(
        "[network]\nprivate_cidrs = [\"10.1.3.0/24\"]",
        (2, 17),
        r#"network.private_cidrs = ["10.1.3.0/24"]"#,
        "needs one block for each of the 2 zones",
        "list as many as zones, in their order, or leave the key out to have them derived",
    );
}

#[test]
fn a_subnet_without_room_for_its_hosts_is_refused() {
    refuses(
        "[network]\nprivate_cidrs = [\"10.1.3.0/28\", \"10.1.4.0/28\"]\n[scaling]\nmax = 40",
        (2, 18),
        r#"network.private_cidrs[0] = "10.1.3.0/28""#,
        "has 11 usable addresses, but 22 are needed in it",
        "take a larger block, or fewer hosts per zone and a smaller scaling.max",
    );
}

#[test]
fn private_hosts_without_a_way_out_are_refused() {
    refuses(
        "[network]\nnat = \"none\"",
        (2, 7),
        r#"network.nat = "none""#,
        "hosts in the private subnets could install nothing and reach no parameter",
        r#"write "per-zone" or "single", or switch off parts.private_hosts and parts.scaling_group"#,
    );
}

#[test]
fn ssh_from_everywhere_needs_its_switch() {
    refuses(
        "[access]\nssh_from = [\"203.0.113.7/32\", \"0.0.0.0/0\"]",
        (2, 31),
        r#"access.ssh_from[1] = "0.0.0.0/0""#,
        "opens SSH to the whole internet",
        "name your own addresses, or set unsafe_choices.ssh_from_anywhere = true if you mean it",
    );
}

#[test]
fn keys_need_a_folder() {
    refuses(
        "[access]\nkey_dir = \"\"",
        (2, 11),
        r#"access.key_dir = """#,
        "private keys need a folder",
        r#"name a folder, such as "keys""#,
    );
}

#[test]
fn an_address_is_listed_once() {
    refuses(
        "[access]\nssh_from = [\"203.0.113.7/32\", \"203.0.113.7/32\"]",
        (2, 31),
        r#"access.ssh_from[1] = "203.0.113.7/32""#,
        "is listed twice",
        "remove one of the two",
    );
}
