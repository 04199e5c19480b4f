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
        keep_running(sync, id, plan.running, machine);
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
            let machine = sync.running().machines.get(&id).cloned();
            machine.map_or(Ok(()), Instance::terminate)?;
            // Not before: whatever fails is tried again.
            let mut running = sync.running();
            running.described.remove(&id);
            running.stopped.remove(&id);
            running.machines.remove(&id);
            Ok(())
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
    forget_images(sync, picture);
}

/// Power on or off, as the control plane has it.
fn keep_running(sync: &Arc<Sync>, id: &str, shall_run: bool, machine: Instance) {
    // What is asked for first, the state after that: a machine that dies in between is started and not rebooted.
    let (start, reboot) = {
        let known = sync.shared.lock();
        (known.instance_starts.contains(id), known.instance_reboots.contains(id))
    };
    let state = machine.state();
    let (phase, boots) = state.map_or((Phase::Crashed, 0), |it| (it.phase, it.boots));
    let was_stopped = sync.running().stopped.contains(id);
    let what = format!("instance/{id}");
    let own = id.to_owned();
    let begun = match (shall_run, phase) {
        (false, Phase::Running) => sync.work(&what, move |sync| {
            sync.running().stopped.insert(own);
            machine.stop()
        }),
        // Whoever is off already is stopped all the same.
        (false, _) => {
            sync.running().stopped.insert(own);
            true
        }
        (true, Phase::Running) if reboot => sync.work(&format!("reboot/{id}"), move |_| machine.reboot()),
        (true, Phase::Running) => true,
        // What crashed stays down until that is asked for or a group replaces it; what never ran is tried again.
        (true, _) if was_stopped || start || reboot || boots == 0 => sync.work(&what, move |sync| {
            machine.start()?;
            sync.running().stopped.remove(&own);
            machine.wait_until_running()
        }),
        (true, _) => false,
    };
    if begun {
        let mut known = sync.shared.lock();
        known.instance_starts.remove(id);
        known.instance_reboots.remove(id);
    }
}

/// An image that was deregistered goes with the last machine that began with it.
fn forget_images(sync: &Arc<Sync>, picture: &Picture) {
    let layers = |it: &Image| it.layers(&sync.options.state).unwrap_or_default();
    let mut running = sync.running();
    let is_used = |id: &String, image: &Image| {
        let used = layers(image);
        let Some(own) = used.first() else { return true };
        picture.images.contains_key(id)
            || picture.machines.values().any(|it| it.image == *id)
            || running.machines.values().any(|it| it.layers.contains(own))
            || running.images.iter().any(|(other, it)| other != id && layers(it).contains(own))
    };
    let gone: Vec<_> =
        running.images.iter().filter(|it| !is_used(it.0, it.1)).map(|it| it.0.clone()).collect();
    for id in gone {
        let dir = running.images.remove(&id).and_then(|it| layers(&it).first().cloned());
        if let Some(dir) = dir {
            drop(running);
            let done = sync.region.discard(dir);
            sync.report(&format!("forget/{id}"), done);
            running = sync.running();
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
        security_groups: plan.group_names.clone(),
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
