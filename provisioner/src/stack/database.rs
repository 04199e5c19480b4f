//! The database, its settings, and its copy that only reads.

use super::{firewall::Firewall, network::Network, parameters, surroundings::Surroundings};
use crate::{
    config::Config,
    engine::{AtCreation, Ref, Stack},
    kinds::{DbInstance, DbParameterGroup, DbSubnetGroup, LogGroup, Parameter, Replica, Storage},
};

/// What the agents have to know of the database.
pub(super) struct Data {
    pub(super) primary: Ref<DbInstance>,
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
    // Said only where it differs from the family's own value: RDS does not show a value that is the same.
    let tls = (!c.unsafe_choices.database_without_tls).then_some(("require_secure_transport", "1"));
    let spec = DbParameterGroup {
        name: c.names.database_parameters.clone(),
        family: format!("mysql{series}"),
        parameters: tls.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    };
    let settings = s.add_named("rds-parameters", &c.names.database_parameters, spec);

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
        parameters: settings,
        groups: vec![group],
        public: false,
        port: d.port.into(),
        database: d.name.clone(),
        user: d.user.clone(),
        password: AtCreation::from(password),
        backup_days: number(d.backup_days),
        logs,
        minor_upgrades: d.minor_upgrades,
        deletion_protection: d.deletion_protection,
        tagged_snapshots: true,
        apply_later: !d.apply_immediately,
    };
    let primary = s.add_named("rds", &c.names.database, spec);

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
            tagged_snapshots: true,
        };
        s.add_named("rds-rr", &c.names.replica, spec);
    }
    Some(Data { primary, password })
}
