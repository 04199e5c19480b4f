//! An empty file is the lab, value by value.

use super::accepted;
use crate::config::{Behind, Config, HealthCheckType, Nat, ScalingImage, TerminationPolicy, Tier, Transport};

fn lab() -> Config {
    accepted("")
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(lab(), Config::default());
}

#[test]
fn the_lab_is_in_seoul_with_all_its_parts() {
    let lab = lab();
    assert_eq!(lab.region, "ap-northeast-2");
    assert_eq!(lab.zones, ["ap-northeast-2a", "ap-northeast-2c"]);
    let parts = toml::Table::try_from(&lab.parts).unwrap();
    assert!(parts.values().all(|it| it.as_bool() == Some(true)), "{parts}");
}

#[test]
fn the_subnets_are_the_labs() {
    let lab = lab();
    assert_eq!(lab.names.vpc, "lab-vpc");
    assert_eq!(lab.network.vpc_cidr.to_string(), "10.1.0.0/16");
    let subnets: Vec<_> =
        lab.subnets().into_iter().map(|it| (it.name, it.tier, it.zone, it.cidr.to_string())).collect();
    let expected = [
        ("public-subnet-a1", Tier::Public, "ap-northeast-2a", "10.1.1.0/24"),
        ("public-subnet-c1", Tier::Public, "ap-northeast-2c", "10.1.2.0/24"),
        ("private-subnet-a1", Tier::Private, "ap-northeast-2a", "10.1.3.0/24"),
        ("private-subnet-c1", Tier::Private, "ap-northeast-2c", "10.1.4.0/24"),
        ("private-subnet-a2", Tier::Database, "ap-northeast-2a", "10.1.5.0/24"),
        ("private-subnet-c2", Tier::Database, "ap-northeast-2c", "10.1.6.0/24"),
    ];
    assert_eq!(subnets, expected.map(|(a, b, c, d)| (a.to_owned(), b, c.to_owned(), d.to_owned())));
    assert!(lab.subnets().iter().all(|it| it.route_table_name == format!("{}-rt", it.name)));
}

#[test]
fn each_zone_has_its_nat_gateway() {
    let lab = lab();
    assert_eq!(lab.network.nat, Nat::PerZone);
    let gateways = lab.nat_gateways();
    let names: Vec<_> = gateways.iter().map(|it| (it.name.as_str(), it.subnet_node.as_str())).collect();
    assert_eq!(names, [("nat-gw-a1", "public-subnet-a1"), ("nat-gw-c1", "public-subnet-c1")]);
    assert_eq!(lab.nat_of("ap-northeast-2c").as_deref(), Some("nat-gw-c1"));
    assert_eq!(lab.names.internet_gateway, "lab-igw");
}

