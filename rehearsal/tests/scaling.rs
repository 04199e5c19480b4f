//! A scaling group on real hosts: load makes it grow, calm makes it shrink, and its history says why.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests, and say how long they waited"
)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_autoscaling::types::{
    Activity, AutoScalingGroup, LaunchTemplateSpecification, LifecycleState, MetricType,
    PredefinedMetricSpecification, RefreshPreferences, Tag, TargetTrackingConfiguration,
};
use aws_sdk_cloudwatch::types::{Dimension, StateValue, Statistic};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_ec2::types::{InstanceType, IpPermission, IpRange, RequestLaunchTemplateData, UserIdGroupPair};
use aws_sdk_elasticloadbalancingv2::types::{Action, ActionTypeEnum, ProtocolEnum};
use base64::Engine;
use rehearsal::{Cloud, Fault, FaultKind, Options};

/// A page that costs a fifth of a second of a processor.
const USER_DATA: &str = r#"#!/bin/sh
set -e
cat > /var/www/html/load.php <<'PHP'
<?php $began = getrusage()['ru_utime.tv_sec'] * 1e6 + getrusage()['ru_utime.tv_usec'];
do { $now = getrusage(); } while ($now['ru_utime.tv_sec'] * 1e6 + $now['ru_utime.tv_usec'] - $began < 2e5);
echo gethostname();
PHP
echo ok > /var/www/html/lamp-ready
systemctl enable --now apache2
"#;
const ASG: &str = "lab-asg";

struct Aws {
    ec2: aws_sdk_ec2::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    scaling: aws_sdk_autoscaling::Client,
    watch: aws_sdk_cloudwatch::Client,
}

