//! Replicas that become databases of their own: because they shall, or because their source goes.

use std::sync::Arc;

use anyhow::{Context, bail};

use super::sync::Sync;

/// Promotes a replica on a thread of its own.
pub(super) fn begin(sync: &Arc<Sync>, name: String) {
    sync.shared.lock().promoted.insert(name.clone());
    sync.work(&format!("promote/{}", name.clone()), move |sync| promote(sync, &name));
}

fn promote(sync: &Sync, name: &str) -> anyhow::Result<()> {
    let source = {
        let running = sync.running();
        running.replicas.get(name).and_then(|it| running.databases.get(it)).cloned()
    };
    let Some(source) = source else { bail!("{name} is no replica that runs") };
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
pub(super) async fn orphans(sync: &Arc<Sync>, source: &str) {
    let copies: Vec<String> = {
        let running = sync.running();
        running.replicas.iter().filter(|it| it.1 == source).map(|it| it.0.clone()).collect()
    };
    for name in copies {
        let sync = Arc::clone(sync);
        sync.shared.lock().promoted.insert(name.clone());
        let done = tokio::task::spawn_blocking(move || {
            let done = promote(&sync, &name);
            sync.report(&format!("promote/{name}"), done);
        });
        let _ = done.await;
    }
}
