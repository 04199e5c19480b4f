//! Makes the plan come true: every node once those that it needs are done, then what is no longer wanted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::join_all;

use super::{
    Action, Events, Kind, Observed, Outcome, Plan, Report, Seen, Stack, Stop, What,
    clock::now,
    destroy,
    reader::Reader,
    walk::{Visit, walk},
};
use crate::aws::Aws;

/// Settles every node of the stack, then removes what the plan says is no longer wanted.
///
/// `kinds` are all that exist; `observed` is what the plan was made from.
pub async fn apply(
    stack: &Stack,
    kinds: &[Kind],
    plan: &Plan,
    observed: Observed,
    aws: &Aws,
    events: &Events,
    stop: &Stop,
) -> (Report, Observed) {
    let run = Run { stack, aws, events, reader: Reader::new(aws), observed: Mutex::new(observed) };
    let ends = walk(&stack.needs(), stop, |index| run.visit(index)).await;
    let seen = join_all((0..ends.len()).map(|index| run.see(index))).await;
    let mut report = Report::default();
    for ((node, end), seen) in stack.nodes.iter().zip(ends).zip(seen) {
        let outcome = match end {
            Visit::Done(_) if let Err(why) = seen => Outcome::Failed { why },
            Visit::Done(outcome) => outcome,
            Visit::Failed(why) => Outcome::Failed { why },
            Visit::Skipped(why) => {
                let because = why.map_or("the run was interrupted", |it| &stack.nodes[it].name).to_owned();
                events.send(&node.name, What::Skipped { because: because.clone() });
                Outcome::Skipped { because }
            }
        };
        report.nodes.push((node.name.clone(), outcome));
    }
    let unwanted = plan.steps.iter().filter(|it| it.action == Action::Delete).map(|it| it.node.as_str());
    let unwanted: Vec<Seen> = {
        let observed = lock(&run.observed);
        unwanted.filter_map(|it| observed.nodes.get(it).cloned()).collect()
    };
    // Whatever is no longer wanted may still be in use by what could not be changed.
    if report.is_ok() && !unwanted.is_empty() {
        report.nodes.extend(destroy(&unwanted, kinds, aws, events, stop).await.nodes);
    }
    (report, run.observed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// One run: what its nodes share.
pub(super) struct Run<'a> {
    pub(super) stack: &'a Stack,
    pub(super) aws: &'a Aws,
    pub(super) events: &'a Events,
    pub(super) reader: Reader<'a>,
    pub(super) observed: Mutex<Observed>,
}

impl Run<'_> {
    /// Sees that what was used before it was seen is there, and as wanted.
    async fn see(&self, index: usize) -> Result<(), String> {
        let node = &self.stack.nodes[index];
        let is_unseen = lock(&self.observed).nodes.get(&node.name).is_some_and(|it| it.unseen);
        match is_unseen {
            true => self.visit(index).await.map(drop),
            false => Ok(()),
        }
    }

    async fn visit(&self, index: usize) -> Result<Outcome, String> {
        let node = &self.stack.nodes[index];
        let began = now();
        match self.settle(node).await {
            Ok(outcome) => {
                if outcome == Outcome::Changed {
                    self.events.send(&node.name, What::Done { took: now() - began });
                }
                Ok(outcome)
            }
            Err(err) => {
                let why = err.to_string();
                self.events.send(&node.name, What::Failed { why: why.clone() });
                Err(why)
            }
        }
    }
}

pub(super) fn lock(observed: &Mutex<Observed>) -> MutexGuard<'_, Observed> {
    observed.lock().unwrap_or_else(PoisonError::into_inner)
}
