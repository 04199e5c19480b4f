//! What changes while it runs, what dies, and what must not stay behind: through the cloud's interface.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "door/aws.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod aws;

use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use aws::Aws;
use aws_sdk_elasticloadbalancingv2::types::{Action, ActionTypeEnum, ProtocolEnum};
use aws_sdk_rds::types::{ApplyMethod, Parameter};
use rehearsal::{Cloud, Options, Phase, Place};

/// One cloud for all tests: each keeps to what it made itself. It ends with the program.
static CLOUD: LazyLock<Cloud> = LazyLock::new(|| Cloud::start(Options::default()).unwrap());

fn block_on<F: Future>(it: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(it)
}

/// Generous, since machines are slow and shared.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(180),
            "waited 3 minutes until {what}: {:#?}",
            CLOUD.status()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn runs(id: &str) -> bool {
    CLOUD
        .instance(id)
        .is_some_and(|it| it.exec(&["systemctl", "is-system-running"]).is_ok_and(|it| it.success()))
}

fn is(id: &str, phase: Phase) -> bool {
    CLOUD.instance(id).is_some_and(|it| it.phase().is_ok_and(|it| it == phase))
}

#[test]
fn hosts_that_run_that_died_and_that_went_off_by_themselves_are_stopped_started_and_rebooted() {
    block_on(async {
        let aws = Aws::new(&CLOUD.endpoint());
        let vpc = aws.vpc("10.1.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.1.31.0/24", "ap-northeast-2a").await;
        let host = aws.host(&subnet, "power", None).await;
        until("it runs", || runs(&host));
        let it = CLOUD.instance(&host).unwrap();
        let start = async || drop(aws.ec2.start_instances().instance_ids(&host).send().await.unwrap());
        let stop = async || drop(aws.ec2.stop_instances().instance_ids(&host).send().await.unwrap());
        let reboot = async || drop(aws.ec2.reboot_instances().instance_ids(&host).send().await.unwrap());
        reboot().await;
        until("it was rebooted", || it.boots().unwrap() == 2 && runs(&host));
        stop().await;
        until("it is off", || is(&host, Phase::Stopped));
        start().await;
        until("it runs again", || it.boots().unwrap() == 3 && runs(&host));

        it.kill().unwrap();
        reboot().await;
        until("a reboot brings back what died", || it.boots().unwrap() == 4 && runs(&host));
        it.kill().unwrap();
        start().await;
        until("so does a start", || it.boots().unwrap() == 5 && runs(&host));
        it.kill().unwrap();
        stop().await;
        until("what died is stopped", || !is(&host, Phase::Running));
        start().await;
        until("and started", || it.boots().unwrap() == 6 && runs(&host));
        let _ = it.exec(&["systemctl", "poweroff"]);
        until("it goes off by itself", || is(&host, Phase::Stopped));
        reboot().await;
        until("and comes back", || it.boots().unwrap() == 7 && runs(&host));
        aws.ec2.terminate_instances().instance_ids(&host).send().await.unwrap();
        until("it is gone", || CLOUD.instance(&host).is_none());
    });
}

