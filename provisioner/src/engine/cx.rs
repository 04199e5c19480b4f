//! What a kind gets to work with while it acts: the account, its node, and what other nodes have become.

use std::sync::{Mutex, PoisonError};

use super::{Observed, Ref, Seen, Stack, Value};
use crate::aws::{Aws, Tags};

/// What a kind gets to work with.
pub struct Cx<'a> {
    pub aws: &'a Aws,
    /// The node's own name.
    pub node: &'a str,
    /// The tags that the object has to carry.
    pub tags: &'a Tags,
    pub(super) stack: &'a Stack,
    pub(super) observed: &'a Mutex<Observed>,
}

impl Cx<'_> {
    /// The AWS id behind a reference; its node is settled before this one starts.
    pub fn id<R>(&self, it: Ref<R>) -> String {
        match it {
            Ref::Id(id) => id.to_owned(),
            Ref::Node(index, _) => self.of(index, |it| it.id.clone()),
        }
    }

    /// The AWS ids behind some references.
    pub fn ids<R>(&self, them: &[Ref<R>]) -> Vec<String> {
        them.iter().map(|it| self.id(*it)).collect()
    }

    /// A text that another node may have had to produce first.
    pub fn text(&self, it: &Value) -> String {
        match it {
            Value::Text(text) => text.clone(),
            Value::Of(index, out) => self.of(*index, |it| it.out.get(out).cloned().unwrap_or_default()),
            Value::Join(parts) => parts.iter().map(|it| self.text(it)).collect(),
        }
    }

    /// The second half of the node's name.
    pub fn name(&self) -> &str {
        self.node.split_once('/').map_or(self.node, |(_, name)| name)
    }

    fn of(&self, index: usize, get: impl FnOnce(&Seen) -> String) -> String {
        let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        self.stack.nodes.get(index).and_then(|it| observed.nodes.get(&it.name)).map(get).unwrap_or_default()
    }
}
