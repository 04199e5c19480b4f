//! The commands of `lamp rehearsal` as a program of their own: `cargo run --example rehearsal -- status`.

use clap::Parser;
use rehearsal::State;
use rehearsal::cli::Command;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> anyhow::Result<()> {
    let code = Arguments::parse().command.run(&State::from_env(), &mut std::io::stdout())?;
    std::process::exit(code)
}
