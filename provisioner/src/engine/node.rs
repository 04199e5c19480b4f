//! Type erasure: the one place where resources stop being generic.

use std::{any::Any, collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use serde_json::Value as Json;

use super::{Cx, Found, Kind, Phase, Resource};
use crate::aws::{self, Tags};

/// A `Found<R>` that has forgotten its `R`.
#[derive(Clone, Debug)]
pub struct Seen {
    pub kind: Kind,
    pub node: String,
    pub id: String,
    pub phase: Phase,
    pub fields: Json,
    pub out: BTreeMap<&'static str, String>,
    pub tags: Option<Tags>,
    /// Whether it was made by this run and no listing has shown it yet: only its id is known.
    pub unseen: bool,
    typed: Arc<dyn Any + Send + Sync>,
}

impl Seen {
    /// What AWS's answer to a creation tells.
    pub(super) fn made(kind: Kind, node: &str, id: String) -> Seen {
        Seen {
            kind,
            node: node.to_owned(),
            id,
            phase: Phase::Pending("made, not seen yet".into()),
            fields: Json::Null,
            out: BTreeMap::new(),
            tags: None,
            unseen: true,
            typed: Arc::new(()),
        }
    }

    /// Whether it can be changed as it is now.
    pub(super) fn is_changeable(&self) -> bool {
        match &self.phase {
            Phase::Ready => true,
            Phase::Pending(_) => self.kind.changes_while_pending && !self.phase.is_going(),
            Phase::Failed(_) => false,
        }
    }
}

/// What the engine needs of a desired resource, whatever its kind.
pub trait AnyNode: Send + Sync {
    fn kind(&self) -> Kind;
    fn fields(&self) -> Json;
    fn create<'a>(&'a self, cx: &'a Cx<'_>) -> BoxFuture<'a, aws::Result<String>>;
    fn configure<'a>(&'a self, have: &'a Seen, cx: &'a Cx<'_>) -> BoxFuture<'a, aws::Result<()>>;
    fn impossible(&self, have: &Seen) -> Option<String>;
    fn cures(&self, have: &Seen) -> bool;
}

impl<R: Resource> AnyNode for R {
    fn kind(&self) -> Kind {
        Kind::of::<R>()
    }

    #[expect(clippy::expect_used, reason = "specs are structs of plain data, which always serialise")]
    fn fields(&self) -> Json {
        serde_json::to_value(self).expect("a spec is plain data")
    }

    fn create<'a>(&'a self, cx: &'a Cx<'_>) -> BoxFuture<'a, aws::Result<String>> {
        Box::pin(R::create(self, cx))
    }

    fn configure<'a>(&'a self, have: &'a Seen, cx: &'a Cx<'_>) -> BoxFuture<'a, aws::Result<()>> {
        Box::pin(R::configure(self, restore::<R>(have), cx))
    }

    fn impossible(&self, have: &Seen) -> Option<String> {
        R::impossible(self, restore::<R>(have))
    }

    fn cures(&self, have: &Seen) -> bool {
        R::cures(self, restore::<R>(have))
    }
}

pub(super) fn erase<R: Resource>(found: Found<R>) -> Seen {
    Seen {
        kind: Kind::of::<R>(),
        node: found.node.clone(),
        id: found.id.clone(),
        phase: found.phase.clone(),
        fields: found.spec.fields(),
        out: found.out.clone(),
        tags: found.tags.clone(),
        unseen: false,
        typed: Arc::new(found),
    }
}

#[expect(clippy::expect_used, reason = "a kind only ever gets back what it listed itself")]
pub(super) fn restore<R: Resource>(seen: &Seen) -> &Found<R> {
    seen.typed.downcast_ref().expect("listed by the same kind")
}
