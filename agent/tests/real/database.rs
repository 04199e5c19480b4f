//! A real MariaDB on a loopback address of its own.

use std::{
    net::{IpAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use mysql_async::{Conn, OptsBuilder, prelude::Queryable};

pub const USER: &str = "admin";
pub const PASSWORD: &str = "it's \\ \"quoted\" <?php 암호 😀";
pub const NAME: &str = "labvpcrds";
/// Not root: that one is somebody else on localhost.
const BOSS: &str = "boss";

pub struct Database {
    pub address: IpAddr,
    pub port: u16,
    folder: tempfile::TempDir,
    extra: Vec<String>,
    process: Option<Child>,
}

/// A port that was free a moment ago on every loopback address.
pub fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// A data folder with the account and the database; made once, copied for each server.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
    TEMPLATE
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            run(Command::new("mariadb-install-db")
                .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M"])
                .arg(format!("--datadir={}", folder.path().display()))
                .arg(format!("--tmpdir={}", folder.path().display()))
                .arg(format!("--user={}", account())));
            let password = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
            // Bootstrap takes one statement a line.
            let sql = format!(
                "FLUSH PRIVILEGES;\nCREATE DATABASE {NAME};\nCREATE USER {USER}@'%' IDENTIFIED BY '{password}';\n\
                 GRANT ALL ON {NAME}.* TO {USER}@'%';\nCREATE USER {BOSS}@'%' IDENTIFIED BY '{BOSS}';\n\
                 GRANT ALL ON *.* TO {BOSS}@'%' WITH GRANT OPTION;\n"
            );
            let file = folder.path().join("setup.sql");
            std::fs::write(&file, sql).unwrap();
            let mut child = mariadbd(folder.path()).arg("--bootstrap").stdin(Stdio::piped()).spawn().unwrap();
            std::io::copy(&mut std::fs::File::open(&file).unwrap(), &mut child.stdin.take().unwrap()).unwrap();
            assert!(child.wait().unwrap().success());
            folder
        })
        .path()
}

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// MariaDB refuses to be root.
fn account() -> String {
    if nix::unistd::geteuid().is_root() {
        return "mysql".to_owned();
    }
    nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name
}

fn mariadbd(folder: &Path) -> Command {
    let mut command = Command::new("mariadbd");
    command
        .args([
            "--no-defaults",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=24M",
            "--performance-schema=OFF",
        ])
        .args([
            "--innodb-flush-log-at-trx-commit=2",
            "--max-connections=300",
            "--character-set-server=utf8mb4",
        ])
        .arg(format!("--user={}", account()))
        .arg(format!("--datadir={}", folder.display()))
        // Not /tmp, where another server's temporary tables may have the same names.
        .arg(format!("--tmpdir={}", folder.display()))
        .arg(format!("--socket={}/socket", folder.display()))
        .arg(format!("--pid-file={}/pid", folder.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Database {
    /// A running server at 127.0.0.1 and some port.
    pub async fn start() -> Database {
        Database::start_at("127.0.0.1", free_port(), &[]).await
    }

    /// A running server there, with more options.
    pub async fn start_at(address: &str, port: u16, extra: &[String]) -> Database {
        let mut database = Database::prepare(address, port, extra);
        database.resume().await;
        database
    }

    /// A server that does not run yet.
    pub fn prepare(address: &str, port: u16, extra: &[String]) -> Database {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("cp").arg("-a").arg(template()).arg(folder.path().join("data")));
        run(Command::new("chown").arg(account()).arg(folder.path()));
        Database { address: address.parse().unwrap(), port, folder, extra: extra.to_vec(), process: None }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts without waiting for the first answer.
    pub fn begin(&mut self) {
        let mut command = mariadbd(&self.data());
        command.arg(format!("--bind-address={}", self.address)).arg(format!("--port={}", self.port));
        self.process = Some(command.args(&self.extra).spawn().unwrap());
    }

    /// Starts and waits until it answers.
    pub async fn resume(&mut self) {
        self.begin();
        self.answers().await;
    }

    pub async fn answers(&self) {
        let began = Instant::now();
        while let Err(err) = Conn::new(self.opts()).await {
            assert!(began.elapsed() < Duration::from_secs(20), "MariaDB does not start: {err}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn opts(&self) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(self.address.to_string())
            .tcp_port(self.port)
            .user(Some(BOSS))
            .pass(Some(BOSS))
            .db_name(Some(NAME))
            .prefer_socket(false)
    }

    /// Statements as the server's master, one after the other.
    pub async fn sql(&self, statements: &str) {
        let mut conn = Conn::new(self.opts()).await.unwrap();
        conn.query_drop(statements).await.unwrap_or_else(|err| panic!("{statements}: {err}"));
        // One per statement: what follows in the same text is only sent when the results are read.
        conn.disconnect().await.unwrap();
    }

    /// The table of the lab with its rows.
    pub async fn seed(&self) {
        self.sql(agent::page::answer::CREATE).await;
        self.sql("INSERT INTO SAMPLE (NAME, ADDRESS) VALUES ('KIM', 'SEOUL'), ('LEE', 'BUSAN')").await;
    }

    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.process.as_ref().unwrap().id()).unwrap())
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// Gone, as by a power cut.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Where it is, for the page.
    pub fn feed(&self) -> agent::feed::DatabaseFeed {
        agent::feed::DatabaseFeed {
            endpoint: self.address.to_string(),
            port: self.port,
            name: NAME.to_owned(),
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            roots: None,
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.kill();
    }
}
