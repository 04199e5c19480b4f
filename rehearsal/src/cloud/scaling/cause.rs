//! The sentences with which Auto Scaling says why it did something. Programs read them, so they are AWS's own.

use jiff::Timestamp;

use super::group::Sickness;

/// As in `At 2026-11-22T10:00:00Z`.
fn at(now: Timestamp) -> String {
    format!("At {}", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

/// One sentence after the other, as AWS sets them.
pub(super) fn join<'a>(sentences: impl IntoIterator<Item = &'a str>) -> String {
    let said: Vec<&str> = sentences.into_iter().filter(|it| !it.is_empty()).collect();
    said.join("  ")
}

fn changing(from: u32, to: u32) -> String {
    format!("changing the desired capacity from {from} to {to}.")
}

pub(super) fn created(now: Timestamp, to: u32) -> String {
    format!("{} a user request created an AutoScalingGroup {}", at(now), changing(0, to))
}

pub(super) fn deleted(now: Timestamp, from: u32) -> String {
    format!("{} a user request force deleted AutoScalingGroup {}", at(now), changing(from, 0))
}

pub(super) fn set(now: Timestamp, from: u32, to: u32) -> String {
    format!("{} a user request explicitly set group desired capacity {}", at(now), changing(from, to))
}

pub(super) fn updated(now: Timestamp, (min, max): (u32, u32), from: u32, to: u32) -> String {
    format!(
        "{} a user request update of AutoScalingGroup constraints to min: {min}, max: {max}, desired: {to} {}",
        at(now),
        changing(from, to)
    )
}

pub(super) fn alarm(now: Timestamp, alarm: &str, policy: &str, from: u32, to: u32) -> String {
    format!(
        "{} a monitor alarm {alarm} in state ALARM triggered policy {policy} {}",
        at(now),
        changing(from, to)
    )
}

pub(super) fn executed(now: Timestamp, policy: &str, from: u32, to: u32) -> String {
    format!("{} a user request executed policy {policy} {}", at(now), changing(from, to))
}

pub(super) fn started(now: Timestamp, from: usize, to: u32) -> String {
    format!(
        "{} an instance was started in response to a difference between desired and actual capacity, increasing the \
         capacity from {from} to {to}.",
        at(now)
    )
}

pub(super) fn surplus(now: Timestamp, from: usize, to: u32, chosen: &[String]) -> String {
    let first = format!(
        "{} an instance was taken out of service in response to a difference between desired and actual capacity, \
         shrinking the capacity from {from} to {to}.",
        at(now)
    );
    let chosen = chosen.iter().map(|it| format!("{} instance {it} was selected for termination.", at(now)));
    let all: Vec<String> = std::iter::once(first).chain(chosen).collect();
    join(all.iter().map(String::as_str))
}

pub(super) fn sick(now: Timestamp, why: Sickness) -> String {
    let why = match why {
        Sickness::Machine => "an EC2 health check indicating it has been terminated or stopped",
        Sickness::Target => "an ELB system health check failure",
        Sickness::Said => "a user health-check",
    };
    format!("{} an instance was taken out of service in response to {why}.", at(now))
}

pub(super) fn too_old(now: Timestamp) -> String {
    format!("{} an instance was taken out of service in response to a maximum instance lifetime.", at(now))
}

pub(super) fn refreshed(now: Timestamp) -> String {
    format!("{} an instance was taken out of service in response to an instance refresh.", at(now))
}

/// `desired`: before and after, if the group shall be smaller from now on.
pub(super) fn asked_to_end(now: Timestamp, id: &str, desired: Option<(u32, u32)>) -> String {
    let less = desired.map(|(from, to)| format!(", shrinking the capacity from {from} to {to}"));
    let less = less.unwrap_or_default();
    format!("{} instance {id} was taken out of service in response to a user request{less}.", at(now))
}

pub(super) fn rebalanced(now: Timestamp, zones: &[(String, usize)]) -> String {
    let names: Vec<&str> = zones.iter().map(|it| it.0.as_str()).collect();
    let counts: Vec<String> = zones.iter().map(|it| it.1.to_string()).collect();
    format!(
        "{} availability zones {} had {} instances respectively. An instance was launched to aid in balancing the \
         group's zones.",
        at(now),
        names.join(" "),
        counts.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_and_what_came_of_it_are_told_as_aws_tells_them() {
        let now: Timestamp = "2026-11-22T10:00:00.5Z".parse().unwrap();
        let said = [alarm(now, "TargetTracking-asg-AlarmHigh-1", "cpu", 2, 4), started(now, 2, 4)];
        assert_eq!(
            join(said.iter().map(String::as_str)),
            "At 2026-11-22T10:00:00Z a monitor alarm TargetTracking-asg-AlarmHigh-1 in state ALARM triggered policy \
             cpu changing the desired capacity from 2 to 4.  At 2026-11-22T10:00:00Z an instance was started in \
             response to a difference between desired and actual capacity, increasing the capacity from 2 to 4."
        );
    }

    #[test]
    fn who_goes_is_named() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let said = surplus(now, 4, 3, &["i-1".to_owned()]);
        assert!(
            said.ends_with(
                "from 4 to 3.  At 2026-11-22T10:00:00Z instance i-1 was selected for termination."
            )
        );
    }
}
