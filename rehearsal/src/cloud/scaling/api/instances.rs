//! Calls about a group's instances.

use jiff::Timestamp;

use super::groups::of_instance;
use super::past::activity;
use super::xml::Xml;
use super::{Answer, Facts, Refusal, ask, changeable, group, invalid};
use crate::cloud::call::Call;
use crate::cloud::scaling::cause;
use crate::cloud::scaling::group::{Scaling, Sickness, Stage};
use crate::cloud::scaling::history::new_id;
use crate::cloud::scaling::pace::{Pace, is_over};
use crate::cloud::scaling::refresh::{Refresh, State};

/// AWS's own default, in percent.
const MIN_HEALTHY: u32 = 90;

pub(super) fn terminate(all: &mut Scaling, call: &Call, now: Timestamp) -> Answer {
    let id = ask::needed(call, "InstanceId")?;
    let shrinks = ask::flag(call, "ShouldDecrementDesiredCapacity").unwrap_or_default();
    let it = of_instance(all, id)?;
    let (from, to) = (it.desired, it.desired.saturating_sub(1));
    if shrinks && to < it.min {
        let words = "Currently, desiredSize equals minSize. Terminating instance without replacement will violate \
                     group's min size constraint.";
        return Err(invalid(format!(
            "{words} Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
        )));
    }
    it.terminate(id, cause::asked_to_end(now, id, shrinks.then_some((from, to))), now);
    if shrinks {
        it.desired = to;
    }
    let shown = it.members.get(id).and_then(|member| it.history.find(&member.activity));
    Ok(match shown {
        Some(done) => Xml::new().inner("Activity", activity(&it.name, done)),
        None => Xml::new(),
    })
}

pub(super) fn health(all: &mut Scaling, call: &Call, now: Timestamp) -> Answer {
    let id = ask::needed(call, "InstanceId")?;
    let said = ask::needed(call, "HealthStatus")?;
    let respects_grace = ask::flag(call, "ShouldRespectGracePeriod").unwrap_or(true);
    let pace = Pace { clock: all.clock };
    let it = of_instance(all, id)?;
    let grace = pace.grace(it.grace);
    let Some(member) = it.members.get_mut(id) else { return Ok(Xml::new()) };
    let is_judged = member.in_service.is_some_and(|since| is_over(now, since, grace));
    member.sick = match said {
        "Healthy" => None,
        "Unhealthy" if is_judged || !respects_grace => Some(Sickness::Said),
        "Unhealthy" => member.sick,
        other => return Err(invalid(format!("{other} is not a valid health status"))),
    };
    Ok(Xml::new())
}

pub(super) fn protection(all: &mut Scaling, call: &Call) -> Answer {
    let is_protected = ask::flag(call, "ProtectedFromScaleIn").unwrap_or_default();
    let it = group(all, call)?;
    let ids = ask::list(call, "InstanceIds");
    if let Some(other) = ids.iter().find(|id| !it.members.contains_key(*id)) {
        return Err(invalid(format!("The instance {other} is not part of Auto Scaling group {}.", it.name)));
    }
    for id in ids {
        if let Some(member) = it.members.get_mut(&id) {
            member.is_protected = is_protected;
        }
    }
    Ok(Xml::new())
}

pub(super) fn refresh(all: &mut Scaling, call: &Call, facts: &Facts, now: Timestamp) -> Answer {
    let preference = |name: &str| format!("Preferences.{name}");
    let min_healthy = ask::number(call, &preference("MinHealthyPercentage"))?.unwrap_or(MIN_HEALTHY);
    let skips_matching = ask::flag(call, &preference("SkipMatching")).unwrap_or_default();
    if min_healthy > 100 {
        return Err(invalid("MinHealthyPercentage must be from 0 to 100"));
    }
    if ask::text(call, "Strategy").is_some_and(|it| it != "Rolling") {
        return Err(invalid("the rehearsal refreshes by the strategy Rolling only"));
    }
    let it = changeable(all, call)?;
    if it.refreshing().is_some() {
        let words =
            "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.";
        return Err(Refusal::new("InstanceRefreshInProgress", words.to_owned()));
    }
    let matches = |id: &String| {
        let member = it.members.get(id);
        skips_matching
            && member.is_some_and(|m| m.template.id == it.template.id && m.version == facts.version)
    };
    let serving = it.members.iter().filter(|it| it.1.stage != Stage::Terminating).map(|it| it.0.clone());
    let left: std::collections::BTreeSet<String> = serving.filter(|id| !matches(id)).collect();
    let new = Refresh {
        id: new_id(),
        state: State::InProgress,
        start: now,
        end: None,
        min_healthy,
        warmup: ask::number(call, &preference("InstanceWarmup"))?
            .unwrap_or_else(|| it.warmup.unwrap_or(it.grace)),
        skips_matching,
        total: left.len(),
        left,
    };
    let answer = Xml::new().text("InstanceRefreshId", &new.id);
    it.refreshes.push(new);
    Ok(answer)
}

pub(super) fn cancel(all: &mut Scaling, call: &Call, now: Timestamp) -> Answer {
    let it = group(all, call)?;
    let Some(last) = it.refreshes.last_mut().filter(|it| it.state == State::InProgress) else {
        let words =
            format!("No in progress or pending Instance Refresh found for Auto Scaling group {}", it.name);
        return Err(Refusal::new("ActiveInstanceRefreshNotFound", words));
    };
    (last.state, last.end) = (State::Cancelled, Some(now));
    Ok(Xml::new().text("InstanceRefreshId", &last.id))
}