impl Aws {
    fn new(endpoint: &str) -> Aws {
        let sdk = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("ap-northeast-2"))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys(
                "test", "test", None,
            )))
            .build();
        Aws {
            ec2: aws_sdk_ec2::Client::new(&sdk),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&sdk),
            scaling: aws_sdk_autoscaling::Client::new(&sdk),
            watch: aws_sdk_cloudwatch::Client::new(&sdk),
        }
    }

    async fn subnet(&self, vpc: &str, number: u8, zone: &str) -> String {
        let create = self.ec2.create_subnet().vpc_id(vpc).cidr_block(format!("10.1.{number}.0/24"));
        let made = create.availability_zone(zone).send().await.unwrap();
        made.subnet.unwrap().subnet_id.unwrap()
    }

    /// A group that lets port 80 in, from everywhere or from another group.
    async fn door(&self, vpc: &str, name: &str, from: Option<&str>) -> String {
        let create = self.ec2.create_security_group().vpc_id(vpc).group_name(name).description(name);
        let id = create.send().await.unwrap().group_id.unwrap();
        let rule = IpPermission::builder().ip_protocol("tcp").from_port(80).to_port(80);
        let rule = match from {
            Some(group) => rule.user_id_group_pairs(UserIdGroupPair::builder().group_id(group).build()),
            None => rule.ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build()),
        };
        let allow = self.ec2.authorize_security_group_ingress().group_id(&id).ip_permissions(rule.build());
        allow.send().await.unwrap();
        id
    }

    /// A balancer and the group behind it; says the target group's ARN.
    async fn build(&self) -> String {
        let vpc = self.ec2.create_vpc().cidr_block("10.1.0.0/16").send().await.unwrap();
        let vpc = vpc.vpc.unwrap().vpc_id.unwrap();
        let (a, c) = ("ap-northeast-2a", "ap-northeast-2c");
        let public = [self.subnet(&vpc, 1, a).await, self.subnet(&vpc, 2, c).await];
        let private = [self.subnet(&vpc, 3, a).await, self.subnet(&vpc, 4, c).await];
        let gateway = self.ec2.create_internet_gateway().send().await.unwrap();
        let gateway = gateway.internet_gateway.unwrap().internet_gateway_id.unwrap();
        self.ec2.attach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc).send().await.unwrap();
        for it in &public {
            let table = self.ec2.create_route_table().vpc_id(&vpc).send().await.unwrap();
            let table = table.route_table.unwrap().route_table_id.unwrap();
            self.ec2.associate_route_table().route_table_id(&table).subnet_id(it).send().await.unwrap();
            let route = self.ec2.create_route().route_table_id(&table).gateway_id(&gateway);
            route.destination_cidr_block("0.0.0.0/0").send().await.unwrap();
        }
        let balancers = self.door(&vpc, "balancers", None).await;
        let hosts = self.door(&vpc, "hosts", Some(&balancers)).await;
        let group = self.elb.create_target_group().name("lab-tg").protocol(ProtocolEnum::Http).port(80);
        let group = group.vpc_id(&vpc).health_check_path("/lamp-ready").health_check_interval_seconds(10);
        let group = group.healthy_threshold_count(2).send().await.unwrap();
        let group = group.target_groups.unwrap()[0].target_group_arn.clone().unwrap();
        let balancer = self.elb.create_load_balancer().name("lab-alb").set_subnets(Some(public.to_vec()));
        let balancer = balancer.security_groups(&balancers).send().await.unwrap();
        let balancer = balancer.load_balancers.unwrap()[0].load_balancer_arn.clone().unwrap();
        let forward = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(&group).build();
        let listener = self.elb.create_listener().load_balancer_arn(&balancer).protocol(ProtocolEnum::Http);
        listener.port(80).default_actions(forward).send().await.unwrap();

        let script = base64::engine::general_purpose::STANDARD.encode(USER_DATA);
        let data = RequestLaunchTemplateData::builder()
            .image_id("ami-0870825cefcaafcc8")
            .instance_type(InstanceType::T3Micro)
            .security_group_ids(hosts)
            .user_data(script);
        let template = self.ec2.create_launch_template().launch_template_name("lab-lt");
        template.launch_template_data(data.build()).send().await.unwrap();
        let template =
            LaunchTemplateSpecification::builder().launch_template_name("lab-lt").version("$Default");
        let create = self.scaling.create_auto_scaling_group().auto_scaling_group_name(ASG);
        create
            .launch_template(template.build())
            .min_size(2)
            .max_size(4)
            .desired_capacity(2)
            .vpc_zone_identifier(private.join(","))
            .target_group_arns(&group)
            .health_check_type("EC2")
            .health_check_grace_period(60)
            .tags(Tag::builder().key("Name").value("lab-asg-host").propagate_at_launch(true).build())
            .send()
            .await
            .unwrap();
        group
    }

    async fn group(&self) -> Option<AutoScalingGroup> {
        let ask = self.scaling.describe_auto_scaling_groups().auto_scaling_group_names(ASG);
        ask.send().await.unwrap().auto_scaling_groups().first().cloned()
    }

    /// The ids of those in service, and the zones that they are in.
    async fn serving(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let group = self.group().await;
        let members = group.iter().flat_map(|it| it.instances());
        let serving = members.filter(|it| it.lifecycle_state() == Some(&LifecycleState::InService));
        serving
            .map(|it| (it.instance_id().unwrap().to_owned(), it.availability_zone().unwrap().to_owned()))
            .unzip()
    }

    async fn healthy(&self, group: &str) -> usize {
        let said = self.elb.describe_target_health().target_group_arn(group).send().await.unwrap();
        let all = said.target_health_descriptions().iter();
        all.filter(|it| it.target_health().unwrap().state().unwrap().as_str() == "healthy").count()
    }

    /// What was done, oldest first.
    async fn history(&self) -> Vec<Activity> {
        let ask = self.scaling.describe_scaling_activities().auto_scaling_group_name(ASG);
        let mut all = ask.send().await.unwrap().activities.unwrap();
        all.reverse();
        all
    }

    async fn alarms(&self) -> Vec<(String, StateValue, String)> {
        let said =
            self.watch.describe_alarms().alarm_name_prefix("TargetTracking-lab-asg-").send().await.unwrap();
        let all = said.metric_alarms().iter().map(|it| {
            let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
            (text(it.alarm_name()), it.state_value().unwrap().clone(), text(it.state_reason()))
        });
        all.collect()
    }

    /// The averages that were published for a dimension.
    async fn cpu(&self, name: &str, value: &str) -> Vec<f64> {
        let now = std::time::SystemTime::now();
        let dimension = Dimension::builder().name(name).value(value).build();
        let ask = self.watch.get_metric_statistics().namespace("AWS/EC2").metric_name("CPUUtilization");
        let ask = ask.dimensions(dimension).period(1).statistics(Statistic::Maximum);
        let ask = ask.start_time((now - Duration::from_secs(3600)).into());
        let said = ask.end_time((now + Duration::from_secs(60)).into()).send().await.unwrap();
        said.datapoints().iter().filter_map(|it| it.maximum()).collect()
    }
}

