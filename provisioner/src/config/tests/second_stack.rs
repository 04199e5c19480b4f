//! What follows from the values that a file gives: names, zones, subnets and parts.

use std::collections::BTreeSet;

use super::accepted;
use crate::config::{Config, Names, SaidRegion, ScalingImage, Tier, parse};

fn values(names: &Names) -> BTreeSet<String> {
    let table = toml::Table::try_from(names).unwrap();
    table.values().map(|it| it.as_str().unwrap().to_lowercase()).collect()
}

#[test]
fn no_name_of_a_second_stack_is_one_of_the_labs() {
    let second = accepted(r#"stack = "web-two""#);
    let shared: Vec<_> = values(&second.names).intersection(&values(&Names::default())).cloned().collect();
    assert_eq!(shared, Vec::<String>::new());
    assert!(second.subnets().iter().all(|it| it.name == format!("web-two-{}", it.node)));
    assert!(second.public_hosts().iter().all(|it| it.address_name == format!("web-two-{}", it.address_node)));
}

#[test]
fn a_node_keeps_the_labs_name_in_every_stack() {
    let (lab, second) = (accepted(""), accepted(r#"stack = "web-two""#));
    let nodes = |it: &Config| it.subnets().into_iter().map(|it| it.node).collect::<Vec<_>>();
    assert_eq!(nodes(&lab), nodes(&second));
}

#[test]
fn the_same_stack_in_another_region_has_another_role() {
    let other = accepted(r#"region = "eu-west-1""#);
    assert_eq!(other.names.host_role, "lab-vpc-host-eu-west-1");
    assert_eq!(other.zones, ["eu-west-1a", "eu-west-1c"]);
    assert_eq!(other.database.replica_zone, "eu-west-1c");
}

#[test]
fn the_region_of_the_command_line_wins() {
    let region = SaidRegion { typed: Some("us-east-1"), around: Some("eu-west-2") };
    let config = parse("lamp.toml", r#"region = "eu-west-1""#, region).unwrap();
    assert_eq!((config.region.as_str(), config.zones[0].as_str()), ("us-east-1", "us-east-1a"));
    let err = parse("lamp.toml", r#"zones = ["eu-west-1a", "eu-west-1b"]"#, region).unwrap_err();
    assert_eq!(err.issues.len(), 2);
}

#[test]
fn the_region_of_the_environment_counts_where_the_file_names_none() {
    let region = SaidRegion { typed: None, around: Some("eu-west-2") };
    let said = |text: &str| parse("lamp.toml", text, region).unwrap();
    assert_eq!(said(r#"region = "eu-west-1""#).region, "eu-west-1");
    let config = said("");
    assert_eq!((config.region.as_str(), config.zones[1].as_str()), ("eu-west-2", "eu-west-2c"));
    assert_eq!(config.names.host_role, "lab-vpc-host-eu-west-2");
}

#[test]
fn subnets_follow_a_moved_vpc() {
    let config = accepted("[network]\nvpc_cidr = \"192.168.0.0/20\"");
    let cidrs: Vec<_> = config.subnets().iter().map(|it| it.cidr.to_string()).collect();
    let expected = ["192.168.0.32/27", "192.168.0.64/27", "192.168.0.96/27", "192.168.0.128/27"];
    assert_eq!(cidrs[..4], expected);
}

#[test]
fn derived_subnets_make_room_for_given_ones() {
    let config = accepted("[network]\nprivate_cidrs = [\"10.1.0.0/22\", \"10.1.4.0/22\"]");
    let of = |tier| config.subnets_of(tier).iter().map(|it| it.cidr.to_string()).collect::<Vec<_>>();
    assert_eq!(of(Tier::Public), ["10.1.8.0/24", "10.1.9.0/24"]);
    assert_eq!(of(Tier::Private), ["10.1.0.0/22", "10.1.4.0/22"]);
    assert_eq!(of(Tier::Database), ["10.1.10.0/24", "10.1.11.0/24"]);
}

#[test]
fn a_third_zone_gets_its_subnets_hosts_and_gateway() {
    let config = accepted(r#"zones = ["ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c"]"#);
    let names: Vec<_> = config.subnets().into_iter().map(|it| it.name).collect();
    assert_eq!(names.len(), 9);
    assert!(names.contains(&"private-subnet-b2".to_owned()));
    assert_eq!(config.nat_gateways().len(), 3);
    assert_eq!(config.private_hosts().len(), 3);
}

#[test]
fn more_hosts_are_numbered_zone_by_zone() {
    let config = accepted("[hosts]\nprivate_per_zone = 2");
    let names: Vec<_> = config.private_hosts().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["private-ec2-a1", "private-ec2-c1", "private-ec2-a2", "private-ec2-c2"]);
}

#[test]
fn one_nat_gateway_can_serve_all_zones() {
    let config = accepted("[network]\nnat = \"single\"");
    assert_eq!(config.nat_gateways().len(), 1);
    assert_eq!(config.nat_of("ap-northeast-2c").as_deref(), Some("nat-gw-a1"));
}

/// A file that switches off everything but these parts.
fn only(parts: &[&str]) -> String {
    let all = ["public_hosts", "private_hosts", "scaling_group", "files", "database", "site"];
    let off = all.iter().filter(|it| !parts.contains(it)).map(|it| format!("{it} = false\n"));
    off.fold("[parts]\n".to_owned(), |text, line| text + &line)
}

#[test]
fn the_site_alone_needs_no_network() {
    let config = accepted(&only(&["site"]));
    assert!(!config.parts.network && !config.parts.replica && config.parts.site);
    assert!(config.entrances().is_empty() && config.public_hosts().is_empty());
}

#[test]
fn nothing_switched_on_is_the_network_alone() {
    let config = accepted(&only(&[]));
    assert!(config.parts.network && !config.parts.has_hosts());
    assert_eq!(config.subnets().len(), 6);
}

#[test]
fn the_scaling_group_alone_starts_from_the_plain_image() {
    let config = accepted(&only(&["scaling_group"]));
    assert_eq!(config.scaling.image, ScalingImage::Plain);
    assert_eq!(config.entrances().len(), 1);
}

#[test]
fn a_site_alone_may_have_a_long_name() {
    let text = format!("stack = \"a-rather-long-name\"\n{}", only(&["site"]));
    assert_eq!(accepted(&text).stack, "a-rather-long-name");
}

#[test]
fn the_labs_unsafe_values_stay_possible() {
    let config = accepted(
        "[unsafe_choices]\nssh_from_anywhere = true\nmetadata_v1 = true\npublic_website = true\n\
         [access]\nssh_from = [\"0.0.0.0/0\"]",
    );
    assert!(config.unsafe_choices.ssh_from_anywhere && config.unsafe_choices.metadata_v1);
}
