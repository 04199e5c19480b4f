//! A copy of a stack made of toys that pose as the real kinds: same names, edges, and times.

use futures::future::BoxFuture;
use serde_json::Value as Json;

use super::{Toy, cloud::cloud, empty};
use crate::{
    aws,
    engine::{AnyNode, Cx, Kind, Node, Ref, Seen, Stack},
};

struct Posing {
    kind: Kind,
    toy: Toy<false>,
}

impl AnyNode for Posing {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn fields(&self) -> Json {
        self.toy.fields()
    }

    fn create<'a>(&'a self, cx: &'a Cx<'_>) -> BoxFuture<'a, aws::Result<String>> {
        AnyNode::create(&self.toy, cx)
    }

    fn configure<'a>(&'a self, have: &'a Seen, cx: &'a Cx<'_>) -> BoxFuture<'a, aws::Result<()>> {
        AnyNode::configure(&self.toy, have, cx)
    }

    fn impossible(&self, have: &Seen) -> Option<String> {
        AnyNode::impossible(&self.toy, have)
    }

    fn cures(&self, have: &Seen) -> bool {
        AnyNode::cures(&self.toy, have)
    }
}

/// The copy; the toy cloud's things will take as long as AWS's usually do.
pub(crate) fn posing(stack: &Stack) -> Stack {
    copied(stack, false)
}

/// A copy whose things are used as soon as they are made, before any listing has shown them.
pub(crate) fn hasty(stack: &Stack) -> Stack {
    copied(stack, true)
}

fn copied(stack: &Stack, hasty: bool) -> Stack {
    let mut copy = empty();
    copy.name = stack.name.clone();
    for node in &stack.nodes {
        let real = node.resource.kind();
        let mut kind = Kind::of::<Toy<false>>();
        (kind.name, kind.usually, kind.patience) = (real.name, real.usually, real.patience);
        kind.usable_at_once = hasty || real.usable_at_once;
        let size = node.resource.fields().get("size").and_then(Json::as_u64).unwrap_or_default();
        let size = u32::try_from(size).unwrap_or_default();
        let needs = node.needs.iter().map(|it| Ref::node(*it)).collect::<Vec<_>>();
        let resource = Box::new(Posing { kind, toy: Toy::from((size, needs)) });
        cloud(|it| it.ready_after.insert(node.name.clone(), real.usually));
        let (name, needs, tags) = (node.name.clone(), node.needs.clone(), node.tags.clone());
        copy.nodes.push(Node { name, resource, needs, tags });
    }
    copy
}
