//! Auto Scaling's own interface, as the front door answers it.

mod ask;
mod groups;
mod instances;
mod past;
mod policies;
mod shown;
mod xml;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::group::{Group, Place, Scaling, Template};
use crate::cloud::call::Call;
use crate::cloud::clients::Clients;
use crate::cloud::guards;
use crate::cloud::refusal::Refusal;
use crate::cloud::shared::Shared;
use xml::Xml;

type Answer = Result<Xml, Refusal>;

fn invalid(words: impl Into<String>) -> Refusal {
    Refusal::new("ValidationError", words.into())
}

/// What has to be looked up before a call can be answered.
#[derive(Default)]
struct Facts {
    region: String,
    /// The subnets that the call names, with their zones.
    places: Vec<Place>,
    template: Option<Template>,
    /// The number behind the template's version.
    version: i64,
}

/// The body of the answer.
pub(in crate::cloud) async fn answer(shared: &Shared, aws: &Clients, call: &Call) -> Result<String, Refusal> {
    let facts = look_up(shared, aws, call).await?;
    let xml = match call.action.as_str() {
        "PutScalingPolicy" => policies::put(shared, aws, call, &facts).await?,
        "DeletePolicy" => policies::delete(shared, aws, call).await?,
        _ => at_once(&mut shared.lock().scaling, call, &facts, Timestamp::now())?,
    };
    Ok(xml.document(&call.action))
}

/// Calls that need nobody else.
fn at_once(all: &mut Scaling, call: &Call, facts: &Facts, now: Timestamp) -> Answer {
    match call.action.as_str() {
        "CreateAutoScalingGroup" => groups::create(all, call, facts, now),
        "UpdateAutoScalingGroup" => groups::update(all, call, facts, now),
        "DeleteAutoScalingGroup" => groups::delete(all, call, now),
        "SetDesiredCapacity" => groups::set_desired(all, call, now),
        "DescribeAutoScalingGroups" => shown::groups(all, call, facts),
        "DescribeAutoScalingInstances" => shown::instances(all, call),
        "DescribeTags" => shown::tags(all, call),
        "DescribeLoadBalancerTargetGroups" => shown::target_groups(all, call),
        "AttachLoadBalancerTargetGroups" => groups::attach(all, call),
        "DetachLoadBalancerTargetGroups" => groups::detach(all, call),
        "CreateOrUpdateTags" => groups::tag(all, call),
        "DeleteTags" => groups::untag(all, call),
        "EnableMetricsCollection" | "DisableMetricsCollection" => groups::metrics(all, call),
        "SuspendProcesses" | "ResumeProcesses" => groups::processes(all, call),
        "TerminateInstanceInAutoScalingGroup" => instances::terminate(all, call, now),
        "SetInstanceHealth" => instances::health(all, call, now),
        "SetInstanceProtection" => instances::protection(all, call),
        "StartInstanceRefresh" => instances::refresh(all, call, facts, now),
        "CancelInstanceRefresh" => instances::cancel(all, call, now),
        "DescribeInstanceRefreshes" => past::refreshes(all, call),
        "DescribeScalingActivities" => past::activities(all, call),
        "DescribePolicies" => policies::describe(all, call, facts),
        "ExecutePolicy" => policies::execute(all, call, now),
        // Nobody can make one, so there is none.
        "DescribeLifecycleHooks" => Ok(Xml::empty_list("LifecycleHooks")),
        "DescribeScheduledActions" => Ok(Xml::empty_list("ScheduledUpdateGroupActions")),
        other => Err(Refusal::new("InvalidAction", format!("the rehearsal's Auto Scaling knows no {other}"))),
    }
}

/// The group that the call names.
fn group<'a>(all: &'a mut Scaling, call: &Call) -> Result<&'a mut Group, Refusal> {
    let name = call.parameter("AutoScalingGroupName").unwrap_or_default();
    let found = all.groups.get_mut(name);
    found.ok_or_else(|| {
        invalid(format!("AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"))
    })
}

/// The group that the call is about, unless it is on its way out.
fn changeable<'a>(all: &'a mut Scaling, call: &Call) -> Result<&'a mut Group, Refusal> {
    let it = group(all, call)?;
    if it.is_going {
        return Err(invalid(format!(
            "AutoScalingGroup name {} may not be modified while it is pending delete",
            it.name
        )));
    }
    Ok(it)
}

async fn look_up(shared: &Shared, aws: &Clients, call: &Call) -> Result<Facts, Refusal> {
    let mut facts = Facts { region: aws.region.clone(), ..Facts::default() };
    let subnets = call.parameter("VPCZoneIdentifier").unwrap_or_default();
    let subnets: Vec<String> =
        subnets.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect();
    if !subnets.is_empty() {
        let read = aws.ec2.describe_subnets().set_subnet_ids(Some(subnets.clone())).send().await;
        let read =
            read.map_err(|_| invalid(format!("The subnet ID '{}' does not exist", subnets.join(","))))?;
        let zones: BTreeMap<&str, &str> =
            read.subnets().iter().filter_map(|it| Some((it.subnet_id()?, it.availability_zone()?))).collect();
        facts.places = subnets
            .iter()
            .map(|it| Place {
                subnet: it.clone(),
                zone: zones.get(it.as_str()).copied().unwrap_or_default().into(),
            })
            .collect();
    }
    let named = ask::template(call);
    // A refresh that skips who is up to date has to know what that is.
    let of_group = (call.action == "StartInstanceRefresh").then(|| {
        let name = call.parameter("AutoScalingGroupName").unwrap_or_default();
        shared.lock().scaling.groups.get(name).map(|it| it.template.clone())
    });
    if let Some(template) = named.or(of_group.flatten()) {
        let (template, version) = known_template(shared, aws, template).await?;
        (facts.template, facts.version) = (Some(template), version);
    }
    Ok(facts)
}

/// The template with both its names, and the number of the version that it stands for.
async fn known_template(shared: &Shared, aws: &Clients, given: Template) -> Result<(Template, i64), Refusal> {
    let version = given.version.as_deref().unwrap_or("$Default");
    let some = |it: &String| Some(it.clone()).filter(|it| !it.is_empty());
    let ask = aws.ec2.describe_launch_template_versions().versions(version);
    let ask = match some(&given.id) {
        Some(id) => ask.launch_template_id(id),
        None => ask.launch_template_name(&given.name),
    };
    let unknown = |why: &str| invalid(format!("You must use a valid fully-formed launch template. {why}"));
    let read = ask.send().await.map_err(|err| {
        unknown(aws_sdk_ec2::error::ProvideErrorMetadata::message(&err).unwrap_or("It could not be read."))
    })?;
    let found = read.launch_template_versions().first();
    let found = found.ok_or_else(|| unknown(&format!("It has no version {version}.")))?;
    let profile = found.launch_template_data().and_then(|it| it.iam_instance_profile());
    let profile = profile.and_then(|it| it.name().or(it.arn()));
    if let Some(it) = profile.and_then(|it| guards::unknown_profile(shared, it)) {
        return Err(unknown(&it.words));
    }
    let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
    let template =
        Template { id: text(found.launch_template_id()), name: text(found.launch_template_name()), ..given };
    Ok((template, found.version_number().unwrap_or(1)))
}
