//! Desired and observed in, decisions out. No I/O, no clock.

use std::{collections::HashSet, fmt};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::{Node, Observed, Phase, Seen, Stack};

/// What has to be done, node by node, in the stack's order; what is no longer wanted comes last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    pub node: String,
    #[serde(flatten)]
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    Keep,
    Create,
    /// AWS is still at it: wait.
    Wait {
        state: String,
    },
    Configure {
        changes: Vec<Change>,
    },
    /// It failed and holds no data: remove it and make it anew.
    Remake {
        why: String,
    },
    /// Only a person can decide.
    Refuse {
        why: String,
        changes: Vec<Change>,
    },
    Delete,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub field: String,
    pub have: Json,
    pub want: Json,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|it| it.action == Action::Keep)
    }

    /// The steps that no run may take.
    pub fn refusals(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|it| matches!(it.action, Action::Refuse { .. }))
    }

    /// Whether it does nothing that was not agreed to. What AWS or somebody else got done meanwhile is no news.
    pub fn is_within(&self, agreed: &Plan) -> bool {
        let before = |node: &str| agreed.steps.iter().find(|it| it.node == node).map(|it| &it.action);
        self.steps.iter().all(|it| match (before(&it.node), &it.action) {
            (_, Action::Keep | Action::Wait { .. }) => true,
            (Some(Action::Configure { changes: agreed }), Action::Configure { changes }) => {
                changes.iter().all(|it| agreed.contains(it))
            }
            // What was on its way out is gone.
            (Some(Action::Wait { state }), Action::Create) => Phase::Pending(state.clone()).is_going(),
            (before, action) => before == Some(action),
        })
    }
}

/// Decides what to do with every node of the stack and with everything of ours that is not in it.
pub fn plan(stack: &Stack, observed: &Observed) -> Plan {
    let claimed = |node: &str| observed.claims.iter().find(|(it, _)| it == node);
    let mut steps: Vec<Step> = Vec::new();
    // What a change moves is not known before the change; what depends on it stands later in the stack.
    let mut foreseen = observed.clone();
    for node in &stack.nodes {
        let action = match (claimed(&node.name), observed.nodes.get(&node.name)) {
            (Some((_, ids)), _) => Action::Refuse {
                why: format!(
                    "{} resources say they are this node: {}; delete the wrong one, or remove its tag lamp:node and lamp:stack",
                    ids.len(),
                    ids.join(", ")
                ),
                changes: Vec::new(),
            },
            (None, None) => Action::Create,
            (None, Some(seen)) => decide(node, seen, stack, &foreseen),
        };
        if let (Action::Configure { .. }, Some(seen)) = (&action, foreseen.nodes.get_mut(&node.name)) {
            seen.out.extend(seen.kind.moves.iter().map(|out| (*out, format!("({} {out})", node.name))));
        }
        steps.push(Step { node: node.name.clone(), action });
    }
    let wanted: HashSet<&str> = stack.nodes.iter().map(|it| it.name.as_str()).collect();
    for (name, seen) in observed.nodes.iter().filter(|(it, _)| !wanted.contains(it.as_str())) {
        let action = match seen.kind.protected(seen) {
            Some(why) => Action::Refuse { why, changes: Vec::new() },
            None => Action::Delete,
        };
        steps.push(Step { node: name.clone(), action });
    }
    Plan { steps }
}

fn decide(node: &Node, seen: &Seen, stack: &Stack, observed: &Observed) -> Action {
    match &seen.phase {
        Phase::Failed(why) if !seen.kind.holds_data => Action::Remake { why: why.clone() },
        Phase::Failed(why) if !node.resource.cures(seen) => {
            Action::Refuse { why: failure(seen, why), changes: Vec::new() }
        }
        // Whatever it is like, it goes; its successor will be as wanted.
        Phase::Pending(state) if seen.phase.is_going() => Action::Wait { state: state.clone() },
        phase => match (changes(node, seen, stack, observed), phase) {
            (it, _) if let Some(why) = refusal(node, seen, &it) => Action::Refuse { why, changes: it },
            (it, Phase::Pending(state)) if it.is_empty() => Action::Wait { state: state.clone() },
            (it, _) if it.is_empty() => Action::Keep,
            (changes, _) => Action::Configure { changes },
        },
    }
}

/// The failure of what holds data, which no run may remove, and what the operator can do.
pub(super) fn failure(seen: &Seen, why: &str) -> String {
    let way_out = seen.kind.way_out(seen);
    let way_out = way_out
        .as_deref()
        .unwrap_or("it may hold data, so look at it, and delete it by hand only if they may go");
    format!("{} failed: {why}; {way_out}", seen.id)
}

