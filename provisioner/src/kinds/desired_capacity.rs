//! Whose word on a scaling group's size counts: that of its own policy or that of a person.
//!
//! A policy moves the desired capacity all day long, and `up` must not fight it. A person who moved it
//! by hand is to be told. The group's history tells the two apart; the number that was asked for is kept
//! in a tag of the group.

use std::sync::Arc;

use aws_sdk_autoscaling::types::{
    Activity, AutoScalingGroup, ScalingActivityStatusCode, ScalingPolicy as Policy, Tag,
};

use shared::tags::DESIRED;

use super::scaling_group::{count, tags_of};
use crate::aws::{self, Aws};

/// The tag that keeps it.
pub(super) fn tag(desired: u32) -> Tag {
    Tag::builder().key(DESIRED).value(desired.to_string()).propagate_at_launch(false).build()
}

/// The desired capacity, as far as people are concerned: while the group's own policy moves it between
/// the limits, the number that was asked for; otherwise the truth.
pub(super) async fn asked(group: &AutoScalingGroup, aws: &Aws) -> aws::Result<u32> {
    let is = count(group.desired_capacity());
    let asked = tags_of(group).get(DESIRED).and_then(|it| it.parse().ok());
    let Some(asked) = asked.filter(|it| *it != is) else { return Ok(is) };
    if is < count(group.min_size()) || count(group.max_size()) < is {
        return Ok(is);
    }
    let name = group.auto_scaling_group_name().unwrap_or_default();
    if aws.scaling_policies().await?.iter().all(|it| it.auto_scaling_group_name() != Some(name)) {
        return Ok(is);
    }
    let history = history(name, aws).await?;
    // The newest comes first. AWS forgets after six weeks: where hosts have only been replaced since, it was the policy.
    let by_policy = history.iter().find_map(|it| set_by_policy(it.cause().unwrap_or_default()));
    Ok(if by_policy.unwrap_or(!history.is_empty()) { asked } else { is })
}

/// Whether the policy or somebody else last changed the desired capacity; `None`: this is about
/// something else. AWS writes `At … a monitor alarm … triggered policy … changing the desired capacity
/// from 2 to 3.  At … an instance was started …`.
fn set_by_policy(cause: &str) -> Option<bool> {
    let (before, _) = cause.rsplit_once("changing the desired capacity")?;
    let sentence = before.rfind("At ").map_or(before, |it| &before[it..]);
    Some(sentence.contains("triggered policy"))
}

/// Why no host could be launched, if that is what happened last.
pub(super) async fn last_failure(group: &str, aws: &Aws) -> aws::Result<Option<String>> {
    let history = history(group, aws).await?;
    let last = history.iter().find(|it| {
        !matches!(
            it.status_code(),
            Some(ScalingActivityStatusCode::InProgress | ScalingActivityStatusCode::PreInService)
        )
    });
    let failed = last.filter(|it| it.status_code() == Some(&ScalingActivityStatusCode::Failed));
    Ok(failed.and_then(|it| it.status_message()).map(str::to_owned))
}

/// What the group did lately, newest first. Asked for only when there is something to explain.
async fn history(group: &str, aws: &Aws) -> aws::Result<Arc<Vec<Activity>>> {
    aws.once(&format!("history of {group}"), || async {
        let seen = aws.scaling.describe_scaling_activities().auto_scaling_group_name(group);
        Ok(seen.max_records(100).send().await?.activities.unwrap_or_default())
    })
    .await
}

impl Aws {
    /// The policies of the stack's groups; read by two kinds.
    pub(super) async fn scaling_policies(&self) -> aws::Result<Arc<Vec<Policy>>> {
        self.once("scaling policies", || async {
            let groups = self.scaling_groups().await?;
            let names: Vec<&str> = groups.iter().filter_map(|it| it.auto_scaling_group_name()).collect();
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let pages = self.scaling.describe_policies().into_paginator().items();
            let mut all = pages.send().collect::<Result<Vec<Policy>, _>>().await?;
            all.retain(|it| it.auto_scaling_group_name().is_some_and(|it| names.contains(&it)));
            Ok(all)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_that_triggered_the_policy_is_not_a_person() {
        let cause = "At 2026-11-22T10:00:00Z a monitor alarm TargetTracking-lab-vpc-asg-AlarmHigh in state ALARM \
                     triggered policy lab-policy-01 changing the desired capacity from 2 to 4.  At \
                     2026-11-22T10:00:04Z an instance was started in response to a difference between desired \
                     and actual capacity, increasing the capacity from 2 to 4.";
        assert_eq!(set_by_policy(cause), Some(true));
    }

    #[test]
    fn a_request_is_a_persons() {
        let cause = "At 2026-11-22T10:00:00Z a user request explicitly set group desired capacity changing the \
                     desired capacity from 2 to 3.  At 2026-11-22T10:00:04Z an instance was started.";
        assert_eq!(set_by_policy(cause), Some(false));
    }

    #[test]
    fn a_replaced_host_says_nothing_about_the_size() {
        let cause = "At 2026-11-22T10:00:00Z an instance was taken out of service in response to an EC2 health check.";
        assert_eq!(set_by_policy(cause), None);
    }
}
