//! Takes resources away: dependents first, retry while others still hold one, wait until it is gone.

use std::{collections::HashMap, time::Duration};

use serde_json::Value as Json;

use super::{
    Events, Kind, Outcome, Report, Seen, Stop, Verb, What,
    clock::now,
    patience::Patience,
    reader::Reader,
    walk::{Visit, reverse, walk},
};
use crate::aws::{self, Aws};

/// Removes everything in `seen`. Who depends on whom is read from what AWS says, so that resources
/// which are no longer in the configuration go in the right order too.
pub async fn destroy(seen: &[Seen], kinds: &[Kind], aws: &Aws, events: &Events, stop: &Stop) -> Report {
    let reader = Reader::new(aws);
    let reader = &reader;
    let mut needs = needs(seen);
    let contained = contain(seen, &mut needs);
    break_cycles(seen, kinds, &mut needs);
    let order = reverse(&needs);
    let contained = &contained;
    let ends = walk(&order, stop, |index| {
        let it = &seen[index];
        async move {
            let began = now();
            if contained[index].is_some() {
                events.send(&it.node, What::Done { took: Duration::ZERO });
                return Ok(());
            }
            events.send(&it.node, What::Started { verb: Verb::Delete });
            match remove(it, aws, events, reader).await {
                Ok(()) => {
                    events.send(&it.node, What::Done { took: now() - began });
                    Ok(())
                }
                Err(err) => {
                    let why = err.to_string();
                    events.send(&it.node, What::Failed { why: why.clone() });
                    Err(why)
                }
            }
        }
    });
    let ends = ends.await;
    let mut report = Report::default();
    for (index, it) in seen.iter().enumerate() {
        let outcome = match &ends[index] {
            Visit::Done(())
                if let Some(container) =
                    contained[index].filter(|it| !matches!(ends[*it], Visit::Done(()))) =>
            {
                Outcome::Skipped { because: seen[container].node.clone() }
            }
            Visit::Done(()) => Outcome::Changed,
            Visit::Failed(why) => Outcome::Failed { why: why.clone() },
            Visit::Skipped(why) => {
                let because = why.map_or("the run was interrupted", |it| &seen[it].node).to_owned();
                events.send(&it.node, What::Skipped { because: because.clone() });
                Outcome::Skipped { because }
            }
        };
        report.nodes.push((it.node.clone(), outcome));
    }
    report
}

/// Removes one resource and waits until it is gone. That it is gone already is success.
pub(super) async fn remove(seen: &Seen, aws: &Aws, events: &Events, reader: &Reader<'_>) -> aws::Result<()> {
    let mut patience = Patience::new(seen.kind.patience);
    let mut seen = seen.clone();
    loop {
        let err = match seen.kind.delete(&seen, aws).await {
            Ok(()) => break,
            Err(err) if err.is_missing() => break,
            Err(err) => err,
        };
        let passes = err.is_in_use() || err.is_not_yet() || err.is_throttled() || err.is_ambiguous();
        if !passes {
            return Err(err);
        }
        let held = match seen.kind.holders(&seen, aws).await {
            Ok(Some(by)) => format!("{err}; held by {by}"),
            _ => err.to_string(),
        };
        if patience.is_over() {
            return Err(aws::Error::refused(format!(
                "{held}; gave up after {:?}, run it again later",
                seen.kind.patience
            )));
        }
        events.send(&seen.node, What::Waiting { why: held });
        patience.back_off().await;
        // The try may have done all or a part of it. What no listing shows is tried as before: only AWS's own word
        // that it is missing says that it is gone.
        if err.is_ambiguous() {
            let all = reader.list(seen.kind, now()).await?;
            seen = all.iter().find(|it| it.id == seen.id).cloned().unwrap_or(seen);
        }
    }
    if !seen.kind.lingers {
        return Ok(());
    }
    let mut since = now();
    loop {
        patience.wait().await;
        let all = reader.list(seen.kind, since).await?;
        let Some(it) = all.iter().find(|it| it.id == seen.id) else { return Ok(()) };
        let state = match &it.phase {
            super::Phase::Pending(state) | super::Phase::Failed(state) => state.clone(),
            super::Phase::Ready => "it to go".into(),
        };
        if patience.is_over() {
            return Err(aws::Error::refused(format!(
                "still {state} after {:?}, run it again later",
                seen.kind.patience
            )));
        }
        events.send(&seen.node, What::Waiting { why: state });
        since = now() + patience.pause / 2;
    }
}

