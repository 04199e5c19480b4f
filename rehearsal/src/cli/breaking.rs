//! Breaks what the operator names, and mends it when its time is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::Breakable;
use crate::cloud::{Cloud, Fault, FaultKind};
use crate::wire::Service;

/// How far eventual consistency lags behind, once it does.
const LAG: Duration = Duration::from_secs(5);

/// How often each thing was broken: a timer mends its own break and no later one.
#[derive(Clone, Default)]
pub(super) struct Breaks(Arc<Mutex<BTreeMap<(Breakable, String), u64>>>);

impl Breaks {
    pub(super) fn make(
        &self,
        cloud: &Arc<Cloud>,
        what: Breakable,
        name: &str,
        span: Option<Duration>,
    ) -> anyhow::Result<()> {
        let it = (what, known_as(cloud, what, name)?);
        let number = {
            // Held, so that no timer mends it in the middle.
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let number = all.entry(it.clone()).or_default();
            *number += 1;
            set(cloud, it.0, &it.1, true)?;
            *number
        };
        if let Some(span) = span {
            let (all, cloud) = (Arc::clone(&self.0), Arc::downgrade(cloud));
            thread::spawn(move || {
                thread::sleep(span);
                let all = all.lock().unwrap_or_else(PoisonError::into_inner);
                if let (Some(cloud), true) = (cloud.upgrade(), all.get(&it) == Some(&number)) {
                    // What is gone meanwhile needs no mending.
                    let _ = set(&cloud, it.0, &it.1, false);
                }
            });
        }
        Ok(())
    }

    /// Without a name, faults of calls end for all of them.
    pub(super) fn mend(&self, cloud: &Cloud, what: Breakable, name: &str) -> anyhow::Result<()> {
        let _held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match fault(what).filter(|_| name.is_empty()) {
            Some(kind) => cloud.heal(kind),
            None => set(cloud, what, &known_as(cloud, what, name)?, false)?,
        }
        Ok(())
    }
}

/// One name for one thing, whatever it was called.
fn known_as(cloud: &Cloud, what: Breakable, name: &str) -> anyhow::Result<String> {
    Ok(match what {
        Breakable::Instance | Breakable::Link => cloud.host(name)?.name().to_owned(),
        Breakable::Filesystem => cloud.file_system(name)?,
        Breakable::Capacity if name.is_empty() => "RunInstances".to_owned(),
        Breakable::Metadata
        | Breakable::Names
        | Breakable::Ssm
        | Breakable::Unseen
        | Breakable::StaleLists => String::new(),
        _ => name.to_owned(),
    })
}

fn fault(what: Breakable) -> Option<FaultKind> {
    Some(match what {
        Breakable::Throttling => FaultKind::Throttling,
        Breakable::InternalErrors => FaultKind::InternalError,
        Breakable::LostAnswers => FaultKind::DroppedAnswer,
        Breakable::Capacity => FaultKind::Capacity,
        Breakable::AuthFailures => FaultKind::AuthFailure,
        _ => return None,
    })
}

fn set(cloud: &Cloud, what: Breakable, name: &str, broken: bool) -> anyhow::Result<()> {
    if let Some(kind) = fault(what) {
        match broken {
            true => cloud.inject(Fault::lasting(kind, name)),
            false => cloud.heal_calls(kind, name),
        }
        return Ok(());
    }
    let lag = if broken { LAG } else { Duration::ZERO };
    match (what, broken) {
        (Breakable::Instance, true) => cloud.host(name)?.kill()?,
        (Breakable::Instance, false) => cloud.revive_host(name)?,
        (Breakable::Database, true) => {
            cloud.database(name).with_context(|| format!("there is no database {name}"))?.kill_primary()?;
        }
        (Breakable::Replica, true) => cloud.kill_replica(name)?,
        (Breakable::Database | Breakable::Replica, false) => cloud.revive_database(name)?,
        (Breakable::Zone, true) => cloud.break_zone(name)?,
        (Breakable::Zone, false) => cloud.mend_zone(name)?,
        (Breakable::Ssm, _) => cloud.break_ssm(broken),
        (Breakable::Unseen, _) => cloud.hide_new(lag),
        (Breakable::StaleLists, _) => cloud.freeze_lists(lag),
        (Breakable::Filesystem, _) => cloud.link_file_system(name, !broken)?,
        (Breakable::Metadata, _) => cloud.region().break_service(Service::Metadata, broken)?,
        (Breakable::Names, _) => cloud.region().break_service(Service::Names, broken)?,
        (Breakable::Link, _) => cloud.host(name)?.link(!broken)?,
        // Those are faults of calls.
        (
            Breakable::Throttling
            | Breakable::InternalErrors
            | Breakable::LostAnswers
            | Breakable::Capacity
            | Breakable::AuthFailures,
            _,
        ) => {}
    }
    Ok(())
}
