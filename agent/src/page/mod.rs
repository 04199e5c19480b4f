//! `lampd page`: the index page and the questions of balancers and operators, on port 8080.

pub mod server;

pub mod app;

pub mod share;

pub mod link;

pub mod pool;

pub mod answer;

pub mod feed;

pub mod view;

pub mod json;

pub mod health;

pub mod metrics;
