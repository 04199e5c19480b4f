//! One MariaDB on a machine of its own.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::DatabaseSpec;
use super::part::Part;
use crate::authority::Certificate;
use crate::image::Image;
use crate::instance::Instance;
use crate::region::Region;
use crate::wire::Phase;

/// Replication's own account; nothing outside of the region can reach it.
const REPLICATION: &str = "replication";
const PATIENCE: Duration = Duration::from_secs(60);

/// Debian's start script checks tables, which would write what the primary never wrote.
const START: &str = "[Service]\nExecStartPost=\n";

/// What the names of its machines begin with: a load balancer may be called the same.
pub(crate) const PLACE: &str = "db.";

const SETTINGS: &str = "/etc/mysql/mariadb.conf.d/99-lamp.cnf";

#[derive(Clone)]
pub(super) struct Server {
    machine: Instance,
    id: u32,
    port: u16,
}

impl Server {
    /// A machine whose MariaDB will be empty and closed to writers from outside.
    pub(super) fn create(
        region: &Region,
        spec: &DatabaseSpec,
        certificate: &Certificate,
        id: u32,
        address: Ipv4Addr,
    ) -> anyhow::Result<Server> {
        let dir = "/etc/mysql/tls";
        let pem = format!("{}{}", certificate.key, certificate.certificate);
        let name = format!("{PLACE}{}-{id}", spec.name);
        // An attempt that failed may have left one.
        region.clear(&name)?;
        let machine = region
            .instance(&name)
            .image(Image::mariadb())
            .address(address)
            .file(SETTINGS, settings(spec, id), 0o644)
            .file("/etc/systemd/system/mariadb.service.d/lamp.conf", START, 0o644)
            // Not a secret to anybody who is on this machine: it is the database's.
            .file(&format!("{dir}/server.pem"), pem, 0o644)
            .create()?;
        Ok(Server { machine, id, port: spec.port })
    }

    pub(super) fn boot(&self) -> anyhow::Result<()> {
        self.machine.start()?;
        self.machine.wait_until_running()
    }

    pub(super) fn name(&self) -> &str {
        self.machine.name()
    }

    /// Whether its machine has power.
    pub(super) fn is_on(&self) -> bool {
        self.machine.phase().is_ok_and(|it| it == Phase::Running)
    }

    pub(super) fn machine(&self) -> &Instance {
        &self.machine
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        self.machine.address()
    }

    /// Whether it still answers with a greeting, as a client would see it.
    pub(super) fn answers(&self, region: &Region) -> bool {
        let at = std::net::SocketAddrV4::new(self.address(), self.port);
        let Ok(mut line) = region.dial(self.machine.name(), at) else { return false };
        let _ = line.set_read_timeout(Some(Duration::from_secs(3)));
        std::io::Read::read(&mut line, &mut [0; 64]).is_ok_and(|it| it > 0)
    }

    pub(super) fn sql(&self, sql: &str) -> anyhow::Result<String> {
        self.ask(&["mariadb", "-N", "-B"], sql)
    }

    /// Where replication stands, one named value per line.
    fn replication(&self) -> anyhow::Result<String> {
        self.ask(&["mariadb"], "SHOW SLAVE STATUS\\G")
    }

    fn ask(&self, client: &[&str], sql: &str) -> anyhow::Result<String> {
        let said = self.machine.pipe(client, sql.as_bytes())?;
        if !said.success() {
            bail!("{} refused a statement: {}", self.machine.name(), said.stderr.trim());
        }
        Ok(said.stdout)
    }

    /// As the first of its kind: accounts and the first database, open to writers.
    pub(super) fn found(&self, spec: &DatabaseSpec) -> anyhow::Result<()> {
        let (user, password) = (quoted(&spec.user), quoted(&spec.password));
        let database = spec.database.replace('`', "``");
        self.sql(&format!(
            "CREATE USER {REPLICATION}@'%' IDENTIFIED BY '{REPLICATION}';
             GRANT REPLICATION SLAVE ON *.* TO {REPLICATION}@'%';
             CREATE USER {user}@'%' IDENTIFIED BY {password};
             GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, PROCESS, EVENT, TRIGGER,
                   REFERENCES, CREATE VIEW, SHOW VIEW, EXECUTE, LOCK TABLES, CREATE TEMPORARY TABLES
                ON *.* TO {user}@'%';
             CREATE DATABASE `{database}`;
             SET GLOBAL read_only = 0;"
        ))
        .map(drop)
    }

    /// Copies everything that an upstream has written and will write.
    pub(super) fn follow(&self, upstream: &str, port: u16, in_step: bool) -> anyhow::Result<()> {
        let in_step = i32::from(in_step);
        self.sql(&format!(
            "SET GLOBAL rpl_semi_sync_slave_enabled = {in_step};
             CHANGE MASTER TO MASTER_HOST = {}, MASTER_PORT = {port}, MASTER_USER = '{REPLICATION}', MASTER_PASSWORD = '{REPLICATION}',
                MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1, MASTER_SSL = 1;
             START SLAVE;",
            quoted(upstream)
        ))
        .map(drop)
    }

    /// Waits until it has what the upstream has now.
    pub(super) fn catch_up_with(&self, upstream: &Server) -> anyhow::Result<()> {
        let position = upstream.sql("SELECT @@gtid_binlog_pos")?;
        let wait = format!("SELECT MASTER_GTID_WAIT({}, {})", quoted(position.trim()), PATIENCE.as_secs());
        let said = self.sql(&wait)?;
        if said.trim() != "0" {
            let status = self.replication().unwrap_or_default();
            bail!("{} does not catch up: {status}", self.machine.name());
        }
        Ok(())
    }

