//! What the groups decided, done to the control plane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, MetricDatum, StandardUnit, StateValue, Statistic,
};
use aws_sdk_ec2::types::{
    HttpTokensState, IamInstanceProfileSpecification, InstanceMetadataEndpointState,
    InstanceMetadataOptionsRequest, LaunchTemplateSpecification, ResourceType, ResponseLaunchTemplateData,
    RunInstancesMonitoringEnabled, Tag, TagSpecification,
};
use aws_sdk_elasticloadbalancingv2::types::TargetDescription;
use jiff::Timestamp;

use super::group::{Group, Member, Place, Stage, Template};
use super::history::Status;
use super::round::Deed;
use super::tracking::{Alarm, AlarmState};
use crate::cloud::call::Call;
use crate::cloud::clients::Clients;
use crate::cloud::fault::{FaultKind, strike};
use crate::cloud::sync::Sync;

/// After a launch that failed, no other for so long.
const HOLD: Duration = Duration::from_secs(10);

pub(super) fn perform(sync: &Arc<Sync>, group: &str, deed: Deed) {
    let name = group.to_owned();
    match deed {
        Deed::Launch { activity, place } => {
            sync.work(&format!("scaling/{group}/{activity}"), move |sync| {
                launch(sync, &name, &activity, &place)
            });
        }
        Deed::Register { id, into, out_of } => {
            sync.work(&format!("scaling/{group}/targets/{id}"), move |sync| {
                sync.runtime.block_on(register(&sync.clients, &id, &into, &out_of))?;
                changed(sync, &name, |group| {
                    if let Some(it) = group.members.get_mut(&id) {
                        it.registered.extend(into);
                        it.registered.retain(|arn| !out_of.contains(arn));
                    }
                });
                Ok(())
            });
        }
        Deed::End { id } => sync.work(&format!("scaling/{group}/end/{id}"), move |sync| {
            let end = sync.clients.ec2.terminate_instances().instance_ids(&id).send();
            sync.runtime.block_on(end).with_context(|| format!("terminating {id}"))?;
            changed(sync, &name, |group| {
                if let Some(it) = group.members.get_mut(&id) {
                    it.was_ended = true;
                }
            });
            Ok(())
        }),
    }
}

/// Notes it, and has the account read again although nobody came through the front door.
fn changed<T>(sync: &Sync, group: &str, change: impl FnOnce(&mut Group) -> T) -> Option<T> {
    let mut known = sync.shared.lock();
    known.changes += 1;
    known.scaling.groups.get_mut(group).map(change)
}

fn launch(sync: &Arc<Sync>, group: &str, activity: &str, place: &Place) -> anyhow::Result<()> {
    // What was ordered to go wrong goes wrong for groups as well.
    let call = Call { service: "ec2".into(), action: "RunInstances".into(), ..Call::default() };
    let fault = strike(&mut sync.shared.lock().faults, &call).and_then(FaultKind::answer);
    let done = match fault {
        Some((_, code, words)) => Err(anyhow::anyhow!("{code}: {words}")),
        None => sync.runtime.block_on(run(sync, group, place)),
    };
    let now = Timestamp::now();
    match done {
        Ok((id, class, template, version)) => {
            let known = changed(sync, group, |group| {
                group.launching.remove(activity);
                group.history.change(activity, |it| it.description += &format!(": {id}"));
                let it = Member {
                    place: place.clone(),
                    class,
                    template,
                    version,
                    stage: Stage::Pending,
                    sick: None,
                    is_protected: group.protects_new,
                    launched: now,
                    in_service: None,
                    activity: activity.to_owned(),
                    was_seen: false,
                    was_ended: false,
                    registered: Default::default(),
                };
                group.members.insert(id.clone(), it);
            });
            if known.is_none() {
                // The group is gone: nobody else would end it.
                let end = sync.clients.ec2.terminate_instances().instance_ids(&id).send();
                sync.runtime.block_on(end).with_context(|| format!("terminating {id}"))?;
            }
            Ok(())
        }
        Err(err) => {
            let words = format!("{err:#}. Launching EC2 instance failed.");
            changed(sync, group, |group| {
                group.launching.remove(activity);
                group.history.end(activity, Status::Failed, Some(words), now);
                group.hold = now.checked_add(HOLD).ok();
            });
            // The history tells it; the next attempt is a launch of its own.
            Ok(())
        }
    }
}

