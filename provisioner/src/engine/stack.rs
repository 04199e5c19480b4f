//! The desired state: nodes in the order they were written, edges read from their fields.

use std::collections::HashMap;

use serde_json::Value as Json;
use shared::tags::{NAME, NODE, STACK};

use super::{AnyNode, Ref, Resource};
use crate::aws::Tags;

/// Everything that should be there.
pub struct Stack {
    pub name: String,
    pub nodes: Vec<Node>,
    /// Indices of the nodes of each kind.
    by_kind: HashMap<&'static str, Vec<usize>>,
    /// Tags that every resource carries beside its own.
    tags: Tags,
}

/// One desired resource.
pub struct Node {
    /// `subnet/public-subnet-a1`.
    pub name: String,
    pub resource: Box<dyn AnyNode>,
    /// Indices of the nodes that have to be settled first, ascending.
    pub needs: Vec<usize>,
    pub tags: Tags,
}

impl Stack {
    /// An empty stack; `tags` go on every resource.
    pub fn new(name: &str, tags: Tags) -> Self {
        Stack { name: name.into(), nodes: Vec::new(), by_kind: HashMap::new(), tags }
    }

    /// Adds a node whose `Name` is the second half of its own name.
    pub fn add<R: Resource>(&mut self, name: &str, resource: R) -> Ref<R> {
        self.add_named(name, name, resource)
    }

    /// Adds a node. A `Ref` can only come from an earlier `add`, so the graph has no cycles.
    pub fn add_named<R: Resource>(&mut self, name: &str, display: &str, resource: R) -> Ref<R> {
        let mut needs = Vec::new();
        collect_refs(&resource.fields(), &mut needs);
        needs.extend(R::AFTER.iter().filter_map(|it| self.by_kind.get(it)).flatten());
        needs.sort_unstable();
        needs.dedup();
        let name = format!("{}/{name}", R::KIND);
        debug_assert!(self.nodes.iter().all(|it| it.name != name), "{name} is in the stack twice");
        let mut tags = self.tags.clone();
        let own = [(STACK, self.name.as_str()), (NODE, name.as_str()), (NAME, display)];
        tags.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
        self.by_kind.entry(R::KIND).or_default().push(self.nodes.len());
        self.nodes.push(Node { name, resource: Box::new(resource), needs, tags });
        Ref::node(self.nodes.len() - 1)
    }

    /// The tags that every resource of the stack carries.
    pub fn common_tags(&self) -> Tags {
        let mut tags = self.tags.clone();
        tags.insert(STACK.to_owned(), self.name.clone());
        tags
    }

    /// The edges: for each node, those it needs.
    pub fn needs(&self) -> Vec<Vec<usize>> {
        self.nodes.iter().map(|it| it.needs.clone()).collect()
    }
}

fn collect_refs(value: &Json, found: &mut Vec<usize>) {
    match value {
        Json::Object(map) => match map.get("$node").and_then(Json::as_u64) {
            Some(index) => found.extend(usize::try_from(index)),
            None => map.values().for_each(|it| collect_refs(it, found)),
        },
        Json::Array(items) => items.iter().for_each(|it| collect_refs(it, found)),
        _ => (),
    }
}
