//! Where a run stands: pure bookkeeping over events, for whoever draws it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use crate::{
    engine::{Event, Verb, What},
    timing::{Expected, Forecast},
};

pub(super) struct Progress {
    forecast: Forecast,
    index: HashMap<String, usize>,
    states: Vec<State>,
    pub(super) began: Instant,
}

enum State {
    /// Nothing to do, as far as the plan knew.
    Idle,
    Left,
    Running(Running),
    Done,
    Failed,
    Skipped,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Running {
    pub(super) verb: Verb,
    pub(super) since: Instant,
    /// What AWS is at, or what has to happen first.
    pub(super) why: Option<String>,
}

/// How many nodes are where.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) total: usize,
    pub(super) done: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Progress {
    pub(super) fn new(forecast: &Forecast, now: Instant) -> Self {
        let states = forecast.nodes.iter().map(|it| if it.work { State::Left } else { State::Idle });
        Progress {
            index: forecast.nodes.iter().enumerate().map(|(i, it)| (it.node.clone(), i)).collect(),
            states: states.collect(),
            forecast: forecast.clone(),
            began: now,
        }
    }

    /// Takes note; answers what was running, if this ended it.
    pub(super) fn event(&mut self, event: &Event, now: Instant) -> Option<Running> {
        let index = self.index_of(&event.node);
        let state = &mut self.states[index];
        let before = match state {
            State::Running(it) => Some(it.clone()),
            _ => None,
        };
        match &event.what {
            What::Started { verb } => *state = State::Running(Running { verb: *verb, since: now, why: None }),
            What::Waiting { why } => {
                if let State::Running(it) = state {
                    it.why = Some(why.clone());
                }
            }
            What::Done { .. } => *state = State::Done,
            What::Failed { .. } => *state = State::Failed,
            What::Skipped { .. } => *state = State::Skipped,
        }
        match event.what {
            What::Started { .. } | What::Waiting { .. } => None,
            _ => before,
        }
    }

    /// The place of a node; one that the plan did not know (a side effect of another's change) is added.
    fn index_of(&mut self, node: &str) -> usize {
        if let Some(index) = self.index.get(node) {
            return *index;
        }
        let index = self.states.len();
        self.index.insert(node.to_owned(), index);
        let unplanned =
            Expected { node: node.to_owned(), needs: Vec::new(), usually: Duration::ZERO, work: true };
        self.forecast.nodes.push(unplanned);
        self.states.push(State::Left);
        index
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for state in &self.states {
            match state {
                State::Idle => continue,
                State::Done => counts.done += 1,
                State::Failed => counts.failed += 1,
                State::Skipped => counts.skipped += 1,
                State::Left | State::Running(_) => (),
            }
            counts.total += 1;
        }
        counts
    }

    /// What runs now, with how long it usually takes; what takes longest comes first and stays there.
    pub(super) fn running(&self) -> Vec<(&str, &Running, Duration)> {
        let mut running: Vec<_> = (self.forecast.nodes.iter().zip(&self.states))
            .filter_map(|(it, state)| match state {
                State::Running(run) => Some((it.node.as_str(), run, it.usually)),
                _ => None,
            })
            .collect();
        running.sort_by_key(|(_, run, usually)| (Reverse(*usually), run.since));
        running
    }

    /// For whom the nodes that have not started wait: the running node that holds each up longest,
    /// and how many it holds; the one that holds most comes first.
    pub(super) fn blockers(&self, now: Instant) -> Vec<(&str, usize)> {
        // For each node the running node whose end comes last on the way to it.
        let mut last: Vec<Option<(Duration, usize)>> = Vec::with_capacity(self.states.len());
        let mut held: BTreeMap<usize, usize> = BTreeMap::new();
        for (index, state) in self.states.iter().enumerate() {
            let needs = &self.forecast.nodes[index].needs;
            let on = needs.iter().filter_map(|it| last.get(*it).copied().flatten()).max();
            last.push(match state {
                State::Running(_) => Some((self.left_of(index, now), index)),
                State::Left => on,
                _ => None,
            });
            if let (State::Left, Some((_, by))) = (state, on) {
                *held.entry(by).or_default() += 1;
            }
        }
        let mut held: Vec<_> =
            held.into_iter().map(|(by, n)| (self.forecast.nodes[by].node.as_str(), n)).collect();
        held.sort_by_key(|(_, n)| Reverse(*n));
        held
    }

    /// How long the run still takes if every node takes as long as it usually does.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.forecast.left(|it| self.left_of(it, now))
    }

    fn left_of(&self, index: usize, now: Instant) -> Duration {
        let usually = self.forecast.nodes[index].usually;
        match &self.states[index] {
            State::Left => usually,
            State::Running(it) => usually.saturating_sub(now - it.since),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn event(node: &str, what: What) -> Event {
        Event { at: SystemTime::UNIX_EPOCH, node: node.to_owned(), what }
    }

    /// vpc (2 s) ← database (600 s) ← replica (600 s); vpc ← nat (90 s).
    fn progress(now: Instant) -> Progress {
        let node = |node: &str, needs: &[usize], usually| Expected {
            node: node.to_owned(),
            needs: needs.to_vec(),
            usually: Duration::from_secs(usually),
            work: true,
        };
        let nodes = vec![
            node("vpc", &[], 2),
            node("database", &[0], 600),
            node("nat", &[0], 90),
            node("replica", &[1, 2], 600),
        ];
        Progress::new(&Forecast { nodes, total: Duration::from_secs(1202), chain: Vec::new() }, now)
    }

    #[test]
    fn the_rest_shrinks_along_the_longest_chain_only() {
        let began = Instant::now();
        let mut progress = progress(began);
        let at = |s| began + Duration::from_secs(s);
        assert_eq!(progress.left(began), Some(Duration::from_secs(1202)));
        progress.event(&event("vpc", What::Started { verb: Verb::Create }), began);
        progress.event(&event("vpc", What::Done { took: Duration::from_secs(2) }), at(2));
        progress.event(&event("nat", What::Started { verb: Verb::Create }), at(2));
        progress.event(&event("database", What::Started { verb: Verb::Create }), at(2));
        assert_eq!(progress.left(at(102)), Some(Duration::from_secs(1100)));
        assert_eq!(progress.blockers(at(102)), [("database", 1)]);
    }

    #[test]
    fn a_node_that_takes_longer_than_usual_never_makes_the_rest_negative() {
        let began = Instant::now();
        let mut progress = progress(began);
        progress.event(&event("vpc", What::Started { verb: Verb::Create }), began);
        assert_eq!(progress.left(began + Duration::from_secs(500)), Some(Duration::from_secs(1200)));
    }

    #[test]
    fn a_node_that_the_plan_did_not_know_is_counted_too() {
        let now = Instant::now();
        let mut progress = progress(now);
        progress.event(&event("parameter", What::Started { verb: Verb::Configure }), now);
        progress.event(&event("nat", What::Failed { why: "no".into() }), now);
        progress.event(&event("replica", What::Skipped { because: "nat".into() }), now);
        assert_eq!(progress.counts(), Counts { total: 5, done: 0, failed: 1, skipped: 1 });
        assert_eq!(progress.running().len(), 1);
    }
}
