//! Policies: how many instances a measured load asks for. Pure.

use jiff::Timestamp;

use super::alarm::{self, Alarm, AlarmState, Sample};
use super::cause;
use super::group::{Group, Stage};
use super::pace::{Pace, is_over};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Policy {
    pub(super) name: String,
    /// The part of its ARN that nobody chooses.
    pub(super) id: String,
    pub(super) rule: Rule,
    /// Seconds until a new instance's load counts.
    pub(super) warmup: Option<u32>,
    pub(super) is_enabled: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rule {
    /// Keeps the average CPU utilisation at a percentage.
    Target { percent: f64, only_grows: bool, high: Alarm, low: Alarm },
    /// Changes the size when somebody executes it.
    Simple { adjustment: Adjustment, amount: i64, cooldown: Option<u32> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adjustment {
    Exact,
    Change,
    Percent,
}

impl Policy {
    pub(super) fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        let pair = match &self.rule {
            Rule::Target { high, low, .. } => Some([high, low]),
            Rule::Simple { .. } => None,
        };
        pair.into_iter().flatten()
    }

    pub(super) fn alarms_mut(&mut self) -> impl Iterator<Item = &mut Alarm> {
        let pair = match &mut self.rule {
            Rule::Target { high, low, .. } => Some([high, low]),
            Rule::Simple { .. } => None,
        };
        pair.into_iter().flatten()
    }
}

/// The size at which the load of `measured` instances would be at the target: never less than there shall be now.
fn grown(value: f64, percent: f64, measured: usize, desired: u32, max: u32) -> u32 {
    needed(value, percent, measured).min(max).max(desired)
}

/// One less, if that many suffice: it shrinks gradually, to keep the service.
fn shrunk(value: f64, percent: f64, measured: usize, desired: u32, min: u32) -> u32 {
    let smaller = desired.saturating_sub(1).max(min);
    if needed(value, percent, measured) <= smaller { smaller.min(desired) } else { desired }
}

fn needed(value: f64, percent: f64, measured: usize) -> u32 {
    #[expect(clippy::cast_precision_loss, reason = "nobody has that many instances")]
    let exact = measured as f64 * value / percent.max(f64::MIN_POSITIVE);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the type's range"
    )]
    let whole = exact.ceil().clamp(0.0, f64::from(u32::MAX)) as u32;
    whole
}

/// What a simple policy makes of a size.
pub(super) fn adjusted(desired: u32, adjustment: Adjustment, amount: i64, limits: (u32, u32)) -> u32 {
    let now = i64::from(desired);
    let exact = match adjustment {
        Adjustment::Exact => amount,
        Adjustment::Change => now.saturating_add(amount),
        Adjustment::Percent => {
            let change = now.saturating_mul(amount) / 100;
            // Rounded towards nothing, but never to nothing.
            now.saturating_add(if change == 0 { amount.signum() } else { change })
        }
    };
    u32::try_from(exact.clamp(limits.0.into(), limits.1.into())).unwrap_or(limits.1)
}

impl Group {
    /// Those whose load counts.
    pub(super) fn warm(&self, pace: Pace, now: Timestamp) -> Vec<&str> {
        let warmup = pace.warmup(self.warmup());
        let is_warm = |since: Option<Timestamp>| since.is_some_and(|since| is_over(now, since, warmup));
        let serving = self.members.iter().filter(|it| it.1.stage == Stage::InService);
        serving.filter(|it| is_warm(it.1.in_service)).map(|it| it.0.as_str()).collect()
    }

    /// What a new measure of so many instances changes.
    pub(super) fn measured(&mut self, sample: Sample, measured: usize, pace: Pace) {
        self.samples.push_back(sample);
        while self.samples.len() > alarm::LOW {
            self.samples.pop_front();
        }
        let samples: Vec<Sample> = self.samples.iter().copied().collect();
        let all_warm = self.is_steady() && self.warm(pace, sample.at).len() == self.members.len();
        let (mut up, mut down): (Option<(u32, String, String)>, Vec<_>) = (None, Vec::new());
        let mut shrinkers = 0;
        for policy in self.policies.values_mut() {
            let Rule::Target { percent, only_grows, high, low } = &mut policy.rule else { continue };
            high.judge(&samples);
            low.judge(&samples);
            if !policy.is_enabled {
                continue;
            }
            shrinkers += usize::from(!*only_grows);
            let value = sample.value;
            if high.state == AlarmState::Alarm {
                let to = grown(value, *percent, measured, self.desired, self.max);
                if up.as_ref().is_none_or(|it| it.0 < to) {
                    up = Some((to, high.name.clone(), policy.name.clone()));
                }
            }
            if low.state == AlarmState::Alarm && !*only_grows {
                let to = shrunk(value, *percent, measured, self.desired, self.min);
                down.push((to, low.name.clone(), policy.name.clone()));
            }
        }
        if self.is_suspended("AlarmNotification") || self.is_going {
            return;
        }
        // Who wants most decides; and it shrinks only if all agree, one by one, and while nobody comes or goes.
        let may_shrink = all_warm && down.len() == shrinkers && self.count() == self.desired as usize;
        let least = down.into_iter().max_by_key(|it| it.0).filter(|_| may_shrink);
        let chosen = up.or(least);
        if let Some((to, alarm, policy)) = chosen {
            self.want(to, |from, to| cause::alarm(sample.at, &alarm, &policy, from, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_follows_the_load_in_proportion_and_never_beyond_the_limits() {
        assert_eq!(grown(100.0, 50.0, 2, 2, 4), 4);
        assert_eq!(grown(60.0, 50.0, 2, 2, 4), 3);
        assert_eq!(grown(100.0, 7.0, 2, 2, 4), 4);
        // Two of four are still warming up: the other two say no more than before.
        assert_eq!(grown(100.0, 50.0, 2, 4, 10), 4);
        assert_eq!(grown(100.0, 50.0, 0, 2, 4), 2);
    }

    #[test]
    fn it_shrinks_one_by_one_and_only_if_the_rest_can_bear_it() {
        assert_eq!(shrunk(0.5, 50.0, 4, 4, 2), 3);
        assert_eq!(shrunk(0.5, 50.0, 2, 2, 2), 2);
        // 3 × 34 % is 102 %: too much for two at 50 %.
        assert_eq!(shrunk(34.0, 50.0, 3, 3, 1), 3);
        assert_eq!(shrunk(33.0, 50.0, 3, 3, 1), 2);
    }

    #[test]
    fn a_simple_policy_changes_by_number_or_by_part_and_at_least_by_one() {
        assert_eq!(adjusted(2, Adjustment::Change, 1, (1, 4)), 3);
        assert_eq!(adjusted(2, Adjustment::Change, -5, (1, 4)), 1);
        assert_eq!(adjusted(2, Adjustment::Exact, 9, (1, 4)), 4);
        assert_eq!(adjusted(2, Adjustment::Percent, 10, (1, 4)), 3);
        assert_eq!(adjusted(10, Adjustment::Percent, 25, (1, 40)), 12);
        assert_eq!(adjusted(10, Adjustment::Percent, -25, (1, 40)), 8);
    }
}
