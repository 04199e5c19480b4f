//! The database, its settings, and its copy that only reads.

use std::collections::BTreeMap;

use super::{firewall::Firewall, network::Network, parameters, surroundings::Surroundings};
use crate::{
    config::{Config, LogExport, Server},
    engine::{AtCreation, Ref, Stack, Value},
    kinds::{DbInstance, DbParameterGroup, DbSubnetGroup, LogGroup, Parameter, Replica, Storage},
};

/// What the agents have to know of the database.
pub(super) struct Data {
    /// Name of the server that the hosts read.
    pub(super) server: Value,
    pub(super) password: Ref<Parameter>,
}

/// Days that exported logs are kept, like the backups.
const LOG_DAYS: i32 = 7;

pub(super) fn database(
    s: &mut Stack,
    c: &Config,
    around: &Surroundings,
    net: &Network,
    fw: &Firewall,
) -> Option<Data> {
    let group = fw.database?;
    let d = &c.database;
    let password = parameters::password(s, around);
    let spec = DbSubnetGroup { name: c.names.database_subnets.clone(), subnets: net.database.clone() };
    let subnets = s.add_named("rds-subnet-group", &c.names.database_subnets, spec);

    let (series, release) = DbInstance::version(&d.engine_version);
    let spec = DbParameterGroup {
        name: c.names.database_parameters.clone(),
        family: format!("mysql{series}"),
        parameters: settings(c),
    };
    let parameters = s.add_named("rds-parameters", &c.names.database_parameters, spec);

    let mut logs = Vec::new();
    for it in &d.log_exports {
        let spec = LogGroup { database: c.names.database.clone(), log: it.as_str().into(), days: LOG_DAYS };
        logs.push(s.add(&spec.node(), spec));
    }

    let number = |it: u32| i32::try_from(it).unwrap_or(i32::MAX);
    let spec = DbInstance {
        name: c.names.database.clone(),
        series,
        release,
        class: d.class.clone(),
        storage: match d.storage_max_gib {
            0 => Storage::Fixed(number(d.storage_gib)),
            max => Storage::Growing { from: number(d.storage_gib), max: number(max) },
        },
        encrypted: !c.unsafe_choices.unencrypted_database,
        multi_az: d.multi_az,
        subnets,
        parameters,
        groups: vec![group],
        public: false,
        port: d.port.into(),
        database: d.name.clone(),
        user: d.user.clone(),
        password: AtCreation::from(password),
        password_given: password.out(Parameter::WRITTEN),
        backup_days: number(d.backup_days),
        logs,
        minor_upgrades: d.minor_upgrades,
        deletion_protection: d.deletion_protection,
        tagged_snapshots: true,
        apply_later: !d.apply_immediately,
    };
    let primary = s.add_named("rds", &c.names.database, spec);

    let mut server = primary.out(DbInstance::ENDPOINT);
    if c.parts.replica {
        let spec = Replica {
            name: c.names.replica.clone(),
            source: primary,
            class: d.replica_class.clone(),
            zone: d.replica_zone.clone(),
            multi_az: false,
            groups: vec![group],
            public: false,
            minor_upgrades: d.minor_upgrades,
            deletion_protection: false,
            tagged_snapshots: true,
        };
        let replica = s.add_named("rds-rr", &c.names.replica, spec);
        if d.hosts_use == Server::Replica {
            server = replica.out(Replica::ENDPOINT);
        }
    }
    Some(Data { server, password })
}

/// What differs from the server's own settings. Said only where it does: RDS does not show a value that is the same.
fn settings(c: &Config) -> BTreeMap<String, String> {
    let exports = |it: LogExport| c.database.log_exports.contains(&it);
    let (general, slow) = (exports(LogExport::General), exports(LogExport::Slowquery));
    let tls = !c.unsafe_choices.database_without_tls;
    let all = [
        (tls != c.database.demands_tls(), "require_secure_transport", if tls { "1" } else { "0" }),
        // RDS exports files, and MySQL writes neither of these logs unless told to, and then into tables.
        (general, "general_log", "1"),
        (slow, "slow_query_log", "1"),
        (general || slow, "log_output", "FILE"),
    ];
    let wanted = all.into_iter().filter(|it| it.0);
    wanted.map(|(_, name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &str) -> Vec<String> {
        let config = crate::config::parse("lamp.toml", config, crate::config::SaidRegion::default()).unwrap();
        settings(&config).into_keys().collect()
    }

    #[test]
    fn a_log_that_is_exported_is_written_and_into_a_file() {
        assert_eq!(names(""), ["general_log", "log_output", "require_secure_transport"]);
        let slow = names("[database]\nlog_exports = [\"slowquery\", \"error\"]");
        assert_eq!(slow, ["log_output", "require_secure_transport", "slow_query_log"]);
        assert_eq!(names("[database]\nlog_exports = [\"error\"]"), ["require_secure_transport"]);
    }

    #[test]
    fn a_server_is_told_about_tls_only_what_it_does_not_do_by_itself() {
        let tls = |version: &str, without: bool| {
            let config = format!(
                "[database]\nengine_version = \"{version}\"\n[unsafe_choices]\ndatabase_without_tls = {without}"
            );
            let config =
                crate::config::parse("lamp.toml", &config, crate::config::SaidRegion::default()).unwrap();
            settings(&config).remove("require_secure_transport")
        };
        for (version, without, said) in
            [("8.4", false, Some("1")), ("8.4", true, None), ("9.7", false, None), ("9.7", true, Some("0"))]
        {
            assert_eq!(tls(version, without).as_deref(), said, "{version}");
        }
    }
}
