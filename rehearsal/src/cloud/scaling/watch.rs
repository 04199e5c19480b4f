//! CloudWatch: what was measured is published, and alarms are made, told their state and taken away.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, MetricDatum, StandardUnit, StateValue, Statistic,
};
use jiff::Timestamp;

use super::alarm::{Alarm, AlarmState};
use super::group::{Group, Stage};
use crate::cloud::clients::Clients;
use crate::cloud::sync::Sync;

pub(super) async fn delete_alarms(aws: &Clients, names: Vec<String>) -> anyhow::Result<()> {
    if !names.is_empty() {
        let delete = aws.cloudwatch.delete_alarms().set_alarm_names(Some(names));
        delete.send().await.context("deleting a policy's alarms")?;
    }
    Ok(())
}

/// Makes a policy's alarm, or changes it.
pub(super) async fn put_alarm(aws: &Clients, group: &str, policy: &str, alarm: &Alarm) -> anyhow::Result<()> {
    let (operator, periods) = match alarm.looks_above {
        true => (ComparisonOperator::GreaterThanThreshold, alarm.periods()),
        false => (ComparisonOperator::LessThanThreshold, alarm.periods()),
    };
    let put = aws.cloudwatch.put_metric_alarm().alarm_name(&alarm.name).namespace("AWS/EC2");
    put.metric_name("CPUUtilization")
        .dimensions(dimension("AutoScalingGroupName", group))
        .statistic(Statistic::Average)
        .period(60)
        .evaluation_periods(i32::try_from(periods).unwrap_or(i32::MAX))
        .threshold(alarm.threshold)
        .comparison_operator(operator)
        .alarm_actions(policy)
        .alarm_description(format!("DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy}."))
        .send()
        .await
        .with_context(|| format!("making alarm {}", alarm.name))?;
    Ok(())
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
                AlarmState::Unknown => StateValue::InsufficientData,
                AlarmState::Ok => StateValue::Ok,
                AlarmState::Alarm => StateValue::Alarm,
            };
            let tell = sync.clients.cloudwatch.set_alarm_state().alarm_name(&alarm.name).state_value(state);
            let told = sync.runtime.block_on(tell.state_reason(&alarm.reason).send());
            told.with_context(|| format!("telling the state of alarm {}", alarm.name))?;
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
        let when = aws_sdk_cloudwatch::primitives::DateTime::from_millis(at.as_millisecond());
        let datum = |name: &str, of: Dimension, value: f64, unit: StandardUnit| {
            let it = MetricDatum::builder().metric_name(name).dimensions(of).timestamp(when);
            it.value(value).unit(unit).build()
        };
        let cpu = |of: &str, name: &str, value| {
            datum("CPUUtilization", dimension(of, name), value, StandardUnit::Percent)
        };
        let load = instances.iter().map(|(id, value)| cpu("InstanceId", id, *value));
        let load: Vec<MetricDatum> = load
            .chain(groups.iter().map(|(name, value)| cpu("AutoScalingGroupName", name, *value)))
            .collect();
        let counts = sizes.iter().flat_map(|(group, all)| {
            all.iter().map(|(name, count)| {
                #[expect(clippy::cast_precision_loss, reason = "nobody has that many instances")]
                let value = *count as f64;
                datum(name, dimension("AutoScalingGroupName", group), value, StandardUnit::None)
            })
        });
        for (namespace, data) in [("AWS/EC2", load), ("AWS/AutoScaling", counts.collect())] {
            if !data.is_empty() {
                let put = sync
                    .clients
                    .cloudwatch
                    .put_metric_data()
                    .namespace(namespace)
                    .set_metric_data(Some(data));
                sync.runtime
                    .block_on(put.send())
                    .with_context(|| format!("publishing metrics of {namespace}"))?;
            }
        }
        Ok(())
    });
}

fn dimension(name: &str, value: &str) -> Dimension {
    Dimension::builder().name(name).value(value).build()
}
