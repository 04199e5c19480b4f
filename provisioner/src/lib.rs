//! `lamp`: builds, watches and removes a highly available LAMP site on AWS.
//!
//! Data flows one way: configuration → desired stack → observe → plan → apply → report.

pub mod aws;
pub mod cli;
pub mod commands;
pub mod config;
pub mod engine;
pub mod graph;
pub mod keys;
pub mod kinds;
pub mod lock;
pub mod stack;
pub mod sweep;
pub mod timing;
pub mod ui;
pub mod user_data;
pub mod whole;
