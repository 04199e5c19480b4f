//! The whole lab, for real: whatever is asked of the cloud's interface comes true, and goes away again.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_autoscaling::types::LaunchTemplateSpecification;
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_ec2::types::{
    DomainType, InstanceType, IpPermission, IpRange, RequestLaunchTemplateData, UserIdGroupPair,
};
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, Matcher, ProtocolEnum, TargetDescription,
};
use base64::Engine;
use rehearsal::{Cloud, Fault, FaultKind, Options};

/// As the lab's script, in short: Apache, the database's rows, a file of the shared file system.
const USER_DATA: &str = r#"#!/bin/bash
set -e
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -q -y install apache2 php-fpm php-mysql
mkdir -p /var/www/html/efs
until mount -t efs -o tls FILES:/ /var/www/html/efs; do sleep 1; done
[ -e /var/www/html/efs/note ] || hostname > /var/www/html/efs/note
cat > /var/www/html/index.php <<'PHP'
<?php mysqli_report(MYSQLI_REPORT_OFF);
$db = mysqli_connect('ENDPOINT', 'admin', 'administrator', 'labvpcrds');
if (!$db) { http_response_code(503); die('Failed to connect to MySQL'); }
echo gethostname(), ' ', $_SERVER['HTTP_X_FORWARDED_FOR'], ' ', trim(file_get_contents('efs/note')), ' ';
foreach (mysqli_query($db, 'select NAME from SAMPLE order by ID') as $row) echo $row['NAME'], ' ';
PHP
rm -f /var/www/html/index.html
echo ok > /var/www/html/lamp-ready
systemctl enable --now apache2
"#;

struct Aws {
    ec2: aws_sdk_ec2::Client,
    efs: aws_sdk_efs::Client,
    rds: aws_sdk_rds::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    scaling: aws_sdk_autoscaling::Client,
}

impl Aws {
    fn new(endpoint: &str) -> Aws {
        let credentials = Credentials::from_keys("test", "test", None);
        let sdk = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("ap-northeast-2"))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Aws {
            ec2: aws_sdk_ec2::Client::new(&sdk),
            efs: aws_sdk_efs::Client::new(&sdk),
            rds: aws_sdk_rds::Client::new(&sdk),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&sdk),
            scaling: aws_sdk_autoscaling::Client::new(&sdk),
        }
    }

    async fn subnet(&self, vpc: &str, number: u8, zone: &str) -> String {
        let cidr = format!("10.1.{number}.0/24");
        let made = self
            .ec2
            .create_subnet()
            .vpc_id(vpc)
            .cidr_block(cidr)
            .availability_zone(zone)
            .send()
            .await
            .unwrap();
        made.subnet.unwrap().subnet_id.unwrap()
    }

    async fn way_out(&self, vpc: &str, subnet: &str, gateway: Option<&str>, nat: Option<&str>) {
        let table = self.ec2.create_route_table().vpc_id(vpc).send().await.unwrap();
        let table = table.route_table.unwrap().route_table_id.unwrap();
        self.ec2.associate_route_table().route_table_id(&table).subnet_id(subnet).send().await.unwrap();
        let route = self.ec2.create_route().route_table_id(&table).destination_cidr_block("0.0.0.0/0");
        let route = route.set_gateway_id(gateway.map(Into::into)).set_nat_gateway_id(nat.map(Into::into));
        route.send().await.unwrap();
    }

    /// A group that lets one port in, from everywhere or from another group.
    async fn group(&self, vpc: &str, name: &str, port: i32, from: Option<&str>) -> String {
        let made =
            self.ec2.create_security_group().vpc_id(vpc).group_name(name).description(name).send().await;
        let id = made.unwrap().group_id.unwrap();
        let rule = IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port);
        let rule = match from {
            Some(group) => rule.user_id_group_pairs(UserIdGroupPair::builder().group_id(group).build()),
            None => rule.ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build()),
        };
        let allow = self.ec2.authorize_security_group_ingress().group_id(&id).ip_permissions(rule.build());
        allow.send().await.unwrap();
        id
    }
}

struct Lab {
    instances: Vec<String>,
    target_group: String,
    balancer: String,
    private: String,
}