#[test]
fn the_hosts_are_the_labs() {
    let lab = lab();
    let public: Vec<_> =
        lab.public_hosts().into_iter().map(|it| (it.name, it.address_name, it.subnet_node)).collect();
    let expected = [
        ("public-ec2-a1", "eip-public-ec2-a1", "public-subnet-a1"),
        ("public-ec2-c1", "eip-public-ec2-c1", "public-subnet-c1"),
    ];
    assert_eq!(public, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    let private: Vec<_> = lab.private_hosts().into_iter().map(|it| (it.name, it.subnet_node)).collect();
    let expected = [("private-ec2-a1", "private-subnet-a1"), ("private-ec2-c1", "private-subnet-c1")];
    assert_eq!(private, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(
        (lab.names.public_key.as_str(), lab.names.private_key.as_str()),
        ("ec2-public", "ec2-private-seoul")
    );
    assert_eq!(
        (lab.names.public_group.as_str(), lab.names.private_group.as_str()),
        ("public-ec2-sg", "private-ec2-sg")
    );
    assert_eq!(lab.names.public_image, "ami-public-ec2");
    assert_eq!(lab.names.private_image, "ami-private-ec2");
    assert!(lab.hosts.public_copies);
    assert_eq!((lab.hosts.public_type.as_str(), lab.hosts.private_type.as_str()), ("t3.micro", "t3.micro"));
}

#[test]
fn the_balancers_are_the_labs() {
    let lab = lab();
    let entrances: Vec<_> = lab
        .entrances()
        .into_iter()
        .map(|it| (it.behind, [it.balancer, it.group, it.web_targets, it.index_targets]))
        .collect();
    let names = |it: &str| ["", "-sg", "-tg", "-index-tg"].map(|suffix| format!("lab-vpc-alb-{it}{suffix}"));
    let expected = [
        (Behind::PublicHosts, names("public")),
        (Behind::PrivateHosts, names("private")),
        (Behind::ScalingGroup, names("asg")),
    ];
    assert_eq!(entrances, expected);
    assert_eq!(lab.balancers.port, 80);
    assert_eq!(lab.balancers.web_check.path, "/lamp-ready");
    assert_eq!(lab.balancers.index_check.path, "/healthz");
}

#[test]
fn the_files_are_the_labs() {
    let lab = lab();
    assert_eq!((lab.names.files.as_str(), lab.files_group().as_str()), ("lab-vpc-efs", "lab-vpc-efs-sg"));
    let files = toml::Value::try_from(&lab.files).unwrap();
    assert_eq!(files["performance_mode"].as_str(), Some("generalPurpose"));
    assert_eq!(files["throughput_mode"].as_str(), Some("bursting"));
    assert_eq!((lab.files.backups, lab.files.transport), (false, Transport::Tls));
}

#[test]
fn the_database_is_the_labs() {
    let lab = lab();
    let (names, database) = (&lab.names, &lab.database);
    assert_eq!((names.database.as_str(), names.replica.as_str()), ("lab-vpc-rds", "lab-vpc-rds-rr"));
    assert_eq!(names.database_subnets, "lab-vpc-rds-subnet-group");
    assert_eq!(lab.database_group(), "lab-vpc-rds-sg");
    assert_eq!((database.name.as_str(), database.user.as_str(), database.port), ("labvpcrds", "admin", 3306));
    assert_eq!((database.engine_version.as_str(), database.class.as_str()), ("8.4", "db.t3.micro"));
    assert!(database.multi_az && database.minor_upgrades);
    assert!(!database.deletion_protection && !database.final_snapshot);
    assert_eq!((database.backup_days, database.storage_max_gib), (7, 0));
    assert_eq!(toml::Value::try_from(&database.log_exports).unwrap().to_string(), r#"["general"]"#);
    assert_eq!(database.replica_class, "db.t3.micro");
    assert_eq!(database.replica_zone, "ap-northeast-2c");
    assert_eq!(database.password(), Ok(None));
}

#[test]
fn the_scaling_group_is_the_labs() {
    let lab = lab();
    let (names, scaling) = (&lab.names, &lab.scaling);
    assert_eq!(names.launch_template, "lab-vpc-asg-lt");
    assert_eq!(names.scaling_group, "lab-vpc-asg");
    assert_eq!(names.scaling_policy, "lab-policy-01");
    assert_eq!(names.scaling_host, "asg-ec2");
    assert_eq!((scaling.min, scaling.desired, scaling.max), (2, 2, 4));
    assert_eq!((scaling.cpu_target, scaling.warmup, scaling.health_check_grace), (7.0, 60, 60));
    assert_eq!(scaling.health_check, HealthCheckType::Ec2);
    assert_eq!(scaling.termination_policies, [TerminationPolicy::Default]);
    assert_eq!(scaling.image, ScalingImage::PrivateHosts);
    assert!(scaling.group_metrics && !scaling.scale_in_protection && scaling.suspended_processes.is_empty());
}

#[test]
fn the_site_is_in_virginia() {
    let lab = lab();
    assert_eq!(lab.site.region, "us-east-1");
    assert_eq!(lab.site_bucket("123456789012"), "lab-vpc-site-123456789012-ap-northeast-2-us-east-1");
    assert_eq!(lab.artefact_bucket("123456789012"), "lab-vpc-artefacts-123456789012-ap-northeast-2");
}

#[test]
fn no_unsafe_choice_is_made() {
    let choices = toml::Table::try_from(lab().unsafe_choices).unwrap();
    assert!(choices.values().all(|it| it.as_bool() == Some(false)), "{choices}");
    assert!(lab().access.ssh_from.is_empty());
}
