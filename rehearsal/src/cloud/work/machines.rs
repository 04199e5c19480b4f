//! What there is to do about instances.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::cloud::picture::{MachinePlan, Picture};
use crate::cloud::sync::Sync;
use crate::cloud::wanted::Addresses;
use crate::image::Image;
use crate::instance::Instance;
use crate::metadata::{Metadata, Role};
use crate::wire::Phase;

/// The databases' root certificate on every host: ours stands for Amazon's, which the agent trusts by itself.
const ROOT: &str = "/etc/ssl/rehearsal-database-root.pem";
const TRUST: &str = include_str!("../../../image/trust");
const TRUST_UNIT: &str = "[Service]\nExecStartPre=+/usr/local/sbin/rehearsal-trust\n";

pub(in crate::cloud) fn machines(sync: &Arc<Sync>, picture: &Picture, addresses: &Addresses) {
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
