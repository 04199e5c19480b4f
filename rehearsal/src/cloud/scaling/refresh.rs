//! Instance refresh: every instance is replaced, a few at a time.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::cause;
use super::group::{Group, Stage};
use super::pace::{Pace, is_over};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    InProgress,
    Successful,
    Cancelled,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            State::InProgress => "InProgress",
            State::Successful => "Successful",
            State::Cancelled => "Cancelled",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Refresh {
    pub(super) id: String,
    pub(super) state: State,
    pub(super) start: Timestamp,
    pub(super) end: Option<Timestamp>,
    /// In percent of the desired capacity.
    pub(super) min_healthy: u32,
    /// Seconds until a new instance counts.
    pub(super) warmup: u32,
    pub(super) skips_matching: bool,
    /// Who is still to be replaced.
    pub(super) left: BTreeSet<String>,
    pub(super) total: usize,
}

impl Refresh {
    pub(super) fn percentage(&self) -> usize {
        let done = self.total.saturating_sub(self.left.len());
        (100 * done).checked_div(self.total).unwrap_or(100)
    }
}

/// How many may go now: as many as the percentage leaves, and one at a time where it leaves none.
fn allowance(serving: usize, desired: u32, min_healthy: u32, is_quiet: bool) -> usize {
    let keep = (u64::from(desired) * u64::from(min_healthy)).div_ceil(100);
    let spare = serving.saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    if is_quiet { spare.max(1) } else { spare }
}

impl Group {
    /// The refresh that is under way.
    pub(super) fn refreshing(&self) -> Option<&Refresh> {
        self.refreshes.last().filter(|it| it.state == State::InProgress)
    }

    pub(super) fn refresh(&mut self, pace: Pace, now: Timestamp) {
        let Some(mut it) = self.refreshing().cloned() else { return };
        let warmup = pace.warmup(it.warmup);
        let serves = |since: Option<Timestamp>| since.is_some_and(|since| is_over(now, since, warmup));
        it.left.retain(|id| self.members.get(id).is_some_and(|it| it.stage != Stage::Terminating));
        let serving = self
            .members
            .iter()
            .filter(|(id, member)| {
                let counts = member.stage == Stage::InService && member.sick.is_none();
                counts && (it.left.contains(*id) || serves(member.in_service))
            })
            .count();
        let is_quiet =
            self.is_steady() && serving == self.members.len() && self.count() >= self.desired as usize;
        if it.left.is_empty() {
            if is_quiet {
                (it.state, it.end) = (State::Successful, Some(now));
            }
        } else if !self.is_suspended("InstanceRefresh") && !self.is_suspended("Terminate") {
            let mut next: Vec<String> = it.left.iter().cloned().collect();
            next.sort_by_key(|id| self.members.get(id).map(|it| it.launched));
            next.truncate(allowance(serving, self.desired, it.min_healthy, is_quiet));
            for id in next {
                self.terminate(&id, cause::refreshed(now), now);
                it.left.remove(&id);
            }
        }
        if let Some(last) = self.refreshes.last_mut() {
            *last = it;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_go_as_the_percentage_leaves() {
        assert_eq!(allowance(4, 4, 50, true), 2);
        assert_eq!(allowance(3, 4, 50, false), 1);
        assert_eq!(allowance(2, 4, 50, false), 0);
    }

    #[test]
    fn where_the_percentage_leaves_none_they_go_one_by_one() {
        assert_eq!(allowance(2, 2, 90, true), 1);
        assert_eq!(allowance(2, 2, 90, false), 0);
    }
}