async fn build(aws: &Aws) -> Lab {
    let vpc = aws.ec2.create_vpc().cidr_block("10.1.0.0/16").send().await.unwrap();
    let vpc = vpc.vpc.unwrap().vpc_id.unwrap();
    let (a, c) = ("ap-northeast-2a", "ap-northeast-2c");
    let public = [aws.subnet(&vpc, 1, a).await, aws.subnet(&vpc, 2, c).await];
    let private = [aws.subnet(&vpc, 3, a).await, aws.subnet(&vpc, 4, c).await];
    let data = [aws.subnet(&vpc, 5, a).await, aws.subnet(&vpc, 6, c).await];
    let gateway = aws.ec2.create_internet_gateway().send().await.unwrap();
    let gateway = gateway.internet_gateway.unwrap().internet_gateway_id.unwrap();
    aws.ec2.attach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc).send().await.unwrap();
    for it in &public {
        aws.way_out(&vpc, it, Some(&gateway), None).await;
    }
    let address = aws.ec2.allocate_address().domain(DomainType::Vpc).send().await.unwrap();
    let nat =
        aws.ec2.create_nat_gateway().subnet_id(&public[0]).allocation_id(address.allocation_id.unwrap());
    let nat = nat.send().await.unwrap().nat_gateway.unwrap().nat_gateway_id.unwrap();
    for it in &private {
        aws.way_out(&vpc, it, None, Some(&nat)).await;
    }
    let balancers = aws.group(&vpc, "balancers", 80, None).await;
    let hosts = aws.group(&vpc, "hosts", 80, Some(&balancers)).await;
    let databases = aws.group(&vpc, "databases", 3306, Some(&hosts)).await;
    // Replication is between members.
    let pair = UserIdGroupPair::builder().group_id(&databases).build();
    let own =
        IpPermission::builder().ip_protocol("tcp").from_port(3306).to_port(3306).user_id_group_pairs(pair);
    aws.ec2
        .authorize_security_group_ingress()
        .group_id(&databases)
        .ip_permissions(own.build())
        .send()
        .await
        .unwrap();
    let files = aws.group(&vpc, "files", 2049, Some(&hosts)).await;

    let system = aws.efs.create_file_system().creation_token("lab").send().await.unwrap();
    let system = system.file_system_id().to_owned();
    for it in &private {
        aws.efs
            .create_mount_target()
            .file_system_id(&system)
            .subnet_id(it)
            .security_groups(&files)
            .send()
            .await
            .unwrap();
    }
    let group =
        aws.rds.create_db_subnet_group().db_subnet_group_name("data").db_subnet_group_description("data");
    group.set_subnet_ids(Some(data.to_vec())).send().await.unwrap();
    let database =
        aws.rds.create_db_instance().db_instance_identifier("lab-vpc-rds").db_instance_class("db.t3.micro");
    let database = database.engine("mysql").master_username("admin").master_user_password("administrator");
    let database =
        database.allocated_storage(20).multi_az(true).db_subnet_group_name("data").db_name("labvpcrds");
    let made = database.backup_retention_period(7).vpc_security_group_ids(&databases).send().await.unwrap();
    assert!(made.db_instance.unwrap().endpoint.is_none());
    // RDS tells where the database is once it is there.
    let endpoint = loop {
        let seen =
            aws.rds.describe_db_instances().db_instance_identifier("lab-vpc-rds").send().await.unwrap();
        if let Some(it) = seen.db_instances()[0].endpoint().and_then(|it| it.address()) {
            break it.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };

    let script = USER_DATA.replace("FILES", &system).replace("ENDPOINT", &endpoint);
    let script = base64::engine::general_purpose::STANDARD.encode(script);
    let mut instances = Vec::new();
    for it in &private {
        let run =
            aws.ec2.run_instances().image_id("ami-0870825cefcaafcc8").instance_type(InstanceType::T3Micro);
        let run = run.min_count(1).max_count(1).subnet_id(it).security_group_ids(&hosts).user_data(&script);
        instances.push(run.send().await.unwrap().instances.unwrap()[0].instance_id.clone().unwrap());
    }
    let group =
        aws.elb.create_target_group().name("lab-tg").protocol(ProtocolEnum::Http).port(80).vpc_id(&vpc);
    let group =
        group.health_check_path("/lamp-ready").health_check_interval_seconds(10).healthy_threshold_count(2);
    let group = group.matcher(Matcher::builder().http_code("200").build()).send().await.unwrap();
    let target_group = group.target_groups.unwrap()[0].target_group_arn.clone().unwrap();
    for it in &instances {
        let target = TargetDescription::builder().id(it).build();
        aws.elb.register_targets().target_group_arn(&target_group).targets(target).send().await.unwrap();
    }
    let balancer = aws.elb.create_load_balancer().name("lab-alb").set_subnets(Some(public.to_vec()));
    let balancer = balancer.security_groups(&balancers).send().await.unwrap();
    let balancer = balancer.load_balancers.unwrap()[0].load_balancer_arn.clone().unwrap();
    let forward = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(&target_group).build();
    let listener =
        aws.elb.create_listener().load_balancer_arn(&balancer).protocol(ProtocolEnum::Http).port(80);
    listener.default_actions(forward).send().await.unwrap();
    Lab { instances, target_group, balancer, private: private[0].clone() }
}

