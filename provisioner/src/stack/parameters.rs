//! What the agents read.

use shared::params::Param;

use super::{database::Data, storage::Storage, surroundings::Surroundings};
use crate::{
    config::{Config, Transport},
    engine::{Ref, Secret, Stack, Value},
    kinds::{DbInstance, FileSystem, MountTarget, ParamValue, Parameter},
};

/// Length of a generated password; RDS for MySQL takes up to 41 characters.
const PASSWORD_LENGTH: usize = 32;

/// The password comes first: the database is made with it.
pub(super) fn password(s: &mut Stack, around: &Surroundings) -> Ref<Parameter> {
    let value = match &around.password {
        Some(given) => ParamValue::Given(Secret(given.clone())),
        None => ParamValue::Generated { length: PASSWORD_LENGTH },
    };
    s.add(&Param::DbPassword.to_string(), Parameter { value })
}

/// Everything else; what has a default that the agent knows is written only where it differs.
pub(super) fn parameters(s: &mut Stack, c: &Config, files: Option<&Storage>, data: Option<&Data>) {
    let mut written: Vec<(Param, Ref<Parameter>)> =
        data.map(|it| (Param::DbPassword, it.password)).into_iter().collect();
    let mut put = |param: Param, value: Value| {
        let node = s.add(&param.to_string(), Parameter::text(value));
        written.push((param, node));
    };
    if let Some(data) = data {
        put(Param::DbEndpoint, data.primary.out(DbInstance::ENDPOINT));
        put(Param::DbName, c.database.name.as_str().into());
        put(Param::DbUser, c.database.user.as_str().into());
        if c.database.port != 3306 {
            put(Param::DbPort, c.database.port.to_string().into());
        }
        if c.unsafe_choices.database_without_tls {
            put(Param::DbTls, "off".into());
        }
    }
    if let Some(files) = files {
        put(Param::FilesId, files.file_system.out(FileSystem::ID));
        for (zone, target) in &files.targets {
            put(Param::FilesTarget { zone: zone.clone() }, target.out(MountTarget::IP));
        }
        if c.files.transport == Transport::Nfs {
            put(Param::FilesTransport, "nfs".into());
        }
    }
    if c.agent.local_database {
        put(Param::LocalDatabase, "true".into());
    }
    if c.agent.share_ms != 50 {
        put(Param::ShareMs, c.agent.share_ms.to_string().into());
    }
    // Moves whenever any other does, and is written after all of them: agents poll it alone.
    let mut parts: Vec<Value> = vec!["1".into()];
    for (param, node) in written {
        parts.push(format!(" {param}=").into());
        parts.push(node.out(Parameter::VERSION));
    }
    s.add(&Param::Generation.to_string(), Parameter::text(Value::Join(parts)));
}
