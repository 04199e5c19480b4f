//! What the agents read.

use shared::{
    agent::{POLL_SECONDS, PORT, SHARE_MS},
    params::Param,
};

use super::{database::Data, storage::Storage, surroundings::Surroundings};
use crate::{
    config::{Config, Transport},
    engine::{Ref, Secret, Stack, Value},
    kinds::{FileSystem, MountTarget, ParamValue, Parameter},
};

/// Length of a generated password; RDS for MySQL takes up to 41 characters.
const PASSWORD_LENGTH: usize = 32;

/// How many looks a second all agents may take: half of what the Parameter Store grants an account and region by
/// default, 40. A thousand hosts at fifteen seconds would take 66.7; at fifty they take 20.
const LOOKS: u32 = 20;

/// So seldom that the largest fleet that the configuration allows stays within that.
fn poll_seconds(c: &Config) -> u64 {
    let scaled = if c.parts.scaling_group { c.scaling.max } else { 0 };
    let fixed = u32::try_from(c.public_hosts().len() + c.private_hosts().len()).unwrap_or(u32::MAX);
    u64::from(fixed.saturating_add(scaled).div_ceil(LOOKS)).max(POLL_SECONDS)
}

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
        put(Param::DbEndpoint, data.server.clone());
        put(Param::DbName, c.database.name.as_str().into());
        put(Param::DbUser, c.database.user.as_str().into());
        if c.database.port != PORT {
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
    let seconds = poll_seconds(c);
    if seconds != POLL_SECONDS {
        put(Param::PollSeconds, seconds.to_string().into());
    }
    if c.agent.share_ms != SHARE_MS {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_fleet_asks_so_seldom_that_the_parameter_store_answers_all() {
        let seconds = |max: u32| {
            let mut config = Config::default();
            config.scaling.max = max;
            poll_seconds(&config)
        };
        // Four hosts of the lab are not the group's.
        assert_eq!([4, 296, 297, 996].map(seconds), [15, 15, 16, 50]);
    }
}