/// The status and the body.
fn get(port: u16) -> (u16, String) {
    let mut line = TcpStream::connect(("127.0.0.1", port)).unwrap();
    line.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // Whoever speaks 1.0 gets the body whole, not in chunks.
    write!(line, "GET / HTTP/1.0\r\nHost: lab\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = line.read_to_string(&mut answer);
    let code = answer.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    (code, answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_owned())
}

fn wait_for(cloud: &Cloud, what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(180),
            "waited 3 minutes until {what}: {:#?}",
            cloud.status()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_lab_comes_true_serves_pages_survives_and_goes() {
    let cloud = Cloud::start(Options::default()).unwrap();
    let aws = Aws::new(&cloud.endpoint());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let lab = runtime.block_on(build(&aws));
    let healthy = || {
        cloud.status().targets.get("lab-tg").map_or(0, |it| it.values().filter(|it| *it == "healthy").count())
    };
    wait_for(&cloud, "both targets are well", || healthy() == 2 && !cloud.status().balancers.is_empty());
    wait_for(&cloud, "the database has its standby", || {
        cloud.status().databases.get("lab-vpc-rds").is_some_and(|it| it.1.is_some())
    });
    println!("from nothing to healthy targets and a database pair: {:?}", began.elapsed());
    let database = cloud.database("lab-vpc-rds").unwrap();
    database.sql("use labvpcrds; create table SAMPLE (ID int auto_increment primary key, NAME varchar(45)); insert into SAMPLE (NAME) values ('KIM'), ('LEE')").unwrap();

    // The page through the internet gateway: alternating hosts, the same rows, the same file.
    let at = cloud.open("lab-alb", 80).unwrap();
    let mut hosts = std::collections::BTreeSet::new();
    let mut notes = std::collections::BTreeSet::new();
    for _ in 0..6 {
        let (code, body) = get(at.port());
        let words: Vec<&str> = body.split(' ').collect();
        assert_eq!((code, words[1], &words[3..]), (200, "198.51.100.10", &["KIM", "LEE"][..]), "{body}");
        hosts.insert(words[0].to_owned());
        notes.insert(words[2].to_owned());
    }
    assert_eq!((hosts.len(), notes.len()), (2, 1), "{hosts:?} {notes:?}");

    // What the interface says is what is.
    let health = |runtime: &tokio::runtime::Runtime| {
        let said =
            runtime.block_on(aws.elb.describe_target_health().target_group_arn(&lab.target_group).send());
        let all = said.unwrap().target_health_descriptions.unwrap();
        let state = |it: &aws_sdk_elasticloadbalancingv2::types::TargetHealthDescription| {
            let health = it.target_health().unwrap();
            let reason = health.reason().map(|it| it.as_str().to_owned());
            (
                it.target().unwrap().id().unwrap().to_owned(),
                health.state().unwrap().as_str().to_owned(),
                reason,
            )
        };
        all.iter().map(state).collect::<Vec<_>>()
    };
    assert!(health(&runtime).iter().all(|it| it.1 == "healthy"));
    let addresses = runtime.block_on(aws.ec2.describe_addresses().send()).unwrap();
    assert!(addresses.addresses()[0].public_ip().unwrap().starts_with("203.0.113."));

    // A failover that the operator asks for: the rows are there, no host is replaced.
    let before = database.primary();
    let reboot = aws.rds.reboot_db_instance().db_instance_identifier("lab-vpc-rds").force_failover(true);
    runtime.block_on(reboot.send()).unwrap();
    wait_for(&cloud, "the endpoint has moved", || database.primary() != before);
    wait_for(&cloud, "the page is back", || get(at.port()).0 == 200);
    assert!(get(at.port()).1.ends_with("KIM LEE"));

    // A host that dies is seen to be gone, and requests go to the other one.
    cloud.instance(&lab.instances[0]).unwrap().kill().unwrap();
    wait_for(&cloud, "the dead host is unhealthy", || {
        let dead = |it: &(String, String, Option<String>)| it.0 == lab.instances[0] && it.1 == "unhealthy";
        health(&runtime).iter().any(|it| dead(it) && it.2.as_deref() == Some("Target.Timeout"))
    });
    // Each node finds out by itself, and the other one may be the later.
    wait_for(&cloud, "all requests go to the living one", || (0..4).all(|_| get(at.port()).0 == 200));

    // Faults at the front door: throttled calls are repeated by the SDK and then succeed.
    cloud.inject(Fault { kind: FaultKind::Throttling, action: "DescribeSubnets".into(), times: 1 });
    assert!(runtime.block_on(aws.ec2.describe_subnets().send()).is_ok());
    let log = std::fs::read_to_string(cloud.region().dir().join("calls.log")).unwrap();
    assert!(
        log.contains("ec2 DescribeSubnets - 503 Throttling")
            && log.contains("rds CreateDBInstance lab-vpc-rds 200"),
        "{log}"
    );
    assert!(!log.contains("administrator"));

    // A scaling group puts another in the place of an instance that dies.
    runtime.block_on(async {
        let data = RequestLaunchTemplateData::builder().image_id("ami-0870825cefcaafcc8").build();
        let template = aws.ec2.create_launch_template().launch_template_name("lt").launch_template_data(data);
        template.send().await.unwrap();
        let template = LaunchTemplateSpecification::builder().launch_template_name("lt").build();
        let group =
            aws.scaling.create_auto_scaling_group().auto_scaling_group_name("asg").launch_template(template);
        let group = group.min_size(1).max_size(1).desired_capacity(1).vpc_zone_identifier(&lab.private);
        group.send().await.unwrap();
    });
    let scaled = || {
        let others = cloud.status().instances.into_keys().filter(|it| !lab.instances.contains(it));
        others
            .filter(|it| cloud.instance(it).is_some_and(|it| it.exec(&["true"]).is_ok()))
            .collect::<Vec<_>>()
    };
    wait_for(&cloud, "the group's instance runs", || scaled().len() == 1);
    let first = scaled().remove(0);
    cloud.instance(&first).unwrap().kill().unwrap();
    wait_for(&cloud, "it is replaced", || scaled().len() == 1 && scaled()[0] != first);
    let delete = aws.scaling.delete_auto_scaling_group().auto_scaling_group_name("asg").force_delete(true);
    runtime.block_on(delete.send()).unwrap();
    wait_for(&cloud, "the group is gone", || cloud.status().instances.len() == 2);

    // An image of a living host, with what was on its disk; and what is terminated goes.
    let living = cloud.instance(&lab.instances[1]).unwrap();
    living.sh("echo baked > /etc/baked").unwrap();
    let image = aws.ec2.create_image().instance_id(&lab.instances[1]).name("ami-private-ec2");
    let image = runtime.block_on(image.send()).unwrap().image_id.unwrap();
    wait_for(&cloud, "the image is available", || {
        let seen = runtime.block_on(aws.ec2.describe_images().image_ids(&image).send()).unwrap();
        seen.images()[0].state().unwrap().as_str() == "available"
    });
    let run = aws.ec2.run_instances().image_id(&image).min_count(1).max_count(1).subnet_id(&lab.private);
    let copy = runtime.block_on(run.send()).unwrap().instances.unwrap()[0].instance_id.clone().unwrap();
    wait_for(&cloud, "the copy runs", || {
        cloud.instance(&copy).is_some_and(|it| it.read("/etc/baked").is_ok_and(|it| it == "baked\n"))
    });
    runtime.block_on(async {
        aws.ec2
            .terminate_instances()
            .instance_ids(&lab.instances[0])
            .instance_ids(&copy)
            .send()
            .await
            .unwrap();
        aws.elb.delete_load_balancer().load_balancer_arn(&lab.balancer).send().await.unwrap();
        let delete = aws.rds.delete_db_instance().db_instance_identifier("lab-vpc-rds");
        delete.skip_final_snapshot(true).send().await.unwrap();
    });
    wait_for(&cloud, "what was deleted is gone", || {
        let status = cloud.status();
        status.instances.len() == 1 && status.databases.is_empty() && status.balancers.is_empty()
    });
    assert_eq!(cloud.status().problems, std::collections::BTreeMap::new());
}
