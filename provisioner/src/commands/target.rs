//! Which cloud a command acts on: AWS, or the rehearsal cloud of this machine.

use std::path::PathBuf;

use anyhow::{Context, bail};
use rehearsal::{
    State,
    cli::{Found, Wish, ensure_running, running, url_of, usage},
};

use crate::{
    aws::Connect,
    cli::{Command, Global, Target},
    config::Config,
    ui::Ui,
};

/// The cloud of a command.
pub(super) enum Cloud {
    Aws,
    Rehearsal(State, Found),
}

/// What the environment says about the target.
pub(super) struct Environment {
    pub(super) on: Option<String>,
    pub(super) endpoint: Option<String>,
}

impl Environment {
    pub(super) fn read() -> Environment {
        let var = |it| std::env::var(it).ok().filter(|it| !it.is_empty());
        Environment { on: var("LAMP_ON"), endpoint: var("AWS_ENDPOINT_URL") }
    }
}

/// What was said last and nearest counts: `--on`, then the flags that only AWS has, then LAMP_ON, then an endpoint
/// in the environment. When nothing is said, it is the rehearsal: a slip of the hand must not cost money.
///
/// # Errors
/// Words that contradict each other, or a LAMP_ON that names no target.
pub(super) fn chosen(global: &Global, env: &Environment) -> anyhow::Result<Target> {
    let flag = match (&global.endpoint_url, &global.profile) {
        (Some(_), _) => Some("--endpoint-url"),
        (None, Some(_)) => Some("--profile"),
        (None, None) => None,
    };
    match (global.on, flag, env.on.as_deref()) {
        (Some(Target::Rehearsal), Some(flag), _) => {
            bail!("--on rehearsal and {flag} contradict each other; leave one of them out")
        }
        (Some(target), ..) => Ok(target),
        (None, Some(_), _) => Ok(Target::Aws),
        (None, None, Some("rehearsal")) => Ok(Target::Rehearsal),
        (None, None, Some("aws")) => Ok(Target::Aws),
        (None, None, Some(other)) => bail!("LAMP_ON is {other}; it can be rehearsal or aws"),
        (None, None, None) if env.endpoint.is_some() => Ok(Target::Aws),
        (None, None, None) => Ok(Target::Rehearsal),
    }
}

/// Finds the cloud of a command. `None`: no rehearsal cloud runs, and this command has no need of one, since nothing
/// can be in it.
///
/// # Errors
/// If it does not start, or plays another region.
pub(super) fn find(
    target: Target,
    global: &Global,
    config: &Config,
    command: &Command,
    ui: &mut Ui,
) -> anyhow::Result<Option<Cloud>> {
    if target == Target::Aws {
        return Ok(Some(Cloud::Aws));
    }
    let starts = matches!(command, Command::Plan | Command::Up { .. });
    // What a command over SSH prints is its own.
    let tells = !matches!(command, Command::Ssh { .. });
    let state = State::from_env();
    let wish = Wish { port: None, clock: global.clock, region: Some(config.region.clone()) };
    let found = match running(&state)? {
        None if !starts => return Ok(None),
        // Finds the one that runs as well, and whether it fits.
        _ => ensure_running(&state, &wish, &mut |line| ui.note(line))
            .context("starting the rehearsal cloud; `--on aws` would act on AWS instead")?,
    };
    if let Some(clock) = global.clock.filter(|it| *it != found.clock()) {
        ui.note(&format!(
            "it runs already, with {} instead of {clock}; `lamp rehearsal stop` ends it",
            found.clock()
        ));
    }
    if tells {
        ui.note(&format!("on {found}"));
    }
    Ok(Some(Cloud::Rehearsal(state, found)))
}

impl Cloud {
    /// How to reach it. What an operator uses for AWS is never sent to a rehearsal cloud.
    pub(super) fn connect(&self, global: &Global, config: &Config) -> Connect {
        let region = config.region.clone();
        match self {
            Cloud::Aws => Connect {
                profile: global.profile.clone(),
                region,
                endpoint: global.endpoint_url.clone(),
                made_up: false,
            },
            Cloud::Rehearsal(_, found) => {
                Connect { profile: None, region, endpoint: Some(found.endpoint.clone()), made_up: true }
            }
        }
    }

