//! Calls about policies; the alarms of target tracking come and go with them.

use jiff::Timestamp;

use super::groups::check_cooldown;
use super::shown::arn;
use super::xml::Xml;
use super::{Answer, Facts, Refusal, ask, group, invalid};
use crate::cloud::call::Call;
use crate::cloud::clients::Clients;
use crate::cloud::scaling::alarm::Alarm;
use crate::cloud::scaling::cause;
use crate::cloud::scaling::group::{Group, Scaling};
use crate::cloud::scaling::history::new_id;
use crate::cloud::scaling::pace::Pace;
use crate::cloud::scaling::tracking::{Adjustment, Policy, Rule, adjusted};
use crate::cloud::scaling::watch::{delete_alarms, put_alarm};
use crate::cloud::shared::Shared;

/// The one metric that is measured here.
const CPU: &str = "ASGAverageCPUUtilization";

fn failed(err: &anyhow::Error) -> Refusal {
    Refusal::new("ServiceUnavailable", format!("{err:#}"))
}

pub(super) async fn put(shared: &Shared, aws: &Clients, call: &Call, facts: &Facts) -> Answer {
    let policy = {
        let mut known = shared.lock();
        wanted(group(&mut known.scaling, call)?, call)?
    };
    let name = ask::needed(call, "AutoScalingGroupName")?;
    // First, so that nobody tells an alarm its state before it is there.
    for it in policy.alarms() {
        put_alarm(aws, name, &policy_arn(facts, name, &policy), it).await.map_err(|err| failed(&err))?;
    }
    let answer = Xml::new()
        .text("PolicyARN", policy_arn(facts, name, &policy))
        .list("Alarms", policy.alarms().map(|it| alarm(facts, it)));
    let replaced = {
        let mut known = shared.lock();
        group(&mut known.scaling, call)?.policies.insert(policy.name.clone(), policy.clone())
    };
    let orphans = replaced.iter().flat_map(Policy::alarms).map(|it| it.name.clone());
    let orphans = orphans.filter(|name| policy.alarms().all(|it| it.name != *name)).collect();
    delete_alarms(aws, orphans).await.map_err(|err| failed(&err))?;
    Ok(answer)
}

/// The policy that the call describes; its alarms are those of the one that it replaces.
fn wanted(it: &Group, call: &Call) -> Result<Policy, Refusal> {
    let name = ask::needed(call, "PolicyName")?;
    let known = it.policies.get(name);
    let rule = match ask::text(call, "PolicyType").unwrap_or("SimpleScaling") {
        "TargetTrackingScaling" => {
            let field = |name: &str| ask::text(call, &format!("TargetTrackingConfiguration.{name}"));
            if field("PredefinedMetricSpecification.PredefinedMetricType") != Some(CPU) {
                return Err(invalid(format!("the rehearsal measures {CPU} only")));
            }
            let percent = field("TargetValue").and_then(|it| it.parse::<f64>().ok()).filter(|it| *it > 0.0);
            let percent = percent.ok_or_else(|| invalid("TargetValue must be a number above 0"))?;
            let (mut high, mut low) = Alarm::pair(&it.name, percent, new_id);
            if let Some(Rule::Target { high: known, low: other, .. }) = known.map(|it| &it.rule) {
                (high.name, low.name) = (known.name.clone(), other.name.clone());
            }
            Rule::Target { percent, only_grows: field("DisableScaleIn") == Some("true"), high, low }
        }
        "SimpleScaling" => Rule::Simple {
            adjustment: match ask::needed(call, "AdjustmentType")? {
                "ExactCapacity" => Adjustment::Exact,
                "ChangeInCapacity" => Adjustment::Change,
                "PercentChangeInCapacity" => Adjustment::Percent,
                other => return Err(invalid(format!("Invalid AdjustmentType {other}"))),
            },
            amount: ask::needed(call, "ScalingAdjustment")?
                .parse()
                .map_err(|_| invalid("ScalingAdjustment must be a whole number"))?,
            cooldown: ask::number(call, "Cooldown")?,
        },
        other => return Err(invalid(format!("the rehearsal knows no policies of type {other}"))),
    };
    Ok(Policy {
        name: name.to_owned(),
        id: known.map_or_else(new_id, |it| it.id.clone()),
        rule,
        warmup: ask::number(call, "EstimatedInstanceWarmup")?,
        is_enabled: ask::flag(call, "Enabled").unwrap_or(true),
    })
}

