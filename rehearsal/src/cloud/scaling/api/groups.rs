//! Calls that make, change and remove groups.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::xml::Xml;
use super::{Answer, Facts, Refusal, ask, changeable, group, invalid};
use crate::cloud::call::Call;
use crate::cloud::scaling::cause;
use crate::cloud::scaling::group::{Group, Scaling, Stage, Tag};
use crate::cloud::scaling::history::new_id;
use crate::cloud::scaling::pace::{Pace, is_over};

/// AWS's own defaults.
const COOLDOWN: u32 = 300;
const PROCESSES: [&str; 9] = [
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
];
const POLICIES: [&str; 7] = [
    "Default",
    "AllocationStrategy",
    "OldestLaunchTemplate",
    "OldestLaunchConfiguration",
    "ClosestToNextInstanceHour",
    "NewestInstance",
    "OldestInstance",
];
const METRICS: [&str; 8] = [
    "GroupMinSize",
    "GroupMaxSize",
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
];

pub(super) fn create(all: &mut Scaling, call: &Call, facts: &Facts, now: Timestamp) -> Answer {
    let name = ask::needed(call, "AutoScalingGroupName")?;
    if all.groups.contains_key(name) {
        let words = "AutoScalingGroup by this name already exists - A group with the name";
        return Err(Refusal::new("AlreadyExists", format!("{words} {name} already exists")));
    }
    if facts.template.is_none() {
        return Err(invalid("Valid requests must contain the LaunchTemplate parameter here."));
    }
    if facts.places.is_empty() {
        return Err(invalid("At least one VPC subnet is required here."));
    }
    let mut it = Group {
        name: name.to_owned(),
        id: new_id(),
        created: now,
        cooldown: COOLDOWN,
        termination: vec!["Default".to_owned()],
        min: ask::number(call, "MinSize")?.ok_or_else(|| invalid("MinSize is missing"))?,
        max: ask::number(call, "MaxSize")?.ok_or_else(|| invalid("MaxSize is missing"))?,
        target_groups: ask::list(call, "TargetGroupARNs"),
        tags: ask::records(call, "Tags").iter().map(tag_of).collect(),
        ..Group::default()
    };
    set(&mut it, call, facts)?;
    let desired = ask::number(call, "DesiredCapacity")?.unwrap_or(it.min);
    check_sizes(&it, desired)?;
    it.want(desired, |_, to| cause::created(now, to));
    all.groups.insert(name.to_owned(), it);
    Ok(Xml::new())
}

pub(super) fn update(all: &mut Scaling, call: &Call, facts: &Facts, now: Timestamp) -> Answer {
    let known = changeable(all, call)?;
    // Refused as a whole or done as a whole.
    let mut it = known.clone();
    set(&mut it, call, facts)?;
    it.min = ask::number(call, "MinSize")?.unwrap_or(it.min);
    it.max = ask::number(call, "MaxSize")?.unwrap_or(it.max);
    let asked = ask::number(call, "DesiredCapacity")?;
    check_sizes(&it, asked.unwrap_or(it.min))?;
    let desired = asked.unwrap_or_else(|| it.desired.clamp(it.min, it.max));
    let limits = (it.min, it.max);
    it.want(desired, |from, to| cause::updated(now, limits, from, to));
    *known = it;
    Ok(Xml::new())
}

/// What creating and updating have in common.
fn set(it: &mut Group, call: &Call, facts: &Facts) -> Result<(), Refusal> {
    if !facts.places.is_empty() {
        it.places.clone_from(&facts.places);
    }
    if let Some(template) = &facts.template {
        it.template = template.clone();
    }
    match ask::text(call, "HealthCheckType") {
        None => {}
        Some("EC2") => it.trusts_targets = false,
        Some(kinds) if kinds.split(',').all(|it| matches!(it.trim(), "EC2" | "ELB")) => {
            it.trusts_targets = true
        }
        Some(other) => {
            return Err(invalid(format!("Health check type {other} is not supported; use EC2 or ELB")));
        }
    }
    it.grace = ask::number(call, "HealthCheckGracePeriod")?.unwrap_or(it.grace);
    it.cooldown = ask::number(call, "DefaultCooldown")?.unwrap_or(it.cooldown);
    it.warmup = ask::number(call, "DefaultInstanceWarmup")?.or(it.warmup);
    it.protects_new = ask::flag(call, "NewInstancesProtectedFromScaleIn").unwrap_or(it.protects_new);
    if let Some(seconds) = ask::number(call, "MaxInstanceLifetime")? {
        if (1..86_400).contains(&seconds) {
            return Err(invalid(format!("Maximum instance lifetime {seconds} must be 0 or at least 86400")));
        }
        it.lifetime = seconds;
    }
    let policies = ask::list(call, "TerminationPolicies");
    if let Some(other) = policies.iter().find(|it| !POLICIES.contains(&it.as_str())) {
        return Err(invalid(format!("Termination policy {other} is unknown")));
    }
    if !policies.is_empty() {
        it.termination = policies;
    }
    Ok(())
}

fn check_sizes(it: &Group, desired: u32) -> Result<(), Refusal> {
    let (min, max) = (it.min, it.max);
    if min > max {
        return Err(invalid(format!("Max bound, {max}, must be greater than or equal to min bound, {min}")));
    }
    if !(min..=max).contains(&desired) {
        let limits = format!("the specified min size:{min} and max size:{max}");
        return Err(invalid(format!("Desired capacity:{desired} must be between {limits}")));
    }
    Ok(())
}

