//! `lampd`: parse, run, exit code.

use std::process::ExitCode;

use agent::{
    cli::{Cli, Command},
    commands, machine, page, run,
};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The database's password will be in this memory: no core file, and no debugger of another user.
    let _ = nix::sys::prctl::set_dumpable(false);
    logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(it) => it,
        Err(err) => {
            tracing::error!("starting: {err}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(perform(cli.command));
    // A thread may hang in a call to a dead file server: nobody waits for it.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(err) => {
            tracing::error!("{err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(command: Command) -> anyhow::Result<ExitCode> {
    let host = machine::real();
    match command {
        Command::Install(it) => commands::install::install(&host, it).await?,
        Command::Run => run::run(host).await?,
        Command::Page(it) => page::server::serve(it.places()).await?,
        Command::Converge { .. } => {
            let converged = run::once(host).await?;
            return Ok(if converged { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Status { json } => return commands::status::status(&host, json),
        Command::Bake { no_seal } => commands::bake::bake(&host, !no_seal).await?,
        Command::Db { what } => commands::db::db(&host, what).await?,
        Command::Uninstall => commands::install::uninstall(&host).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines for the journal, which adds the time itself; `RUST_LOG` asks for more.
fn logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,agent=info,lampd=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
}
