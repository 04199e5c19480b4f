//! What is known to be ours in services that cannot list by tag, so that looking again while acting
//! asks for those few things alone instead of for everything in the account.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Aws, Tags};

/// By kind. Begins empty; each [`crate::engine::observe`] begins anew.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<&'static str, Entry>>);

#[derive(Default)]
struct Entry {
    /// Whether nothing of ours can be missing here.
    complete: bool,
    /// Moves with every doubt, so that a look which began before it does not count as complete.
    doubts: u64,
    ids: BTreeMap<String, Tags>,
}

impl Known {
    fn entries(&self) -> MutexGuard<'_, HashMap<&'static str, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Aws {
    /// The ids of ours with their tags; `None` while something may be missing and a full look is due.
    pub fn known(&self, kind: &'static str) -> Option<BTreeMap<String, Tags>> {
        let entries = self.known.entries();
        entries.get(kind).filter(|it| it.complete).map(|it| it.ids.clone())
    }

    /// To be asked for before a full look, and handed to [`Aws::knows`] with its result.
    pub fn doubts(&self, kind: &'static str) -> u64 {
        self.known.entries().entry(kind).or_default().doubts
    }

    /// A full look has found these; what was made meanwhile stays known.
    pub fn knows(&self, kind: &'static str, doubts: u64, all: BTreeMap<String, Tags>) {
        let mut entries = self.known.entries();
        let entry = entries.entry(kind).or_default();
        entry.ids.extend(all);
        entry.complete = entry.doubts == doubts;
    }

    /// One was made and AWS said so.
    pub fn made(&self, kind: &'static str, id: &str, tags: &Tags) {
        let mut entries = self.known.entries();
        entries.entry(kind).or_default().ids.insert(id.to_owned(), tags.clone());
    }

    /// An answer was lost, a tag was changed, or a known one does not show: the next look is a full one.
    /// What was made stays known, since AWS may only be slow to show it.
    pub fn doubt(&self, kind: &'static str) {
        let mut entries = self.known.entries();
        let entry = entries.entry(kind).or_default();
        entry.complete = false;
        entry.doubts += 1;
    }

    /// Everything is looked at anew, as if nothing had been read before.
    pub fn look_afresh(&self) {
        self.look_again();
        self.known.entries().values_mut().for_each(|it| {
            *it = Entry { complete: false, doubts: it.doubts + 1, ids: BTreeMap::new() };
        });
    }
}
