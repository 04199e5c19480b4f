//! `lamp rehearsal …` as an operator types it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use clap::Parser;
use rehearsal::State;
use rehearsal::cli::Command;

#[derive(Parser)]
struct Lamp {
    #[command(subcommand)]
    command: Command,
}

/// The exit code and what was printed, or the error.
fn lamp(state: &State, words: &str) -> Result<(i32, String), String> {
    let words = ["lamp-rehearsal"].into_iter().chain(words.split(' '));
    let command = Lamp::try_parse_from(words).map_err(|err| err.to_string())?.command;
    let mut out = Vec::new();
    let code = command.run(state, &mut out).map_err(|err| format!("{err:#}"))?;
    Ok((code, String::from_utf8(out).unwrap()))
}

/// Images are shared with the other tests; the cloud's own socket and lock are not.
fn own_state() -> (tempfile::TempDir, State) {
    let shared = State::from_env();
    let dir = tempfile::tempdir_in(shared.dir()).unwrap();
    for it in ["images", "packages"] {
        std::fs::create_dir_all(shared.dir().join(it)).unwrap();
        std::os::unix::fs::symlink(shared.dir().join(it), dir.path().join(it)).unwrap();
    }
    let state = State::at(dir.path());
    (dir, state)
}

#[test]
fn two_starts_at_once_find_the_same_cloud() {
    let (_dir, state) = own_state();
    let both = std::thread::scope(|scope| {
        let start = || scope.spawn(|| lamp(&state, "start --port 0").unwrap());
        [start(), start()].map(|it| it.join().unwrap())
    });
    let last = |text: &str| text.lines().last().unwrap_or_default().to_owned();
    assert_eq!((both[0].0, both[1].0), (0, 0), "{both:?}");
    assert_eq!(last(&both[0].1), last(&both[1].1));
    lamp(&state, "stop").unwrap();
}

#[test]
fn the_cloud_knows_where_the_systemd_of_its_user_is() {
    let (dir, _) = own_state();
    let own = std::env::current_exe().unwrap();
    let again = std::process::Command::new(own)
        .args(["--ignored", "--exact", "a_start_in_an_environment"])
        .env("LAMP_STATE", dir.path())
        .env("XDG_RUNTIME_DIR", "/run/user/of-this-test")
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/of-this-test/bus")
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
}

#[test]
#[ignore = "the test above runs it, in an environment of its own"]
fn a_start_in_an_environment() {
    let state = State::from_env();
    lamp(&state, "start --port 0").unwrap();
    let dir = state.dir().display().to_string();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let all = all.filter_map(|it| std::fs::read(it.path().join("environ")).ok());
    let all = all.map(|it| String::from_utf8_lossy(&it).into_owned());
    let cloud = all.into_iter().find(|it| it.contains("\"Cloud\"") && it.contains(&dir)).unwrap();
    lamp(&state, "stop").unwrap();
    for key in ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"] {
        let line = format!("{key}={}", std::env::var(key).unwrap());
        assert!(cloud.split('\0').any(|it| it == line), "{cloud}");
    }
}

#[test]
fn the_cloud_starts_once_answers_and_stops_without_a_trace() {
    let (dir, state) = own_state();
    let err = lamp(&state, "status").unwrap_err();
    assert!(err.contains("`lamp rehearsal start` starts it"), "{err}");
    assert_eq!(lamp(&state, "stop").unwrap(), (0, "no rehearsal cloud runs\n".to_owned()));
    let (code, said) = lamp(&state, "start --port 0 --clock 120").unwrap();
    assert!(code == 0 && said.contains("AWS_ENDPOINT_URL=http://127.0.0.1:"), "{said}");
    assert!(said.contains("ap-northeast-2, 120 times AWS's pace"), "{said}");
    // Twice is harmless; and nobody is given another cloud than the one that was asked for.
    let last = |text: &str| text.lines().last().unwrap_or_default().to_owned();
    assert_eq!(last(&lamp(&state, "start --port 0").unwrap().1), last(&said));
    let err = lamp(&state, "start --region us-east-1").unwrap_err();
    assert!(err.contains("plays ap-northeast-2, not us-east-1"), "{err}");
    let (code, said) = lamp(&state, "status").unwrap();
    assert!(code == 0 && said.starts_with("interface  http://127.0.0.1:"), "{said}");
    assert!(said.contains(" CPU seconds, "), "{said}");
    assert!(lamp(&state, "status --json").unwrap().1.contains("\"instances\": {}"));
    assert_eq!(lamp(&state, "curl -sf -o /dev/null http://198.51.100.1:4566/moto-api/").unwrap().0, 0);
    assert!(lamp(&state, "exec nobody true").unwrap_err().contains("there is no host nobody"));
    assert!(lamp(&state, "open nothing").unwrap_err().contains("there is no load balancer nothing"));
    assert!(lamp(&state, "connect 198.51.100.1 9").unwrap_err().contains("connecting to 198.51.100.1:9"));
    assert!(lamp(&state, "break database none").unwrap_err().contains("there is no database none"));
    assert!(lamp(&state, "break link").unwrap_err().contains("NAME"));
    assert_eq!(lamp(&state, "break metadata --for 1").unwrap().0, 0);
    let region = std::fs::read_dir(dir.path().join("regions")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(lamp(&state, "stop").unwrap(), (0, "the cloud is gone\n".to_owned()));
    assert!(!region.exists());
    assert!(lamp(&state, "status").is_err());
    assert_eq!(lamp(&state, "doctor").unwrap().0, 0);
}
