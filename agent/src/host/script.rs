//! A machine that exists only in a temporary folder and in a closure.

use std::sync::Mutex;

use super::*;

type Answer = dyn FnMut(&Host, &str) -> Output + Send;

/// What the script was asked, and how it answers.
pub struct Script {
    pub log: Mutex<Vec<String>>,
    pub answer: Mutex<Box<Answer>>,
    pub status: Mutex<u16>,
    pub alive: Mutex<bool>,
    pub names: Mutex<bool>,
    root: Mutex<Option<Host>>,
    _folder: tempfile::TempDir,
}

impl Script {
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    pub fn on(&self, answer: impl FnMut(&Host, &str) -> Output + Send + 'static) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }
}

/// A fresh machine and its script, which lets every program succeed in silence.
pub fn scripted() -> (Host, Arc<Script>) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let script = Arc::new(Script {
        log: Mutex::default(),
        answer: Mutex::new(Box::new(|_, _| Output::default())),
        status: Mutex::new(200),
        alive: Mutex::new(true),
        names: Mutex::new(true),
        root: Mutex::default(),
        _folder: folder,
    });
    let host = Host::new(root, script.clone());
    let inner = Host::new(host.root.clone(), Arc::new(Nothing));
    *script.root.lock().unwrap() = Some(inner);
    (host, script)
}

struct Nothing;

impl Commands for Nothing {
    fn run<'a>(&'a self, _: &'a [&'a str], _: Duration) -> BoxFuture<'a, anyhow::Result<Output>> {
        Box::pin(async { Ok(Output::default()) })
    }
    fn http<'a>(&'a self, _: &'a str) -> BoxFuture<'a, anyhow::Result<u16>> {
        Box::pin(async { Ok(200) })
    }
    fn connects<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async { true })
    }
    fn resolves<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async { true })
    }
    fn answers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async { true })
    }
}

impl Commands for Script {
    fn run<'a>(&'a self, argv: &'a [&'a str], _: Duration) -> BoxFuture<'a, anyhow::Result<Output>> {
        let line = argv.join(" ");
        self.log.lock().unwrap().push(line.clone());
        let host = self.root.lock().unwrap().clone().unwrap();
        let out = (self.answer.lock().unwrap())(&host, &line);
        Box::pin(async move { Ok(out) })
    }
    fn http<'a>(&'a self, _: &'a str) -> BoxFuture<'a, anyhow::Result<u16>> {
        let status = *self.status.lock().unwrap();
        Box::pin(async move { Ok(status) })
    }
    fn connects<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async { true })
    }
    fn resolves<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        let names = *self.names.lock().unwrap();
        Box::pin(async move { names })
    }
    fn answers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        let alive = *self.alive.lock().unwrap();
        Box::pin(async move { alive })
    }
}

#[tokio::test]
async fn a_failed_write_leaves_the_old_file_and_no_rest() {
    let (host, _) = scripted();
    host.write("/etc/x/a", b"old", 0o640, None).unwrap();
    fs::create_dir(host.at("/etc/x/.a.lampd")).unwrap();
    assert!(host.write("/etc/x/a", b"new", 0o640, None).is_err());
    assert_eq!(host.read("/etc/x/a").unwrap().as_deref(), Some("old"));
}

#[test]
fn the_marked_lines_of_apt_are_its_last_words() {
    let stderr = "W: something\nE: Could not get lock /var/lib/dpkg/lock-frontend\nnoise\n".to_owned();
    let out = Output { code: 100, stdout: String::new(), stderr };
    assert_eq!(last_words(&out), "E: Could not get lock /var/lib/dpkg/lock-frontend");
}
