//! What there is to do about databases.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cloud::picture::{DatabasePlan, Picture};
use crate::cloud::sync::Sync;
use crate::cloud::wanted::Addresses;
use crate::database::{Around, Database, DatabaseSpec};

/// How long AWS needs to notice and to fail over.
const FAILOVER: Duration = Duration::from_secs(60);

pub(in crate::cloud) fn databases(sync: &Arc<Sync>, picture: &Picture, addresses: &Addresses) {
    for (name, plan) in &picture.databases {
        let Some(own) = addresses.databases.get(name).filter(|it| !it.is_empty()) else { continue };
        let (known, is_replica) = {
            let running = sync.running();
            (running.databases.get(name).cloned(), running.replicas.contains_key(name))
        };
        if let Some(database) = known {
            change(sync, name, plan, own, &database);
            continue;
        }
        if is_replica {
            move_replica(sync, name);
            continue;
        }
        // Nothing starts without power.
        if !sync.has_power(own[0]) {
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
    reboot(sync, picture);
    let promoted = sync.shared.lock().promoted.clone();
    let (gone, orphans): (Vec<String>, Vec<(String, String)>) = {
        let running = sync.running();
        let absent = |it: &&String| {
            let is_over = running.databases.get(*it).is_some_and(Database::is_over);
            is_over || !picture.databases.contains_key(*it)
        };
        let orphans = running.replicas.iter().filter(|it| absent(&it.0));
        let orphans = orphans.map(|it| (it.0.clone(), it.1.clone())).collect();
        let gone = running.databases.keys().filter(absent);
        // With it would go the servers of those who are to stay.
        let gone =
            gone.filter(|it| !running.replicas.iter().any(|(name, of)| of == *it && promoted.contains(name)));
        (gone.cloned().collect(), orphans)
    };
    for (name, source) in orphans {
        sync.work(&format!("end/{name}"), move |sync| {
            let source = sync.running().databases.get(&source).cloned();
            source.map_or(Ok(()), |it| it.remove_replica(&name))?;
            // Not before: whatever fails is tried again.
            sync.running().replicas.remove(&name);
            Ok(())
        });
    }
    for name in gone {
        sync.work(&format!("end/{name}"), move |sync| {
            let database = sync.running().databases.get(&name).cloned();
            database.map_or(Ok(()), |it| it.terminate())?;
            sync.running().databases.remove(&name);
            Ok(())
        });
    }
    // Who has the name next is nobody's orphan.
    sync.shared.lock().promoted.retain(|it| picture.databases.contains_key(it));
}

/// Makes one that runs what it shall be by now.
fn change(sync: &Arc<Sync>, name: &str, plan: &DatabasePlan, own: &[Ipv4Addr], database: &Database) {
    database.have_pair(if plan.multi_az { own.to_vec() } else { Vec::new() });
    let password = sync.shared.lock().passwords.get(name).cloned();
    if let Some(password) = password.filter(|it| *it != database.password()) {
        let database = database.clone();
        sync.work(&format!("password/{name}"), move |_| database.change_password(&password));
    }
    let port = sync.shared.lock().ports.get(name).copied();
    if let Some(port) = port.filter(|it| *it != database.port()) {
        let database = database.clone();
        sync.work(&format!("port/{name}"), move |_| database.change_port(port));
    }
    if database.parameters() != plan.parameters {
        let (database, parameters) = (database.clone(), plan.parameters.clone());
        sync.work(&format!("parameters/{name}"), move |_| database.configure(parameters));
    }
}

/// A replica's port is its own.
fn move_replica(sync: &Arc<Sync>, name: &str) {
    let source = {
        let running = sync.running();
        running.replicas.get(name).and_then(|it| running.databases.get(it)).cloned()
    };
    let port = sync.shared.lock().ports.get(name).copied();
    if let (Some(source), Some(port)) = (source, port)
        && source.port_of(name).is_some_and(|it| it != port)
    {
        let own = name.to_owned();
        sync.work(&format!("port/{name}"), move |_| source.change_port_of(&own, port));
    }
}

fn reboot(sync: &Arc<Sync>, picture: &Picture) {
    let reboots = sync.shared.lock().reboots.clone();
    for (name, failover) in reboots {
        let (database, source) = {
            let running = sync.running();
            let source = running.replicas.get(&name).and_then(|it| running.databases.get(it)).cloned();
            (running.databases.get(&name).cloned(), source)
        };
        let what = format!("reboot/{name}");
        let begun = match (database, source) {
            (Some(it), _) => sync.work(&what, move |_| it.reboot(failover)),
            (None, Some(source)) => {
                let name = name.clone();
                sync.work(&what, move |_| source.reboot_replica(&name))
            }
            // It may still come, unless nobody wants it.
            (None, None) => !picture.databases.contains_key(&name),
        };
        if begun {
            sync.shared.lock().reboots.remove(&name);
        }
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
        standby: own.get(1).copied().filter(|_| plan.multi_az),
        port: plan.port,
        parameters: plan.parameters.clone(),
        failover_delay: FAILOVER / sync.options.clock.max(1),
    };
    let (network, power) = (Arc::clone(sync), Arc::clone(sync));
    let around = Around {
        plugged_in: Box::new(move || network.apply_network()),
        has_power: Box::new(move |address| power.has_power(address)),
    };
    let made = sync.region.database_with(spec, &sync.authority, around)?;
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
