//! Without root it is the same: an ordinary user builds the images, and gets instances, networks, databases, balancers.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests, and say what they started"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use common::{left_of, wait_until_nothing_is_left_of};
use rehearsal::{
    Authority, BalancerSpec, Check, DatabaseSpec, Group, Listener, Metadata, Network, Peer, Place, Port,
    Protocol, Region, Rule, State, Subnet, TargetGroup, TargetState, WayOut,
};

/// A server in three lines: one process per request, by systemd.
const SERVER: &str =
    "#!/bin/sh\nread -r line\nprintf 'HTTP/1.0 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nserved'\n";
const LISTEN: &str = "systemd-run -u server systemd-socket-activate --inetd -a -l 80 /root/server";

const SECOND: Ipv4Addr = Ipv4Addr::new(10, 1, 3, 12);
const STANDBY: Ipv4Addr = Ipv4Addr::new(10, 1, 6, 22);

#[test]
fn an_ordinary_user_has_all_of_it_and_leaves_nothing_behind() {
    if !nix::unistd::geteuid().is_root() {
        return everything_works();
    }
    let user = User::create();
    let said = user.run("everything_works_for_an_ordinary_user");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    let ids: Vec<&str> = text.lines().filter_map(|it| it.strip_prefix("region ")).collect();
    assert_eq!(ids.len(), 1, "{text}");
    wait_until_nothing_is_left_of(ids[0], &user.state());
    // Images are built in regions, too.
    assert_eq!(fs::read_dir(user.state().dir().join("regions")).unwrap().count(), 0);
}

#[test]
#[ignore = "the test above runs it, as an ordinary user"]
fn everything_works_for_an_ordinary_user() {
    assert!(!nix::unistd::geteuid().is_root());
    everything_works();
}

fn everything_works() {
    let region = Region::start().unwrap();
    println!("\nregion {}", region.id());
    let address = Ipv4Addr::new(10, 1, 3, 11);
    let metadata =
        Metadata { instance_id: "i-0123456789abcdef0".into(), hop_limit: 1, ..Metadata::default() };
    let file_system = region.file_system("fs-0123456789abcdef0").unwrap();
    let target = Ipv4Addr::new(10, 1, 3, 240);
    file_system.mount_target("target", target).unwrap();
    let web = region.instance("web1").address(address).metadata(metadata.clone()).file(
        "/root/server",
        SERVER,
        0o755,
    );
    let web = web.boot().unwrap();
    // Root here, and nobody there: what it writes belongs to the user or to the user's subordinate ids.
    web.sh("touch /root/mine; install -o www-data /dev/null /root/others").unwrap();
    let owner = |name: &str| fs::metadata(region.dir().join("web1/up/root").join(name)).unwrap().uid();
    assert_eq!(owner("mine"), nix::unistd::geteuid().as_raw());
    assert!(owner("others") > 65535);
    let token = "curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token";
    let asked = format!(
        "curl -sf -H \"X-aws-ec2-metadata-token: $({token})\" http://169.254.169.254/latest/meta-data/instance-id"
    );
    assert_eq!(web.sh(&asked).unwrap(), "i-0123456789abcdef0");
    web.sh("mkdir /mnt/efs && mount -t nfs4 10.1.3.240:/ /mnt/efs && echo shared > /mnt/efs/note").unwrap();
    assert_eq!(fs::read_to_string(file_system.dir().join("note")).unwrap(), "shared\n");

    web.sh(LISTEN).unwrap();
    let node = Ipv4Addr::new(10, 1, 1, 40);
    let balancer = region.balancer(balancer(node, address)).unwrap();
    let healthy = || balancer.health("hosts").unwrap().values().all(|it| it.state == TargetState::Healthy);
    wait_until("the host is healthy", healthy);
    let database = DatabaseSpec { standby: Some(STANDBY), ..DatabaseSpec::default() };
    let database = region.database(database, &Authority::new().unwrap()).unwrap();

    let plan = network(address, node, database.primary());
    region.network(&plan).unwrap();
    let first_line = |from: &str, to: Ipv4Addr, port| {
        let mut line = region.dial(from, SocketAddrV4::new(to, port)).ok()?;
        line.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut said = [0; 64];
        let n = line.read(&mut said).ok()?;
        Some(String::from_utf8_lossy(&said[..n]).into_owned())
    };
    let greeting = first_line("web1", database.primary(), 3306);
    assert!(greeting.as_deref().is_some_and(|it| it.contains("MariaDB")), "{greeting:?}");
    assert_eq!(first_line("lb.alb-1", database.primary(), 3306), None);
    let page =
        region.exec(Place::Internet, &["curl", "-sf", "--max-time", "20", "http://203.0.113.40/"]).unwrap();
    assert_eq!(page.stdout, "served", "{page:?}");
    database.kill_primary().unwrap();
    wait_until("the standby has taken over", || database.primary() == STANDBY);

    web.reboot().unwrap();
    let image = web.snapshot("baked").unwrap();
    let baked = region.instance("web2").address(SECOND).image(image).metadata(metadata).create().unwrap();
    region.network(&plan).unwrap();
    baked.start().unwrap();
    baked.wait_until_running().unwrap();
    assert!(baked.exec(&["test", "-e", "/root/mine"]).unwrap().success());
    assert!(left_of(region.id(), &State::from_env()).len() > 3, "this test cannot see a region");
}

