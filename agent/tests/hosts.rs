//! `lampd` on real hosts: throw-away Debians with a real systemd, real apt, Apache and PHP, a real MariaDB, and
//! moto's Parameter Store. What the kernel cannot give here (units' memory limits) is not tested.

#![expect(unreachable_pub, reason = "the modules of a test share their helpers")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

mod hosts {
    mod lab;
    mod tap;

    mod bad_days;
    mod broken_by_hand;
    mod files;
    mod install;
    mod killed;
    mod live;
    mod local_database;
    mod packages;
    mod silent;
}

#[expect(dead_code, reason = "shared with the tests of the page, which use more of it")]
#[path = "real/database.rs"]
mod database;