/// Launches one instance as the group's template says.
async fn run(sync: &Sync, group: &str, place: &Place) -> anyhow::Result<(String, String, Template, i64)> {
    let (template, tags) = {
        let known = sync.shared.lock();
        let it = known.scaling.groups.get(group).with_context(|| format!("there is no group {group}"))?;
        (it.template.clone(), it.tags.clone())
    };
    let ec2 = &sync.clients.ec2;
    let wanted = template.version.as_deref().unwrap_or("$Default");
    let read = ec2.describe_launch_template_versions().launch_template_id(&template.id).versions(wanted);
    let read = read.send().await.with_context(|| format!("reading launch template {}", template.id))?;
    let version = read.launch_template_versions().first();
    let version =
        version.with_context(|| format!("launch template {} has no version {wanted}", template.id))?;
    let number = version.version_number().unwrap_or(1);
    let data = version.launch_template_data();
    let tags = tags
        .iter()
        .filter(|it| it.propagates)
        .map(|it| Tag::builder().key(&it.key).value(&it.value).build())
        .chain([Tag::builder().key("aws:autoscaling:groupName").value(group).build()]);
    let tags =
        TagSpecification::builder().resource_type(ResourceType::Instance).set_tags(Some(tags.collect()));
    let from = LaunchTemplateSpecification::builder().launch_template_id(&template.id);
    let run = ec2
        .run_instances()
        .min_count(1)
        .max_count(1)
        .subnet_id(&place.subnet)
        .launch_template(from.version(number.to_string()).build())
        .tag_specifications(tags.build())
        // What moto does not take from a template.
        .set_iam_instance_profile(data.and_then(profile))
        .set_metadata_options(data.and_then(metadata_options))
        .set_monitoring(data.and_then(|it| it.monitoring()?.enabled()).map(monitoring));
    let made = run.send().await.map_err(|err| {
        let words = aws_sdk_ec2::error::ProvideErrorMetadata::message(&err).map(str::to_owned);
        words.map_or_else(|| anyhow::Error::new(err), anyhow::Error::msg)
    })?;
    let it = made.instances().first().context("no instance was launched")?;
    let id = it.instance_id().context("an instance without an id was launched")?.to_owned();
    let class = it.instance_type().map(|it| it.as_str().to_owned()).unwrap_or_default();
    Ok((id, class, template, number))
}

fn profile(data: &ResponseLaunchTemplateData) -> Option<IamInstanceProfileSpecification> {
    let it = data.iam_instance_profile()?;
    let (name, arn) = (it.name().map(str::to_owned), it.arn().map(str::to_owned));
    Some(IamInstanceProfileSpecification::builder().set_name(name).set_arn(arn).build())
}

fn metadata_options(data: &ResponseLaunchTemplateData) -> Option<InstanceMetadataOptionsRequest> {
    let it = data.metadata_options()?;
    let tokens = it.http_tokens().map(|it| HttpTokensState::from(it.as_str()));
    let endpoint = it.http_endpoint().map(|it| InstanceMetadataEndpointState::from(it.as_str()));
    let options =
        InstanceMetadataOptionsRequest::builder().set_http_tokens(tokens).set_http_endpoint(endpoint);
    Some(options.set_http_put_response_hop_limit(it.http_put_response_hop_limit()).build())
}

fn monitoring(enabled: bool) -> RunInstancesMonitoringEnabled {
    RunInstancesMonitoringEnabled::builder().enabled(enabled).build()
}

async fn register(aws: &Clients, id: &str, into: &[String], out_of: &[String]) -> anyhow::Result<()> {
    let target = TargetDescription::builder().id(id).build();
    for arn in out_of {
        let call = aws.elb.deregister_targets().target_group_arn(arn).targets(target.clone()).send().await;
        match call {
            // A target group that is gone has nobody in it.
            Err(err) if err.as_service_error().is_some_and(|it| it.is_target_group_not_found_exception()) => {
            }
            other => drop(other.with_context(|| format!("taking {id} out of {arn}"))?),
        }
    }
    for arn in into {
        let call = aws.elb.register_targets().target_group_arn(arn).targets(target.clone());
        call.send().await.with_context(|| format!("registering {id} in {arn}"))?;
    }
    Ok(())
}

/// A group that has nobody any more goes, and its alarms go before it.
pub(super) fn forget(sync: &Arc<Sync>, group: &str) {
    let name = group.to_owned();
    sync.work(&format!("scaling/{group}/forget"), move |sync| {
        let alarms: Vec<String> = {
            let known = sync.shared.lock();
            let group = known.scaling.groups.get(&name);
            group
                .iter()
                .flat_map(|it| it.policies.values())
                .flat_map(|it| it.alarms())
                .map(|it| it.name.clone())
                .collect()
        };
        sync.runtime.block_on(delete_alarms(&sync.clients, alarms))?;
        sync.shared.lock().scaling.groups.remove(&name);
        Ok(())
    });
}

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
