//! `lampd page`: the index page and the questions of balancers and operators, on port 8080.
//!
//! Nothing here acts on the machine, so nothing here has a `Host`: it reads what the agent publishes, and serves.

pub mod server;

pub mod app;

pub mod share;

pub mod link;

mod accept;

mod names;

pub mod pool;

pub mod answer;

pub mod feed;

pub mod view;

mod escaped;

pub mod json;

pub mod health;

pub mod metrics;

mod patient;
