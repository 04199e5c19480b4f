//! Notices who is dead: a standby takes over from its primary, and whatever else has died comes back.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::server::Server;
use super::{Database, Inner};

const EVERY: Duration = Duration::from_millis(500);
/// So many questions in a row without an answer are a death.
const MISSES: u32 = 2;
/// A standby that is slow to answer is better than none for some seconds.
const MISSES_OF_A_STANDBY: u32 = 10;
/// How long something that failed is left alone.
const RETRY: Duration = Duration::from_secs(5);

/// Watches as long as somebody else holds the database.
pub(super) fn start(it: &Arc<Inner>) {
    let it = Arc::downgrade(it);
    thread::spawn(move || watch(&it));
}

fn watch(it: &Weak<Inner>) {
    let mut silent = Silent::default();
    let mut rests_until = Instant::now();
    loop {
        thread::sleep(EVERY);
        let Some(inner) = it.upgrade() else { return };
        let database = Database(inner);
        let _turn = database.turn();
        if database.is_over() {
            return;
        }
        if Instant::now() < rests_until {
            continue;
        }
        if let Err(err) = database.round(&mut silent) {
            database.note(&format!("{err:#}"));
            rests_until = Instant::now() + RETRY;
        }
    }
}

/// How often in a row each machine gave no answer, and since when.
#[derive(Default)]
struct Silent(BTreeMap<String, (u32, Instant)>);

impl Silent {
    fn count(&mut self, server: &Server, answers: bool) -> (u32, Duration) {
        if answers {
            self.0.remove(server.name());
            return (0, Duration::ZERO);
        }
        let (misses, since) = self.0.entry(server.name().to_owned()).or_insert((0, Instant::now()));
        *misses += 1;
        (*misses, since.elapsed())
    }
}

impl Database {
    fn has_power(&self, server: &Server) -> bool {
        (self.0.around.has_power)(server.address())
    }

    /// Whose turn it is looks at every machine, and does at most one thing.
    fn round(&self, silent: &mut Silent) -> anyhow::Result<()> {
        self.clear();
        let (primary, standby, replicas, pair) = {
            let state = self.state();
            let replicas: Vec<_> = state.replicas.iter().map(|it| (it.0.clone(), it.1.clone())).collect();
            (state.primary.clone(), state.standby.clone(), replicas, state.pair.clone())
        };
        let region = &self.0.region;
        let patience = self.0.spec.failover_delay;
        let (misses, dead_for) = silent.count(&primary, primary.answers(region));
        if misses > 0 {
            return match standby {
                _ if misses < MISSES => Ok(()),
                Some(it) if it.answers(region) => self
                    .fail_over("the primary does not answer")
                    .map_err(|err| err.context("failover failed")),
                // Nobody takes over, so it comes back itself.
                _ if primary.is_on() || dead_for < patience || !self.has_power(&primary) => Ok(()),
                _ => {
                    primary.revive(true)?;
                    self.note("the primary was restarted");
                    Ok(())
                }
            };
        }
        let free = pair.iter().find(|it| **it != primary.address());
        match (standby, free) {
            (None, Some(address)) if (self.0.around.has_power)(*address) => {
                return self.seed_standby(*address).map_err(|err| err.context("no new standby"));
            }
            (Some(it), Some(_)) => {
                let (misses, _) = silent.count(&it, it.answers(region));
                if misses >= MISSES_OF_A_STANDBY || misses > 0 && !it.is_on() {
                    self.note("the standby is dead");
                    self.state().standby = None;
                    self.discard(it);
                    return Ok(());
                }
            }
            (Some(it), None) => {
                self.note("the standby goes");
                self.state().standby = None;
                self.discard(it);
                return Ok(());
            }
            (None, _) => {}
        }
        for (name, it) in replicas {
            let (misses, dead_for) = silent.count(&it, it.is_on());
            if misses >= MISSES && dead_for >= patience && self.has_power(&it) {
                it.revive(false)?;
                self.note(&format!("replica {name} was restarted"));
            }
        }
        Ok(())
    }
}
