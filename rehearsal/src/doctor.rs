//! What this machine lacks to run a region, in words, and what brings it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::inotify::{InitFlags, Inotify};
use nix::unistd::{Uid, geteuid};

use crate::ControlPlane;
use crate::cgroups::Cgroups;
use crate::user;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub what: &'static str,
    /// What there is, or what is missing and how to get it.
    pub result: Result<String, String>,
}

/// Programs that a region runs, and the Debian package of each.
const PROGRAMS: [(&str, &str); 3] = [("ip", "iproute2"), ("nft", "nftables"), ("mmdebstrap", "mmdebstrap")];

/// What a lab at its largest takes, eleven machines with about seven each, and what a region with three hosts does.
const WATCHES: (usize, usize) = (80, 24);

/// Programs without which only a command of the operator's does not work.
const HANDY: [(&str, &str); 2] = [("curl", "curl"), ("ssh", "openssh-client")];

/// Looks at everything that a region needs.
pub fn doctor() -> Vec<Finding> {
    let mut all = vec![
        Finding { what: "namespaces", result: namespaces() },
        Finding { what: "overlay file system", result: filesystem("overlay") },
        Finding { what: "control groups", result: control_groups() },
        Finding { what: "privileges", result: privileges(geteuid()) },
        Finding { what: "watches of files", result: watches() },
    ];
    all.extend(PROGRAMS.map(|(what, package)| Finding { what, result: program(what, package) }));
    // Only the programs can tell.
    if all.iter().all(|it| it.result.is_ok()) {
        all.push(Finding { what: "network", result: network() });
    }
    all.push(Finding { what: "control plane", result: control_plane(&ControlPlane::from_env()) });
    all
}

/// Without root it takes a group that somebody delegated: systemd does so for everybody who logs in.
fn control_groups() -> Result<String, String> {
    let it = Cgroups::find().map_err(|err| err.to_string())?;
    let has_systemd =
        std::env::var_os("XDG_RUNTIME_DIR").is_some() && program("systemd-run", "systemd").is_ok();
    if it.is_ours() || has_systemd {
        return Ok(it.mode());
    }
    let dir = it.place().display().to_string();
    Err(format!(
        "{dir} is not this user's, and no systemd gives us another; log in by systemd, or have root make one below \
         it, `chown` it and its cgroup.* files, and start your shell in it"
    ))
}

/// Looks at what the operator's commands need besides.
pub(crate) fn handy() -> Vec<Finding> {
    HANDY.map(|(what, package)| Finding { what, result: program(what, package) }).into()
}

fn control_plane(it: &ControlPlane) -> Result<String, String> {
    let venv = match it {
        ControlPlane::Url(url) => {
            return ControlPlane::address(url).map(|it| it.to_string()).map_err(|err| err.to_string());
        }
        ControlPlane::Moto(venv) => venv,
    };
    let program = venv.join("bin/moto_server");
    match program.exists() {
        true => Ok(program.display().to_string()),
        false => Err(format!("{} is not there; `scripts/setup` installs moto", program.display())),
    }
}

/// Each systemd waits for changes of files with a few descriptors, of which Linux gives a user 128 in all by default.
fn watches() -> Result<String, String> {
    let (most, least) = WATCHES;
    let place = |_| Inotify::init(InitFlags::IN_CLOEXEC).ok();
    let count = || (0..most).map_while(place).collect::<Vec<_>>().len();
    let mut free = count();
    // Somebody else may be looking at the same moment, and holds them for so long.
    for _ in 0..5 {
        if free == most {
            return Ok(format!("{most} at least"));
        }
        std::thread::sleep(Duration::from_millis(50));
        free = free.max(count());
    }
    let words = format!(
        "only {free} are free, and a lab at its largest takes {most}; `sysctl fs.inotify.max_user_instances=1024` \
         allows more"
    );
    if least <= free { Ok(words) } else { Err(words) }
}

