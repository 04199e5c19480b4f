//! Where each value lies in the Parameter Store, below `/lamp/<stack>/`.

use std::fmt;

/// One parameter that the provisioner writes and the agents read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Param {
    /// Moves whenever any other parameter does; the only one that agents poll. Absent until all are written.
    Generation,
    /// Name of the database server that the site talks to.
    DbEndpoint,
    DbPort,
    /// Initial database on that server.
    DbName,
    DbUser,
    /// The only secret: a SecureString.
    DbPassword,
    /// `verify` (against the RDS roots) or `off`.
    DbTls,
    /// Id of the shared file system, `fs-…`.
    FilesId,
    /// Address of the mount target in one zone: used while the file system's name does not resolve yet.
    FilesTarget {
        zone: String,
    },
    /// `tls` (amazon-efs-utils) or `nfs` (plain NFS 4.1).
    FilesTransport,
    /// `true` installs the MariaDB server on the host as the lab's script did.
    LocalDatabase,
    /// Seconds between two looks of one host at the generation: 15 up to 300 hosts, above that hosts / 20, so that
    /// the fleet asks at most 20 times a second (half of the Parameter Store's default of 40).
    PollSeconds,
    /// How long, in milliseconds, answers may share one SELECT; 0 never shares.
    ShareMs,
}

impl Param {
    /// The parameters' common prefix for one stack, with a slash at its end: `/lamp/lab-vpc/`.
    pub fn prefix(stack: &str) -> String {
        format!("/lamp/{stack}/")
    }

    /// The whole name: `/lamp/lab-vpc/db/endpoint`.
    pub fn path(&self, stack: &str) -> String {
        format!("{}{self}", Self::prefix(stack))
    }

    /// Where a host reports what it is doing: `/lamp/<stack>/hosts/<instance-id>`.
    pub fn host(stack: &str, instance: &str) -> String {
        format!("{}hosts/{instance}", Self::prefix(stack))
    }

    /// The parameter with this name below the prefix; `None` for a host's report or an unknown one.
    pub fn parse(name: &str) -> Option<Param> {
        Some(match name {
            "generation" => Param::Generation,
            "db/endpoint" => Param::DbEndpoint,
            "db/port" => Param::DbPort,
            "db/name" => Param::DbName,
            "db/user" => Param::DbUser,
            "db/password" => Param::DbPassword,
            "db/tls" => Param::DbTls,
            "files/id" => Param::FilesId,
            "files/transport" => Param::FilesTransport,
            "host/local-database" => Param::LocalDatabase,
            "host/poll-seconds" => Param::PollSeconds,
            "page/share-ms" => Param::ShareMs,
            other => Param::FilesTarget { zone: other.strip_prefix("files/target/")?.to_owned() },
        })
    }
}

/// The name below the prefix.
impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Param::Generation => "generation",
            Param::DbEndpoint => "db/endpoint",
            Param::DbPort => "db/port",
            Param::DbName => "db/name",
            Param::DbUser => "db/user",
            Param::DbPassword => "db/password",
            Param::DbTls => "db/tls",
            Param::FilesId => "files/id",
            Param::FilesTarget { zone } => return write!(f, "files/target/{zone}"),
            Param::FilesTransport => "files/transport",
            Param::LocalDatabase => "host/local-database",
            Param::PollSeconds => "host/poll-seconds",
            Param::ShareMs => "page/share-ms",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_itself() {
        use Param::*;
        let zone = "ap-northeast-2a".to_owned();
        for it in [
            Generation,
            DbEndpoint,
            DbPort,
            DbName,
            DbUser,
            DbPassword,
            DbTls,
            FilesId,
            FilesTarget { zone },
            FilesTransport,
            LocalDatabase,
            PollSeconds,
            ShareMs,
        ] {
            assert_eq!(Param::parse(&it.to_string()), Some(it));
        }
        assert_eq!(Param::parse("hosts/i-0123"), None);
    }
}
