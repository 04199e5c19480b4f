//! `lampd`: makes a bare host a web server of a lamp stack, and keeps it one.
//!
//! In reading order. The root half observes, compares, acts and observes again; the page half only serves.

pub mod cli;

pub mod commands;

pub mod run;

pub mod settings;

pub mod units;

pub mod identity;

pub mod aws;

pub mod source;

pub mod converge;

pub mod steps;

pub mod os;

pub mod host;

pub mod machine;

pub mod roots;

pub mod feed;

pub mod report;

pub mod page;
