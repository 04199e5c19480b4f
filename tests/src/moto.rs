//! The emulator: moto's server from its virtual environment, one process for each test that runs at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex};

use crate::account::Account;
use crate::child::{Guarded, spawn};

/// A running emulator that nobody else uses. Goes back to the pool, to be emptied for the next test.
pub struct Moto {
    process: Option<Process>,
}

struct Process {
    address: SocketAddr,
    reader: Account,
    _server: Guarded,
}

struct Pool {
    idle: Vec<Process>,
    /// Processes that exist or are being started.
    count: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { idle: Vec::new(), count: 0 });
static RETURNED: Condvar = Condvar::new();

/// Folder of the virtual environment that `scripts/setup` makes.
pub fn venv() -> PathBuf {
    let set = |key: &str| std::env::var_os(key).filter(|it| !it.is_empty()).map(PathBuf::from);
    set("LAMP_MOTO").unwrap_or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        cache.expect("HOME is set").join("lamplighter/moto")
    })
}

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

impl Moto {
    /// An empty account: a process from the pool, or a new one as long as there are fewer than cores.
    /// Waits while all are in use.
    pub fn start() -> Moto {
        let most = std::thread::available_parallelism().map_or(2, usize::from);
        let mut pool = POOL.lock().unwrap_or_else(|it| it.into_inner());
        while pool.idle.is_empty() && pool.count >= most {
            pool = RETURNED.wait(pool).unwrap_or_else(|it| it.into_inner());
        }
        if let Some(process) = pool.idle.pop() {
            drop(pool);
            let moto = Moto { process: Some(process) };
            moto.reset();
            return moto;
        }
        pool.count += 1;
        drop(pool);
        // Declared before the start, so that a panic there gives the place back.
        let mut moto = Moto { process: None };
        moto.process = Some(Process::start());
        moto
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs until it is dropped")
    }

    /// Where it listens, on loopback.
    pub fn address(&self) -> SocketAddr {
        self.process().address
    }

    /// `http://127.0.0.1:…`
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The account's independent reader, past any proxy.
    pub fn account(&self) -> &Account {
        &self.process().reader
    }

    /// Forgets every resource of every account.
    pub fn reset(&self) {
        self.post("/moto-api/reset", "");
    }

    /// Makes the ids that follow repeatable.
    pub fn seed(&self, seed: u32) {
        self.post(&format!("/moto-api/seed?a={seed}"), "");
    }

    /// How long a model takes from one state to the next: for `cloudfront::distribution` and its like.
    pub fn transition(&self, model: &str, how: &serde_json::Value) {
        let body = serde_json::json!({ "model_name": model, "transition": how });
        self.post("/moto-api/state-manager/set-transition", &body.to_string());
    }

    /// Checks credentials and policies from the `after`-th call on, as AWS does.
    pub fn enforce_permissions(&self, after: u32) {
        self.post("/moto-api/reset-auth", &after.to_string());
    }

    fn post(&self, path: &str, body: &str) {
        let mut socket = TcpStream::connect(self.address()).expect("moto answers");
        let length = body.len();
        write!(
            socket,
            "POST {path} HTTP/1.1\r\nHost: moto\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("moto reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("moto answers");
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(status == "200" || status == "201", "moto refused POST {path}: {answer}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let mut pool = POOL.lock().unwrap_or_else(|it| it.into_inner());
        match self.process.take() {
            // Whatever the test did to it ends with it: a fresh one costs two seconds, a puzzle costs an hour.
            Some(_) if std::thread::panicking() => pool.count -= 1,
            Some(process) => pool.idle.push(process),
            None => pool.count -= 1,
        }
        drop(pool);
        RETURNED.notify_one();
    }
}

impl Process {
    fn start() -> Process {
        let program = venv().join("bin/moto_server");
        assert!(program.exists(), "{} is missing: run scripts/setup first", program.display());
        let mut command = Command::new(program);
        command
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("MOTO_AMIS_PATH", data("moto-amis.json"))
            .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut server = Guarded(spawn(command).expect("moto starts"));
        let mut lines = BufReader::new(server.0.stderr.take().expect("a pipe")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("Running on http://")?.1.trim().parse().ok())
            .expect("moto says where it listens");
        // Its log has to go somewhere, or it stops at a full pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let reader = Account::open(address);
        Process { address, reader, _server: server }
    }
}