    /// From standby to primary, with everything that it was sent.
    pub(super) fn promote(&self) -> anyhow::Result<()> {
        self.sql("STOP SLAVE IO_THREAD")?;
        let began = Instant::now();
        loop {
            let text = self.replication()?;
            let field = |name: &str| {
                text.lines().find_map(|it| it.trim().strip_prefix(name)).unwrap_or_default().trim()
            };
            let sent = (field("Master_Log_File:"), field("Read_Master_Log_Pos:"));
            let done = (field("Relay_Master_Log_File:"), field("Exec_Master_Log_Pos:"));
            if sent == done {
                break;
            }
            if began.elapsed() > PATIENCE {
                bail!("{} does not get through what it was sent", self.machine.name());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.sql("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0;").map(drop)
    }

    /// Part of a file: whole lines from byte `from` on, `most` bytes of them.
    pub(super) fn read(&self, path: &str, from: u64, most: usize) -> anyhow::Result<Part> {
        let [from, most] = Part::words(from, most);
        let said = self.machine.exec(&["sh", "-c", Part::SCRIPT, "sh", path, &from, &most])?;
        if !said.success() {
            bail!("{} has no {path}", self.machine.name());
        }
        Part::parse(&said.stdout)
    }

    pub(super) fn kill(&self) -> anyhow::Result<()> {
        self.machine.kill()
    }

    pub(super) fn reboot(&self, is_primary: bool) -> anyhow::Result<()> {
        self.machine.reboot()?;
        self.open(is_primary)
    }

    /// Boots it again after its power was cut.
    pub(super) fn revive(&self, is_primary: bool) -> anyhow::Result<()> {
        self.boot()?;
        self.open(is_primary)
    }

    /// Only a primary takes rows.
    fn open(&self, is_primary: bool) -> anyhow::Result<()> {
        if is_primary { self.sql("SET GLOBAL read_only = 0").map(drop) } else { Ok(()) }
    }

    pub(super) fn change_password(&self, user: &str, password: &str) -> anyhow::Result<()> {
        self.sql(&format!("ALTER USER {}@'%' IDENTIFIED BY {}", quoted(user), quoted(password))).map(drop)
    }

    /// Changes settings that can change while it runs, which are all that a parameter group has here.
    pub(super) fn configure(&self, before: &DatabaseSpec, after: &DatabaseSpec) -> anyhow::Result<()> {
        let gone = before.parameters.keys().filter(|it| !after.parameters.contains_key(*it));
        let gone = gone.map(|name| format!("SET GLOBAL {name} = DEFAULT;"));
        let new = after.parameters.iter().map(|(name, value)| match value.parse::<u64>() {
            Ok(number) => format!("SET GLOBAL {name} = {number};"),
            Err(_) => format!("SET GLOBAL {name} = {};", quoted(value)),
        });
        // What it refuses now would keep it from starting later.
        self.sql(&gone.chain(new).collect::<String>())?;
        self.write(&DatabaseSpec { port: self.port, ..after.clone() })
    }

    fn write(&self, spec: &DatabaseSpec) -> anyhow::Result<()> {
        self.machine.put(SETTINGS, settings(spec, self.id).as_bytes(), 0o644)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The same, restarted at another port.
    pub(super) fn moved(&self, spec: &DatabaseSpec, is_primary: bool) -> anyhow::Result<Server> {
        self.write(spec)?;
        self.machine.sh("systemctl restart mariadb")?;
        self.open(is_primary)?;
        Ok(Server { port: spec.port, ..self.clone() })
    }

    /// Finds whom it follows at another port.
    pub(super) fn follow_to(&self, port: u16) -> anyhow::Result<()> {
        self.sql(&format!("STOP SLAVE; CHANGE MASTER TO MASTER_PORT = {port}; START SLAVE;")).map(drop)
    }

    pub(super) fn remove(&self) -> anyhow::Result<()> {
        self.machine.clone().terminate().context("removing a database machine")
    }
}

/// What every server has, and what the parameter group says.
fn settings(spec: &DatabaseSpec, id: u32) -> String {
    let mut text = format!(
        "[mariadbd]\n\
         bind-address = 0.0.0.0\n\
         server-id = {id}\n\
         port = {}\n\
         log-bin = bin\n\
         log-slave-updates\n\
         relay-log = relay\n\
         gtid-strict-mode = 1\n\
         gtid-domain-id = 1\n\
         binlog-format = ROW\n\
         sync-binlog = 1\n\
         innodb-buffer-pool-size = 16M\n\
         innodb-log-file-size = 32M\n\
         innodb-log-buffer-size = 2M\n\
         key-buffer-size = 1M\n\
         aria-pagecache-buffer-size = 1M\n\
         table-open-cache = 200\n\
         performance-schema = 0\n\
         skip-name-resolve\n\
         max-connect-errors = 4294967295\n\
         log-warnings = 1\n\
         read-only = 1\n\
         slave-net-timeout = 4\n\
         rpl-semi-sync-master-enabled = 1\n\
         rpl-semi-sync-master-timeout = 2000\n\
         rpl-semi-sync-master-wait-point = AFTER_SYNC\n\
         ssl-cert = /etc/mysql/tls/server.pem\n\
         ssl-key = /etc/mysql/tls/server.pem\n\
         slow-query-log-file = /var/lib/mysql/slow.log\n\
         general-log-file = /var/lib/mysql/general.log\n",
        spec.port
    );
    for (name, value) in &spec.parameters {
        let _ = writeln!(text, "{name} = {value}");
    }
    text
}

/// A string of SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}
