//! What an instance has to know.

use std::collections::BTreeMap;

use crate::params::Param;

/// What holds where a parameter is not written; the provisioner writes only what differs.
pub const PORT: u16 = 3306;
/// Seconds between two looks at the generation.
pub const POLL_SECONDS: u64 = 15;
/// How long, in milliseconds, answers may share one SELECT.
pub const SHARE_MS: u64 = 50;

/// Everything an agent converges to. Built from the parameters of one stack.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentConfig {
    /// Value of [`Param::Generation`]; `None` while the provisioner is still writing the first one.
    pub generation: Option<String>,
    pub database: Option<Database>,
    pub files: Option<Files>,
    /// Whether to install the MariaDB server on the host as well.
    pub local_database: bool,
    /// Seconds between two looks at the generation.
    pub poll_seconds: u64,
    /// How long, in milliseconds, answers may share one SELECT; 0 never shares.
    pub share_ms: u64,
}

/// The database that the site reads.
#[derive(Clone, PartialEq)]
pub struct Database {
    pub endpoint: String,
    pub port: u16,
    pub name: String,
    pub user: String,
    pub password: String,
    /// Whether connections are encrypted and the server's certificate is verified.
    pub tls: bool,
}

/// The shared file system.
#[derive(Clone, Debug, PartialEq)]
pub struct Files {
    pub id: String,
    pub transport: Transport,
    /// Mount target's address by zone.
    pub targets: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Through amazon-efs-utils, encrypted.
    Tls,
    /// Plain NFS 4.1.
    Nfs,
}

impl AgentConfig {
    /// Reads a configuration from the stack's parameters.
    ///
    /// A database whose endpoint is not known yet counts as absent: hosts never wait for it.
    ///
    /// # Errors
    /// The names of the parameters that are missing or unreadable, never their values.
    pub fn from_params(params: &BTreeMap<Param, String>) -> Result<AgentConfig, String> {
        let need = |it: Param| params.get(&it).cloned().ok_or_else(|| format!("parameter {it} is missing"));
        let database = match params.get(&Param::DbEndpoint) {
            None => None,
            Some(endpoint) => Some(Database {
                endpoint: endpoint.clone(),
                port: parse(params, Param::DbPort, "a port number such as 3306")?.unwrap_or(PORT),
                name: need(Param::DbName)?,
                user: need(Param::DbUser)?,
                password: need(Param::DbPassword)?,
                tls: match params.get(&Param::DbTls).map(String::as_str) {
                    None | Some("verify") => true,
                    Some("off") => false,
                    Some(_) => return Err("parameter db/tls is neither verify nor off".into()),
                },
            }),
        };
        let files = match params.get(&Param::FilesId) {
            None => None,
            Some(id) => Some(Files {
                id: id.clone(),
                transport: match params.get(&Param::FilesTransport).map(String::as_str) {
                    None | Some("tls") => Transport::Tls,
                    Some("nfs") => Transport::Nfs,
                    Some(_) => return Err("parameter files/transport is neither tls nor nfs".into()),
                },
                targets: params
                    .iter()
                    .filter_map(|(param, ip)| match param {
                        Param::FilesTarget { zone } => Some((zone.clone(), ip.clone())),
                        _ => None,
                    })
                    .collect(),
            }),
        };
        Ok(AgentConfig {
            generation: params.get(&Param::Generation).cloned(),
            database,
            files,
            local_database: parse(params, Param::LocalDatabase, "true or false")?.unwrap_or(false),
            poll_seconds: parse(params, Param::PollSeconds, "a number of seconds")?
                .unwrap_or(POLL_SECONDS)
                .clamp(1, 600),
            share_ms: parse(params, Param::ShareMs, "a number of milliseconds")?.unwrap_or(SHARE_MS),
        })
    }
}

fn parse<T: std::str::FromStr>(
    params: &BTreeMap<Param, String>,
    param: Param,
    what: &str,
) -> Result<Option<T>, String> {
    match params.get(&param) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| format!("parameter {param} is not {what}")),
    }
}

/// Without the password: this type ends up in logs.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Database {{ {}@{}:{}/{}, tls: {} }}",
            self.user, self.endpoint, self.port, self.name, self.tls
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> BTreeMap<Param, String> {
        pairs.iter().filter_map(|(k, v)| Some((Param::parse(k)?, (*v).to_owned()))).collect()
    }

    #[test]
    fn a_database_without_an_endpoint_is_not_there_yet() {
        let config = AgentConfig::from_params(&params(&[("db/user", "admin"), ("db/password", "x")]));
        assert_eq!(config.map(|it| it.database), Ok(None));
    }

    #[test]
    fn a_broken_parameter_is_named_and_its_value_is_not() {
        let broken = params(&[("db/endpoint", "db"), ("db/port", "s3cret")]);
        let err = AgentConfig::from_params(&broken).unwrap_err();
        assert_eq!(err, "parameter db/port is not a port number such as 3306");
    }

    #[test]
    fn debug_output_hides_the_password() {
        let all =
            params(&[("db/endpoint", "db"), ("db/name", "n"), ("db/user", "u"), ("db/password", "s3cret")]);
        let config = AgentConfig::from_params(&all).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
