//! What the scenarios stand on: an emulated AWS account per test, a proxy before it that counts, kills and
//! lies, an independent reader of the account, and a runner for the built `lamp`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "only tests use this crate, and there a failure is the answer"
)]

pub mod account;
pub mod call;
pub mod child;
pub mod fault;
pub mod lab;
pub mod lamp;
pub mod leaving;
pub mod moto;
pub mod proxy;
pub mod slow;
pub mod snapshot;
pub mod tls;

pub use account::Account;
pub use call::Call;
pub use fault::Fault;
pub use lab::{Hold, Lab};
pub use lamp::Run;
pub use moto::Moto;
pub use proxy::Proxy;
pub use snapshot::Snapshot;