/// For each resource those it needs: the ids in its fields, and the kinds that it comes after.
fn needs(seen: &[Seen]) -> Vec<Vec<usize>> {
    let by_id: HashMap<(&str, &str), usize> =
        seen.iter().enumerate().map(|(i, it)| ((it.kind.name, it.id.as_str()), i)).collect();
    let mut by_kind: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, it) in seen.iter().enumerate() {
        by_kind.entry(it.kind.name).or_default().push(index);
    }
    let mut all: Vec<Vec<usize>> = Vec::with_capacity(seen.len());
    for (index, it) in seen.iter().enumerate() {
        let mut needs = Vec::new();
        let mut ids = Vec::new();
        collect_ids(&it.fields, &mut ids);
        needs.extend(ids.iter().filter_map(|it| by_id.get(it)).copied());
        needs.extend(it.kind.after.iter().filter_map(|it| by_kind.get(it)).flatten());
        needs.retain(|it| *it != index);
        needs.sort_unstable();
        needs.dedup();
        all.push(needs);
    }
    all
}

/// For each resource the one that contains it and goes as well. What such a resource holds is held until its
/// container is gone.
fn contain(seen: &[Seen], needs: &mut [Vec<usize>]) -> Vec<Option<usize>> {
    let mut contained = vec![None; seen.len()];
    // What is contained in something contained hands its edges up step by step: as often as there are steps.
    for _ in 0..CONTAINERS {
        for (index, it) in seen.iter().enumerate() {
            let Some(container) =
                needs[index].iter().copied().find(|at| Some(seen[*at].kind.name) == it.kind.goes_with)
            else {
                continue;
            };
            contained[index] = Some(container);
            let held: Vec<usize> = needs[index].iter().copied().filter(|at| *at != container).collect();
            needs[container].extend(held);
            needs[container].sort_unstable();
            needs[container].dedup();
        }
    }
    contained
}

/// How deep things contain each other: a rule its listener, a listener its balancer.
const CONTAINERS: usize = 2;

/// Resources of one kind may refer to each other in a circle (security groups do, once somebody adds
/// a rule by hand). Inside a circle the order of kinds decides, and `remove` retries the rest.
fn break_cycles(seen: &[Seen], kinds: &[Kind], needs: &mut [Vec<usize>]) {
    let rank = |it: usize| kinds.iter().position(|kind| kind.name == seen[it].kind.name);
    loop {
        let mut left: Vec<usize> = needs.iter().map(Vec::len).collect();
        let dependents = reverse(needs);
        let mut ready: Vec<usize> = (0..left.len()).filter(|it| left[*it] == 0).collect();
        while let Some(it) = ready.pop() {
            for &dependent in &dependents[it] {
                left[dependent] -= 1;
                if left[dependent] == 0 {
                    ready.push(dependent);
                }
            }
        }
        let circle: Vec<usize> = (0..left.len()).filter(|it| 0 < left[*it]).collect();
        let Some(&first) = circle.first() else { return };
        let before: usize = circle.iter().map(|it| needs[*it].len()).sum();
        for &it in &circle {
            needs[it].retain(|need| !circle.contains(need) || rank(*need) < rank(it));
        }
        // Nothing to drop by rank: cut one edge and look again.
        if before == circle.iter().map(|it| needs[*it].len()).sum::<usize>() {
            needs[first].retain(|it| !circle.contains(it));
        }
    }
}

fn collect_ids<'a>(value: &'a Json, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Json::Object(map) => {
            match (map.get("$kind").and_then(Json::as_str), map.get("$id").and_then(Json::as_str)) {
                (Some(kind), Some(id)) => found.push((kind, id)),
                _ => map.values().for_each(|it| collect_ids(it, found)),
            }
        }
        Json::Array(items) => items.iter().for_each(|it| collect_ids(it, found)),
        _ => (),
    }
}
