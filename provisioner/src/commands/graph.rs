//! `lamp graph`: the architecture as a picture. Needs no account.

use super::Exit;
use crate::{
    cli::Format,
    config::Config,
    graph,
    stack::{Surroundings, stack},
    ui::Ui,
};

pub(super) fn graph(config: &Config, format: Format, ui: &mut Ui) -> anyhow::Result<Exit> {
    let stack = stack(config, &Surroundings::imagined(config))?;
    ui.raw(&match format {
        Format::Mermaid => graph::mermaid(&stack),
        Format::Dot => graph::dot(&stack),
        Format::Svg => graph::svg(&stack),
    });
    Ok(Exit::Fine)
}
