//! Replicas that become databases of their own: because they shall, or because their source goes.

use std::sync::Arc;

use anyhow::Context;

use super::sync::Sync;

/// Promotes a replica on a thread of its own.
pub(super) fn begin(sync: &Arc<Sync>, name: String) {
    sync.shared.lock().promoted.insert(name.clone());
    sync.work(&format!("promote/{}", name.clone()), move |sync| promote(sync, &name));
}

/// Tries again what did not come about: one without power is promoted when it has some.
pub(super) fn go_on(sync: &Arc<Sync>) {
    let names: Vec<String> = {
        let running = sync.running();
        let known = sync.shared.lock();
        known.promoted.iter().filter(|it| running.replicas.contains_key(*it)).cloned().collect()
    };
    for name in names {
        sync.work(&format!("promote/{}", name.clone()), move |sync| promote(sync, &name));
    }
}

fn promote(sync: &Sync, name: &str) -> anyhow::Result<()> {
    let source = {
        let running = sync.running();
        running.replicas.get(name).and_then(|it| running.databases.get(it)).cloned()
    };
    // It is one already, or goes.
    let Some(source) = source else { return Ok(()) };
    let seen = sync.clients.rds.describe_db_instances().db_instance_identifier(name).send();
    let seen = sync.runtime.block_on(seen).with_context(|| format!("looking for {name}"))?;
    let endpoint = seen.db_instances().first().and_then(|it| it.endpoint()?.address());
    let own = source.promote_replica(name, endpoint.unwrap_or_default())?;
    let mut running = sync.running();
    running.replicas.remove(name);
    running.databases.insert(name.to_owned(), own);
    Ok(())
}

/// Whoever copies a database that is deleted stays, as a database of its own, and goes on costing money.
pub(super) fn orphans(sync: &Arc<Sync>, source: &str) {
    let copies: Vec<String> = {
        let running = sync.running();
        running.replicas.iter().filter(|it| it.1 == source).map(|it| it.0.clone()).collect()
    };
    for name in copies {
        begin(sync, name);
    }
}
