//! One file per kind of AWS resource. `all` is the list that reading and removing go by; to add a
//! kind, add a file and its two lines here.

mod subnet;
mod vpc;

pub use subnet::Subnet;
pub use vpc::Vpc;

use crate::engine::Kind;

/// Every kind, in the order in which a stack is built.
pub fn all() -> Vec<Kind> {
    vec![Kind::of::<Vpc>(), Kind::of::<Subnet>()]
}
