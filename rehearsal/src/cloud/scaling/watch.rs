//! CloudWatch: what was measured is published, and alarms are made, told their state and taken away.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::alarm::{Alarm, AlarmState};
use super::group::{Group, Stage};
use crate::cloud::clients::Clients;
use crate::cloud::sync::Sync;

pub(super) async fn delete_alarms(aws: &Clients, names: Vec<String>) -> anyhow::Result<()> {
    if !names.is_empty() {
        aws.cloudwatch("DeleteAlarms", &json!({ "AlarmNames": names })).await?;
    }
    Ok(())
}

/// Makes a policy's alarm, or changes it.
pub(super) async fn put_alarm(aws: &Clients, group: &str, policy: &str, alarm: &Alarm) -> anyhow::Result<()> {
    let operator = if alarm.looks_above { "GreaterThanThreshold" } else { "LessThanThreshold" };
    let wanted = json!({
        "AlarmName": alarm.name,
        "AlarmDescription": format!("DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy}."),
        "AlarmActions": [policy],
        "Namespace": "AWS/EC2",
        "MetricName": "CPUUtilization",
        "Dimensions": dimensions("AutoScalingGroupName", group),
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": alarm.periods(),
        "Threshold": alarm.threshold,
        "ComparisonOperator": operator,
    });
    aws.cloudwatch("PutMetricAlarm", &wanted).await
}

/// Tells CloudWatch the states that it has not heard of.
pub(super) fn tell_alarms(sync: &Arc<Sync>, group: &str) {
    let name = group.to_owned();
    sync.work(&format!("scaling/{group}/alarms"), move |sync| {
        let untold: Vec<Alarm> = {
            let known = sync.shared.lock();
            let policies = known.scaling.groups.get(&name).into_iter().flat_map(|it| it.policies.values());
            policies.flat_map(|it| it.alarms()).filter(|it| !it.is_told).cloned().collect()
        };
        for alarm in &untold {
            let state = match alarm.state {
                AlarmState::Unknown => "INSUFFICIENT_DATA",
                AlarmState::Ok => "OK",
                AlarmState::Alarm => "ALARM",
            };
            let told = json!({ "AlarmName": alarm.name, "StateValue": state, "StateReason": alarm.reason });
            sync.runtime.block_on(sync.clients.cloudwatch("SetAlarmState", &told))?;
        }
        let mut known = sync.shared.lock();
        let policies =
            known.scaling.groups.get_mut(&name).into_iter().flat_map(|it| it.policies.values_mut());
        for it in policies.flat_map(|it| it.alarms_mut()) {
            // It may have changed meanwhile.
            it.is_told |= untold.contains(it);
        }
        Ok(())
    });
}

/// The numbers that a group publishes of itself, as far as it was told to.
pub(super) fn sizes(group: &Group) -> Vec<(String, usize)> {
    let stage = |stage| group.members.values().filter(|it| it.stage == stage).count();
    let all = [
        ("GroupMinSize", group.min as usize),
        ("GroupMaxSize", group.max as usize),
        ("GroupDesiredCapacity", group.desired as usize),
        ("GroupInServiceInstances", stage(Stage::InService)),
        ("GroupPendingInstances", stage(Stage::Pending) + group.launching.len()),
        ("GroupStandbyInstances", 0),
        ("GroupTerminatingInstances", stage(Stage::Terminating)),
        ("GroupTotalInstances", group.members.len() + group.launching.len()),
    ];
    let wanted = all.iter().filter(|it| group.metrics.contains(it.0));
    wanted.map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Publishes what was measured as CloudWatch's metrics.
pub(super) fn publish(
    sync: &Arc<Sync>,
    at: Timestamp,
    instances: BTreeMap<String, f64>,
    groups: BTreeMap<String, f64>,
    sizes: BTreeMap<String, Vec<(String, usize)>>,
) {
    if instances.is_empty() && sizes.is_empty() {
        return;
    }
    sync.work("metrics", move |sync| {
        #[expect(clippy::cast_precision_loss, reason = "the year 2026 is far from where it would matter")]
        let when = at.as_millisecond() as f64 / 1000.0;
        let datum = |metric: &str, of: Value, value: f64, unit: &str| {
            json!({ "MetricName": metric, "Dimensions": of, "Timestamp": when, "Value": value, "Unit": unit })
        };
        let cpu = |of: &str, name: &str, value| datum("CPUUtilization", dimensions(of, name), value, "Percent");
        let load = instances.iter().map(|(id, value)| cpu("InstanceId", id, *value));
        let load = load.chain(groups.iter().map(|(name, value)| cpu("AutoScalingGroupName", name, *value)));
        let counts = sizes.iter().flat_map(|(group, all)| {
            all.iter().map(|(metric, count)| {
                #[expect(clippy::cast_precision_loss, reason = "nobody has that many instances")]
                let value = *count as f64;
                datum(metric, dimensions("AutoScalingGroupName", group), value, "None")
            })
        });
        let all: [(&str, Vec<Value>); 2] = [("AWS/EC2", load.collect()), ("AWS/AutoScaling", counts.collect())];
        for (namespace, data) in all.into_iter().filter(|it| !it.1.is_empty()) {
            let data = json!({ "Namespace": namespace, "MetricData": data });
            sync.runtime.block_on(sync.clients.cloudwatch("PutMetricData", &data))?;
        }
        Ok(())
    });
}

fn dimensions(name: &str, value: &str) -> Value {
    json!([{ "Name": name, "Value": value }])
}