/// Named by its name, or by its ARN.
fn found<'a>(all: &'a mut Scaling, call: &Call) -> Result<(&'a mut Group, String), Refusal> {
    let asked = ask::needed(call, "PolicyName")?;
    let name = asked.rsplit(":policyName/").next().unwrap_or(asked).to_owned();
    let in_group = ask::text(call, "AutoScalingGroupName");
    let mut groups = all.groups.values_mut().filter(|it| in_group.is_none_or(|name| it.name == name));
    let found = groups.find(|it| it.policies.contains_key(&name));
    found.map(|it| (it, name)).ok_or_else(|| invalid(format!("no policy {asked} was found")))
}

pub(super) async fn delete(shared: &Shared, aws: &Clients, call: &Call) -> Answer {
    let gone = {
        let mut known = shared.lock();
        let (it, name) = found(&mut known.scaling, call)?;
        it.policies.remove(&name)
    };
    let alarms = gone.iter().flat_map(Policy::alarms).map(|it| it.name.clone()).collect();
    delete_alarms(aws, alarms).await.map_err(|err| failed(&err))?;
    Ok(Xml::new())
}

pub(super) fn execute(all: &mut Scaling, call: &Call, now: Timestamp) -> Answer {
    let pace = Pace { clock: all.clock };
    let (it, name) = found(all, call)?;
    let Some(Rule::Simple { adjustment, amount, cooldown }) =
        it.policies.get(&name).map(|it| it.rule.clone())
    else {
        return Err(invalid(format!("policy {name} is executed by its alarms only")));
    };
    if ask::flag(call, "HonorCooldown") == Some(true) {
        check_cooldown(it, cooldown.unwrap_or(it.cooldown), pace, now)?;
    }
    let desired = adjusted(it.desired, adjustment, amount, (it.min, it.max));
    it.want(desired, |from, to| cause::executed(now, &name, from, to));
    Ok(Xml::new())
}

pub(super) fn describe(all: &mut Scaling, call: &Call, facts: &Facts) -> Answer {
    let named = ask::list(call, "PolicyNames");
    let types = ask::list(call, "PolicyTypes");
    let of = ask::text(call, "AutoScalingGroupName");
    let groups = all.groups.values().filter(|it| of.is_none_or(|name| it.name == name));
    let policies = groups.flat_map(|group| group.policies.values().map(move |it| (group, it)));
    let found = policies.filter(|(_, it)| {
        (named.is_empty() || named.contains(&it.name))
            && (types.is_empty() || types.iter().any(|kind| kind == kind_of(&it.rule)))
    });
    Ok(Xml::new().list("ScalingPolicies", found.map(|(group, it)| shown(facts, group, it))))
}

fn kind_of(rule: &Rule) -> &'static str {
    match rule {
        Rule::Target { .. } => "TargetTrackingScaling",
        Rule::Simple { .. } => "SimpleScaling",
    }
}

fn policy_arn(facts: &Facts, group: &str, it: &Policy) -> String {
    let name = format!("{}:autoScalingGroupName/{group}:policyName/{}", it.id, it.name);
    arn(&facts.region, "scalingPolicy", &name)
}

fn alarm(facts: &Facts, it: &Alarm) -> Xml {
    let arn = arn(&facts.region, "alarm", &it.name).replacen(":autoscaling:", ":cloudwatch:", 1);
    Xml::new().text("AlarmName", &it.name).text("AlarmARN", arn)
}

fn shown(facts: &Facts, group: &Group, it: &Policy) -> Xml {
    let xml = Xml::new()
        .text("AutoScalingGroupName", &group.name)
        .text("PolicyName", &it.name)
        .text("PolicyARN", policy_arn(facts, &group.name, it))
        .text("PolicyType", kind_of(&it.rule))
        .list("StepAdjustments", [])
        .list("Alarms", it.alarms().map(|it| alarm(facts, it)))
        .number("Enabled", it.is_enabled);
    let xml = match it.warmup {
        Some(seconds) => xml.number("EstimatedInstanceWarmup", seconds),
        None => xml,
    };
    match &it.rule {
        Rule::Target { percent, only_grows, .. } => {
            let metric = Xml::new().text("PredefinedMetricType", CPU);
            let target = Xml::new()
                .inner("PredefinedMetricSpecification", metric)
                .number("TargetValue", percent)
                .number("DisableScaleIn", only_grows);
            xml.inner("TargetTrackingConfiguration", target)
        }
        Rule::Simple { adjustment, amount, cooldown } => {
            let kind = match adjustment {
                Adjustment::Exact => "ExactCapacity",
                Adjustment::Change => "ChangeInCapacity",
                Adjustment::Percent => "PercentChangeInCapacity",
            };
            let xml = xml.text("AdjustmentType", kind).number("ScalingAdjustment", amount);
            match cooldown {
                Some(seconds) => xml.number("Cooldown", seconds),
                None => xml,
            }
        }
    }
}
