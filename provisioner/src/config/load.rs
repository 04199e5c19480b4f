//! From the text of `lamp.toml` to a configuration, or to everything that is wrong with it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::DeTable;

use super::findings::Findings;
use super::issue::ConfigErrors;
use super::{Config, defaults, shape};

/// The region as it is said outside the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct SaidRegion<'a> {
    /// Overrides the file's.
    pub typed: Option<&'a str>,
    /// Counts where nothing else names one; the lab's does not.
    pub around: Option<&'a str>,
}

/// What becomes of the files on this machine that a configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// They must exist.
    Checked,
    /// Nothing of them is wanted, and they may be long gone.
    Ignored,
}

/// Reads a configuration file. Paths in it are relative to its folder.
///
/// # Errors
/// All mistakes in the file, none left for later.
pub fn load(path: &Path, region: SaidRegion<'_>, paths: Paths) -> Result<Config, ConfigErrors> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|err| {
        let mut found = Findings::new(&file, "");
        let remedy = "write one with `lamp init`, or name another with --config";
        found.add_nowhere(&format!("{file} cannot be read: {err}"), remedy);
        ConfigErrors::new(found.into_issues())
    })?;
    read_at(path, &text, region, paths)
}

/// Reads a configuration from the text that `path` has, or is about to have.
///
/// # Errors
/// All mistakes in the text.
pub fn read_at(
    path: &Path,
    text: &str,
    region: SaidRegion<'_>,
    paths: Paths,
) -> Result<Config, ConfigErrors> {
    let mut found = Findings::new(&path.display().to_string(), text);
    let mut config = read(text, region, &mut found);
    config.anchor_paths(path.parent().unwrap_or(Path::new("")));
    match paths {
        Paths::Checked => config.check_paths(&mut found),
        Paths::Ignored => config.forget_files(),
    }
    finish(config, found)
}

/// Reads a configuration from a text, without looking at the disk.
///
/// # Errors
/// All mistakes in the text.
pub fn parse(name: &str, text: &str, region: SaidRegion<'_>) -> Result<Config, ConfigErrors> {
    let mut found = Findings::new(name, text);
    let config = read(text, region, &mut found);
    finish(config, found)
}

fn finish(config: Config, found: Findings) -> Result<Config, ConfigErrors> {
    let issues = found.into_issues();
    if issues.is_empty() { Ok(config) } else { Err(ConfigErrors::new(issues)) }
}

fn read(text: &str, region: SaidRegion<'_>, found: &mut Findings) -> Config {
    let (table, errors) = DeTable::parse_recoverable(text);
    for err in &errors {
        let remedy = "correct the line; texts stand in quotes, lists in square brackets, sections as [name]";
        found.add_broken(err.span().unwrap_or(0..0), &format!("is no TOML ({})", err.message()), remedy);
    }
    let mut given = shape::read(table.get_ref(), &super::init::schema_value(), found);
    found.shapes_are_read();
    let around = region.around.filter(|_| !found.is_given("region"));
    if let Some(region) = region.typed.or(around) {
        given.insert("region".into(), region.into());
    }
    let config = assemble(given).unwrap_or_else(|err| {
        // The schema said that it fits, so this is a gap in the schema: still no reason to fall over.
        found.add_nowhere(err.message(), "correct the value that is named");
        Config::default()
    });
    config.check(found);
    config
}

fn assemble(given: toml::Table) -> Result<Config, toml::de::Error> {
    let around = defaults::around(&given);
    let mut whole = toml::Table::try_from(around).map_err(<toml::de::Error as serde::de::Error>::custom)?;
    defaults::overlay(&mut whole, given);
    Config::deserialize(whole)
}

impl Config {
    /// The rules of all sections.
    fn check(&self, found: &mut Findings) {
        super::parts::check(self, found);
        super::network::check(self, found);
        super::access::check(self, found);
        super::hosts::check(self, found);
        super::files::check(self, found);
        super::database::check(self, found);
        super::balancers::check(self, found);
        super::scaling::check(self, found);
        super::site::check(self, found);
        super::used_names::check(self, found);
        super::tags::check(self, found);
    }

    fn anchor_paths(&mut self, folder: &Path) {
        let anchor = |path: &mut PathBuf| *path = folder.join(&*path);
        anchor(&mut self.access.key_dir);
        let optional = [&mut self.database.password_file, &mut self.site.folder, &mut self.agent.binary];
        optional.into_iter().flatten().for_each(anchor);
    }

    fn forget_files(&mut self) {
        (self.database.password_file, self.site.folder, self.agent.binary) = (None, None, None);
    }

    /// What the file refers to on the operator's machine: better told now than after an hour of building.
    fn check_paths(&self, found: &mut Findings) {
        if let Some(folder) = &self.site.folder
            && !folder.is_dir()
        {
            let remedy = "create the folder, or leave the key out for the page that comes with lamp";
            found.add("site.folder", folder, "is not a folder", remedy);
        }
        if let Some(binary) = &self.agent.binary
            && !binary.is_file()
        {
            let remedy = "build lampd and name its file, or leave the key out for the one beside lamp";
            found.add("agent.binary", binary, "is not a file", remedy);
        }
        if let (Some(file), Err(rule)) = (&self.database.password_file, self.database.password()) {
            let remedy = "write the password alone into the file, or leave the key out to have one generated";
            found.add("database.password_file", file, rule, remedy);
        }
    }
}
