//! `lamp init`: a commented configuration to start from.

use std::{
    fs,
    io::{self, Write},
};

use anyhow::{Context, bail};

use super::{Exit, session};
use crate::{cli::Global, config, ui::Ui};

pub(super) fn init(global: &Global, schema: bool, ui: &mut Ui) -> anyhow::Result<Exit> {
    if schema {
        ui.raw(&config::schema());
        return Ok(Exit::Fine);
    }
    let path = session::file(global);
    // What somebody wrote is never overwritten.
    let mut file = match fs::File::create_new(path) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already; move it away, or name another file with --config", path.display())
        }
        other => other.with_context(|| format!("writing {}", path.display()))?,
    };
    file.write_all(config::template().as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    let text = format!("{} holds the lab; change what you like, then run `lamp plan`", path.display());
    ui.result("init", &serde_json::json!({ "file": path }), &text);
    Ok(Exit::Fine)
}
