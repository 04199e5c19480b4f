//! What a kind of AWS resource has to say about itself.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use shared::tags::NODE;

use crate::{
    aws::{self, Aws, Tags, tag_value},
    engine::Cx,
};

/// One kind of AWS resource. The struct is the desired state *and* the observed state: `list`
/// answers in the same shape that the stack asks in, so comparing needs no code of its own.
///
/// Write-only fields are `#[serde(skip)]`; fields that matter at creation only are
/// [`AtCreation`](super::AtCreation). Everything else is read back and compared.
pub trait Resource: Clone + Serialize + Send + Sync + 'static {
    /// First half of every node's name, such as `subnet` in `subnet/private-subnet-a1`.
    const KIND: &'static str;
    /// Fields that AWS cannot change in place; a difference there stops the plan.
    const FIXED: &'static [&'static str] = &[];
    /// Attributes for others that every change of it moves, such as a version.
    const MOVES: &'static [&'static str] = &[];
    /// Kinds that have to be there first, and go last, although no field refers to them.
    const AFTER: &'static [&'static str] = &[];
    /// How long creation takes on AWS, as a rule; for forecasts only.
    const USUALLY: Duration = Duration::from_secs(2);
    /// How long a change or a removal may take to settle.
    const PATIENCE: Duration = Duration::from_secs(300);
    /// Whether others can refer to it as soon as AWS has answered its creation, and need nothing of it but
    /// its id. Such nodes are seen together, at the end.
    const USABLE_AT_ONCE: bool = false;
    /// The kind in which it is contained: when that is removed as well, this goes with it, without a call.
    const GOES_WITH: Option<&'static str> = None;
    /// Whether AWS itself makes no second one: it knows it by its name, its place or its client token.
    const UNIQUE: bool = true;
    /// Whether AWS goes on deleting after it has answered.
    const LINGERS: bool = false;
    /// Whether one that failed is kept for a person to look at rather than made anew.
    const HOLDS_DATA: bool = false;
    /// Whether it can be changed before it is ready, which may be just what it waits for.
    const CHANGES_WHILE_PENDING: bool = false;
    /// Whether its tags are EC2's own, which a single call tells the absence of.
    const EC2_TAGGED: bool = false;

    /// Everything of this kind that belongs to the stack: one bulk read.
    fn list(aws: &Aws) -> impl Future<Output = aws::Result<Vec<Found<Self>>>> + Send;

    /// Makes the tagged object and returns its id. May go on to `configure` it: what a crash leaves
    /// undone is found by comparing and done by the next `configure`.
    fn create(&self, cx: &Cx<'_>) -> impl Future<Output = aws::Result<String>> + Send;

    /// Sets what can be set after creation. Idempotent: it is also the update.
    fn configure(&self, _have: &Found<Self>, _cx: &Cx<'_>) -> impl Future<Output = aws::Result<()>> + Send {
        async { Ok(()) }
    }

    /// Why AWS cannot make this of what is there, and the way out: for what no name of a field can tell.
    fn impossible(&self, _have: &Found<Self>) -> Option<String> {
        None
    }

    /// Whether changing what failed to this is the way to heal it.
    fn cures(&self, _have: &Found<Self>) -> bool {
        false
    }

    /// What a person does about a failure of what holds data, where that is not to look at it.
    fn way_out(_have: &Found<Self>) -> Option<String> {
        None
    }

    /// Sets tags that are missing or differ. Kinds whose `list` reads no tags need none of it.
    fn tag(_id: &str, _tags: &Tags, _aws: &Aws) -> impl Future<Output = aws::Result<()>> + Send {
        async { Ok(()) }
    }

    /// Starts the removal.
    fn delete(have: &Found<Self>, aws: &Aws) -> impl Future<Output = aws::Result<()>> + Send;

    /// What forbids its removal until a person has changed it, and the way out.
    fn protected(_have: &Found<Self>) -> Option<String> {
        None
    }

    /// What keeps the object from being removed, in words, where AWS can tell.
    fn holders(_have: &Found<Self>, _aws: &Aws) -> impl Future<Output = aws::Result<Option<String>>> + Send {
        async { Ok(None) }
    }
}

/// A resource as AWS reports it.
#[derive(Clone, Debug)]
pub struct Found<R> {
    /// From the tag `lamp:node`; empty where somebody removed it.
    pub node: String,
    pub id: String,
    pub spec: R,
    pub phase: Phase,
    /// Attributes that other nodes may ask for, such as an endpoint. Never a secret.
    pub out: BTreeMap<&'static str, String>,
    /// `None` where the kind's tags are not read.
    pub tags: Option<Tags>,
}

impl<R: Resource> Found<R> {
    /// A ready resource whose node is told by its tags.
    pub fn new(id: Option<&str>, tags: Tags, spec: R) -> Self {
        let id = id.unwrap_or_default().to_owned();
        Found {
            node: tag_value(&tags, NODE),
            id,
            spec,
            phase: Phase::Ready,
            out: BTreeMap::new(),
            tags: Some(tags),
        }
    }

    /// A ready resource whose node is told by something else than tags, such as its own name.
    pub fn untagged(node: &str, id: &str, spec: R) -> Self {
        let node = format!("{}/{node}", R::KIND);
        Found { node, id: id.to_owned(), spec, phase: Phase::Ready, out: BTreeMap::new(), tags: None }
    }

    /// The same in another phase.
    pub fn phase(self, phase: Phase) -> Self {
        Found { phase, ..self }
    }

    /// The same with an attribute for others.
    pub fn out(mut self, it: super::Output<R>, value: impl Into<String>) -> Self {
        self.out.insert(it.name(), value.into());
        self
    }
}

/// Where a resource is in its life.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    Ready,
    /// AWS is still at it; its word for the state.
    Pending(String),
    /// It will not become ready by itself; why.
    Failed(String),
}

impl Phase {
    /// Whether AWS is taking it away: EC2, RDS and EFS all say `deleting`.
    pub(super) fn is_going(&self) -> bool {
        matches!(self, Phase::Pending(state) if state.eq_ignore_ascii_case("deleting"))
    }
}
