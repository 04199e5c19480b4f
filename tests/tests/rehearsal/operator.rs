//! An operator with a rehearsal cloud of their own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scenarios::{Account, Run, lamp, moto};
use serde_json::Value;
use tempfile::TempDir;

/// The first run on a machine builds images.
const LIMIT: Duration = Duration::from_secs(30 * 60);
const PATIENCE: Duration = Duration::from_secs(15 * 60);

pub(crate) struct Operator {
    folder: TempDir,
    /// Regions, socket and lock of their own; images and packages as all others.
    state: TempDir,
}

impl Operator {
    pub(crate) fn new(config: &str) -> Operator {
        let folder = TempDir::with_prefix("lamp-").unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        std::fs::write(folder.path().join("lamp.toml"), config).unwrap();
        let shared = shared_state();
        std::fs::create_dir_all(&shared).unwrap();
        let state = tempfile::tempdir_in(&shared).unwrap();
        for it in ["images", "packages"] {
            std::fs::create_dir_all(shared.join(it)).unwrap();
            std::os::unix::fs::symlink(shared.join(it), state.path().join(it)).unwrap();
        }
        Operator { folder, state }
    }

    /// What is around this operator says much about AWS, none of which counts here.
    pub(crate) fn run(&self, words: &[&str]) -> Run {
        let mut command = lamp::command(self.folder.path(), "", words);
        command
            .env_remove("AWS_ENDPOINT_URL")
            .env("AWS_PROFILE", "no-such-profile")
            .env("AWS_CA_BUNDLE", "/no/such/file")
            .env("LAMP_STATE", self.state.path())
            .env("LAMP_MOTO", moto::venv());
        lamp::run(command, LIMIT, None)
    }

    pub(crate) fn lamp(&self, words: &str) -> Run {
        self.run(&words.split(' ').collect::<Vec<_>>())
    }

    /// Runs a command on a host and returns what it said.
    pub(crate) fn on(&self, host: &str, argv: &[&str]) -> String {
        let words: Vec<&str> = ["rehearsal", "exec", host].iter().chain(argv).copied().collect();
        self.run(&words).ok().stdout
    }

    /// The addresses of `lamp status`, by label.
    pub(crate) fn urls(&self) -> BTreeMap<String, String> {
        let status = self.lamp("status --json").ok().stdout;
        let status = status.lines().filter_map(|it| serde_json::from_str::<Value>(it).ok());
        let status = status.into_iter().find(|it| it["event"] == "status").expect("a status");
        let pair = |it: &Value| Some((it[0].as_str()?.to_owned(), it[1].as_str()?.to_owned()));
        status["addresses"].as_array().unwrap().iter().filter_map(pair).collect()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.lamp("rehearsal status --json").stdout).expect("a status")
    }

    /// Names by id of the instances that run.
    pub(crate) fn instances(&self) -> BTreeMap<String, String> {
        let status = self.status();
        let name = |id: &str| status["names"][id].as_str().unwrap_or_default().to_owned();
        let all = status["instances"].as_object().expect("instances");
        let running = all.iter().filter(|it| it.1[0] == "running");
        running.map(|(id, _)| (id.clone(), name(id))).collect()
    }

    /// Where the database's primary is.
    pub(crate) fn primary(&self, database: &str) -> String {
        self.status()["databases"][database][0].as_str().unwrap_or_default().to_owned()
    }

    /// How a target is; empty if it is none of that group.
    pub(crate) fn health(&self, group: &str, target: &str) -> String {
        self.status()["targets"][group][target].as_str().unwrap_or_default().to_owned()
    }

    /// A second pair of eyes in this cloud's account.
    pub(crate) fn account(&self) -> Account {
        let status = self.lamp("rehearsal status").ok().stdout;
        let at = status.lines().find_map(|it| it.strip_prefix("interface")?.trim().strip_prefix("http://"));
        let at = at.and_then(|it| it.split(',').next()).expect("an interface");
        Account::open(at.parse().expect("an address"))
    }

    /// The agent's page, as programs read it.
    pub(crate) fn page(&self, url: &str) -> Value {
        let answer = ask(url, "Accept: application/json\r\n");
        answer.split_once("\r\n\r\n").and_then(|it| serde_json::from_str(it.1).ok()).unwrap_or_default()
    }

    /// Which host answered: its page has its name in the title.
    pub(crate) fn host_of(&self, url: &str) -> String {
        let body = get(url).1;
        let title = body.split("<title>").nth(1).and_then(|it| it.split("</title>").next());
        title.unwrap_or_else(|| panic!("a page without a title: {body}")).to_owned()
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let status = || self.lamp("rehearsal status").text();
            assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}:\n{}", status());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Where the cloud keeps its files.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    /// The id of the region that the cloud runs in.
    pub(crate) fn region(&self) -> String {
        let all = std::fs::read_dir(self.state.path().join("regions")).unwrap();
        let names: Vec<_> = all.flatten().map(|it| it.file_name().into_string().unwrap()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        names[0].clone()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.state.path().join("cloud.log")).unwrap_or_default();
            eprintln!("the cloud's log: {log}");
        }
        // Harmless if it was stopped already.
        let _ = lamp::run(self.stopping(), LIMIT, None);
    }
}

impl Operator {
    fn stopping(&self) -> std::process::Command {
        let mut command = lamp::command(self.folder.path(), "", &["rehearsal", "stop"]);
        command.env("LAMP_STATE", self.state.path());
        command
    }
}

/// Where `lamp` keeps images for everybody.
fn shared_state() -> PathBuf {
    let set = |key: &str| std::env::var_os(key).filter(|it| !it.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    set("LAMP_STATE").or_else(|| Some(cache()?.join("lamplighter"))).expect("HOME is set")
}

/// Status and body of a URL on this machine; status 0 when there is no answer.
pub(crate) fn get(url: &str) -> (u16, String) {
    let text = ask(url, "");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let code = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    (code, body.to_owned())
}

/// What comes before the body.
pub(crate) fn headers(url: &str) -> String {
    ask(url, "").split("\r\n\r\n").next().unwrap_or_default().to_owned()
}

/// The whole answer to a request with these headers as well.
fn ask(url: &str, headers: &str) -> String {
    let rest = url.strip_prefix("http://").expect("http");
    let (host, path) = rest.split_once('/').expect("a path");
    let ask = || -> std::io::Result<String> {
        let mut line = TcpStream::connect(host)?;
        line.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(line, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n")?;
        let mut bytes = Vec::new();
        line.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    ask().unwrap_or_default()
}