    pub(super) fn is_rehearsal(&self) -> bool {
        matches!(self, Cloud::Rehearsal(..))
    }

    /// What plain hosts start from, as AWS's public parameters call it.
    pub(super) fn image(&self, config: &Config) -> String {
        match self {
            Cloud::Aws => config.hosts.image.clone(),
            Cloud::Rehearsal(..) => format!("/aws/service/debian/release/{}/", rehearsal::Image::SUITE),
        }
    }

    /// The addresses as they work on this machine.
    ///
    /// # Errors
    /// If the rehearsal cloud has ended meanwhile.
    pub(super) fn here(&self, addresses: Vec<(String, String)>) -> anyhow::Result<Vec<(String, String)>> {
        let Cloud::Rehearsal(state, _) = self else { return Ok(addresses) };
        let here = |(label, url): (String, String)| Ok((label, url_of(state, &url)?.unwrap_or(url)));
        addresses.into_iter().map(here).collect()
    }

    /// What it has cost this machine so far; nothing for AWS, where it is on the bill.
    pub(super) fn cost(&self) -> Option<String> {
        let Cloud::Rehearsal(state, _) = self else { return None };
        usage(state).ok().map(|it| format!("the rehearsal cloud has used {it}"))
    }

    /// The words of a command that joins its input and output with a port of the cloud's internet; none where the
    /// internet is this machine's own.
    ///
    /// # Errors
    /// If this program cannot be found.
    pub(super) fn pipe_to(&self, address: &str, port: u16) -> anyhow::Result<Option<Vec<String>>> {
        let Cloud::Rehearsal(state, _) = self else { return Ok(None) };
        let lamp: PathBuf = std::env::current_exe().context("finding the program lamp")?;
        let words = [
            "env".to_owned(),
            format!("LAMP_STATE={}", state.dir().display()),
            lamp.display().to_string(),
            "rehearsal".to_owned(),
            "connect".to_owned(),
            address.to_owned(),
            port.to_string(),
        ];
        Ok(Some(words.into()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    /// The target of these words and this environment.
    fn target(words: &str, on: Option<&str>, endpoint: Option<&str>) -> Result<Target, String> {
        let words = ["lamp", "plan"].into_iter().chain(words.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|err| err.to_string())?;
        let env = Environment { on: on.map(str::to_owned), endpoint: endpoint.map(str::to_owned) };
        chosen(&cli.global, &env).map_err(|err| err.to_string())
    }

    #[test]
    fn it_is_the_rehearsal_unless_something_else_is_said() {
        use Target::{Aws, Rehearsal};
        let url = Some("http://127.0.0.1:5000");
        for (words, on, endpoint, want) in [
            ("", None, None, Rehearsal),
            ("--on aws", None, None, Aws),
            ("--endpoint-url http://x", None, None, Aws),
            ("--profile work", None, None, Aws),
            ("", Some("aws"), None, Aws),
            ("", None, url, Aws),
            ("", Some("rehearsal"), url, Rehearsal),
            ("--on rehearsal", Some("aws"), url, Rehearsal),
            ("--on aws", Some("rehearsal"), None, Aws),
            ("--on aws --profile work", None, None, Aws),
            ("--profile work", Some("rehearsal"), None, Aws),
        ] {
            assert_eq!(target(words, on, endpoint), Ok(want), "{words} {on:?} {endpoint:?}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let said = target("--on rehearsal --profile work", None, None).unwrap_err();
        assert!(said.contains("--profile contradict"), "{said}");
        let said = target("--on rehearsal --endpoint-url http://x", None, None).unwrap_err();
        assert!(said.contains("--endpoint-url contradict"), "{said}");
        let said = target("", Some("azure"), None).unwrap_err();
        assert!(said.contains("LAMP_ON is azure"), "{said}");
        assert!(target("--clock fast", None, None).is_err());
    }
}
