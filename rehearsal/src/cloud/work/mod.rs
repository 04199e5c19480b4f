//! What there is to do about instances, databases and load balancers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use super::picture::{DatabasePlan, MachinePlan, Picture};
use super::picture_balancers::BalancerPlan;
use super::sync::Sync;
use super::wanted::Addresses;
use crate::balancer::BalancerSpec;
use crate::database::DatabaseSpec;
use crate::image::Image;
use crate::instance::Instance;
use crate::metadata::{Metadata, Role};
use crate::wire::Phase;

/// How long AWS needs to notice and to fail over.
const FAILOVER: Duration = Duration::from_secs(60);
/// What real time would make of a health check is too long for no reason here.
const QUICKEST_CHECK: Duration = Duration::from_millis(500);

/// The databases' root certificate on every host: ours stands for Amazon's, which the agent trusts by itself.
const ROOT: &str = "/etc/ssl/rehearsal-database-root.pem";
const TRUST: &str = include_str!("../../image/trust");
const TRUST_UNIT: &str = "[Service]\nExecStartPre=+/usr/local/sbin/rehearsal-trust\n";

pub(super) fn machines(sync: &Arc<Sync>, picture: &Picture, addresses: &Addresses) {
    let reboots = std::mem::take(&mut sync.shared.lock().instance_reboots);
    for (id, plan) in &picture.machines {
        let known = sync.running().machines.get(id).cloned();
        let Some(machine) = known else {
            if plan.running {
                launch(sync, picture, id, plan, addresses);
            }
            continue;
        };
        let told = keep_described(sync, picture, &machine, plan, addresses);
        sync.report(&format!("metadata/{id}"), told);
        let phase = machine.phase().unwrap_or(Phase::Crashed);
        let was_stopped = sync.running().stopped.contains(id);
        let id = id.clone();
        match (plan.running, phase) {
            (false, Phase::Running) => sync.work(&format!("instance/{id}"), move |sync| {
                sync.running().stopped.insert(id);
                machine.stop()
            }),
            // What crashed stays down unless a group replaces it; what was stopped comes back when that is asked for.
            (true, Phase::Stopped | Phase::Crashed) if was_stopped => {
                sync.work(&format!("instance/{id}"), move |sync| {
                    machine.start()?;
                    sync.running().stopped.remove(&id);
                    machine.wait_until_running()
                });
            }
            (true, Phase::Crashed) if plan.replaceable => sync.work(&format!("replace/{id}"), move |sync| {
                sync.runtime.block_on(sync.clients.replace(&id))?;
                // The account has changed, although nobody came through the front door.
                sync.shared.lock().changes += 1;
                Ok(())
            }),
            (true, Phase::Running) if reboots.contains(&id) => {
                sync.work(&format!("reboot/{id}"), move |_| machine.reboot());
            }
            _ => {}
        }
    }
    let gone: Vec<_> = {
        let running = sync.running();
        running
            .machines
            .iter()
            .filter(|it| !picture.machines.contains_key(it.0))
            .map(|it| it.0.clone())
            .collect()
    };
    for id in gone {
        sync.work(&format!("end/{id}"), move |sync| {
            sync.running().described.remove(&id);
            let machine = sync.running().machines.remove(&id);
            machine.map_or(Ok(()), crate::Instance::terminate)
        });
    }
    for (image, source) in &picture.images {
        let known = sync.running().images.contains_key(image);
        let machine = sync.running().machines.get(source).cloned();
        if let (false, Some(machine)) = (known, machine) {
            let image = image.clone();
            sync.work(&format!("image/{image}"), move |sync| {
                let made = machine.snapshot(&image)?;
                sync.running().images.insert(image, made);
                Ok(())
            });
        }
    }
}

fn launch(sync: &Arc<Sync>, picture: &Picture, id: &str, plan: &MachinePlan, addresses: &Addresses) {
    let image = match picture.images.contains_key(&plan.image) {
        // Its disk is still being copied.
        true => match sync.running().images.get(&plan.image) {
            Some(image) => image.clone(),
            None => return,
        },
        false => sync.options.image.clone(),
    };
    let metadata = describe(sync, picture, id, plan, addresses);
    let (id, address, key) = (id.to_owned(), plan.address, plan.key.clone());
    sync.work(&format!("instance/{}", id.clone()), move |sync| {
        boot(sync, &id, address, image, metadata, key)
    });
}

/// What the metadata service says, but for what only a question of its own tells: user data and key.
fn describe(sync: &Sync, picture: &Picture, id: &str, plan: &MachinePlan, addresses: &Addresses) -> Metadata {
    let subnet = picture.subnets.get(&plan.subnet);
    Metadata {
        instance_id: id.to_owned(),
        instance_type: plan.class.clone(),
        image_id: plan.image.clone(),
        account: plan.account.clone(),
        region: sync.options.region.clone(),
        zone: subnet.map(|it| it.zone.clone()).unwrap_or_default(),
        vpc: subnet.map(|it| it.vpc.clone()).unwrap_or_default(),
        subnet: plan.subnet.clone(),
        public_address: plan.public.and_then(|it| addresses.public.get(&it).copied()),
        security_groups: plan.groups.clone(),
        tags: plan.tags.clone(),
        public_key: None,
        user_data: None,
        role: plan.profile.clone().map(|name| Role {
            name,
            access_key: "ASIAREHEARSAL".into(),
            secret_key: "rehearsal".into(),
            token: "rehearsal".into(),
        }),
        hop_limit: plan.hop_limit,
    }
}

