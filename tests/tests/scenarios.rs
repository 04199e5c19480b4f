//! Every scenario in one binary: the emulators are shared, and nothing is linked twenty times.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failure here is the answer"
)]

#[path = "scenarios/asked.rs"]
mod asked;
#[path = "scenarios/config.rs"]
mod config;
#[path = "scenarios/conventions.rs"]
mod conventions;
#[path = "scenarios/crash.rs"]
mod crash;
#[path = "scenarios/database.rs"]
mod database;
#[path = "scenarios/drift.rs"]
mod drift;
#[path = "scenarios/faults.rs"]
mod faults;
#[path = "scenarios/harness.rs"]
mod harness;
#[path = "scenarios/interrupt.rs"]
mod interrupt;
#[path = "scenarios/lock.rs"]
mod lock;
#[path = "scenarios/neighbours.rs"]
mod neighbours;
#[path = "scenarios/password.rs"]
mod password;
#[path = "scenarios/safe.rs"]
mod safe;
#[path = "scenarios/seed.rs"]
mod seed;
#[path = "scenarios/switch.rs"]
mod switch;
#[path = "scenarios/teardown.rs"]
mod teardown;
#[path = "scenarios/tidy.rs"]
mod tidy;
#[path = "scenarios/up.rs"]
mod up;
