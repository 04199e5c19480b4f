//! The vocabulary of fields: references, values known later, values that matter once.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::Resource;

/// A pointer to a resource: a node of the stack or, when read back, an AWS id.
pub enum Ref<R> {
    Node(usize, PhantomData<fn() -> R>),
    Id(&'static str),
}

impl<R> Clone for Ref<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Ref<R> {}

impl<R> Ref<R> {
    pub(super) fn node(index: usize) -> Self {
        Ref::Node(index, PhantomData)
    }

    /// What a listing found there; an absent id is an empty one.
    pub fn id(id: Option<&str>) -> Self {
        Ref::Id(intern(id.unwrap_or_default()))
    }

    /// What `it` will be once this resource is ready.
    pub fn out(self, it: Output<R>) -> Value {
        match self {
            Ref::Node(index, _) => Value::Of(index, it.0),
            Ref::Id(id) => Value::Text(id.to_owned()),
        }
    }
}

/// Keeps each id once for the life of the program, so that references are `Copy` and the stack reads
/// without `.clone()`: a few hundred bytes in a command that ends.
fn intern(id: &str) -> &'static str {
    use std::{
        collections::HashSet,
        sync::{Mutex, PoisonError},
    };
    static SEEN: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.get_or_insert_default();
    if let Some(known) = seen.get(id) {
        return known;
    }
    let leaked: &'static str = Box::leak(id.into());
    seen.insert(leaked);
    leaked
}

/// `{"$node": 3}` or `{"$kind": "vpc", "$id": "vpc-0a1b"}`: from this form the engine reads edges.
impl<R: Resource> Serialize for Ref<R> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Ref::Node(index, _) => BTreeMap::from([("$node", index)]).serialize(s),
            Ref::Id(id) => BTreeMap::from([("$kind", R::KIND), ("$id", id)]).serialize(s),
        }
    }
}

impl<R> fmt::Debug for Ref<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ref::Node(index, _) => write!(f, "node #{index}"),
            Ref::Id(id) => f.write_str(id),
        }
    }
}

/// A named attribute of one kind, such as `DbInstance::ENDPOINT`.
pub struct Output<R>(&'static str, PhantomData<fn() -> R>);

impl<R> Output<R> {
    pub const fn new(name: &'static str) -> Self {
        Output(name, PhantomData)
    }

    pub const fn name(&self) -> &'static str {
        self.0
    }
}

/// A text that may be known only once another node is ready.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    /// An attribute of a node.
    Of(usize, &'static str),
    /// Its parts, one after the other.
    Join(Vec<Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) => s.serialize_str(text),
            Value::Of(index, out) => {
                let mut map = s.serialize_map(Some(2))?;
                map.serialize_entry("$node", index)?;
                map.serialize_entry("$out", out)?;
                map.end()
            }
            Value::Join(parts) => BTreeMap::from([("$join", parts)]).serialize(s),
        }
    }
}

/// A field that matters when the object is made and not later: an edge, never a difference.
#[derive(Clone, Debug, Default)]
pub struct AtCreation<T>(pub Option<T>);

impl<T> AtCreation<T> {
    /// What `list` answers.
    pub fn unknown() -> Self {
        AtCreation(None)
    }
}

impl<T> From<T> for AtCreation<T> {
    fn from(it: T) -> Self {
        AtCreation(Some(it))
    }
}

impl<T: Serialize> Serialize for AtCreation<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        BTreeMap::from([("$once", &self.0)]).serialize(s)
    }
}

/// A text that is compared but never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// As a digest, under a key that keeps it out of every output.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use sha2::{Digest, Sha256};
        let digest: Vec<u8> = Sha256::digest(self.0.as_bytes()).to_vec();
        BTreeMap::from([("$secret", digest)]).serialize(s)
    }
}