/// Profiles, tags and addresses change while an instance runs.
fn keep_described(
    sync: &Sync,
    picture: &Picture,
    machine: &Instance,
    plan: &MachinePlan,
    addresses: &Addresses,
) -> anyhow::Result<()> {
    let id = machine.name();
    let mut new = describe(sync, picture, id, plan, addresses);
    let mut running = sync.running();
    let Some(known) = running.described.get_mut(id) else { return Ok(()) };
    new.user_data.clone_from(&known.user_data);
    new.public_key.clone_from(&known.public_key);
    if new != *known {
        machine.describe(new.clone())?;
        *known = new;
    }
    Ok(())
}

fn boot(
    sync: &Arc<Sync>,
    id: &str,
    address: Ipv4Addr,
    image: Image,
    mut metadata: Metadata,
    key: Option<String>,
) -> anyhow::Result<()> {
    let (port, inside) = &sync.api;
    let user_data = sync.runtime.block_on(sync.clients.user_data(id))?;
    // The operator's address of the cloud's interface leads nowhere on an instance.
    metadata.user_data = user_data.map(|text| {
        let outside = [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}")];
        outside.iter().fold(text, |text, it| text.replace(it, inside))
    });
    if let Some(name) = key {
        let text = sync.runtime.block_on(sync.clients.public_key(&name))?;
        metadata.public_key = text.map(|text| (name, text));
    }
    let machine = sync
        .region
        .instance(id)
        .image(image)
        .address(address)
        .metadata(metadata.clone())
        .file(ROOT, sync.authority.pem(), 0o644)
        .file("/usr/local/sbin/rehearsal-trust", TRUST, 0o755)
        .file("/etc/systemd/system/lampd.service.d/50-rehearsal.conf", TRUST_UNIT, 0o644)
        .create()?;
    sync.running().described.insert(id.to_owned(), metadata);
    sync.running().machines.insert(id.to_owned(), machine.clone());
    sync.apply_network()?;
    machine.start()?;
    machine.wait_until_running()
}

pub(super) fn databases(sync: &Arc<Sync>, picture: &Picture, addresses: &Addresses) {
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

pub(super) fn balancers(sync: &Arc<Sync>, picture: &Picture, addresses: &Addresses) {
    for (name, plan) in &picture.balancers {
        let Some(own) = addresses.balancers.get(name).filter(|it| !it.is_empty()) else { continue };
        let want = spec(name, plan, own, sync.options.clock);
        let known = sync.running().balancers.get(name).cloned();
        let name = name.clone();
        match known {
            Some(balancer) if balancer.spec() == want => {}
            Some(balancer) => sync.work(&format!("balancer/{name}"), move |_| balancer.change(want)),
            None => sync.work(&format!("balancer/{}", name.clone()), move |sync| {
                let made = sync.region.balancer(want)?;
                sync.apply_network()?;
                sync.running().balancers.insert(name.clone(), made);
                sync.shared.lock().pending_balancers.remove(&name);
                Ok(())
            }),
        }
    }
    let gone: Vec<_> = {
        let running = sync.running();
        running.balancers.keys().filter(|it| !picture.balancers.contains_key(*it)).cloned().collect()
    };
    for name in gone {
        sync.work(&format!("end/{name}"), move |sync| {
            let balancer = sync.running().balancers.remove(&name);
            balancer.map_or(Ok(()), crate::Balancer::terminate)
        });
    }
}

fn spec(name: &str, plan: &BalancerPlan, own: &[(Ipv4Addr, Ipv4Addr)], clock: u32) -> BalancerSpec {
    let mut groups = plan.groups.clone();
    for it in &mut groups {
        it.check.interval = (it.check.interval / clock.max(1)).max(QUICKEST_CHECK);
        // The time-out stays: a busy machine answers late, and that is no illness.
        it.drain /= clock.max(1);
    }
    let addresses = own.iter().map(|it| it.0).collect();
    BalancerSpec { name: name.to_owned(), addresses, listeners: plan.listeners.clone(), groups }
}

/// The health of every target, by group and target.
pub(super) fn health(sync: &Sync) {
    let balancers: Vec<_> = sync.running().balancers.values().cloned().collect();
    let mut all = BTreeMap::new();
    for balancer in balancers {
        for group in balancer.spec().groups {
            if let Ok(health) = balancer.health(&group.name) {
                all.insert(group.name, health);
            }
        }
    }
    sync.shared.lock().health = all;
}
