//! One test's world: an empty account, a proxy before it, and a folder with the operator's `lamp.toml`.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;

use crate::account::Account;
use crate::call::Call;
use crate::fault::Fault;
use crate::lamp::{LIMIT, Run, command, run};
use crate::moto::Moto;
use crate::proxy::Proxy;
use crate::snapshot::Snapshot;

/// Everything that a scenario needs; cleans up behind itself.
pub struct Lab {
    pub proxy: Proxy,
    folder: TempDir,
    moto: Moto,
    /// The account before anything was done to it.
    pub before: Snapshot,
}

/// The account after an `up` that nothing disturbed, built once. Ask for it before a test makes its own lab:
/// both hold an emulator, and there are few.
pub fn undisturbed() -> &'static Undisturbed {
    static BUILT: LazyLock<Undisturbed> = LazyLock::new(|| {
        let lab = Lab::new("");
        let up = lab.up();
        let snapshot = lab.snapshot();
        let down = lab.down();
        lab.assert_nothing_left("after an undisturbed down");
        Undisturbed { up, snapshot, down }
    });
    &BUILT
}

/// What `undisturbed` saw.
pub struct Undisturbed {
    pub up: Run,
    pub snapshot: Snapshot,
    pub down: Run,
}

/// A folder of an operator: a home, a configuration, and something small in the agent's place.
fn folder(config: &str) -> TempDir {
    let folder = TempDir::with_prefix("lamp-").expect("a temporary folder");
    std::fs::create_dir(folder.path().join("home")).expect("a home");
    std::fs::write(folder.path().join("lampd"), "#!/bin/sh\n").expect("an agent");
    std::fs::write(folder.path().join("lamp.toml"), config).expect("a configuration");
    folder
}

/// The built agent has eighty megabytes, which nobody needs to upload in every test.
fn with_agent(config: &str) -> String {
    if config.contains("[agent]") {
        config.to_owned()
    } else {
        format!("{config}\n[agent]\nbinary = \"lampd\"\n")
    }
}

impl Lab {
    /// An empty account and this configuration; an empty text is the lab itself.
    pub fn new(config: &str) -> Lab {
        let moto = Moto::start();
        let proxy = Proxy::start(moto.address());
        let before = moto.account().snapshot();
        Lab { proxy, folder: folder(&with_agent(config)), moto, before }
    }

    /// The same operator with another, empty account.
    pub fn renew(&mut self) {
        self.proxy.settle();
        self.proxy.heal();
        self.moto.reset();
        self.before = self.moto.account().snapshot();
        let config = self.config();
        self.folder = folder(&config);
    }

    /// A path in the operator's folder.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The operator's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Changes the configuration.
    pub fn configure(&self, config: &str) {
        std::fs::write(self.path("lamp.toml"), with_agent(config)).expect("a configuration");
    }

    /// The configuration as it is now.
    pub fn config(&self) -> String {
        std::fs::read_to_string(self.path("lamp.toml")).expect("a configuration")
    }

    /// The emulator itself.
    pub fn moto(&self) -> &Moto {
        &self.moto
    }

    /// Hands and eyes at the console.
    pub fn account(&self) -> &Account {
        self.moto.account()
    }

    /// The account as it is now.
    pub fn snapshot(&self) -> Snapshot {
        self.account().snapshot()
    }

    /// Runs `lamp` with these words to its end.
    pub fn lamp(&self, words: &str) -> Run {
        self.lamp_in(&[], words)
    }

    /// The same in an environment in which these variables differ; an empty one is not set.
    pub fn lamp_in(&self, environment: &[(&str, &str)], words: &str) -> Run {
        let mark = self.proxy.mark();
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = command(self.folder.path(), &self.proxy.url(), &words);
        for (key, value) in environment {
            match value.is_empty() {
                true => command.env_remove(key),
                false => command.env(key, value),
            };
        }
        let mut it = run(command, LIMIT, None);
        self.proxy.settle();
        it.calls = self.proxy.calls_since(mark);
        it
    }

    /// Runs `lamp` and kills it right after its `n`-th mutating call. Its exit code is `None` if it got there.
    pub fn lamp_killed_after(&self, words: &str, n: usize) -> Run {
        let mark = self.proxy.mark();
        let words: Vec<&str> = words.split_whitespace().collect();
        let pid = self.proxy.kill_after(n);
        let mut it = run(command(self.folder.path(), &self.proxy.url(), &words), LIMIT, Some(pid));
        self.proxy.settle();
        it.calls = self.proxy.calls_since(mark);
        it
    }

