//! What there is to do about databases.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cloud::picture::{DatabasePlan, Picture};
use crate::cloud::sync::Sync;
use crate::cloud::wanted::Addresses;
use crate::database::DatabaseSpec;

/// How long AWS needs to notice and to fail over.
const FAILOVER: Duration = Duration::from_secs(60);

pub(in crate::cloud) fn databases(sync: &Arc<Sync>, picture: &Picture, addresses: &Addresses) {
    for (name, plan) in &picture.databases {
        let Some(own) = addresses.databases.get(name).filter(|it| !it.is_empty()) else { continue };
        let known = {
            let running = sync.running();
            running.databases.contains_key(name) || running.replicas.contains_key(name)
        };
        if known {
            continue;
        }
        let (name, plan, own) = (name.clone(), plan.clone(), own.clone());
        sync.work(&format!("database/{}", name.clone()), move |sync| {
            match &plan.source {
                Some(source) => replica(sync, &name, &plan, source, own[0])?,
                None => database(sync, &name, &plan, &own)?,
            }
            sync.shared.lock().pending_databases.remove(&name);
            sync.apply_network()
        });
    }
    let reboots = std::mem::take(&mut sync.shared.lock().reboots);
    for (name, failover) in reboots {
        let database = sync.running().databases.get(&name).cloned();
        if let Some(database) = database {
            sync.work(&format!("reboot/{name}"), move |_| database.reboot(failover));
        }
    }
    let (gone, orphans): (Vec<String>, Vec<(String, String)>) = {
        let running = sync.running();
        let absent = |it: &&String| !picture.databases.contains_key(*it);
        let orphans = running.replicas.iter().filter(|it| absent(&it.0));
        let orphans = orphans.map(|it| (it.0.clone(), it.1.clone())).collect();
        (running.databases.keys().filter(absent).cloned().collect(), orphans)
    };
    for (name, source) in orphans {
        sync.work(&format!("end/{name}"), move |sync| {
            let source = sync.running().databases.get(&source).cloned();
            sync.running().replicas.remove(&name);
            source.map_or(Ok(()), |it| it.remove_replica(&name))
        });
    }
    for name in gone {
        sync.work(&format!("end/{name}"), move |sync| {
            let database = sync.running().databases.remove(&name);
            database.map_or(Ok(()), |it| it.terminate())
        });
    }
}

fn database(sync: &Arc<Sync>, name: &str, plan: &DatabasePlan, own: &[Ipv4Addr]) -> anyhow::Result<()> {
    let password = sync.shared.lock().passwords.get(name).cloned();
    let spec = DatabaseSpec {
        name: name.to_owned(),
        endpoint: plan.endpoint.clone(),
        user: plan.user.clone(),
        password: password
            .with_context(|| format!("nobody gave {name} a password through the front door"))?,
        database: plan.database.clone(),
        primary: own[0],
        standby: own.get(1).copied(),
        parameters: plan.parameters.clone(),
        failover_delay: FAILOVER / sync.options.clock.max(1),
    };
    let network = Arc::clone(sync);
    let made = sync.region.database_with(spec, &sync.authority, move || network.apply_network())?;
    sync.running().databases.insert(name.to_owned(), made);
    Ok(())
}

fn replica(
    sync: &Arc<Sync>,
    name: &str,
    plan: &DatabasePlan,
    source: &str,
    address: Ipv4Addr,
) -> anyhow::Result<()> {
    let Some(database) = sync.running().databases.get(source).cloned() else {
        bail!("its source {source} is not available yet");
    };
    database.replica(name, &plan.endpoint, address, &sync.authority)?;
    sync.running().replicas.insert(name.to_owned(), source.to_owned());
    Ok(())
}