fn balancer(node: Ipv4Addr, target: Ipv4Addr) -> BalancerSpec {
    let check = Check {
        path: "/".into(),
        port: 80,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        healthy: 2,
        unhealthy: 5,
        codes: "200-299".into(),
    };
    let targets = BTreeMap::from([("web1".to_owned(), target)]);
    let drain = Duration::from_secs(2);
    let group =
        TargetGroup { name: "hosts".into(), port: 80, check, least_outstanding: false, drain, targets };
    BalancerSpec {
        name: "alb".into(),
        addresses: vec![node],
        listeners: vec![Listener { port: 80, default: "hosts".into(), rules: vec![] }],
        groups: vec![group],
    }
}

/// The internet may talk to the balancer, that to the host, that to the database.
fn network(web: Ipv4Addr, node: Ipv4Addr, database: Ipv4Addr) -> Network {
    let port = |place: &str, address, subnet: &str, public| Port {
        place: place.into(),
        address,
        subnet: subnet.into(),
        groups: vec![place.into()],
        public,
        is_nat_gateway: false,
    };
    let group = |id: &str, port, peer| Group {
        id: id.into(),
        ingress: vec![Rule { protocol: Protocol::Tcp(port, port), peer }],
        egress: vec![Rule { protocol: Protocol::Any, peer: Peer::Addresses("0.0.0.0/0".into()) }],
    };
    let mut databases = group("db.db", 3306, Peer::Group("web".into()));
    databases.ingress.push(Rule { protocol: Protocol::Any, peer: Peer::Group("db.db".into()) });
    Network {
        vpcs: vec![],
        subnets: vec![
            Subnet::new("public", "10.1.1.0/24", WayOut::InternetGateway),
            Subnet::new("private", "10.1.3.0/24", WayOut::Nowhere),
            Subnet::new("data", "10.1.4.0/22", WayOut::Nowhere),
        ],
        groups: vec![
            group("lb.alb", 80, Peer::Addresses("0.0.0.0/0".into())),
            group("web", 80, Peer::Group("lb.alb".into())),
            databases,
        ],
        ports: vec![
            port("lb.alb", node, "public", Some(Ipv4Addr::new(203, 0, 113, 40))),
            port("web", web, "private", None),
            port("web", SECOND, "private", None),
            port("db.db", database, "data", None),
            port("db.db", STANDBY, "data", None),
        ],
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1800 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("waited 3 minutes until {what}");
}

/// A user that exists as long as this value, with a home, subordinate ids and a control group.
struct User {
    name: String,
    home: PathBuf,
    group: PathBuf,
}

impl User {
    fn create() -> User {
        let name = format!("lamptest{}", std::process::id());
        let home = PathBuf::from("/var/tmp").join(&name);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let unified = mounts.lines().find(|it| it.split(' ').nth(2) == Some("cgroup2")).unwrap();
        let group = Path::new(unified.split(' ').nth(1).unwrap()).join(&name);
        let it = User { name, home, group };
        succeed(Command::new("useradd").args(["-m", "-d"]).arg(&it.home).arg(&it.name));
        let (id, main_group) = (it.id("-u"), it.id("-g"));
        let given = fs::read_to_string("/etc/subuid").unwrap_or_default();
        if !given.lines().any(|line| line.starts_with(&format!("{}:", it.name))) {
            let range = "700000-765535";
            let add = ["--add-subuids", range, "--add-subgids", range, &it.name];
            succeed(Command::new("usermod").args(add));
        }
        // As systemd delegates one to everybody who logs in.
        fs::create_dir(&it.group).unwrap();
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            chown(it.group.join(file), Some(id), Some(main_group)).unwrap();
        }
        // What this machine has already need not be fetched again.
        let packages = State::from_env().dir().join("packages");
        fs::create_dir(it.state().dir()).unwrap();
        if packages.exists() {
            succeed(Command::new("cp").arg("-r").arg(packages).arg(it.state().dir()));
        }
        succeed(Command::new("chown").args(["-R", &format!("{id}:{main_group}")]).arg(&it.home));
        it
    }

    fn id(&self, which: &str) -> u32 {
        let said = succeed(Command::new("id").arg(which).arg(&self.name));
        String::from_utf8(said.stdout).unwrap().trim().parse().unwrap()
    }

    fn state(&self) -> State {
        State::at(self.home.join("state"))
    }

    /// Runs a test of this program as that user and nothing more.
    fn run(&self, test: &str) -> Output {
        // Where the program lies may be closed to others.
        let program = self.home.join("test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let script = "echo 0 > \"$1/cgroup.procs\"; shift; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-euc", script, "sh"]).arg(&self.group);
        command
            .args(["setpriv", "--reuid", &self.name, "--regid", &self.name, "--init-groups", "--"])
            .arg(program);
        command.args(["--exact", test, "--ignored", "--nocapture"]).current_dir(&self.home);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &self.home);
        command.env("LAMP_STATE", self.state().dir()).output().unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // What was killed just now may still be on its way out.
        for _ in 0..100 {
            match fs::remove_dir(&self.group) {
                Err(err) if err.kind() == std::io::ErrorKind::ResourceBusy => {
                    thread::sleep(Duration::from_millis(100));
                }
                _ => break,
            }
        }
        let _ = Command::new("userdel").args(["--force", &self.name]).output();
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn succeed(command: &mut Command) -> Output {
    let said = command.output().unwrap();
    assert!(said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stderr));
    said
}