#[test]
fn a_host_whose_first_start_failed_is_started_again_and_images_and_networks_leave_nothing() {
    block_on(async {
        let aws = Aws::new(&CLOUD.endpoint());
        let vpc = aws.vpc("10.1.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.1.32.0/24", "ap-northeast-2a").await;
        let first = aws.host(&subnet, "without-systemd", None).await;
        until("it runs", || runs(&first));
        let systemd = "/usr/lib/systemd/systemd";
        CLOUD.instance(&first).unwrap().sh(&format!("mv {systemd} {systemd}-real")).unwrap();
        let image = aws.ec2.create_image().instance_id(&first).name("without-systemd").send().await.unwrap();
        let image = image.image_id.unwrap();
        let available = async || {
            let said = aws.ec2.describe_images().image_ids(&image).send().await.unwrap();
            said.images()[0].state().unwrap().as_str() == "available"
        };
        let began = Instant::now();
        while !available().await {
            assert!(began.elapsed() < Duration::from_secs(180));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let run = aws.ec2.run_instances().image_id(&image).min_count(1).max_count(1).subnet_id(&subnet);
        let second = run.send().await.unwrap().instances.unwrap()[0].instance_id.clone().unwrap();
        until("it cannot start", || CLOUD.status().problems.contains_key(&format!("instance/{second}")));
        let mended = format!("#!/bin/sh\nexec {systemd}-real \"$@\"\n");
        CLOUD.instance(&second).unwrap().put(systemd, mended.as_bytes(), 0o755).unwrap();
        until("it has started", || is(&second, Phase::Running));

        let layer = CLOUD.region().dir().join(format!("image-{image}"));
        aws.ec2.deregister_image().image_id(&image).send().await.unwrap();
        aws.ec2.terminate_instances().instance_ids(&first).send().await.unwrap();
        until("the first is gone", || CLOUD.instance(&first).is_none());
        assert!(layer.exists(), "the second one still stands upon it");
        aws.ec2.terminate_instances().instance_ids(&second).send().await.unwrap();
        until("the image has gone with the last host", || !layer.exists());
        until("the hosts are gone", || CLOUD.instance(&second).is_none());
        let has_router = || {
            let path = format!("/run/netns/router-{vpc}");
            CLOUD.region().exec(Place::Router, &["test", "-e", &path]).unwrap().success()
        };
        assert!(has_router());
        aws.ec2.delete_subnet().subnet_id(&subnet).send().await.unwrap();
        aws.ec2.delete_vpc().vpc_id(&vpc).send().await.unwrap();
        until("the router is gone", || !has_router());
    });
}

fn login(place: &str, address: Ipv4Addr, words: &[&str]) -> bool {
    let at = ["mariadb", "-h", &address.to_string(), "-P", "3307", "-u", "admin", "-e", "select 1"]
        .map(str::to_owned);
    let all: Vec<String> = at.into_iter().chain(words.iter().map(|it| (*it).to_owned())).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    CLOUD.region().exec(Place::from(place), &all).is_ok_and(|it| it.success())
}

#[test]
fn a_database_takes_another_password_other_settings_and_a_standby_and_gets_up_again() {
    block_on(async {
        let aws = Aws::new(&CLOUD.endpoint());
        let vpc = aws.vpc("10.1.0.0/16").await;
        let one = aws.subnet(&vpc, "10.1.33.0/24", "ap-northeast-2a").await;
        let two = aws.subnet(&vpc, "10.1.34.0/24", "ap-northeast-2c").await;
        let group = aws.rds.create_db_subnet_group().db_subnet_group_name("changes");
        group.db_subnet_group_description("x").subnet_ids(&one).subnet_ids(&two).send().await.unwrap();
        let settings = aws.rds.create_db_parameter_group().db_parameter_group_name("changes");
        settings.db_parameter_group_family("mysql8.4").description("x").send().await.unwrap();
        let set = async |name: &str, value: &str| {
            let it = Parameter::builder().parameter_name(name).parameter_value(value);
            let it = it.apply_method(ApplyMethod::Immediate).build();
            let modify =
                aws.rds.modify_db_parameter_group().db_parameter_group_name("changes").parameters(it);
            modify.send().await.unwrap();
        };
        let make = aws
            .rds
            .create_db_instance()
            .db_instance_identifier("changes-db")
            .db_instance_class("db.t3.micro");
        let make = make.engine("mysql").master_username("admin").master_user_password("administrator");
        let make = make.allocated_storage(20).db_subnet_group_name("changes").db_name("lab").port(3307);
        let make = make.db_parameter_group_name("changes").backup_retention_period(7);
        make.send().await.unwrap();
        until("it is there", || CLOUD.database("changes-db").is_some());
        let database = CLOUD.database("changes-db").unwrap();
        let status = async |name: &str| {
            let said = aws.rds.describe_db_instances().db_instance_identifier(name).send().await.unwrap();
            said.db_instances()[0].db_instance_status().unwrap().to_owned()
        };
        let available = async |name: &str| {
            let began = Instant::now();
            while status(name).await != "available" {
                assert!(began.elapsed() < Duration::from_secs(180), "{:#?}", CLOUD.status());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        available("changes-db").await;
        let modify =
            || aws.rds.modify_db_instance().db_instance_identifier("changes-db").apply_immediately(true);
        assert!(login("db.changes-db-1", database.primary(), &["-padministrator"]));
        modify().master_user_password("another one").send().await.unwrap();
        until("the password is another", || login("db.changes-db-1", database.primary(), &["-panother one"]));
        assert!(!login("db.changes-db-1", database.primary(), &["-padministrator"]));

        set("max_connections", "41").await;
        set("require_secure_transport", "1").await;
        let limit = || database.sql("select @@max_connections").is_ok_and(|it| it.trim() == "41");
        until("the settings are others", limit);
        assert!(!login("db.changes-db-1", database.primary(), &["-panother one", "--skip-ssl"]));

        // Its power is cut, and there is nobody to take over.
        database.sql("create table lab.T (N int); insert into lab.T values (1)").unwrap();
        database.kill_primary().unwrap();
        until("it is back", || database.sql("insert into lab.T values (2)").is_ok());
        assert!(limit() && login("db.changes-db-1", database.primary(), &["-panother one"]));

        // A copy listens at the same port, and is rebooted.
        available("changes-db").await;
        let copy = aws.rds.create_db_instance_read_replica().db_instance_identifier("changes-rr");
        copy.source_db_instance_identifier("changes-db").send().await.unwrap();
        until("the copy is there", || CLOUD.status().replicas.contains("changes-rr"));
        available("changes-rr").await;
        aws.rds.reboot_db_instance().db_instance_identifier("changes-rr").send().await.unwrap();
        let happened = |what: &str| database.events().iter().any(|it| it.what == what);
        until("the copy was rebooted", || happened("replica changes-rr was rebooted"));

        // A standby comes, takes over and goes.
        let before = database.primary();
        modify().multi_az(true).send().await.unwrap();
        until("there is a standby", || database.standby().is_some());
        available("changes-db").await;
        let reboot = aws.rds.reboot_db_instance().db_instance_identifier("changes-db").force_failover(true);
        reboot.send().await.unwrap();
        until("it has taken over", || database.primary() != before && database.standby().is_some());
        available("changes-db").await;
        modify().multi_az(false).send().await.unwrap();
        until("it is alone", || database.standby().is_none() && happened("the standby goes"));
        let count = || database.replica_sql("changes-rr", "select sum(N) from lab.T");
        database.sql("insert into lab.T values (4)").unwrap();
        until("the copy has followed", || count().is_ok_and(|it| it.trim() == "7"));

        for name in ["changes-rr", "changes-db"] {
            available(name).await;
            let delete = aws.rds.delete_db_instance().db_instance_identifier(name).skip_final_snapshot(true);
            delete.send().await.unwrap();
        }
        let left = || {
            std::fs::read_dir(CLOUD.region().dir()).unwrap().flatten().any(|it| {
                it.file_name().to_string_lossy().starts_with("changes-db")
                    || it.file_name().to_string_lossy().starts_with("changes-rr")
            })
        };
        until("nothing is left of them", || !left());
    });
}

#[test]
fn a_balancer_moves_to_other_subnets() {
    block_on(async {
        let aws = Aws::new(&CLOUD.endpoint());
        let vpc = aws.vpc("10.1.0.0/16").await;
        let one = aws.subnet(&vpc, "10.1.35.0/24", "ap-northeast-2a").await;
        let two = aws.subnet(&vpc, "10.1.36.0/24", "ap-northeast-2c").await;
        let three = aws.subnet(&vpc, "10.1.37.0/24", "ap-northeast-2b").await;
        let gateway = aws.ec2.create_internet_gateway().send().await.unwrap();
        let gateway = gateway.internet_gateway.unwrap().internet_gateway_id.unwrap();
        aws.ec2.attach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc).send().await.unwrap();
        let group =
            aws.elb.create_target_group().name("moves").protocol(ProtocolEnum::Http).port(80).vpc_id(&vpc);
        let group = group.send().await.unwrap().target_groups.unwrap()[0].target_group_arn.clone().unwrap();
        let made =
            aws.elb.create_load_balancer().name("moves").subnets(&one).subnets(&two).send().await.unwrap();
        let arn = made.load_balancers.unwrap()[0].load_balancer_arn.clone().unwrap();
        let forward = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(&group).build();
        let listener =
            aws.elb.create_listener().load_balancer_arn(&arn).protocol(ProtocolEnum::Http).port(80);
        listener.default_actions(forward).send().await.unwrap();
        // In which subnets there are nodes that answer.
        let ask =
            "at=$(hostname -I | tr -d ' '); curl -s http://$at/ | grep -q 503 && echo $at | cut -d. -f3";
        let nodes = || {
            let all = ["lb.moves-1", "lb.moves-2"]
                .map(|it| CLOUD.region().exec(Place::from(it), &["sh", "-c", ask]));
            let mut all = all.map(|it| it.map(|it| it.stdout.trim().to_owned()).unwrap_or_default());
            all.sort();
            all
        };
        until("it is there", || nodes() == ["35", "36"]);
        aws.elb.set_subnets().load_balancer_arn(&arn).subnets(&one).subnets(&three).send().await.unwrap();
        until("it has moved", || nodes() == ["35", "37"]);
        aws.elb.delete_load_balancer().load_balancer_arn(&arn).send().await.unwrap();
        // Its nodes answer a moment before the cloud counts them as there.
        let is_gone =
            || ["lb.moves-1", "lb.moves-2"].iter().all(|it| !CLOUD.region().dir().join(it).exists());
        until("it is gone", || is_gone() && !CLOUD.status().balancers.contains("moves"));
    });
}

#[test]
fn files_have_names_in_every_region_and_go_with_their_file_system() {
    let cloud = Cloud::start(Options { region: "eu-west-3".into(), ..Options::default() }).unwrap();
    let region = cloud.region();
    let files = region.file_system("fs-0123456789abcdef0").unwrap();
    let target = Ipv4Addr::new(10, 1, 3, 240);
    files.mount_target("target", target).unwrap();
    region.name("fs-0123456789abcdef0.efs.eu-west-3.amazonaws.com", &[target]).unwrap();
    let host = region.instance("host").boot().unwrap();
    host.sh(
        "mkdir -p /mnt/efs && mount -t efs -o tls fs-0123456789abcdef0:/ /mnt/efs && echo x > /mnt/efs/note",
    )
    .unwrap();
    assert!(files.dir().join("note").exists());
    files.delete().unwrap();
    assert!(!files.dir().exists());
}
