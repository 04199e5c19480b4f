//! The shared files, the database and what the agents read of them.

use std::collections::BTreeMap;

use provisioner::{
    aws::Aws,
    engine::{Outcome, Ref, Secret, Stack, Value},
    kinds::{
        self, DbInstance, DbParameterGroup, DbSubnetGroup, FileSystem, LogGroup, MountTarget, ParamValue,
        Parameter, Replica, Rule, SecurityGroup, Source, Storage, Subnet, Vpc,
    },
};

use super::{Moto, build, differences, repairs, take_away};

const ZONES: [&str; 2] = ["ap-northeast-2a", "ap-northeast-2c"];

struct Ground {
    subnets: Vec<Ref<Subnet>>,
    group: Ref<SecurityGroup>,
}

fn ground(s: &mut Stack) -> Ground {
    let vpc = s.add("vpc", Vpc { cidr: "10.1.0.0/16".into(), dns_hostnames: true });
    let subnet = |s: &mut Stack, zone: &str, cidr: &str| s.add(zone, Subnet::new(vpc, zone, cidr));
    let subnets = vec![subnet(s, ZONES[0], "10.1.5.0/24"), subnet(s, ZONES[1], "10.1.6.0/24")];
    let inbound = vec![Rule::tcp(3306, Source::Cidr("10.1.0.0/16".into()))];
    let group = SecurityGroup {
        vpc,
        name: "db".into(),
        description: "test".into(),
        inbound,
        outbound: vec![Rule::everything()],
    };
    Ground { subnets, group: s.add("db", group) }
}

fn database(ground: &Ground, s: &mut Stack, change: impl FnOnce(&mut DbInstance)) -> Ref<DbInstance> {
    let password = s.add("db/password", Parameter { value: ParamValue::Generated { length: 32 } });
    let parameters = BTreeMap::from([("require_secure_transport".into(), "1".into())]);
    let parameters = DbParameterGroup { name: "t-parameters".into(), family: "mysql8.4".into(), parameters };
    let log = LogGroup { database: "t-rds".into(), log: "general".into(), days: 30 };
    let mut instance = DbInstance {
        name: "t-rds".into(),
        series: "8.4".into(),
        release: None,
        class: "db.t3.micro".into(),
        storage: Storage::Fixed(20),
        encrypted: true,
        multi_az: true,
        subnets: s.add("db", DbSubnetGroup { name: "t-subnets".into(), subnets: ground.subnets.clone() }),
        parameters: s.add("db", parameters),
        groups: vec![ground.group],
        public: false,
        port: 3306,
        database: "labvpcrds".into(),
        user: "admin".into(),
        password: password.into(),
        password_given: password.out(Parameter::WRITTEN),
        backup_days: 7,
        logs: vec![s.add(&log.node(), log)],
        minor_upgrades: true,
        deletion_protection: false,
        tagged_snapshots: true,
        apply_later: false,
    };
    change(&mut instance);
    let instance = s.add("t-rds", instance);
    s.add("db/endpoint", Parameter::text(instance.out(DbInstance::ENDPOINT)));
    instance
}

fn replica(ground: &Ground, s: &mut Stack, source: Ref<DbInstance>) {
    let replica = Replica {
        name: "t-rds-rr".into(),
        source,
        class: "db.t3.micro".into(),
        zone: ZONES[1].into(),
        multi_az: false,
        groups: vec![ground.group],
        public: false,
        minor_upgrades: true,
        deletion_protection: false,
        tagged_snapshots: true,
    };
    s.add("t-rds-rr", replica);
}

