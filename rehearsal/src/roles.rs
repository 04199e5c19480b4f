//! How one executable becomes every process of a region: before `main`, when its environment says so.
//!
//! A region must be entered by a process that has no threads yet, and it must be found by every program
//! that links this crate (the command line as well as any test), so it is the program itself, started again.

use std::process::Command;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::cli::Background;
use crate::inside::{enter, launch};
use crate::keeper;

const ROLE: &str = "LAMP_REGION_ROLE";

/// What a process that was started again shall be.
#[derive(Serialize, Deserialize)]
pub(crate) enum Role {
    /// Stays outside, keeps the region and cleans up after it.
    Keeper(keeper::Charge),
    /// Parent of one instance's first process.
    Launch(launch::Launch),
    /// One command inside an instance.
    Enter(enter::Enter),
    /// The whole cloud, in the background.
    Cloud(Background),
}

impl Role {
    /// A command that is this very program in another role, with nothing of our environment.
    pub(crate) fn command(&self) -> anyhow::Result<Command> {
        // Keeps the linker from dropping the hook.
        std::hint::black_box(BEFORE_MAIN);
        let mut command = Command::new("/proc/self/exe");
        command.env_clear().env("PATH", crate::PATH).env(ROLE, serde_json::to_string(self)?);
        Ok(command)
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let Ok(text) = std::env::var(ROLE) else { return };
    // SAFETY: nothing but this function runs yet, so nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(ROLE) };
    let done =
        serde_json::from_str(&text).context("reading the role of this process").and_then(|role| match role {
            Role::Keeper(it) => keeper::keep(it),
            Role::Launch(it) => it.run(),
            Role::Enter(it) => it.run(),
            Role::Cloud(it) => it.run(),
        });
    let code = done.unwrap_or_else(|err| {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "{err:#}");
        125
    });
    std::process::exit(code);
}