pub(super) fn delete(all: &mut Scaling, call: &Call, now: Timestamp) -> Answer {
    let it = group(all, call)?;
    let is_empty = it.members.is_empty() && it.launching.is_empty();
    if !is_empty && ask::flag(call, "ForceDelete") != Some(true) {
        let words = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance \
                     request(s) still in the group.";
        return Err(Refusal::new("ResourceInUse", words.to_owned()));
    }
    it.want(0, |from, _| cause::deleted(now, from));
    (it.min, it.max, it.is_going) = (0, 0, true);
    Ok(Xml::new())
}

pub(super) fn set_desired(all: &mut Scaling, call: &Call, now: Timestamp) -> Answer {
    let clock = all.clock;
    let it = changeable(all, call)?;
    let desired =
        ask::number(call, "DesiredCapacity")?.ok_or_else(|| invalid("DesiredCapacity is missing"))?;
    check_sizes(it, desired).map_err(|_| {
        let side = if desired > it.max { ("above", "max", it.max) } else { ("below", "min", it.min) };
        invalid(format!(
            "New SetDesiredCapacity value {desired} is {} {} value {} for the AutoScalingGroup.",
            side.0, side.1, side.2
        ))
    })?;
    if ask::flag(call, "HonorCooldown") == Some(true) {
        check_cooldown(it, it.cooldown, Pace { clock }, now)?;
    }
    it.want(desired, |from, to| cause::set(now, from, to));
    Ok(Xml::new())
}

/// Whether enough time has passed since an instance last came or went.
pub(super) fn check_cooldown(it: &Group, seconds: u32, pace: Pace, now: Timestamp) -> Result<(), Refusal> {
    let is_over = it.scaled.is_none_or(|then| is_over(now, then, pace.span(seconds)));
    if it.is_steady() && is_over {
        return Ok(());
    }
    let words = format!("Scaling activity is in progress and blocked by Cooldown for group {}", it.name);
    Err(Refusal::new("ScalingActivityInProgress", words))
}

pub(super) fn attach(all: &mut Scaling, call: &Call) -> Answer {
    let it = changeable(all, call)?;
    for arn in ask::list(call, "TargetGroupARNs") {
        if !it.target_groups.contains(&arn) {
            it.target_groups.push(arn);
        }
    }
    Ok(Xml::new())
}

pub(super) fn detach(all: &mut Scaling, call: &Call) -> Answer {
    let it = group(all, call)?;
    let gone = ask::list(call, "TargetGroupARNs");
    it.target_groups.retain(|arn| !gone.contains(arn));
    Ok(Xml::new())
}

fn tag_of(record: &std::collections::BTreeMap<String, String>) -> Tag {
    let field = |name: &str| record.get(name).cloned().unwrap_or_default();
    Tag { key: field("Key"), value: field("Value"), propagates: field("PropagateAtLaunch") == "true" }
}

/// The groups of these calls stand in the tags.
fn tagged(all: &mut Scaling, call: &Call, mut change: impl FnMut(&mut Group, Tag)) -> Answer {
    let records = ask::records(call, "Tags");
    let name =
        |it: &std::collections::BTreeMap<String, String>| it.get("ResourceId").cloned().unwrap_or_default();
    if let Some(unknown) = records.iter().map(name).find(|it| !all.groups.contains_key(it)) {
        return Err(invalid(format!("AutoScalingGroup name not found - no such group: {unknown}")));
    }
    for record in &records {
        if let Some(group) = all.groups.get_mut(&name(record)) {
            change(group, tag_of(record));
        }
    }
    Ok(Xml::new())
}

pub(super) fn tag(all: &mut Scaling, call: &Call) -> Answer {
    tagged(all, call, |group, tag| match group.tags.iter_mut().find(|it| it.key == tag.key) {
        Some(known) => *known = tag,
        None => group.tags.push(tag),
    })
}

pub(super) fn untag(all: &mut Scaling, call: &Call) -> Answer {
    tagged(all, call, |group, tag| group.tags.retain(|it| it.key != tag.key))
}

pub(super) fn metrics(all: &mut Scaling, call: &Call) -> Answer {
    let it = group(all, call)?;
    let named: BTreeSet<String> = ask::list(call, "Metrics").into_iter().collect();
    if let Some(other) = named.iter().find(|it| !METRICS.contains(&it.as_str())) {
        return Err(invalid(format!("metric {other} is unknown")));
    }
    let named = if named.is_empty() { METRICS.map(String::from).into() } else { named };
    match call.action.starts_with("Enable") {
        true => it.metrics.extend(named),
        false => it.metrics.retain(|it| !named.contains(it)),
    }
    Ok(Xml::new())
}

pub(super) fn processes(all: &mut Scaling, call: &Call) -> Answer {
    let it = group(all, call)?;
    let named: BTreeSet<String> = ask::list(call, "ScalingProcesses").into_iter().collect();
    if let Some(other) = named.iter().find(|it| !PROCESSES.contains(&it.as_str())) {
        return Err(invalid(format!("Scaling process {other} is unknown")));
    }
    let named = if named.is_empty() { PROCESSES.map(String::from).into() } else { named };
    match call.action.starts_with("Suspend") {
        true => it.suspended.extend(named),
        false => it.suspended.retain(|it| !named.contains(it)),
    }
    Ok(Xml::new())
}

/// The group that an instance is in.
pub(super) fn of_instance<'a>(all: &'a mut Scaling, id: &str) -> Result<&'a mut Group, Refusal> {
    let is_member = |it: &&mut Group| it.members.get(id).is_some_and(|it| it.stage != Stage::Terminating);
    let found = all.groups.values_mut().find(is_member);
    found.ok_or_else(|| {
        invalid(format!("Instance Id not found - No managed instance found for instance ID: {id}"))
    })
}
