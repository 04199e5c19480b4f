//! Notices that a primary is dead and lets the standby take over.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::{Database, Inner};

const EVERY: Duration = Duration::from_millis(500);
/// So many questions in a row without an answer are a death.
const MISSES: u32 = 2;

/// Watches as long as somebody else holds the database.
pub(super) fn start(it: &Arc<Inner>) {
    let it = Arc::downgrade(it);
    thread::spawn(move || watch(&it));
}

fn watch(it: &Weak<Inner>) {
    let mut misses = 0;
    loop {
        thread::sleep(EVERY);
        let Some(inner) = it.upgrade() else { return };
        let database = Database(inner);
        let (primary, may_fail_over) = {
            let state = database.state();
            (state.primary.clone(), state.standby.is_some() && !state.busy)
        };
        if !may_fail_over || primary.answers(&database.0.region) {
            misses = 0;
            continue;
        }
        misses += 1;
        if misses >= MISSES {
            misses = 0;
            if let Err(err) = database.fail_over("the primary does not answer") {
                database.note(&format!("failover failed: {err:#}"));
            }
        }
    }
}
