//! `lamp`, the operator's command.

use std::process::ExitCode;

use clap::Parser;
use provisioner::{cli::Cli, commands};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    commands::run(Cli::parse()).await.into()
}
