//! What the instances' control groups say of their processors, and the quotas that these have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::share;
use crate::cloud::picture::Picture;
use crate::cloud::sync::Sync;
use crate::instance::Instance;
use crate::wire::Phase;

/// Launch credits, as burstable classes have them: so much processor time a boot may take at full speed. A host whose
/// boot is over keeps them no longer than until it is calm.
const CREDITS: Duration = Duration::from_secs(60);

/// Processor time since an instance was last looked at.
#[derive(Default)]
pub(super) struct Meter {
    last: BTreeMap<String, Look>,
}

#[derive(Clone, Copy)]
struct Look {
    boots: u32,
    at: Instant,
    used: Duration,
    /// What had been used when this boot was first seen.
    at_boot: Duration,
    is_limited: bool,
}

impl Meter {
    /// The utilisation in percent of every instance that runs, and has been looked at before.
    pub(super) fn read(&mut self, sync: &Arc<Sync>, picture: &Picture) -> BTreeMap<String, f64> {
        let machines: Vec<(String, Instance, bool)> = {
            let running = sync.running();
            let boots = |id: &str| {
                ["instance", "reboot"].iter().any(|it| running.busy.contains(&format!("{it}/{id}")))
            };
            running.machines.iter().map(|(id, it)| (id.clone(), it.clone(), boots(id))).collect()
        };
        self.last.retain(|id, _| machines.iter().any(|it| it.0 == *id));
        let mut all = BTreeMap::new();
        for (id, machine, boots) in machines {
            let Some(plan) = picture.machines.get(&id) else { continue };
            let value = self.look(&id, &machine, boots, share::of(&plan.class));
            let done = value.map(|it| all.extend(it.map(|it| (id.clone(), it))));
            sync.report(&format!("quota/{id}"), done);
        }
        all
    }

    fn look(&mut self, id: &str, machine: &Instance, boots: bool, share: f64) -> anyhow::Result<Option<f64>> {
        // It may be gone by now.
        let Ok(state) = machine.state() else { return Ok(None) };
        if state.phase != Phase::Running {
            return Ok(None);
        }
        let now = Look {
            boots: state.boots,
            at: Instant::now(),
            used: state.cpu,
            at_boot: state.cpu,
            is_limited: false,
        };
        let Some(last) = self.last.get(id).copied().filter(|it| it.boots == now.boots) else {
            machine.limit_cpu(None)?;
            self.last.insert(id.to_owned(), now);
            return Ok(None);
        };
        let mut now = Look { at_boot: last.at_boot, is_limited: last.is_limited, ..now };
        let used = now.used.saturating_sub(last.used).as_secs_f64();
        let processors = used / now.at.duration_since(last.at).as_secs_f64().max(f64::MIN_POSITIVE);
        let is_calm = !boots && processors < share;
        if !now.is_limited && (is_calm || now.used.saturating_sub(now.at_boot) > CREDITS) {
            machine.limit_cpu(Some(share))?;
            now.is_limited = true;
        }
        self.last.insert(id.to_owned(), now);
        Ok(Some((100.0 * processors / share).min(100.0)))
    }
}
