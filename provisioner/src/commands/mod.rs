//! One file per command: choose the cloud, load the configuration, lay out the stack, let the engine work, show it.

mod db;
mod down;
mod graph;
mod health;
mod init;
mod plan;
mod session;
mod ssh;
mod status;
mod target;
mod unlock;
mod up;

use std::process::ExitCode;

use crate::{
    cli::{Cli, Command, Db},
    config::{ConfigErrors, Paths},
    ui::{Ui, fault},
};
use session::Session;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is as wanted.
    Fine,
    /// Something failed, or is not well.
    Failed,
    /// `plan`: there is something to do. Otherwise: the configuration or the command line is wrong.
    Two,
    /// As the program ended that was run for the operator.
    Other(u8),
}

impl From<Exit> for ExitCode {
    fn from(it: Exit) -> ExitCode {
        ExitCode::from(match it {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Two => 2,
            Exit::Other(code) => code,
        })
    }
}

/// Runs a command and tells what went wrong.
pub async fn run(cli: Cli) -> Exit {
    let mut ui = Ui::new(cli.global.json, cli.global.no_color);
    match dispatch(cli, &mut ui).await {
        Ok(exit) => exit,
        Err(err) => match err.downcast_ref::<ConfigErrors>() {
            Some(errors) => {
                ui.config_errors(errors);
                Exit::Two
            }
            None => {
                fault(&err);
                Exit::Failed
            }
        },
    }
}

async fn dispatch(cli: Cli, ui: &mut Ui) -> anyhow::Result<Exit> {
    let global = &cli.global;
    if let Command::Rehearsal { command } = cli.command {
        return rehearse(command);
    }
    if let Command::Init { schema } = cli.command {
        return init::init(global, schema, ui);
    }
    let target = target::chosen(global, &target::Environment::read())?;
    let paths = paths_of(&cli.command);
    let config = match &cli.command {
        Command::Db { what: Db::Use { server, .. } } => db::switch::wanted(global, target, *server).await?,
        _ => session::load(global, target, paths).await?,
    };
    if let Command::Graph { format } = cli.command {
        return graph::graph(&config, format, ui);
    }
    let Some(cloud) = target::find(target, global, &config, &cli.command, ui)? else {
        ui.note("no rehearsal cloud runs on this machine, so nothing is there; `lamp up` starts one, `--on aws` acts on AWS");
        // What is not there is gone and held by nobody, but it is not well either.
        let is_as_wished = matches!(cli.command, Command::Down { .. } | Command::Unlock { .. });
        return Ok(if is_as_wished { Exit::Fine } else { Exit::Failed });
    };
    let session = Session::open(config, paths, global, cloud).await?;
    match cli.command {
        Command::Init { .. } | Command::Graph { .. } | Command::Rehearsal { .. } => Ok(Exit::Fine),
        Command::Plan => plan::plan(session, ui).await,
        Command::Up { yes, no_wait } => up::up(session, yes, no_wait, ui).await,
        Command::Status => status::status(session, ui).await,
        Command::Down { yes, final_snapshot } => down::down(session, yes, final_snapshot, ui).await,
        Command::Ssh { host, command } => ssh::ssh(session, global, host, command).await,
        Command::Db { what } => db::db(session, global, what, ui).await,
        Command::Unlock { yes } => unlock::unlock(session, yes, ui).await,
    }
}

/// What only takes away or looks up needs nothing that a stack is made of: its files may be gone.
fn paths_of(command: &Command) -> Paths {
    match command {
        Command::Down { .. } | Command::Ssh { .. } | Command::Unlock { .. } => Paths::Ignored,
        _ => Paths::Checked,
    }
}

/// The rehearsal cloud's own commands know nothing of stacks.
fn rehearse(command: rehearsal::cli::Command) -> anyhow::Result<Exit> {
    let code = command.run(&rehearsal::State::from_env(), &mut std::io::stdout())?;
    Ok(match u8::try_from(code) {
        Ok(0) => Exit::Fine,
        Ok(code) => Exit::Other(code),
        Err(_) => Exit::Failed,
    })
}
