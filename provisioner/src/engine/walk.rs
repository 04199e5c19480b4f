//! Visits every node of a graph once its neighbours are done, as many at a time as possible.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;

/// Asks a walk to start nothing new; what runs is finished.
#[derive(Clone, Default)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked for.
    pub async fn asked(&self) {
        // It can only fail without a sender, and we are one.
        let _ = self.0.subscribe().wait_for(|it| *it).await;
    }
}

/// How a visit ended.
pub(super) enum Visit<T> {
    Done(T),
    Failed(String),
    /// Not visited, since this node failed or was itself skipped; `None`: the walk was stopped.
    Skipped(Option<usize>),
}

/// Visits node `i` once all of `needs[i]` are done. A failure skips exactly its dependents.
pub(super) async fn walk<T, Fut>(
    needs: &[Vec<usize>],
    stop: &Stop,
    mut visit: impl FnMut(usize) -> Fut,
) -> Vec<Visit<T>>
where
    Fut: Future<Output = Result<T, String>>,
{
    let dependents = reverse(needs);
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut ends: Vec<Option<Visit<T>>> = needs.iter().map(|_| None).collect();
    let mut ready: Vec<usize> = (0..needs.len()).filter(|it| missing[*it] == 0).collect();
    let mut running = FuturesUnordered::new();
    loop {
        for node in std::mem::take(&mut ready) {
            if stop.is_asked() {
                ends[node] = Some(Visit::Skipped(None));
                continue;
            }
            let visiting = visit(node);
            running.push(async move { (node, visiting.await) });
        }
        let Some((node, end)) = running.next().await else { break };
        match end {
            Ok(it) => {
                ends[node] = Some(Visit::Done(it));
                for &it in &dependents[node] {
                    missing[it] -= 1;
                    if missing[it] == 0 && ends[it].is_none() {
                        ready.push(it);
                    }
                }
            }
            Err(why) => {
                ends[node] = Some(Visit::Failed(why));
                let mut hit = dependents[node].clone();
                while let Some(it) = hit.pop() {
                    if ends[it].is_none() {
                        ends[it] = Some(Visit::Skipped(Some(node)));
                        hit.extend(&dependents[it]);
                    }
                }
            }
        }
    }
    ends.into_iter().map(|it| it.unwrap_or(Visit::Skipped(None))).collect()
}

/// For each node, those that need it.
pub(super) fn reverse(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut dependents = vec![Vec::new(); needs.len()];
    for (node, needs) in needs.iter().enumerate() {
        for &it in needs {
            dependents[it].push(node);
        }
    }
    dependents
}

/// The longest chain of `times` along `needs`: its length and its nodes in order. No schedule that
/// respects the edges can be faster.
pub fn critical_path(needs: &[Vec<usize>], times: &[Duration]) -> (Duration, Vec<usize>) {
    let mut ends: Vec<Duration> = Vec::with_capacity(needs.len());
    for (node, needs) in needs.iter().enumerate() {
        let start = needs.iter().map(|it| ends[*it]).max().unwrap_or_default();
        ends.push(start + times[node]);
    }
    let Some(mut node) = (0..ends.len()).max_by_key(|it| ends[*it]) else { return Default::default() };
    let total = ends[node];
    let mut path = vec![node];
    while let Some(&last) = needs[node].iter().max_by_key(|it| ends[**it]) {
        path.push(last);
        node = last;
    }
    path.reverse();
    (total, path)
}