/// Asks for pages on several connections until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn on(port: u16) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let ask = move |stop: Arc<AtomicBool>| {
            while !stop.load(Ordering::Relaxed) {
                let Ok(mut line) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let _ = line.set_read_timeout(Some(Duration::from_secs(30)));
                let _ = write!(line, "GET /load.php HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
                let _ = line.read_to_string(&mut String::new());
            }
        };
        let threads = (0..8).map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || ask(stop))
        });
        let threads = threads.collect();
        Load { stop, threads }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|it| it.join().unwrap());
    }
}

/// Asks again and again, for at most ten minutes: machines boot meanwhile.
async fn until<T>(cloud: &Cloud, what: &str, mut is_so: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = is_so().await {
            println!("{:>4} s: {what}", began.elapsed().as_secs());
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(600), "waited until {what}: {:#?}", cloud.status());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[test]
fn load_grows_a_group_and_calm_shrinks_it_and_its_history_says_why() {
    let cloud = Cloud::start(Options::default()).unwrap();
    let aws = Aws::new(&cloud.endpoint());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(story(&cloud, &aws));
}

async fn story(cloud: &Cloud, aws: &Aws) {
    // The first launch fails, as AWS's do when a zone is full; the other zone takes over, until that one has room again.
    cloud.inject(Fault { kind: FaultKind::Capacity, action: "RunInstances".into(), times: 1 });
    let targets = aws.build().await;
    let (first, _) = until(cloud, "two hosts serve, one in each zone", async || {
        let serving = aws.serving().await;
        let is_balanced = serving.0.len() == 2 && serving.1.len() == 2;
        (is_balanced && aws.healthy(&targets).await == 2).then_some(serving)
    })
    .await;
    let history = aws.history().await;
    let failed: Vec<_> = history.iter().filter(|it| it.status_code().unwrap().as_str() == "Failed").collect();
    assert_eq!(failed.len(), 1, "{history:#?}");
    assert!(failed[0].status_message().unwrap().contains("InsufficientInstanceCapacity"), "{failed:?}");
    assert!(
        history[0].cause().unwrap().contains("a user request created an AutoScalingGroup"),
        "{history:#?}"
    );

    let cpu = PredefinedMetricSpecification::builder();
    let cpu = cpu.predefined_metric_type(MetricType::AsgAverageCpuUtilization).build();
    let target =
        TargetTrackingConfiguration::builder().predefined_metric_specification(cpu).target_value(40.0);
    let put = aws.scaling.put_scaling_policy().auto_scaling_group_name(ASG).policy_name("cpu-40");
    let put = put.policy_type("TargetTrackingScaling").target_tracking_configuration(target.build());
    let made = put.estimated_instance_warmup(60).send().await.unwrap();
    assert_eq!((made.alarms().len(), aws.alarms().await.len()), (2, 2));
    assert!(made.policy_arn().unwrap().ends_with("policyName/cpu-40"));

    // As calm as hosts are that have booted, and no longer at full speed.
    until(cloud, "the hosts are calm", async || {
        let alarms = aws.alarms().await;
        alarms.iter().find(|it| it.0.contains("AlarmHigh") && it.1 == StateValue::Ok).map(drop)
    })
    .await;
    let at = cloud.open("lab-alb", 80).unwrap();
    let load = Load::on(at.port());
    let (four, _) = until(cloud, "load makes four of two", async || {
        let serving = aws.serving().await;
        (serving.0.len() == 4 && aws.healthy(&targets).await == 4).then_some(serving)
    })
    .await;
    assert!(four.is_superset(&first));
    let high = aws.alarms().await.into_iter().find(|it| it.0.contains("AlarmHigh")).unwrap();
    let history = aws.history().await;
    let grown: Vec<&str> =
        history.iter().filter_map(|it| it.cause()).filter(|it| it.contains(&high.0)).collect();
    assert_eq!(grown.len(), 2, "{history:#?}");
    assert!(
        grown[0].contains(" in state ALARM triggered policy cpu-40 changing the desired capacity from 2 to ")
    );
    assert!(
        grown.iter().all(|it| it.contains("an instance was started in response to a difference")),
        "{grown:?}"
    );
    assert!(aws.cpu("AutoScalingGroupName", ASG).await.iter().any(|it| *it > 40.0));
    for id in &first {
        assert!(aws.cpu("InstanceId", id).await.iter().any(|it| *it > 40.0), "{id} was measured");
    }

    load.end();
    let (two, zones) = until(cloud, "calm makes two of four", async || {
        let serving = aws.serving().await;
        (serving.0.len() == 2 && aws.healthy(&targets).await == 2).then_some(serving)
    })
    .await;
    assert_eq!(zones.len(), 2, "the fuller zone loses first: {zones:?}");
    let low = aws.alarms().await.into_iter().find(|it| it.0.contains("AlarmLow")).unwrap();
    assert_eq!(low.1, StateValue::Alarm);
    assert!(
        low.2.contains("15 datapoints") && low.2.contains("were less than the threshold (28)"),
        "{}",
        low.2
    );
    let history = aws.history().await;
    let shrunk: Vec<&Activity> = history.iter().filter(|it| it.cause().unwrap().contains(&low.0)).collect();
    assert_eq!(shrunk.len(), 2, "{history:#?}");
    assert!(shrunk[0].cause().unwrap().contains("changing the desired capacity from 4 to 3."));
    assert!(shrunk[1].cause().unwrap().contains("changing the desired capacity from 3 to 2."));
    for it in &shrunk {
        let gone = four.difference(&two).find(|id| it.description().unwrap().contains(*id)).unwrap();
        assert!(it.cause().unwrap().ends_with(&format!("instance {gone} was selected for termination.")));
    }
    let delete = aws.scaling.delete_policy().auto_scaling_group_name(ASG).policy_name("cpu-40");
    delete.send().await.unwrap();
    assert_eq!(aws.alarms().await, []);

    // A host that dies is replaced, in its own zone.
    let victim = two.first().unwrap();
    cloud.instance(victim).unwrap().kill().unwrap();
    let (three, zones) = until(cloud, "the dead one is replaced", async || {
        let serving = aws.serving().await;
        (serving.0.len() == 2 && !serving.0.contains(victim)).then_some(serving)
    })
    .await;
    assert_eq!(zones.len(), 2);
    let died = aws.history().await.into_iter().find(|it| it.description().unwrap().contains(victim)).unwrap();
    assert!(died.description().unwrap().starts_with("Launching"), "the oldest about it");
    let died =
        aws.history().await.into_iter().rfind(|it| it.description().unwrap().contains(victim)).unwrap();
    assert!(died.cause().unwrap().contains("in response to an EC2 health check"), "{died:?}");

    // And all are, one after the other, when that is asked for.
    let preferences = RefreshPreferences::builder().min_healthy_percentage(50).instance_warmup(0).build();
    let refresh = aws.scaling.start_instance_refresh().auto_scaling_group_name(ASG).preferences(preferences);
    refresh.send().await.unwrap();
    until(cloud, "every host is refreshed", async || {
        let said =
            aws.scaling.describe_instance_refreshes().auto_scaling_group_name(ASG).send().await.unwrap();
        (said.instance_refreshes()[0].status().unwrap().as_str() == "Successful").then_some(())
    })
    .await;
    let (fresh, _) = aws.serving().await;
    assert!(fresh.len() == 2 && fresh.is_disjoint(&three), "{three:?} {fresh:?}");

    let delete = aws.scaling.delete_auto_scaling_group().auto_scaling_group_name(ASG).force_delete(true);
    delete.send().await.unwrap();
    let update = aws.scaling.update_auto_scaling_group().auto_scaling_group_name(ASG).min_size(1).max_size(1);
    let refused = format!("{:?}", update.send().await.unwrap_err());
    assert!(refused.contains("pending delete"), "{refused}");
    until(cloud, "the group is gone", async || {
        (aws.group().await.is_none() && cloud.status().instances.is_empty()).then_some(())
    })
    .await;
    assert_eq!(cloud.status().problems, std::collections::BTreeMap::new());
}
