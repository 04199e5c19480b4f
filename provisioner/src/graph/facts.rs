//! What a stack's nodes say about themselves, read from their fields whatever their kind is.

use serde_json::Value as Json;
use shared::tags::NAME;

use crate::engine::Stack;

pub(super) struct Facts<'a> {
    stack: &'a Stack,
    fields: Vec<Json>,
    refs: Vec<Vec<usize>>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(stack: &'a Stack) -> Self {
        let fields: Vec<Json> = stack.nodes.iter().map(|it| it.resource.fields()).collect();
        let refs = fields.iter().map(|it| {
            let mut found = Vec::new();
            collect(it, &mut found);
            found.retain(|it| *it < stack.nodes.len());
            found
        });
        Facts { stack, refs: refs.collect(), fields }
    }

    /// All nodes of a kind, in the stack's order.
    pub(super) fn of(&self, kind: &str) -> Vec<usize> {
        (0..self.stack.nodes.len()).filter(|it| self.kind(*it) == kind).collect()
    }

    pub(super) fn kind(&self, node: usize) -> &'static str {
        self.stack.nodes[node].resource.kind().name
    }

    /// The node's own name, such as `subnet/public-subnet-a1`.
    pub(super) fn key(&self, node: usize) -> &str {
        &self.stack.nodes[node].name
    }

    /// What the AWS console calls it.
    pub(super) fn label(&self, node: usize) -> String {
        let own = self.key(node).split_once('/').map_or("", |(_, name)| name);
        self.stack.nodes[node]
            .tags
            .get(NAME)
            .filter(|it| !it.is_empty())
            .map_or(own, String::as_str)
            .to_owned()
    }

    /// The nodes of a kind that this one refers to, in the order of its fields, each once.
    pub(super) fn refs(&self, node: usize, kind: &str) -> Vec<usize> {
        let mut refs = Vec::new();
        for it in self.refs[node].iter().copied().filter(|it| self.kind(*it) == kind) {
            if !refs.contains(&it) {
                refs.push(it);
            }
        }
        refs
    }

    /// The one node of a kind that this one refers to.
    pub(super) fn the(&self, node: usize, kind: &str) -> Option<usize> {
        self.refs(node, kind).first().copied()
    }

    /// The nodes of a kind that refer to this one.
    pub(super) fn referrers(&self, node: usize, kind: &str) -> Vec<usize> {
        self.of(kind).into_iter().filter(|it| self.refs[*it].contains(&node)).collect()
    }

    /// A field as text; empty where there is none.
    pub(super) fn text(&self, node: usize, field: &str) -> String {
        match self.fields[node].get(field) {
            Some(Json::String(text)) => text.clone(),
            Some(it @ (Json::Number(_) | Json::Bool(_))) => it.to_string(),
            _ => String::new(),
        }
    }
}

fn collect(value: &Json, found: &mut Vec<usize>) {
    match value {
        Json::Object(map) => match map.get("$node").and_then(Json::as_u64) {
            Some(index) => found.extend(usize::try_from(index)),
            None => map.values().for_each(|it| collect(it, found)),
        },
        Json::Array(items) => items.iter().for_each(|it| collect(it, found)),
        _ => (),
    }
}
