//! Every scenario in one binary: the emulators are shared, and the SDKs' clients are not linked twenty times.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here is the answer")]

#[path = "scenarios/harness.rs"]
mod harness;
