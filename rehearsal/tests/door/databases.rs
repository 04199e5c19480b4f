//! A database's life: created in its time, copied, promoted, failed over, its log exported, deleted in order.

use aws_sdk_rds::types::{ApplyMethod, DbInstance, Parameter, SourceType};

use crate::aws::{Aws, code};
use crate::{CLOUD, aws, block_on, still, until};

async fn look(aws: &Aws, name: &str) -> Option<DbInstance> {
    let said = aws.rds.describe_db_instances().db_instance_identifier(name).send().await;
    said.ok().and_then(|it| it.db_instances().first().cloned())
}

async fn available(aws: &Aws, name: &str) -> DbInstance {
    until(&format!("{name} is available"), async || {
        look(aws, name).await.filter(|it| it.db_instance_status() == Some("available"))
    })
    .await
}

#[test]
fn a_database_lives_as_at_rds() {
    block_on(async {
        let aws = aws();
        let vpc = aws.vpc("10.1.0.0/16").await;
        let one = aws.subnet(&vpc, "10.1.5.0/24", "ap-northeast-2a").await;
        let two = aws.subnet(&vpc, "10.1.6.0/24", "ap-northeast-2c").await;
        let group = aws.rds.create_db_subnet_group().db_subnet_group_name("data");
        group.db_subnet_group_description("x").subnet_ids(&one).subnet_ids(&two).send().await.unwrap();
        let settings = aws.rds.create_db_parameter_group().db_parameter_group_name("settings");
        settings.db_parameter_group_family("mysql8.4").description("x").send().await.unwrap();
        let set = |name: &str, value: &str| {
            let it = Parameter::builder().parameter_name(name).parameter_value(value);
            it.apply_method(ApplyMethod::Immediate).build()
        };
        let modify = aws.rds.modify_db_parameter_group().db_parameter_group_name("settings");
        let modify = modify.parameters(set("general_log", "1")).parameters(set("max_connections", "37"));
        modify.send().await.unwrap();
        let make =
            aws.rds.create_db_instance().db_instance_identifier("door-db").db_instance_class("db.t3.micro");
        let make = make.engine("mysql").master_username("admin").master_user_password("administrator");
        let make = make.allocated_storage(20).multi_az(true).db_subnet_group_name("data").db_name("lab");
        let make = make.db_parameter_group_name("settings").enable_cloudwatch_logs_exports("general");
        let seen = still();
        make.backup_retention_period(7).send().await.unwrap();

        // Nobody knows yet where it will be, and it takes no orders.
        let it = look(&aws, "door-db").await.unwrap();
        assert_eq!((it.db_instance_status(), it.endpoint().is_none()), (Some("creating"), true));
        let copy = || {
            let copy = aws.rds.create_db_instance_read_replica().db_instance_identifier("door-rr");
            copy.source_db_instance_identifier("door-db").send()
        };
        assert_eq!(code(copy().await), "InvalidDBInstanceState");
        drop(seen);
        let it = available(&aws, "door-db").await;
        assert!(it.endpoint().is_some());
        assert_eq!(CLOUD.database("door-db").unwrap().sql("select @@max_connections").unwrap().trim(), "37");

        // A failover exchanges the zones.
        until("the standby is in step", async || CLOUD.database("door-db").unwrap().standby()).await;
        let before = look(&aws, "door-db").await.unwrap();
        let seen = still();
        let reboot = aws.rds.reboot_db_instance().db_instance_identifier("door-db").force_failover(true);
        reboot.send().await.unwrap();
        assert_eq!(look(&aws, "door-db").await.unwrap().db_instance_status(), Some("rebooting"));
        drop(seen);
        until("the zones are exchanged", async || {
            let now = look(&aws, "door-db").await.unwrap();
            let is_there = now.availability_zone() == before.secondary_availability_zone();
            (is_there && now.secondary_availability_zone() == before.availability_zone()).then_some(())
        })
        .await;
        available(&aws, "door-db").await;
        let events = aws.rds.describe_events().source_type(SourceType::DbInstance);
        let events = events.source_identifier("door-db").event_categories("failover");
        until("the failover's events are told", async || {
            let said = events.clone().send().await.unwrap();
            let all = said.events().iter().filter(|it| it.event_categories() == ["failover"]);
            let all = all.filter(|it| it.source_identifier() == Some("door-db") && it.date().is_some());
            let words: Vec<&str> = all.filter_map(|it| it.message()).collect();
            (words == ["Multi-AZ instance failover started", "Multi-AZ instance failover completed"])
                .then_some(())
        })
        .await;
        let others = aws.rds.describe_events().source_type(SourceType::DbInstance);
        let others = others.source_identifier("door-rr").send().await.unwrap();
        assert!(others.events().iter().all(|it| it.event_categories() != ["failover"]), "{others:?}");

        // A replica only reads until it is promoted.
        copy().await.unwrap();
        available(&aws, "door-rr").await;
        let primary = CLOUD.database("door-db").unwrap();
        primary.sql("create table lab.T (N int); insert into lab.T values (1)").unwrap();
        // Another port: it restarts there, and who copies it finds it again.
        let modify = aws.rds.modify_db_instance().db_instance_identifier("door-db").db_port_number(3307);
        modify.apply_immediately(true).send().await.unwrap();
        let port = async || look(&aws, "door-db").await?.endpoint()?.port();
        assert_eq!(port().await, Some(3307));
        until("it listens there", async || {
            primary.sql("select @@port").is_ok_and(|it| it.trim() == "3307").then_some(())
        })
        .await;
        until("it takes rows", async || primary.sql("insert into lab.T values (3)").ok()).await;
        until("the row arrives", async || {
            let seen = primary.replica_sql("door-rr", "select count(*) from lab.T").ok()?;
            (seen.trim() == "2").then_some(())
        })
        .await;
        // Without power it cannot be promoted; it is when it has some.
        CLOUD.kill_replica("door-rr").unwrap();
        let promote = aws.rds.promote_read_replica().db_instance_identifier("door-rr").send().await;
        promote.unwrap();
        until("it is a database of its own", async || CLOUD.database("door-rr")).await;
        let own = available(&aws, "door-rr").await;
        assert_eq!(own.read_replica_source_db_instance_identifier(), None);
        assert!(look(&aws, "door-db").await.unwrap().read_replica_db_instance_identifiers().is_empty());
        CLOUD.database("door-rr").unwrap().sql("insert into lab.T values (2)").unwrap();
        assert_eq!(primary.sql("select count(*) from lab.T").unwrap().trim(), "2");

        // What was asked of it is in CloudWatch.
        primary.sql("select 'written down'").unwrap();
        until("the log is exported", async || {
            let ask = aws.logs.filter_log_events().log_group_name("/aws/rds/instance/door-db/general");
            let said = ask.send().await.ok()?;
            said.events()
                .iter()
                .any(|it| it.message().is_some_and(|it| it.contains("written down")))
                .then_some(())
        })
        .await;

        // It goes in order.
        let group = aws.rds.delete_db_subnet_group().db_subnet_group_name("data").send().await;
        assert_eq!(code(group), "InvalidDBSubnetGroupStateFault");
        let delete = |name: &str| aws.rds.delete_db_instance().db_instance_identifier(name);
        assert_eq!(code(delete("door-db").send().await), "InvalidParameterCombination");
        let seen = still();
        let said = delete("door-db").skip_final_snapshot(true).send().await.unwrap();
        assert_eq!(said.db_instance().unwrap().db_instance_status(), Some("deleting"));
        let again = delete("door-db").skip_final_snapshot(true).send().await;
        assert_eq!(code(again), "InvalidDBInstanceState");
        drop(seen);
        delete("door-rr").skip_final_snapshot(true).send().await.unwrap();
        until("both are gone", async || {
            let gone = look(&aws, "door-db").await.is_none() && look(&aws, "door-rr").await.is_none();
            gone.then_some(())
        })
        .await;
        until("their machines are gone", async || CLOUD.status().databases.is_empty().then_some(())).await;
    });
}
