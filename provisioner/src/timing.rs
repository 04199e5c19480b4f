//! Forecasts: how long a run will take on AWS, and which chain of nodes decides it.

use std::{collections::HashMap, time::Duration};

use crate::engine::{Action, Plan, Stack, critical_path};

/// What a run is expected to do.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    /// In the order of the plan.
    pub nodes: Vec<Expected>,
    /// No run can be faster: the longest chain of nodes, each taking as long as it usually does.
    pub total: Duration,
    /// That chain, in order, without what has nothing to do.
    pub chain: Vec<String>,
}

/// One node of a run.
#[derive(Clone, Debug)]
pub struct Expected {
    pub node: String,
    /// Indices of the nodes that have to be settled first.
    pub needs: Vec<usize>,
    /// As a rule, on AWS.
    pub usually: Duration,
    /// Whether there is anything to do.
    pub work: bool,
}

/// How long AWS usually takes to show a change of something that exists.
const CHANGE: Duration = Duration::from_secs(5);

/// The forecast for carrying out `plan`.
pub fn forecast(stack: &Stack, plan: &Plan) -> Forecast {
    let actions: HashMap<&str, &Action> =
        plan.steps.iter().map(|it| (it.node.as_str(), &it.action)).collect();
    let mut nodes: Vec<Expected> = Vec::with_capacity(plan.steps.len());
    for node in &stack.nodes {
        let creation = node.resource.kind().usually;
        let (usually, work) = match actions.get(node.name.as_str()) {
            Some(Action::Create | Action::Remake { .. } | Action::Wait { .. }) => (creation, true),
            Some(Action::Configure { .. }) => (CHANGE.min(creation), true),
            _ => (Duration::ZERO, false),
        };
        nodes.push(Expected { node: node.name.clone(), needs: node.needs.clone(), usually, work });
    }
    let (total, chain) = longest(&nodes);
    // What is no longer wanted goes after everything else; nobody knows how long that takes.
    let unwanted = plan.steps.iter().filter(|it| it.action == Action::Delete);
    nodes.extend(unwanted.map(|it| unknown(&it.node)));
    Forecast { nodes, total, chain }
}

/// The forecast for removing `nodes`: how many, but not how long.
pub fn removal<'a>(nodes: impl IntoIterator<Item = &'a str>) -> Forecast {
    Forecast { nodes: nodes.into_iter().map(unknown).collect(), ..Forecast::default() }
}

fn unknown(node: &str) -> Expected {
    Expected { node: node.to_owned(), needs: Vec::new(), usually: Duration::ZERO, work: true }
}

fn longest(nodes: &[Expected]) -> (Duration, Vec<String>) {
    let needs: Vec<_> = nodes.iter().map(|it| it.needs.clone()).collect();
    let times: Vec<_> = nodes.iter().map(|it| it.usually).collect();
    let (total, path) = critical_path(&needs, &times);
    (total, path.into_iter().filter(|it| nodes[*it].work).map(|it| nodes[it].node.clone()).collect())
}

impl Forecast {
    /// How many nodes have something to do.
    pub fn work(&self) -> usize {
        self.nodes.iter().filter(|it| it.work).count()
    }

    /// How long the run still takes, given what is left of each node; `None` where nobody knows.
    pub fn left(&self, left: impl Fn(usize) -> Duration) -> Option<Duration> {
        if self.total.is_zero() {
            return None;
        }
        let mut ends: Vec<Duration> = Vec::with_capacity(self.nodes.len());
        for (index, it) in self.nodes.iter().enumerate() {
            let start = it.needs.iter().map(|it| ends[*it]).max().unwrap_or_default();
            ends.push(start + left(index));
        }
        ends.into_iter().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        engine::toys::{planned, play, posing, timed, up},
        stack::{Surroundings, stack},
    };

    fn lab() -> Stack {
        let config = Config::default();
        posing(&stack(&config, &Surroundings::imagined(&config)).unwrap())
    }

    #[test]
    fn the_labs_up_takes_at_most_a_twentieth_longer_than_its_longest_chain() {
        play(async {
            let lab = lab();
            let forecast = forecast(&lab, &planned(&lab).await);
            let (took, report) = timed(up(&lab)).await;
            assert!(report.is_ok(), "{report:?}");
            let ratio = took.as_secs_f64() / forecast.total.as_secs_f64();
            println!(
                "{} nodes, {took:?} for {:?}: {ratio:.3}; {:?}",
                lab.nodes.len(),
                forecast.total,
                forecast.chain
            );
            assert!(
                ratio <= 1.05,
                "{took:?} is {ratio:.3} times {:?} of {:?}",
                forecast.total,
                forecast.chain
            );
        });
    }

    #[test]
    fn what_is_as_wanted_costs_no_time() {
        play(async {
            let lab = lab();
            up(&lab).await;
            let forecast = forecast(&lab, &planned(&lab).await);
            assert_eq!((forecast.total, forecast.work(), forecast.chain.len()), (Duration::ZERO, 0, 0));
        });
    }
}
