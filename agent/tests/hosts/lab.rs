//! One stack in a region of its own: parameters, database, shared files, and hosts.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rehearsal::{Forward, Image, Instance, Metadata, Region, Role};
use serde_json::{Value, json};

use crate::database::{Database, NAME, PASSWORD, USER};

pub const STACK: &str = "lab-vpc";
pub const ZONE: &str = "ap-northeast-2a";
/// Where the region finds the emulator and the database.
const AWS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 20), 4566);
pub const DATABASE: Ipv4Addr = Ipv4Addr::new(10, 1, 5, 10);
const SECRET_KEY: &str = "the-roles-secret-key";

pub struct Lab {
    pub region: Region,
    pub moto: Moto,
    _forwards: Vec<Forward>,
}

pub struct Host {
    pub instance: Instance,
    pub id: String,
    site: Forward,
    page: Forward,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Does something with a lab whose database has the lab's rows and whose parameters lead to it.
pub async fn with_database(work: impl FnOnce(Lab, Database) + Send + 'static) {
    with(Database::start().await, work).await;
}

/// The same with a database that somebody started.
pub async fn with(database: Database, work: impl FnOnce(Lab, Database) + Send + 'static) {
    database.seed().await;
    let work = move || {
        let mut lab = Lab::new();
        lab.database(&database, "db", DATABASE);
        lab.put_usual();
        work(lab, database);
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

impl Lab {
    /// A region with an emulator and no parameters.
    pub fn new() -> Lab {
        let region = Region::start().unwrap();
        let moto = Moto::start();
        let aws = region.namespace("aws", *AWS.ip()).unwrap();
        let forward = region.expose(aws, AWS, moto.port).unwrap();
        Lab { region, moto, _forwards: vec![forward] }
    }

    /// Makes a database of this machine reachable inside under an address.
    pub fn database(&mut self, database: &Database, place: &str, address: Ipv4Addr) {
        let place = self.region.namespace(place, address).unwrap();
        let at = SocketAddrV4::new(address, 3306);
        self._forwards.push(self.region.expose(place, at, database.port).unwrap());
    }

    /// Writes parameters and moves the generation, as the provisioner does.
    pub fn put(&self, values: &[(&str, &str)]) {
        for (name, value) in values {
            self.moto.put(name, value);
        }
        let generation = Instant::now().elapsed().as_nanos() + u128::from(rand::random::<u32>());
        self.moto.put("generation", &generation.to_string());
    }

    /// The usual parameters: the database of [`DATABASE`] without TLS, polled every second.
    pub fn put_usual(&self) {
        self.put(&[
            ("db/endpoint", &DATABASE.to_string()),
            ("db/port", "3306"),
            ("db/name", NAME),
            ("db/user", USER),
            ("db/password", PASSWORD),
            ("db/tls", "off"),
            ("host/poll-seconds", "1"),
        ]);
    }

    /// A host on which nothing but the program lies.
    pub fn host(&self, name: &str, image: Image) -> Host {
        let id = format!("i-{:017x}", rand::random::<u64>());
        let metadata = Metadata {
            instance_id: id.clone(),
            instance_type: "t3.micro".into(),
            region: "ap-northeast-2".into(),
            zone: ZONE.into(),
            role: Some(Role {
                name: "lamp-host".into(),
                access_key: "AKIAEXAMPLE".into(),
                secret_key: SECRET_KEY.into(),
                token: "token".into(),
            }),
            hop_limit: 1,
            user_data: Some("#!/bin/sh\ntrue\n".into()),
            ..Metadata::default()
        };
        // Another build can be put to the same tests.
        let program = std::env::var("LAMPD").unwrap_or_else(|_| env!("CARGO_BIN_EXE_lampd").to_owned());
        let program = std::fs::read(program).unwrap();
        let instance = self.region.instance(name).image(image).metadata(metadata);
        let instance = instance.file("/root/lampd", program, 0o755).boot().unwrap();
        // Nothing that a region's own Debian starts by itself may interfere with what is measured.
        let forward = |port| self.region.forward(name, SocketAddrV4::new(instance.address(), port)).unwrap();
        Host { site: forward(80), page: forward(8080), id, instance }
    }

    /// A host that already runs the agent and is in order.
    pub fn ready_host(&self, name: &str) -> Host {
        let host = self.host(name, baked());
        host.install();
        host.until_ready();
        host
    }

    /// What a host reported to the Parameter Store.
    pub fn report(&self, host: &Host) -> Value {
        let text = self.moto.get(&format!("hosts/{}", host.id)).unwrap_or_else(|| "{}".into());
        serde_json::from_str(&text).unwrap()
    }
}

/// What the agent would install.
const PACKAGES: [&str; 4] = ["apache2", "php-fpm", "php-mysql", "mariadb-client"];

/// An image that has it, so that only one test has to wait for apt.
pub fn baked() -> Image {
    Image::plain().with("lampd", &PACKAGES)
}

/// The same with what tests need: a file system in user space, and who kills a program at a chosen call.
pub fn equipped() -> Image {
    Image::plain().with("lampd-tools", &[&PACKAGES[..], &["bindfs", "strace"]].concat())
}

impl Host {
    /// As user data does it.
    pub fn install(&self) {
        let install = "install --region ap-northeast-2 --stack lab-vpc";
        self.sh(&format!("/root/lampd {install} --endpoint http://{AWS}"));
    }

    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.instance.sh(script).unwrap_or_else(|err| panic!("{script}: {err:#}\n{}", self.journal()))
    }

    pub fn journal(&self) -> String {
        let script = "journalctl -o cat -u lampd -u lampd-page -n 60 --no-pager";
        self.instance.sh(script).unwrap_or_else(|err| err.to_string())
    }

    pub fn status(&self) -> Value {
        let out = self.instance.exec(&["/usr/local/bin/lampd", "status", "--json"]).unwrap();
        serde_json::from_str(&out.stdout).unwrap_or_else(|_| json!({ "error": out.stderr }))
    }

    /// From Apache.
    pub fn site(&self, path: &str) -> Answer {
        ask(self.site.port(), path)
    }

    /// From the page.
    pub fn page(&self, path: &str) -> Answer {
        ask(self.page.port(), path)
    }

    pub fn site_port(&self) -> u16 {
        self.site.port()
    }

    pub fn page_port(&self) -> u16 {
        self.page.port()
    }

    /// Starts the agent as at the first start of a host made from an image: everything is installed, and nothing is
    /// known of the stack. In milliseconds until it is healthy.
    pub fn first_start(&self) -> u32 {
        let took = self.sh(
            "systemctl stop lampd lampd-page.socket lampd-page; \
             rm -f /var/lib/lamp/parameters.json /etc/lamp/php/dbinfo.inc /run/lamp/*.json /run/lamp/beat /run/lamp/alive /run/lamp/lamp-ready; \
             from=$(date +%s%N); systemctl start lampd-page.socket; systemctl start --no-block lampd; \
             until curl -sf -m 1 http://127.0.0.1:8080/healthz > /dev/null; do sleep 0.01; done; \
             echo $(( ($(date +%s%N) - from) / 1000000 ))",
        );
        took.trim().parse().unwrap()
    }

    #[track_caller]
    pub fn until_ready(&self) -> Duration {
        self.until("ready", Duration::from_secs(300), || self.page("/healthz").status == 200)
    }

    /// Waits for something, and says how long it took.
    #[track_caller]
    pub fn until(&self, what: &str, patience: Duration, holds: impl Fn() -> bool) -> Duration {
        let began = Instant::now();
        while !holds() {
            assert!(
                began.elapsed() < patience,
                "{} is never {what}: {:#}\n{}",
                self.id,
                self.status(),
                self.journal()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        began.elapsed()
    }

    /// State and words of one step.
    pub fn step(&self, name: &str) -> (String, String) {
        let status = self.status();
        let step = &status["steps"][name];
        (
            step["state"].as_str().unwrap_or_default().to_owned(),
            step["words"].as_str().unwrap_or_default().to_owned(),
        )
    }
}

/// One request; status 0 when there is no answer.
pub fn ask(port: u16, path: &str) -> Answer {
    let work = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: lab\r\n\r\n")?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = work().unwrap_or_default();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    Answer { status, body: body.to_owned() }
}

/// The emulator, from the virtual environment that `scripts/setup` makes.
pub struct Moto {
    pub port: u16,
    process: Child,
}

impl Moto {
    fn start() -> Moto {
        let set = |key: &str| std::env::var_os(key).filter(|it| !it.is_empty()).map(PathBuf::from);
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        let folder = set("LAMP_MOTO").or_else(|| Some(cache?.join("lamplighter/moto"))).unwrap();
        let program = folder.join("bin/moto_server");
        assert!(program.exists(), "{} is missing: run scripts/setup first", program.display());
        let mut process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .find_map(|it| it.split_once("Running on http://127.0.0.1:")?.1.trim().parse().ok())
            .expect("moto says where it listens");
        // Its log has to go somewhere, or it stops at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Moto { port, process }
    }

    pub fn put(&self, name: &str, value: &str) {
        let kind = if name == "db/password" { "SecureString" } else { "String" };
        let name = format!("/lamp/{STACK}/{name}");
        self.call("PutParameter", &json!({ "Name": name, "Value": value, "Type": kind, "Overwrite": true }));
    }

    pub fn get(&self, name: &str) -> Option<String> {
        let name = format!("/lamp/{STACK}/{name}");
        let answer = self.call("GetParameter", &json!({ "Name": name, "WithDecryption": true }));
        Some(answer["Parameter"]["Value"].as_str()?.to_owned())
    }

    pub fn delete(&self, name: &str) {
        self.call("DeleteParameter", &json!({ "Name": format!("/lamp/{STACK}/{name}") }));
    }

    /// How often it was written.
    pub fn version(&self, name: &str) -> u64 {
        let name = format!("/lamp/{STACK}/{name}");
        self.call("GetParameter", &json!({ "Name": name }))["Parameter"]["Version"].as_u64().unwrap_or(0)
    }

    fn call(&self, action: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: ssm\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: AmazonSSM.{action}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/ap-northeast-2/ssm/aws4_request, SignedHeaders=host, Signature=0\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap_or_default()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks for a path all the time, from several sides, and counts what went wrong.
pub struct Load {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    threads: Vec<std::thread::JoinHandle<(u32, Vec<String>)>>,
}

impl Load {
    pub fn start(port: u16, path: &'static str, fine: fn(&Answer) -> bool) -> Load {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let threads = (0..4).map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let (mut asked, mut wrong) = (0, Vec::new());
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let answer = ask(port, path);
                    asked += 1;
                    if !fine(&answer) {
                        wrong.push(format!("{answer:?}"));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                (asked, wrong)
            })
        });
        Load { threads: threads.collect(), stop }
    }

    /// How many requests there were; not one may have failed.
    #[track_caller]
    pub fn end(self) -> u32 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let mut all = 0;
        for it in self.threads {
            let (asked, wrong) = it.join().unwrap();
            assert!(wrong.is_empty(), "{} of {asked} failed: {}", wrong.len(), wrong[0]);
            all += asked;
        }
        all
    }
}
