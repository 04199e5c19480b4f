//! A machine that exists only in a temporary folder and in a closure.

use std::sync::Mutex;

use super::*;

type Answer = dyn FnMut(&Host, &str) -> Output + Send;

/// What the script was asked, and how it answers.
pub struct Script {
    pub log: Mutex<Vec<String>>,
    pub answer: Mutex<Box<Answer>>,
    /// Of every answer over HTTP; 0 for none.
    pub status: Mutex<u16>,
    pub listening: Mutex<bool>,
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
        listening: Mutex::new(true),
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
        Box::pin(async move {
            if status == 0 { bail!("127.0.0.1:80 does not answer within 4 s") } else { Ok(status) }
        })
    }
    fn connects<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        let listening = *self.listening.lock().unwrap();
        Box::pin(async move { listening })
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
fn what_is_no_regular_file_is_neither_followed_nor_waited_for() {
    let (host, _) = scripted();
    host.write("/etc/shadow", b"text", 0o644, None).unwrap();
    host.mkdir("/www", 0o755).unwrap();
    let differs = |path: &str| host.differs(path, b"text", 0o644, ROOT).unwrap();
    std::os::unix::fs::symlink(host.at("/etc/shadow"), host.at("/www/link")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", host.at("/www/zero")).unwrap();
    nix::unistd::mkfifo(&host.at("/www/pipe"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    for path in ["/www/link", "/www/zero", "/www/pipe"] {
        assert_eq!(differs(path), Some(format!("{path} is no regular file")));
    }
    for path in ["/www/zero", "/www/pipe"] {
        assert!(host.read_bytes(path).is_err(), "{path}");
    }
    // A file of a terabyte is no reason to have that much memory.
    fs::File::create(host.at("/www/big")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(differs("/www/big").as_deref(), Some("/www/big has other content"));
    assert_eq!(differs("/etc/shadow"), None);
}

#[test]
fn the_marked_lines_of_apt_are_its_last_words() {
    let stderr = "W: something\nE: Could not get lock /var/lib/dpkg/lock-frontend\nnoise\n".to_owned();
    let out = Output { code: 100, stdout: String::new(), stderr };
    assert_eq!(last_words(&out), "E: Could not get lock /var/lib/dpkg/lock-frontend");
}

#[test]
fn the_package_that_dpkg_fails_at_is_named_with_the_reason() {
    let stderr = "dpkg: error processing package php8.2-fpm (--configure):\n installed php8.2-fpm package \
                  post-installation script subprocess returned error exit status 1\nErrors were encountered while \
                  processing:\n php8.2-fpm\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n";
    let words = last_words(&Output { code: 100, stdout: String::new(), stderr: stderr.to_owned() });
    for it in ["package php8.2-fpm (--configure)", "returned error exit status 1", "E: Sub-process"] {
        assert!(words.contains(it), "{words}");
    }
}
