//! The real page process, told by a file as the agent tells it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use agent::feed::{DatabaseFeed, Feed};

use super::{client, database::free_port};

pub struct Page {
    pub at: SocketAddr,
    folder: tempfile::TempDir,
    process: Child,
    feed: Feed,
    pub apache: SocketAddr,
}

impl Page {
    /// A page that listens and knows this database.
    pub async fn start(database: Option<DatabaseFeed>) -> Page {
        Page::start_with(|feed| feed.database = database).await
    }

    /// A page that listens and was told this.
    pub async fn start_with(change: impl FnOnce(&mut Feed)) -> Page {
        Page::begin(change, None).await
    }

    /// A page whose names are resolved by a file of its own: see [`Page::resolve`].
    pub async fn start_resolving(database: DatabaseFeed, to: Ipv4Addr) -> Page {
        Page::begin(|feed| feed.database = Some(database), Some(to)).await
    }

    async fn begin(change: impl FnOnce(&mut Feed), names: Option<Ipv4Addr>) -> Page {
        let folder = tempfile::tempdir().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let apache = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let place = |name: &str| folder.path().join(name).display().to_string();
        let program = env!("CARGO_BIN_EXE_lampd");
        let mut command = match names {
            None => Command::new(program),
            Some(address) => {
                // Only this process sees another /etc/hosts; the machine's own stays as it is.
                std::fs::write(folder.path().join("hosts"), hosts(address)).unwrap();
                let mut command = Command::new("unshare");
                let user = if nix::unistd::geteuid().is_root() { "-m" } else { "-rm" };
                command.arg(user).args([
                    "sh",
                    "-c",
                    "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"",
                    "sh",
                ]);
                command.arg(place("hosts")).arg(program);
                command
            }
        };
        let mut feed = Feed { configured: true, share_ms: 50, ..Feed::default() };
        change(&mut feed);
        let feed_file = folder.path().join("page.json");
        write(&feed_file, &feed);
        command
            .args(["page", "--listen", &listen.to_string(), "--apache", &apache.to_string()])
            .args(["--feed", &place("page.json"), "--beat", &place("beat")])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap());
        let process = command.spawn().unwrap();
        let page = Page { at: listen, folder, process, feed, apache };
        let began = Instant::now();
        while client::try_get(page.at, "/healthz", "").await.is_none() {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", page.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        page
    }

    /// Tells it something else.
    pub fn tell(&mut self, change: impl FnOnce(&mut Feed)) {
        change(&mut self.feed);
        write(&self.folder.path().join("page.json"), &self.feed);
    }

    /// Lets the name `db.test` lead to another address.
    pub fn resolve(&self, to: Ipv4Addr) {
        self.resolve_all(&[to]);
    }

    /// The same for several addresses at once, in this order.
    pub fn resolve_all(&self, to: &[Ipv4Addr]) {
        let text: String = to.iter().map(|it| hosts(*it)).collect();
        // In place: the file is what is mounted, not its name.
        std::fs::write(self.folder.path().join("hosts"), text).unwrap();
    }

    pub fn beat(&self) -> PathBuf {
        self.folder.path().join("beat")
    }

    pub async fn json(&self) -> serde_json::Value {
        client::get(self.at, "/index.json").await.json()
    }

    pub async fn metric(&self, name: &str) -> f64 {
        let text = client::get(self.at, "/metrics").await.body;
        let line = text.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }

    /// Waits until an answer is as wanted, and says how long that took.
    pub async fn until(&self, what: &str, wanted: impl Fn(&client::Answer) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let answer = client::get(self.at, "/index.json").await;
            if wanted(&answer) {
                return began.elapsed();
            }
            assert!(began.elapsed() < Duration::from_secs(15), "never {what}: {answer:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory in MiB.
    pub fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal)
            .unwrap();
    }

    /// How it ended.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.process.wait().unwrap()
    }
}

fn hosts(address: Ipv4Addr) -> String {
    format!("127.0.0.1 localhost\n{address} db.test\n")
}

fn write(file: &PathBuf, feed: &Feed) {
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, serde_json::to_vec(feed).unwrap()).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
