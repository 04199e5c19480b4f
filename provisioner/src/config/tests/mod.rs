//! What `lamp.toml` may say: each test is a file and what is said about it.

mod balancers;
mod database;
mod hosts;
mod lab;
mod names;
mod network;
mod parts;
mod paths;
mod reading;
mod report;
mod scaling;
mod second_stack;
mod site;
mod tags;
mod template;

use super::{Config, ConfigErrors, SaidRegion, parse};

/// The configuration that a text means.
fn accepted(text: &str) -> Config {
    parse("lamp.toml", text, SaidRegion::default()).unwrap_or_else(|err| panic!("{err}"))
}

fn refused(text: &str) -> ConfigErrors {
    parse("lamp.toml", text, SaidRegion::default()).expect_err("the text breaks a rule")
}

/// The text has this one mistake: its line and column, what is written there, the rule and the remedy.
#[track_caller]
fn refuses(text: &str, place: (usize, usize), written: &str, rule: &str, remedy: &str) {
    let (line, column) = place;
    assert_eq!(refused(text).to_string(), format!("lamp.toml:{line}:{column}: {written}: {rule}; {remedy}"));
}
