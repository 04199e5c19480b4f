//! What there is to do about load balancers, and how their targets are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::balancer::BalancerSpec;
use crate::cloud::picture::{BalancerPlan, Picture};
use crate::cloud::sync::Sync;
use crate::cloud::wanted::Addresses;

/// What real time would make of a health check is too long for no reason here.
const QUICKEST_CHECK: Duration = Duration::from_millis(500);

pub(in crate::cloud) fn balancers(sync: &Arc<Sync>, picture: &Picture, addresses: &Addresses) {
    for (name, plan) in &picture.balancers {
        let Some(own) = addresses.balancers.get(name).filter(|it| !it.is_empty()) else { continue };
        let want = spec(name, plan, own, sync.options.clock);
        let known = sync.running().balancers.get(name).cloned();
        let dark = dark(sync, picture, plan, own);
        let name = name.clone();
        match known {
            Some(balancer) if balancer.is_over() || balancer.spec().addresses != want.addresses => {
                // Other subnets are other nodes.
                sync.work(&format!("balancer/{name}"), move |sync| end(sync, &name));
            }
            Some(balancer) if balancer.spec() == want && balancer.is_settled(|it| !dark.contains(&it)) => {}
            Some(balancer) => {
                sync.work(&format!("balancer/{name}"), move |_| {
                    let changed = balancer.change(want);
                    changed.and(balancer.revive(|it| !dark.contains(&it)))
                });
            }
            None => {
                sync.work(&format!("balancer/{}", name.clone()), move |sync| {
                    let made = sync.region.balancer(want)?;
                    sync.apply_network()?;
                    sync.running().balancers.insert(name.clone(), made);
                    sync.shared.lock().pending_balancers.remove(&name);
                    Ok(())
                });
            }
        }
    }
    let gone: Vec<_> = {
        let running = sync.running();
        running.balancers.keys().filter(|it| !picture.balancers.contains_key(*it)).cloned().collect()
    };
    for name in gone {
        sync.work(&format!("end/{name}"), move |sync| end(sync, &name));
    }
}

/// Where no node can be started.
fn dark(
    sync: &Sync,
    picture: &Picture,
    plan: &BalancerPlan,
    own: &[(Ipv4Addr, Ipv4Addr)],
) -> BTreeSet<Ipv4Addr> {
    let known = sync.shared.lock();
    let zone = |subnet: &str| picture.subnets.get(subnet).map(|it| it.zone.as_str());
    let nodes = own.iter().zip(&plan.subnets);
    let dark = nodes.filter(|it| zone(it.1).is_some_and(|zone| known.outages.contains_key(zone)));
    dark.map(|it| it.0.0).collect()
}

fn end(sync: &Sync, name: &str) -> anyhow::Result<()> {
    let balancer = sync.running().balancers.get(name).cloned();
    balancer.map_or(Ok(()), crate::Balancer::terminate)?;
    // Not before: whatever fails is tried again.
    sync.running().balancers.remove(name);
    Ok(())
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
pub(in crate::cloud) fn health(sync: &Sync) {
    let balancers: Vec<_> = sync.running().balancers.values().cloned().collect();
    let mut before = sync.shared.lock().health.clone();
    let mut all = BTreeMap::new();
    for balancer in balancers {
        for group in balancer.spec().groups {
            // A node that does not answer at this moment says nothing about its targets.
            let health = balancer.health(&group.name).ok().or_else(|| before.remove(&group.name));
            all.extend(health.map(|it| (group.name, it)));
        }
    }
    sync.shared.lock().health = all;
}
