//! Runs the built `lamp` as an operator would, with a limit on its time, and tells what it used.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::call::Call;
use crate::child::spawn;

/// Nothing on the emulator takes this long: what does has hung.
pub const LIMIT: Duration = Duration::from_secs(180);

/// One run that has ended.
#[derive(Debug)]
pub struct Run {
    /// For messages: the arguments.
    pub what: String,
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// What it asked of AWS, where it went through a proxy.
    pub calls: Vec<Call>,
    pub took: Duration,
    /// CPU time of user and system.
    pub cpu: Duration,
    /// Peak resident memory in bytes.
    pub memory: u64,
}

/// The built command: `LAMP_BIN`, or the one that lies beside this test's folder.
pub fn binary() -> PathBuf {
    if let Some(it) = std::env::var_os("LAMP_BIN") {
        return it.into();
    }
    let me = std::env::current_exe().expect("this program's path");
    let found = me.ancestors().skip(1).take(2).map(|it| it.join("lamp")).find(|it| it.exists());
    found.expect("lamp is not built: run `cargo build --workspace` first, or scripts/test")
}

/// A command with an operator's environment: its own home, dummy keys, this endpoint, and nothing else.
pub fn command<S: AsRef<OsStr>>(folder: &Path, endpoint: &str, arguments: &[S]) -> Command {
    let mut it = Command::new(binary());
    it.args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", folder.join("home"))
        .env("LANG", "C.UTF-8")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "operator")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        .env("AWS_REGION", "ap-northeast-2")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_COLOR", "1");
    it
}

/// Runs it to its end. Its pid goes to `pid` as soon as it is known.
#[expect(clippy::zombie_processes, reason = "wait4 below reaps it, with what it used")]
pub fn run(mut command: Command, limit: Duration, pid: Option<watch::Sender<Option<i32>>>) -> Run {
    let what = command.get_args().map(|it| it.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = spawn(command).unwrap_or_else(|it| panic!("cannot start lamp: {it}"));
    let id = i32::try_from(child.id()).expect("a pid");
    if let Some(pid) = &pid {
        pid.send_replace(Some(id));
    }
    let collect = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // A read that fails ends the text there; what is missing shows in the assertion.
            let _ = pipe.expect("a pipe").read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = collect(child.stdout.take().map(|it| Box::new(it) as Box<dyn Read + Send>));
    let stderr = collect(child.stderr.take().map(|it| Box::new(it) as Box<dyn Read + Send>));
    let (status, usage, memory, late) = wait(id, limit);
    let seconds = |it: libc::timeval| {
        Duration::from_secs(it.tv_sec.cast_unsigned()) + Duration::from_micros(it.tv_usec.cast_unsigned())
    };
    let run = Run {
        what,
        code: status.code(),
        stdout: stdout.join().expect("the reader of stdout"),
        stderr: stderr.join().expect("the reader of stderr"),
        calls: Vec::new(),
        took: begun.elapsed(),
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        memory,
    };
    assert!(!late, "it did not end within {limit:?}: {run}");
    run
}

/// Reaps the child with its resource usage and its peak memory in bytes; kills it when the limit is over.
fn wait(pid: i32, limit: Duration) -> (ExitStatus, libc::rusage, u64, bool) {
    let end = Instant::now() + limit;
    let (mut late, mut memory) = (false, 0);
    loop {
        memory = peak(pid).unwrap_or(memory);
        let mut status = 0;
        // SAFETY: rusage is plain numbers, for which zeroes are valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to live variables of the right types; `pid` is a child that only we reap.
        let reaped = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
        assert!(reaped >= 0, "wait4: {}", std::io::Error::last_os_error());
        if reaped == pid {
            return (ExitStatus::from_raw(status), usage, memory, late);
        }
        if Instant::now() > end && !late {
            late = true;
            // SAFETY: no memory is involved, and the child has not been reaped.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// The most that it ever had, in bytes. (What `wait4` tells counts the memory of whoever started it, if that was more.)
fn peak(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.map_or("killed".to_owned(), |it| format!("exit code {it}"));
        writeln!(f, "lamp {}: {code} after {:.1?}", self.what, self.took)?;
        writeln!(f, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)?;
        let odd = self.calls.iter().filter(|it| it.status == 0 || it.status >= 400);
        let odd: Vec<_> = odd.map(|it| format!("{} {}", it.name(), it.status)).collect();
        write!(f, "--- {} calls, not well answered: {odd:?}", self.calls.len())
    }
}

impl Run {
    /// Fails the test unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Fails the test unless it ended well.
    #[track_caller]
    pub fn ok(self) -> Run {
        self.expect(0)
    }

    /// Both streams, for tests that do not care which.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The calls that can change the account.
    pub fn changes(&self) -> Vec<&Call> {
        self.calls.iter().filter(|it| it.mutating).collect()
    }

    /// Fails the test unless every one of the words is said.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Run {
        let text = self.text();
        for it in words {
            assert!(text.contains(it), "nothing says {it:?}: {self}");
        }
        self
    }
}