fn stack(aws: &Aws) -> Stack {
    Stack::new(&aws.stack, BTreeMap::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_and_its_replica_are_built_repaired_and_removed() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let mut s = stack(&aws);
    let ground = ground(&mut s);
    let source = database(&ground, &mut s, |_| ());
    replica(&ground, &mut s, source);
    build(&s, &aws).await;

    // Databases, their subnet group, their settings, their logs, and the parameters: one read each, and
    // one for what the settings are.
    let before = moto.requests().len();
    let kinds = kinds::all().into_iter();
    let names = ["db-instance", "replica", "db-subnet-group", "db-parameter-group", "log-group", "parameter"];
    let kinds: Vec<_> = kinds.filter(|it| names.contains(&it.name)).collect();
    aws.look_afresh();
    provisioner::engine::observe(&kinds, &s, &aws).await.unwrap();
    let calls = moto.requests().split_off(before);
    assert_eq!(calls.len(), 5, "{calls:#?}");

    let change = aws.rds.modify_db_instance().db_instance_identifier("t-rds").apply_immediately(true);
    change.backup_retention_period(1).publicly_accessible(true).multi_az(false).send().await.unwrap();
    let change = aws.rds.modify_db_instance().db_instance_identifier("t-rds-rr").apply_immediately(true);
    change.db_instance_class("db.t3.large").send().await.unwrap();
    let off = aws_sdk_rds::types::Parameter::builder().parameter_name("require_secure_transport");
    let off = off.parameter_value("0").apply_method("immediate".into()).build();
    let change = aws.rds.modify_db_parameter_group().db_parameter_group_name("t-parameters");
    change.parameters(off).send().await.unwrap();
    aws.logs.delete_log_group().log_group_name("/aws/rds/instance/t-rds/general").send().await.unwrap();
    aws.ssm.delete_parameter().name("/lamp/t/db/endpoint").send().await.unwrap();
    let nodes = [
        "db-instance/t-rds",
        "replica/t-rds-rr",
        "db-parameter-group/db",
        "log-group/t-rds-general",
        "parameter/db/endpoint",
    ];
    repairs(&s, &aws, &nodes).await;
    take_away(&s, &aws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_database_stays_and_the_way_out_is_named() {
    let moto = Moto::start();
    let mut aws = moto.connect("t").await;
    let mut s = stack(&aws);
    let ground = ground(&mut s);
    database(&ground, &mut s, |it| it.deletion_protection = true);
    build(&s, &aws).await;
    let seen: Vec<_> = super::look(&s, &aws).await.nodes.into_values().collect();
    let only = seen.iter().filter(|it| it.kind.name == "db-instance").cloned().collect::<Vec<_>>();
    let report = super::destroy(&only, &kinds::all(), &aws, &super::events(), &Default::default()).await;
    let Outcome::Failed { why } = &report.nodes[0].1 else { panic!("{report:#?}") };
    assert!(why.contains("deletion_protection = false"), "{why}");

    let change = aws.rds.modify_db_instance().db_instance_identifier("t-rds");
    change.deletion_protection(false).send().await.unwrap();
    aws.settings.final_snapshot = Some("last".into());
    take_away(&s, &aws).await;
    let left = aws.rds.describe_db_snapshots().send().await.unwrap();
    assert_eq!(left.db_snapshots()[0].db_snapshot_identifier(), Some("t-rds-last"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_built_repaired_and_removed() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let mut s = stack(&aws);
    let ground = ground(&mut s);
    let files = FileSystem {
        encrypted: true,
        performance: "generalPurpose".into(),
        throughput: "bursting".into(),
        provisioned_mibps: 0,
        backups: false,
    };
    let files = s.add_named("files", "t-efs", files);
    for (zone, subnet) in ZONES.iter().zip(&ground.subnets) {
        let groups = vec![ground.group];
        let target = s.add(zone, MountTarget { file_system: files, subnet: *subnet, groups });
        s.add(&format!("files/target/{zone}"), Parameter::text(target.out(MountTarget::IP)));
    }
    s.add("files/id", Parameter::text(files.out(FileSystem::ID)));
    build(&s, &aws).await;

    let seen = aws.efs.describe_file_systems().send().await.unwrap();
    let id = seen.file_systems()[0].file_system_id();
    let targets = aws.efs.describe_mount_targets().file_system_id(id).send().await.unwrap();
    let target =
        targets.mount_targets().iter().find(|it| it.availability_zone_name() == Some(ZONES[0])).unwrap();
    aws.efs.delete_mount_target().mount_target_id(target.mount_target_id()).send().await.unwrap();
    // Its address was told to the hosts; a new target may get another.
    let found = differences(&s, &aws).await;
    assert!(found.iter().any(|it| it.starts_with("mount-target/ap-northeast-2a: Create")), "{found:#?}");
    build(&s, &aws).await;
    take_away(&s, &aws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_generation_moves_whenever_another_parameter_does() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let build_with = |text: &str| {
        let mut s = stack(&aws);
        let one = s.add("db/name", Parameter::text(text));
        let other = s.add("db/password", Parameter { value: ParamValue::Generated { length: 32 } });
        let versions = [one, other].map(|it| it.out(Parameter::VERSION));
        let [one, other] = versions;
        s.add("generation", Parameter::text(Value::Join(vec![one, ".".into(), other])));
        s
    };
    let generation = async || {
        let got = aws.ssm.get_parameter().name("/lamp/t/generation").send().await.unwrap();
        got.parameter.and_then(|it| it.value).unwrap()
    };
    let s = build_with("a");
    build(&s, &aws).await;
    assert_eq!(generation().await, "1.1");
    aws.ssm
        .put_parameter()
        .name("/lamp/t/hosts/i-1")
        .value("fine")
        .r#type("String".into())
        .send()
        .await
        .unwrap();
    assert_eq!(differences(&s, &aws).await, [""; 0], "hosts' reports are not the stack's");

    let s = build_with("b");
    build(&s, &aws).await;
    assert_eq!(generation().await, "2.1");
    aws.ssm.put_parameter().name("/lamp/t/db/name").value("c").overwrite(true).send().await.unwrap();
    build(&s, &aws).await;
    assert_eq!(generation().await, "4.1");

    let reports = kinds::host_reports(&aws).await.unwrap();
    assert_eq!(reports, [("i-1".to_owned(), "fine".to_owned())]);
    assert_eq!(kinds::forget_host_reports(&aws).await.unwrap(), 1);
    take_away(&s, &aws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_is_written_and_neither_is_shown() {
    let moto = Moto::start();
    let mut aws = moto.connect("t").await;
    aws.settings.compare_passwords = true;
    let build_with = |password: &str| {
        let mut s = stack(&aws);
        s.add("db/password", Parameter { value: ParamValue::Given(Secret(password.into())) });
        s
    };
    build(&build_with("first-word"), &aws).await;
    let shown = differences(&build_with("second-word"), &aws).await;
    assert_eq!(shown, ["parameter/db/password: password: (secret) → (secret)"]);
    build(&build_with("second-word"), &aws).await;
    let got = aws.ssm.get_parameter().name("/lamp/t/db/password").with_decryption(true).send().await.unwrap();
    assert_eq!(got.parameter.unwrap().value(), Some("second-word"));
}
