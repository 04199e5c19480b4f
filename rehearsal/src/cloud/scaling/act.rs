//! What the groups decided, done to the control plane.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
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
use super::watch::delete_alarms;
use crate::cloud::call::Call;
use crate::cloud::clients::Clients;
use crate::cloud::fault::strike;
use crate::cloud::guards;
use crate::cloud::sync::Sync;

/// After a launch that failed, no other for so long.
const HOLD: Duration = Duration::from_secs(10);
/// A zone that had no machine left is not tried for so long, if there is another.
const STARVED: Duration = Duration::from_secs(30);

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
        Deed::End { id } => {
            sync.work(&format!("scaling/{group}/end/{id}"), move |sync| {
                let end = sync.clients.ec2.terminate_instances().instance_ids(&id).send();
                sync.runtime.block_on(end).with_context(|| format!("terminating {id}"))?;
                changed(sync, &name, |group| {
                    if let Some(it) = group.members.get_mut(&id) {
                        it.was_ended = true;
                    }
                });
                Ok(())
            });
        }
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
    let fault = strike(&mut sync.shared.lock().faults, &call).and_then(|it| it.answer(&call));
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
            let starved = format!("{err:#}").contains("InsufficientInstanceCapacity");
            let words = format!("{err:#}. Launching EC2 instance failed.");
            changed(sync, group, |group| {
                group.launching.remove(activity);
                group.history.end(activity, Status::Failed, Some(words), now);
                if starved {
                    group.starved.extend(now.checked_add(STARVED).ok().map(|it| (place.zone.clone(), it)));
                }
                // Another zone is tried at once.
                let elsewhere = starved && group.open_places(now).iter().all(|it| it.zone != place.zone);
                group.hold = now.checked_add(HOLD).ok().filter(|_| !elsewhere);
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
    let own = data.and_then(|it| it.iam_instance_profile());
    let own = own.and_then(|it| it.name().or(it.arn()));
    let class = data.and_then(|it| it.instance_type()).map(|it| it.as_str());
    if let Some(it) = guards::unlaunchable(sync, class, own, Some(&place.zone)).await {
        anyhow::bail!("{}: {}", it.code, it.words);
    }
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