/// Why these changes cannot be made, and what the operator can do.
pub(super) fn refusal(node: &Node, seen: &Seen, changes: &[Change]) -> Option<String> {
    if let (false, Some(why)) = (changes.is_empty(), node.resource.impossible(seen)) {
        return Some(why);
    }
    let fields = changes.iter().map(|it| it.field.as_str());
    let fixed: Vec<_> = fields.filter(|it| seen.kind.fixed.contains(it)).collect();
    if fixed.is_empty() {
        return None;
    }
    let (id, fixed) = (&seen.id, fixed.join(", "));
    let way_out = match seen.kind.holds_data {
        true => {
            "keep its data elsewhere, take the stack away with `lamp down` and run `lamp up` again".to_owned()
        }
        false => format!(
            "delete {id} by hand, after whatever AWS says still holds it, and run `lamp up` again, which makes anew what is missing"
        ),
    };
    Some(format!(
        "AWS cannot change {fixed} of {id} in place, and replacing it is your decision: set the configuration back, or {way_out}"
    ))
}

/// All differences of one node, in fields and in tags.
pub(super) fn changes(node: &Node, seen: &Seen, stack: &Stack, observed: &Observed) -> Vec<Change> {
    let mut changes =
        diff(&plain(&seen.fields, stack, observed), &plain(&node.resource.fields(), stack, observed));
    if let Some(have) = &seen.tags {
        changes.extend(node.tags.iter().filter(|(key, want)| have.get(*key) != Some(want)).map(
            |(key, want)| Change {
                field: format!("tag {key}"),
                have: json!(have.get(key)),
                want: json!(want),
            },
        ));
    }
    changes
}

/// The fields that are wanted otherwise than they are. What is wanted decides which fields count.
fn diff(have: &Json, want: &Json) -> Vec<Change> {
    let (Json::Object(have), Json::Object(want)) = (have, want) else { return Vec::new() };
    let differing = want.iter().filter(|(field, want)| have.get(*field) != Some(want));
    differing
        .map(|(field, want)| {
            let have = have.get(field).unwrap_or(&Json::Null);
            Change { field: field.clone(), have: shown(have), want: shown(want) }
        })
        .collect()
}

/// Secrets are compared, never shown.
fn shown(value: &Json) -> Json {
    match value {
        Json::Object(map) if map.contains_key("$secret") => json!("(secret)"),
        Json::Object(map) => map.iter().map(|(key, it)| (key.clone(), shown(it))).collect(),
        Json::Array(items) => items.iter().map(shown).collect(),
        other => other.clone(),
    }
}

/// Fields as they can be compared: ids for references, texts for values, no creation-only fields,
/// lists in one order, since AWS keeps none.
fn plain(value: &Json, stack: &Stack, observed: &Observed) -> Json {
    match value {
        Json::Object(map) => {
            if let Some(node) =
                map.get("$node").and_then(Json::as_u64).and_then(|it| usize::try_from(it).ok())
            {
                return Json::String(pointed(node, map.get("$out").and_then(Json::as_str), stack, observed));
            }
            if let Some(id) = map.get("$id") {
                return id.clone();
            }
            if let Some(Json::Array(parts)) = map.get("$join") {
                let text = |it| plain(it, stack, observed).as_str().unwrap_or_default().to_owned();
                return Json::String(parts.iter().map(text).collect());
            }
            let fields = map.iter().filter(|(_, it)| it.get("$once").is_none());
            fields.map(|(key, it)| (key.clone(), plain(it, stack, observed))).collect::<Map<_, _>>().into()
        }
        Json::Array(items) => {
            let mut items: Vec<Json> = items.iter().map(|it| plain(it, stack, observed)).collect();
            items.sort_by_cached_key(Json::to_string);
            Json::Array(items)
        }
        other => other.clone(),
    }
}

fn pointed(node: usize, out: Option<&str>, stack: &Stack, observed: &Observed) -> String {
    let Some(name) = stack.nodes.get(node).map(|it| &it.name) else { return String::new() };
    match (observed.nodes.get(name), out) {
        (Some(seen), None) => seen.id.clone(),
        (Some(seen), Some(out)) => seen.out.get(out).cloned().unwrap_or_default(),
        (None, None) => format!("({name})"),
        (None, Some(out)) => format!("({name} {out})"),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.field, short(&self.have), short(&self.want))
    }
}

/// JSON without the quotes that a person does not need.
pub(crate) fn short(value: &Json) -> String {
    match value {
        Json::Null => "(none)".into(),
        Json::String(text) if text.is_empty() => "(none)".into(),
        Json::String(text) => text.clone(),
        Json::Array(items) => format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let fields: Vec<_> = map.iter().map(|(key, it)| format!("{key}: {}", short(it))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}
