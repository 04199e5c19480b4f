//! What is done with resources of any kind: observe, plan, apply, remove. Knows no kind by name.
//!
//! In reading order: what a kind says about itself, the desired stack, the look at the account, the
//! decision, and the two ways of acting on it.

mod resource;
mod value;

mod kind;
mod node;

mod stack;

mod observe;
mod reader;

mod plan;

mod clock;

mod apply;
mod cx;
mod destroy;
mod event;
mod patience;
mod settle;
mod walk;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod toys;

pub use apply::apply;
pub use cx::Cx;
pub use destroy::destroy;
pub use event::{Event, Events, Outcome, Report, Verb, What};
pub use kind::Kind;
pub use node::{AnyNode, Seen};
pub use observe::{Observed, observe};
pub(crate) use plan::short;
pub use plan::{Action, Change, Plan, Step, plan};
pub use resource::{Found, Phase, Resource};
pub use stack::{Node, Stack};
pub use value::{AtCreation, Output, Ref, Secret, Value};
pub use walk::{Stop, critical_path};