    /// Runs `lamp` on a terminal, where somebody has typed this line.
    #[track_caller]
    pub fn lamp_asked(&self, words: &str, line: &str) -> Run {
        let mark = self.proxy.mark();
        let lamp = command::<&str>(self.folder.path(), &self.proxy.url(), &[]);
        let mut command = std::process::Command::new("sh");
        // The script hands the line on and makes the terminal.
        command.args(["-c", "printf '%s\\n' \"$0\" | script -qec \"$*\" /dev/null", line]);
        command.arg(lamp.get_program()).args(words.split_whitespace()).current_dir(self.folder.path());
        command.env_clear().envs(lamp.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let mut it = run(command, LIMIT, None);
        it.calls = self.proxy.calls_since(mark);
        it
    }

    /// Runs `lamp` and interrupts it, as Ctrl-C does, once it has made such calls.
    #[track_caller]
    pub fn lamp_interrupted(&self, words: &str, when: impl Fn(&[Call]) -> bool) -> Run {
        let mark = self.proxy.mark();
        let words: Vec<&str> = words.split_whitespace().collect();
        let command = command(self.folder.path(), &self.proxy.url(), &words);
        let (pid, seen) = watch::channel(None);
        let mut it = std::thread::scope(|scope| {
            let running = scope.spawn(move || run(command, LIMIT, Some(pid)));
            while !running.is_finished() && !when(&self.proxy.calls()[mark..]) {
                std::thread::sleep(Duration::from_millis(20));
            }
            if let (false, Some(pid)) = (running.is_finished(), *seen.borrow()) {
                // SAFETY: no memory is involved, and the child has not been reaped.
                unsafe { libc::kill(pid, libc::SIGINT) };
            }
            running.join().expect("a run")
        });
        self.proxy.settle();
        it.calls = self.proxy.calls_since(mark);
        it
    }

    /// The lab, built: `up`, which must succeed.
    #[track_caller]
    pub fn up(&self) -> Run {
        self.lamp("--on aws up --yes").ok()
    }

    /// The lab, removed: `down`, which must succeed.
    #[track_caller]
    pub fn down(&self) -> Run {
        self.lamp("--on aws down --yes").ok()
    }

    /// Fails unless the account is exactly as it was before the test did anything.
    #[track_caller]
    pub fn assert_nothing_left(&self, context: &str) {
        let left = self.snapshot().not_in(&self.before);
        assert!(left.is_empty(), "{context}: left behind:\n{}", left.join("\n"));
        let gone = self.before.not_in(&self.snapshot());
        assert!(gone.is_empty(), "{context}: gone, but not ours:\n{}", gone.join("\n"));
    }

    /// Frees the addresses of NAT gateways that are gone, as AWS does by itself and moto does not.
    pub fn free_addresses(&self) {
        let account = self.snapshot();
        let held: Vec<_> =
            account.all("nat-gateway").iter().map(|it| it["NatGatewayAddresses"].to_string()).collect();
        for it in account.all("elastic-ip") {
            let (id, association) = (it["AllocationId"].as_str().unwrap_or_default(), &it["AssociationId"]);
            let is_free = it["InstanceId"].as_str().unwrap_or_default().is_empty();
            if is_free && association.is_string() && !held.iter().any(|it| it.contains(id)) {
                self.account().call(
                    "ec2",
                    "disassociate_address",
                    serde_json::json!({ "AssociationId": association }),
                );
            }
        }
    }

    /// Holds the next call of this name, such as `ssm:PutParameter`, until the value is dropped, however long a machine
    /// takes for what shall happen meanwhile.
    pub fn hold(&self, name: &str) -> Hold {
        let (gate, held) = watch::channel(());
        self.proxy.fail(name, 1, Fault::Held(held));
        Hold { name: name.to_owned(), before: self.times(name), _gate: gate }
    }

    /// Waits until the held call has come.
    #[track_caller]
    pub fn until_held(&self, hold: &Hold) {
        self.eventually(&format!("{} is called", hold.name), || hold.before < self.times(&hold.name));
    }

    fn times(&self, name: &str) -> usize {
        self.proxy.calls().iter().filter(|it| it.name() == name).count()
    }

    /// Waits until a fact holds; fails the test when it does not within two minutes.
    #[track_caller]
    pub fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..2400 {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("not within two minutes: {what}");
    }
}

/// A call that is held.
pub struct Hold {
    name: String,
    /// How often it had been called.
    before: usize,
    _gate: watch::Sender<()>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A deletion that is still to come must not hit the next test's account.
        self.proxy.settle();
    }
}
