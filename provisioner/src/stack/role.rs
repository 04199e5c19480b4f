//! What every host needs to be one: its role, its key, the agent and how to fetch it.

use super::{storage::Storage, surroundings::Surroundings};
use crate::{
    config::Config,
    engine::{AtCreation, Ref, Stack, Value},
    kinds::{Artefact, Bucket, BucketPolicy, ImageSource, KeyPair, Metadata, Role},
    user_data,
};

/// The parts that are common to all hosts.
pub(super) struct HostKit {
    pub(super) role: Ref<Role>,
    pub(super) public_key: Option<Ref<KeyPair>>,
    pub(super) private_key: Option<Ref<KeyPair>>,
    pub(super) image: ImageSource,
    pub(super) metadata: Metadata,
    pub(super) user_data: Value,
}

/// `None` in a stack without hosts.
///
/// # Errors
/// More certificates than their first script can carry.
pub(super) fn host_kit(
    s: &mut Stack,
    c: &Config,
    around: &Surroundings,
    files: Option<&Storage>,
) -> anyhow::Result<Option<HostKit>> {
    let Some(agent) = around.agent.as_ref() else { return Ok(None) };
    let name = c.artefact_bucket(&around.account);
    let spec = Bucket { name: name.clone(), region: c.region.clone(), private: true, website: None };
    let bucket = s.add_named(Bucket::ARTEFACTS, &name, spec);
    s.add_named(Bucket::ARTEFACTS, &name, BucketPolicy::private(bucket, &name));
    let artefact = Artefact { bucket, ..agent.clone() };
    let node = artefact.node().to_owned();
    let artefact = s.add(&node, artefact);

    let who = (c.stack.as_str(), c.region.as_str(), around.account.as_str());
    let spec = Role::of_hosts(&c.names.host_role, who, &name, files.map(|it| it.file_system));
    let role = s.add_named("host", &c.names.host_role, spec);

    let mut key = |name: &String, public_key: &Option<String>| {
        let dir = AtCreation::from(c.access.key_dir.clone());
        s.add(name, KeyPair { name: name.clone(), public_key: public_key.clone(), dir })
    };
    let public_key = c.parts.public_hosts.then(|| key(&c.names.public_key, &around.public_key));
    let private = c.parts.private_hosts || c.parts.scaling_group;
    let private_key = private.then(|| key(&c.names.private_key, &around.private_key));

    let user_data = user_data::script(&user_data::Agent {
        stack: &c.stack,
        region: &c.region,
        bucket: &name,
        // Hosts fetch the program at their first start, so it has to be there before them.
        sha256: artefact.out(Artefact::SHA256),
        endpoint: around.endpoint.as_deref(),
        ca: around.ca.as_deref(),
    })?;
    Ok(Some(HostKit {
        role,
        public_key,
        private_key,
        image: ImageSource::from(c.hosts.image.as_str()),
        metadata: Metadata {
            v2_required: !c.unsafe_choices.metadata_v1,
            hops: i32::try_from(c.hosts.metadata_hops).unwrap_or(1),
        },
        user_data,
    }))
}
