//! The alarms of target tracking: what they look for, and what they say. Pure.

use jiff::Timestamp;

/// Periods in a row above the target, until the group grows.
const HIGH: usize = 3;
/// And far below it, until it shrinks: EC2 Auto Scaling waits longer, and for less than seven tenths of the target
/// (4.9 % for the lab's 7 %; other services take nine).
pub(super) const LOW: usize = 15;
const FAR_BELOW: f64 = 0.7;

/// An average of the group's instances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) value: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alarm {
    pub(super) name: String,
    /// Whether it looks for values above its threshold, or below.
    pub(super) looks_above: bool,
    pub(super) threshold: f64,
    pub(super) state: AlarmState,
    pub(super) reason: String,
    /// Whether CloudWatch has been told this state.
    pub(super) is_told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AlarmState {
    Unknown,
    Ok,
    Alarm,
}

impl Alarm {
    pub(super) fn pair(group: &str, percent: f64, id: impl Fn() -> String) -> (Alarm, Alarm) {
        let one = |side: &str, looks_above, threshold| Alarm {
            name: format!("TargetTracking-{group}-Alarm{side}-{}", id()),
            looks_above,
            threshold,
            state: AlarmState::Unknown,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            is_told: false,
        };
        // 4.9 and not 4.8999999999999995.
        let low = (percent * FAR_BELOW * 100.0).round() / 100.0;
        (one("High", true, percent), one("Low", false, low))
    }

    pub(super) fn periods(&self) -> usize {
        if self.looks_above { HIGH } else { LOW }
    }

    /// Looks at the newest samples; `samples` has the newest last.
    pub(super) fn judge(&mut self, samples: &[Sample]) {
        let periods = self.periods();
        let seen = &samples[samples.len().saturating_sub(periods)..];
        let breaches = |it: &Sample| match self.looks_above {
            true => it.value > self.threshold,
            false => it.value < self.threshold,
        };
        let (than, count) = (if self.looks_above { "greater" } else { "less" }, seen.len());
        let threshold = self.threshold;
        let newest = seen.last().map_or_else(String::new, told);
        let (state, reason) = if seen.is_empty() {
            (AlarmState::Unknown, format!("Insufficient Data: {periods} datapoints were unknown."))
        } else if count == periods && seen.iter().all(breaches) {
            let all: Vec<String> = seen.iter().rev().map(told).collect();
            let all = all.join(", ");
            (
                AlarmState::Alarm,
                format!(
                    "Threshold Crossed: {count} datapoints [{all}] were {than} than the threshold ({threshold})."
                ),
            )
        } else {
            (
                AlarmState::Ok,
                format!(
                    "Threshold Crossed: 1 out of the last {periods} datapoints [{newest}] was not {than} than the \
                     threshold ({threshold}) (minimum 1 datapoint for ALARM -> OK transition)."
                ),
            )
        };
        if state != self.state {
            (self.state, self.reason, self.is_told) = (state, reason, false);
        }
    }
}

fn told(it: &Sample) -> String {
    format!("{:.2} ({})", it.value, it.at.strftime("%d/%m/%y %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Vec<Sample> {
        let at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        values.iter().map(|value| Sample { at, value: *value }).collect()
    }

    #[test]
    fn the_high_alarm_takes_three_periods_above_and_goes_with_the_first_that_is_not() {
        let (mut high, _) = Alarm::pair("asg", 50.0, || "1".into());
        assert_eq!(high.name, "TargetTracking-asg-AlarmHigh-1");
        high.judge(&samples(&[]));
        assert_eq!(high.state, AlarmState::Unknown);
        high.judge(&samples(&[60.0, 60.0]));
        assert_eq!(high.state, AlarmState::Ok);
        high.judge(&samples(&[60.0, 60.0, 70.0]));
        assert_eq!(high.state, AlarmState::Alarm);
        assert_eq!(
            high.reason,
            "Threshold Crossed: 3 datapoints [70.00 (22/11/26 10:00:00), 60.00 (22/11/26 10:00:00), \
             60.00 (22/11/26 10:00:00)] were greater than the threshold (50)."
        );
        high.judge(&samples(&[60.0, 60.0, 70.0, 50.0]));
        assert_eq!(high.state, AlarmState::Ok);
    }

    #[test]
    fn a_threshold_is_shown_as_a_person_would_write_it() {
        assert_eq!(Alarm::pair("asg", 7.0, || "1".into()).1.threshold.to_string(), "4.9");
    }

    #[test]
    fn the_low_alarm_takes_fifteen_periods_far_below() {
        let (_, mut low) = Alarm::pair("asg", 50.0, || "1".into());
        low.judge(&samples(&[34.0; 14]));
        assert_eq!(low.state, AlarmState::Ok);
        low.judge(&samples(&[34.0; 15]));
        assert_eq!(low.state, AlarmState::Alarm);
        let mut all = [34.0; 15];
        all[7] = 35.0;
        low.judge(&samples(&all));
        assert_eq!(low.state, AlarmState::Ok);
    }
}
