//! What there is to do, kind by kind.

mod balancers;
mod databases;
mod machines;

pub(super) use balancers::{balancers, health};
pub(super) use databases::databases;
pub(super) use machines::machines;
