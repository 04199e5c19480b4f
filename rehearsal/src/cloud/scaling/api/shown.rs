//! Groups and their instances as calls show them.

use super::xml::Xml;
use super::{Answer, Facts, ask, group};
use crate::cloud::call::Call;
use crate::cloud::scaling::group::{Group, Member, Scaling, Stage, Tag, Template};

const ACCOUNT: &str = "123456789012";

pub(super) fn groups(all: &mut Scaling, call: &Call, facts: &Facts) -> Answer {
    let named = ask::list(call, "AutoScalingGroupNames");
    let filters = ask::records(call, "Filters");
    let found = all.groups.values().filter(|it| {
        (named.is_empty() || named.contains(&it.name)) && filters.iter().all(|filter| passes(it, filter))
    });
    Ok(Xml::new().list("AutoScalingGroups", found.map(|it| shown(it, facts))))
}

/// Filters are about tags.
fn passes(it: &Group, filter: &std::collections::BTreeMap<String, String>) -> bool {
    let name = filter.get("Name").map(String::as_str).unwrap_or_default();
    let values: Vec<&String> =
        filter.iter().filter(|it| it.0.starts_with("Values.")).map(|it| it.1).collect();
    it.tags.iter().any(|tag| match name.strip_prefix("tag:") {
        Some(key) => tag.key == key && values.contains(&&tag.value),
        None => match name {
            "tag-key" => values.contains(&&tag.key),
            "tag-value" => values.contains(&&tag.value),
            _ => false,
        },
    })
}

/// The middle of every ARN of this service.
pub(super) fn arn(region: &str, kind: &str, id: &str) -> String {
    format!("arn:aws:autoscaling:{region}:{ACCOUNT}:{kind}:{id}")
}

fn shown(it: &Group, facts: &Facts) -> Xml {
    let mut zones: Vec<String> = it.places.iter().map(|it| it.zone.clone()).collect();
    zones.sort();
    zones.dedup();
    let subnets: Vec<&str> = it.places.iter().map(|it| it.subnet.as_str()).collect();
    let name = format!("{}:autoScalingGroupName/{}", it.id, it.name);
    let xml = Xml::new()
        .text("AutoScalingGroupName", &it.name)
        .text("AutoScalingGroupARN", arn(&facts.region, "autoScalingGroup", &name))
        .inner("LaunchTemplate", template(&it.template))
        .number("MinSize", it.min)
        .number("MaxSize", it.max)
        .number("DesiredCapacity", it.desired)
        .number("DefaultCooldown", it.cooldown)
        .texts("AvailabilityZones", &zones)
        .texts("TargetGroupARNs", &it.target_groups)
        .list("LoadBalancerNames", [])
        .text("HealthCheckType", if it.trusts_targets { "ELB" } else { "EC2" })
        .number("HealthCheckGracePeriod", it.grace)
        .list("Instances", it.members.iter().map(|(id, member)| instance(id, member)))
        .time("CreatedTime", it.created)
        .list("SuspendedProcesses", it.suspended.iter().map(|one| process(one)))
        .text("VPCZoneIdentifier", subnets.join(","))
        .list(
            "EnabledMetrics",
            it.metrics.iter().map(|one| Xml::new().text("Metric", one).text("Granularity", "1Minute")),
        )
        .list("Tags", it.tags.iter().map(|one| tag(&it.name, one)))
        .texts("TerminationPolicies", &it.termination)
        .number("NewInstancesProtectedFromScaleIn", it.protects_new)
        .optional("Status", it.is_going.then_some("Delete in progress"));
    let xml = if it.lifetime > 0 { xml.number("MaxInstanceLifetime", it.lifetime) } else { xml };
    match it.warmup {
        Some(seconds) => xml.number("DefaultInstanceWarmup", seconds),
        None => xml,
    }
}

fn process(name: &str) -> Xml {
    Xml::new().text("ProcessName", name).text("SuspensionReason", "User suspended")
}

fn template(it: &Template) -> Xml {
    let xml = Xml::new().text("LaunchTemplateId", &it.id).text("LaunchTemplateName", &it.name);
    xml.optional("Version", it.version.as_deref())
}

fn instance(id: &str, it: &Member) -> Xml {
    let stage = match it.stage {
        Stage::Pending => "Pending",
        Stage::InService => "InService",
        Stage::Terminating => "Terminating",
    };
    let template = Template { version: Some(it.version.to_string()), ..it.template.clone() };
    Xml::new()
        .text("InstanceId", id)
        .text("InstanceType", &it.class)
        .text("AvailabilityZone", &it.place.zone)
        .text("LifecycleState", stage)
        .text("HealthStatus", if it.sick.is_some() { "Unhealthy" } else { "Healthy" })
        .inner("LaunchTemplate", self::template(&template))
        .number("ProtectedFromScaleIn", it.is_protected)
}

fn tag(group: &str, it: &Tag) -> Xml {
    Xml::new()
        .text("ResourceId", group)
        .text("ResourceType", "auto-scaling-group")
        .text("Key", &it.key)
        .text("Value", &it.value)
        .number("PropagateAtLaunch", it.propagates)
}

pub(super) fn instances(all: &mut Scaling, call: &Call) -> Answer {
    let wanted = ask::list(call, "InstanceIds");
    let members =
        all.groups.values().flat_map(|group| group.members.iter().map(move |it| (group, it.0, it.1)));
    let found = members.filter(|it| wanted.is_empty() || wanted.contains(it.1));
    let shown = found.map(|(group, id, it)| instance(id, it).text("AutoScalingGroupName", &group.name));
    Ok(Xml::new().list("AutoScalingInstances", shown))
}

pub(super) fn tags(all: &mut Scaling, call: &Call) -> Answer {
    let filters = ask::records(call, "Filters");
    let asks = |name: &str, value: &str| {
        filters
            .iter()
            .filter(|it| it.get("Name").is_some_and(|it| it == name))
            .all(|filter| filter.iter().any(|(key, wanted)| key.starts_with("Values.") && wanted == value))
    };
    let all = all.groups.values().flat_map(|group| group.tags.iter().map(move |it| (&group.name, it)));
    let found = all.filter(|(group, it)| {
        asks("auto-scaling-group", group)
            && asks("key", &it.key)
            && asks("value", &it.value)
            && asks("propagate-at-launch", if it.propagates { "true" } else { "false" })
    });
    Ok(Xml::new().list("Tags", found.map(|(group, it)| tag(group, it))))
}

pub(super) fn target_groups(all: &mut Scaling, call: &Call) -> Answer {
    let it = group(all, call)?;
    let shown = it.target_groups.iter().map(|arn| {
        let here = it.members.values().filter(|it| it.registered.contains(arn)).count();
        let state = if here == it.active().count() { "Added" } else { "Adding" };
        Xml::new().text("LoadBalancerTargetGroupARN", arn).text("State", state)
    });
    Ok(Xml::new().list("LoadBalancerTargetGroups", shown))
}
