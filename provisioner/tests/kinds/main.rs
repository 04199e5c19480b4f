//! Every kind against an AWS that we did not write (moto): made, read back, left alone, repaired after
//! somebody changed it by hand, and removed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod files_and_database;
mod host_role;
mod hosts;
mod scaling;
mod site;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Once,
    thread,
    time::{Duration, Instant},
};

use provisioner::{
    aws::{Aws, Connect},
    engine::{Action, Events, Observed, Plan, Report, Stack, Stop, apply, destroy, observe, plan},
    kinds,
};

/// One emulator of one test.
struct Moto {
    process: Child,
    port: u16,
    log: tempfile::TempDir,
}

impl Moto {
    fn start() -> Moto {
        static CREDENTIALS: Once = Once::new();
        // SAFETY: before any thread of this test reads the environment; others wait here.
        CREDENTIALS.call_once(|| unsafe {
            std::env::set_var("AWS_ACCESS_KEY_ID", "test");
            std::env::set_var("AWS_SECRET_ACCESS_KEY", "test");
        });
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let venv = std::env::var_os("LAMP_MOTO").map(PathBuf::from);
        let venv = venv.unwrap_or_else(|| home.join(".cache/lamplighter/moto"));
        let log = tempfile::tempdir().unwrap();
        let output = fs::File::create(log.path().join("moto.log")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(venv.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
            // Without the short list of images it starts with 1,286 of them, and a snapshot of each.
            .envs(amis().map(|it| ("MOTO_AMIS_PATH", it)))
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .expect("moto is installed by scripts/setup");
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "moto does not start");
            thread::sleep(Duration::from_millis(100));
        }
        Moto { process, port, log }
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn connect(&self, stack: &str) -> Aws {
        let connect = Connect {
            profile: None,
            region: "ap-northeast-2".into(),
            endpoint: Some(self.endpoint()),
            ..Connect::default()
        };
        Aws::connect(stack, connect).await.unwrap()
    }

    /// The requests that it has answered so far.
    fn requests(&self) -> Vec<String> {
        let log = fs::File::open(self.log.path().join("moto.log")).unwrap();
        let lines = BufReader::new(log).lines().map_while(Result::ok);
        lines.filter(|it| it.contains("HTTP/1.1\"")).collect()
    }
}

fn amis() -> Option<PathBuf> {
    let list = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/moto-amis.json");
    list.exists().then_some(list)
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn events() -> Events {
    Events(tokio::sync::mpsc::unbounded_channel().0)
}

async fn look(stack: &Stack, aws: &Aws) -> Observed {
    aws.look_afresh();
    observe(&kinds::all(), stack, aws).await.unwrap()
}

async fn planned(stack: &Stack, aws: &Aws) -> Plan {
    plan(stack, &look(stack, aws).await)
}

/// The nodes that a plan would touch, with what differs.
async fn differences(stack: &Stack, aws: &Aws) -> Vec<String> {
    let steps = planned(stack, aws).await.steps.into_iter().filter(|it| it.action != Action::Keep);
    let word = |it: provisioner::engine::Step| match it.action {
        Action::Configure { changes } | Action::Refuse { changes, .. } => {
            let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
            format!("{}: {}", it.node, changes.join("; "))
        }
        other => format!("{}: {other:?}", it.node),
    };
    steps.map(word).collect()
}

async fn up(stack: &Stack, aws: &Aws) -> Report {
    let observed = look(stack, aws).await;
    let plan = plan(stack, &observed);
    apply(stack, &kinds::all(), &plan, observed, aws, &events(), &Stop::default()).await.0
}

/// Builds the stack, and sees that a second look finds nothing to do.
async fn build(stack: &Stack, aws: &Aws) {
    let report = up(stack, aws).await;
    assert!(report.is_ok(), "{report:#?}");
    assert_eq!(differences(stack, aws).await, [""; 0]);
}

/// What somebody changed by hand shows in exactly these nodes, and is put right.
async fn repairs(stack: &Stack, aws: &Aws, nodes: &[&str]) {
    let found = differences(stack, aws).await;
    let names: BTreeSet<_> = found.iter().filter_map(|it| it.split(": ").next()).collect();
    assert_eq!(names, nodes.iter().copied().collect(), "{found:#?}");
    build(stack, aws).await;
}

/// Takes everything away and sees that nothing is left.
async fn take_away(stack: &Stack, aws: &Aws) {
    let seen: Vec<_> = look(stack, aws).await.nodes.into_values().collect();
    let report = destroy(&seen, &kinds::all(), aws, &events(), &Stop::default()).await;
    assert!(report.is_ok(), "{report:#?}");
    assert_eq!(look(stack, aws).await.nodes.into_keys().collect::<Vec<_>>(), [""; 0]);
}
