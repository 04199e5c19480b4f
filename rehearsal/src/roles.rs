//! How one executable becomes every process of a region: before `main`, when its environment says so.
//!
//! A region must be entered by a process that has no threads yet, and it must be found by every program
//! that links this crate (the command line as well as any test), so it is the program itself, started again.

use std::process::Command;

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::cgroups::Cgroups;
use crate::cli::Background;
use crate::inside::{enter, launch};
use crate::keeper;

const ROLE: &str = "LAMP_REGION_ROLE";

/// What a process that was started again shall be.
#[derive(Serialize, Deserialize)]
pub(crate) enum Role {
    /// Stays outside, keeps the region and cleans up after it.
    Keeper(keeper::Charge),
    /// Removes what is left of a region that has no keeper any more.
    Sweep(keeper::Remains),
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
        if matches!(self, Role::Cloud(_)) {
            // Its threads come and go, and memory of its own for each of them: 40 MB that nobody needs.
            command.env("MALLOC_ARENA_MAX", "2");
        }
        Ok(command)
    }
}

impl Role {
    /// The same for who makes control groups, which without root takes one that was delegated: if ours is not, systemd
    /// gives the process one of its own.
    pub(crate) fn command_with_a_control_group(&self, rootless: bool) -> anyhow::Result<Command> {
        let plain = self.command()?;
        if !rootless || Cgroups::find().is_ok_and(|it| it.is_ours()) {
            return Ok(plain);
        }
        let own = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new("systemd-run");
        command
            .args(["--user", "--scope", "--quiet", "--collect", "-p", "Delegate=yes", "--"])
            .arg(own)
            .env_clear();
        // It becomes that program by itself, so the process, its standard input and its environment stay.
        command.envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
        for key in ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"] {
            command.envs(std::env::var_os(key).map(|it| (key, it)));
        }
        Ok(command)
    }
}

/// Every connection into a region costs some, and many systems give a program no more than 1024 unless it asks.
fn open_more_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // What there was is enough for most.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    open_more_files();
    let Ok(text) = std::env::var(ROLE) else { return };
    // SAFETY: nothing but this function runs yet, so nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(ROLE) };
    let done =
        serde_json::from_str(&text).context("reading the role of this process").and_then(|role| match role {
            Role::Keeper(it) => keeper::keep(it),
            Role::Sweep(it) => it.sweep(),
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