/// Kinds of links and rules are modules that a kernel may lack: made for a moment, in a network of its own.
fn network() -> Result<String, String> {
    let tries = [
        ("ip link add lamp0 type veth peer name lamp1", "veth"),
        ("nft add table inet lamp", "nf_tables"),
        (
            "nft 'add table ip lamp; add chain ip lamp nat { type nat hook postrouting priority 100; }'",
            "nf_nat",
        ),
    ];
    for (command, module) in tries {
        let mut unshare = std::process::Command::new("unshare");
        if !geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let said = unshare.args(["--net", "sh", "-c", command]).env("PATH", crate::PATH).output();
        match said {
            Ok(it) if it.status.success() => (),
            Ok(it) => {
                let words = String::from_utf8_lossy(&it.stderr).trim().to_owned();
                return Err(format!(
                    "`{command}` says {words}; `modprobe {module}` loads what it needs (package linux-image-amd64)"
                ));
            }
            Err(err) => return Err(format!("unshare: {err}; `apt-get install util-linux` brings it")),
        }
    }
    Ok("veth, nf_tables, nat".to_owned())
}

fn namespaces() -> Result<String, String> {
    let kinds = ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user"];
    let missing: Vec<&str> =
        kinds.into_iter().filter(|it| !Path::new("/proc/self/ns").join(it).exists()).collect();
    if missing.is_empty() {
        return Ok(kinds.join(" "));
    }
    Err(format!("this kernel has no {} namespaces; Debian's linux-image-amd64 has", missing.join(" ")))
}

fn filesystem(name: &str) -> Result<String, String> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|it| it.split_whitespace().next_back() == Some(name)) {
        return Ok("in the kernel".to_owned());
    }
    Err(format!("the kernel does not know it yet; `modprobe {name}` loads it (package linux-image-amd64)"))
}

fn privileges(user: Uid) -> Result<String, String> {
    if user.is_root() {
        return Ok("root".to_owned());
    }
    for (file, name) in [
        ("/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/user/max_user_namespaces", "user.max_user_namespaces=65536"),
    ] {
        if fs::read_to_string(file).is_ok_and(|it| it.trim() == "0") {
            return Err(format!("user namespaces are switched off; `sysctl {name}` allows them"));
        }
    }
    let apparmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    if fs::read_to_string(apparmor).is_ok_and(|it| it.trim() == "1") {
        return Err("AppArmor forbids user namespaces; \
                    `sysctl kernel.apparmor_restrict_unprivileged_userns=0` allows them"
            .to_owned());
    }
    program("newuidmap", "uidmap")?;
    for file in ["/etc/subuid", "/etc/subgid"] {
        let (_, count) = user::subordinate(file, user).map_err(|err| format!("{err:#}"))?;
        if count < 65535 {
            return Err(format!("{file} gives only {count} ids; 65536 are needed"));
        }
    }
    Ok(format!("user {user} with subordinate ids"))
}

fn program(name: &str, package: &str) -> Result<String, String> {
    let path = crate::PATH.split(':').map(|it| Path::new(it).join(name)).find(|it| it.exists());
    path.map(|it| it.display().to_string())
        .ok_or_else(|| format!("not installed; `apt-get install {package}` brings it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        assert_eq!(
            program("no-such-program", "nothing"),
            Err("not installed; `apt-get install nothing` brings it".into())
        );
        assert_eq!(filesystem("no-such-fs").map_err(|it| it.contains("modprobe no-such-fs")), Err(true));
    }

    #[test]
    fn a_missing_control_plane_is_told_with_the_command_that_brings_it() {
        let said = control_plane(&ControlPlane::Moto("/no/such/folder".into())).unwrap_err();
        assert!(said.contains("/no/such/folder/bin/moto_server") && said.contains("scripts/setup"), "{said}");
    }

    #[test]
    fn a_user_without_subordinate_ids_is_told_how_to_get_them() {
        let said = privileges(Uid::from_raw(54321)).unwrap_err();
        assert!(said.contains("apt-get install uidmap") || said.contains("usermod --add-subuids"), "{said}");
    }
}
