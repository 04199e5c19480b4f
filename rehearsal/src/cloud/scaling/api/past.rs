//! Calls about what a group did and is doing.

use super::xml::Xml;
use super::{Answer, Refusal, ask, group};
use crate::cloud::call::Call;
use crate::cloud::scaling::group::Scaling;
use crate::cloud::scaling::history::{Activity, Status};

/// A page, unless another size is asked for.
const PAGE: u32 = 100;

pub(super) fn activities(all: &mut Scaling, call: &Call) -> Answer {
    let wanted = ask::list(call, "ActivityIds");
    let groups: Vec<_> = match ask::text(call, "AutoScalingGroupName") {
        Some(_) => vec![&*group(all, call)?],
        None => all.groups.values().collect(),
    };
    let mut found: Vec<(&str, &Activity)> = groups
        .iter()
        .flat_map(|it| it.history.newest_first().map(|one| (it.name.as_str(), one)))
        .filter(|it| wanted.is_empty() || wanted.contains(&it.1.id))
        .collect();
    found.sort_by_key(|it| std::cmp::Reverse(it.1.start));
    let from: usize = match ask::text(call, "NextToken") {
        Some(token) => token
            .parse()
            .map_err(|_| Refusal::new("InvalidNextToken", format!("{token:?} is no token of a page")))?,
        None => 0,
    };
    let size = ask::number(call, "MaxRecords")?.unwrap_or(PAGE) as usize;
    let next = from.saturating_add(size);
    let page = found.iter().skip(from).take(size).map(|(name, it)| activity(name, it));
    let answer = Xml::new().list("Activities", page);
    Ok(if next < found.len() { answer.number("NextToken", next) } else { answer })
}

pub(super) fn activity(group: &str, it: &Activity) -> Xml {
    let details =
        format!("{{\"Subnet ID\":\"{}\",\"Availability Zone\":\"{}\"}}", it.place.subnet, it.place.zone);
    let progress = match it.status {
        Status::Successful | Status::Failed => 100,
        Status::InProgress | Status::Draining => 50,
    };
    let shown = Xml::new()
        .text("ActivityId", &it.id)
        .text("AutoScalingGroupName", group)
        .text("Description", &it.description)
        .text("Cause", &it.cause)
        .time("StartTime", it.start)
        .text("StatusCode", it.status.as_str())
        .optional("StatusMessage", it.message.as_deref())
        .number("Progress", progress)
        .text("Details", details);
    match it.end {
        Some(end) => shown.time("EndTime", end),
        None => shown,
    }
}

pub(super) fn refreshes(all: &mut Scaling, call: &Call) -> Answer {
    let wanted = ask::list(call, "InstanceRefreshIds");
    let it = group(all, call)?;
    let found = it.refreshes.iter().rev().filter(|it| wanted.is_empty() || wanted.contains(&it.id));
    let shown = found.map(|one| {
        let preferences = Xml::new()
            .number("MinHealthyPercentage", one.min_healthy)
            .number("InstanceWarmup", one.warmup)
            .number("SkipMatching", one.skips_matching);
        let shown = Xml::new()
            .text("InstanceRefreshId", &one.id)
            .text("AutoScalingGroupName", &it.name)
            .text("Status", one.state.as_str())
            .time("StartTime", one.start)
            .number("PercentageComplete", one.percentage())
            .number("InstancesToUpdate", one.left.len())
            .inner("Preferences", preferences);
        match one.end {
            Some(end) => shown.time("EndTime", end),
            None => shown,
        }
    });
    Ok(Xml::new().list("InstanceRefreshes", shown))
}
