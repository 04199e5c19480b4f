//! The page and the files of the agent against real servers: MariaDB, PHP, moto. Everything is started here on
//! loopback, in folders of its own, and ends with the test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]
#![expect(unreachable_pub, reason = "the modules of a test share their helpers")]

mod real {
    mod certificates;
    mod client;
    mod database;
    mod page;

    mod clients;
    mod failover;
    mod php;
    mod rows;
    mod seed;
    mod sharing;
    mod tls;
}
