//! The cloud in memory.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    future::pending,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    aws::{self, Tags},
    engine::{Phase, clock},
};

thread_local! {
    static CLOUD: RefCell<Cloud> = RefCell::default();
}

/// Looks at the cloud of this test, or changes it behind the engine's back.
pub(crate) fn cloud<T>(with: impl FnOnce(&mut Cloud) -> T) -> T {
    CLOUD.with_borrow_mut(with)
}

#[derive(Default)]
pub(crate) struct Cloud {
    /// By id.
    pub(crate) things: BTreeMap<String, Thing>,
    /// Every changing call, in order: `create vpc`, `configure vpc`, `delete vpc`.
    pub(crate) calls: Vec<String>,
    /// Errors that calls will meet.
    pub(crate) faults: Vec<Fault>,
    /// How long things take until they are ready and until they are gone, by their name.
    /// How many of the next that are made fail afterwards.
    pub(crate) fail_when_made: usize,
    pub(crate) ready_after: HashMap<String, Duration>,
    pub(crate) gone_after: HashMap<String, Duration>,
    /// How long a new thing is missing from listings.
    pub(crate) shows_after: Duration,
    pub(crate) reads: usize,
    made: usize,
    kill_at: Option<usize>,
    killed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) kind: &'static str,
    pub(crate) node: String,
    pub(crate) size: u32,
    pub(crate) shape: String,
    /// Ids.
    pub(crate) needs: Vec<String>,
    pub(crate) tags: Tags,
    pub(crate) failed: Option<String>,
    pub(crate) made: Instant,
    pub(crate) ready: Instant,
    /// The size with which it never gets ready.
    pub(crate) stuck_at: Option<u32>,
    pub(crate) gone: Option<Instant>,
}

/// What a call will meet.
pub(crate) struct Fault {
    /// `create vpc`.
    pub(crate) call: &'static str,
    pub(crate) error: aws::Error,
    /// Whether the call has its effect all the same.
    pub(crate) works: bool,
    pub(crate) times: usize,
}

/// An error with one of AWS's codes.
pub(crate) fn error(code: &str) -> aws::Error {
    let mut err = aws::Error::refused("says the toy cloud");
    err.call = "toy:Call".into();
    err.code = code.into();
    err
}

/// How long a call takes.
const CALL: Duration = Duration::from_millis(200);

impl Cloud {
    pub(crate) fn fault(&mut self, call: &'static str, code: &str, works: bool, times: usize) {
        self.faults.push(Fault { call, error: error(code), works, times });
    }

    /// All that is there, by node: size, what it needs, and nothing that differs between two runs.
    pub(crate) fn state(&self) -> Vec<(String, u32, Vec<String>)> {
        let node_of = |id: &String| self.things.get(id).map_or_else(String::new, |it| it.node.clone());
        let mut state: Vec<_> = (self.things.values().filter(|it| !it.is_gone()))
            .map(|it| (it.node.clone(), it.size, it.needs.iter().map(node_of).collect()))
            .collect();
        state.sort();
        state
    }

    pub(crate) fn thing(&mut self, node: &str) -> &mut Thing {
        self.things.values_mut().find(|it| it.node == node).expect("a thing of that node")
    }

    /// Puts a thing there behind the engine's back.
    pub(crate) fn put(&mut self, thing: Thing) -> String {
        self.made += 1;
        let id = format!("id-{}", self.made);
        self.things.insert(id.clone(), thing);
        id
    }

    pub(super) fn kill_at(&mut self, nth: Option<usize>) {
        (self.kill_at, self.killed) = (nth, false);
        self.calls.clear();
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed
    }
}

impl Thing {
    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_some_and(|it| it <= clock::now())
    }

    pub(super) fn phase(&self) -> Phase {
        match (&self.failed, self.gone) {
            (Some(why), _) => Phase::Failed(why.clone()),
            (None, Some(_)) => Phase::Pending("deleting".into()),
            (None, None) if self.stuck_at == Some(self.size) => Phase::Pending("stuck".into()),
            (None, None) if clock::now() < self.ready => Phase::Pending("pending".into()),
            (None, None) => Phase::Ready,
        }
    }
}

/// A changing call: takes its time, has its effect, meets its fault.
pub(super) async fn call<T>(
    name: String,
    effect: impl FnOnce(&mut Cloud) -> aws::Result<T>,
) -> aws::Result<T> {
    clock::sleep(CALL).await;
    let (end, killed) = cloud(|it| {
        it.calls.push(name.clone());
        it.killed |= it.kill_at == Some(it.calls.len());
        let fault = it.faults.iter_mut().find(|it| it.call == name && 0 < it.times);
        let fault = fault.map(|it| {
            it.times -= 1;
            (it.error.clone(), it.works)
        });
        let end = match fault {
            None => effect(it),
            Some((err, true)) => effect(it).and(Err(err)),
            Some((err, false)) => Err(err),
        };
        (end, it.killed)
    });
    if killed {
        // The process is dead: nobody hears the answer.
        pending::<()>().await;
    }
    end
}

/// A listing.
pub(super) async fn read() -> Vec<(String, Thing)> {
    clock::sleep(CALL / 2).await;
    cloud(|it| {
        it.reads += 1;
        let shows_after = it.shows_after;
        let shown = |thing: &Thing| thing.made + shows_after <= clock::now() && !thing.is_gone();
        it.things.iter().filter(|(_, it)| shown(it)).map(|(id, it)| (id.clone(), it.clone())).collect()
    })
}
