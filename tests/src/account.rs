//! A second pair of eyes and hands in the account: boto3, so that no mistake of our SDK is shared.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::child::{Guarded, spawn};
use crate::moto::{data, venv};
use crate::snapshot::Snapshot;

/// The lab's region and the one that its bucket may lie in.
pub const REGIONS: [&str; 2] = ["ap-northeast-2", "us-east-1"];

/// A Python process that reads the whole account, or does by hand what somebody might do at the console.
pub struct Account {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _process: Guarded,
}

/// What AWS answered to a call that it refused.
#[derive(Debug)]
pub struct Refused {
    pub code: String,
    pub message: String,
}

impl Account {
    /// Starts the reader for an endpoint on loopback.
    pub fn open(endpoint: SocketAddr) -> Account {
        let mut command = Command::new(venv().join("bin/python"));
        command
            .arg(data("account.py"))
            .args([&format!("http://{endpoint}"), REGIONS[0]])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Guarded(spawn(command).expect("python starts"));
        let stdin = process.0.stdin.take().expect("a pipe");
        let stdout = BufReader::new(process.0.stdout.take().expect("a pipe"));
        Account { pipes: Mutex::new((stdin, stdout)), _process: process }
    }

    /// Everything in the account, as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let found = self.ask(&json!({ "snapshot": [REGIONS[0]] })).expect("a readable account");
        Snapshot::new(found)
    }

    /// One call of any service, named as in boto3: `call("ec2", "delete_route", json!({…}))`. A `region` in
    /// the arguments sends it there.
    pub fn try_call(&self, service: &str, operation: &str, arguments: Value) -> Result<Value, Refused> {
        self.ask(&json!({ "call": [service, operation, arguments] }))
    }

    /// The same, where a refusal is the test's failure.
    pub fn call(&self, service: &str, operation: &str, arguments: Value) -> Value {
        self.try_call(service, operation, arguments)
            .unwrap_or_else(|it| panic!("{service}.{operation}: {}: {}", it.code, it.message))
    }

    fn ask(&self, request: &Value) -> Result<Value, Refused> {
        let mut pipes = self.pipes.lock().unwrap_or_else(|it| it.into_inner());
        writeln!(pipes.0, "{request}").expect("the reader lives");
        let mut line = String::new();
        pipes.1.read_line(&mut line).expect("the reader lives");
        let mut answer: Value = serde_json::from_str(&line).expect("an answer of the reader");
        if let Some(ok) = answer.get_mut("ok") {
            return Ok(ok.take());
        }
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        Err(Refused { code: text("error"), message: text("message") })
    }
}
