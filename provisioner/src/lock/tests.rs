//! The lock on a Parameter Store in memory.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::{FutureExt, future::BoxFuture, future::join_all};

use super::*;

/// Behaves as the Parameter Store does; yields at every call, so that takers interleave.
#[derive(Default)]
struct Memory {
    log: Mutex<(i64, Vec<Written>)>,
    /// How many versions are kept.
    keeps: Option<usize>,
    down: AtomicBool,
    calls: AtomicU32,
}

impl Memory {
    fn write(&self, text: &str) {
        let mut log = self.log.lock().unwrap();
        log.0 += 1;
        let (version, at) = (log.0, Timestamp::now());
        log.1.push(Written { version, at, entry: serde_json::from_str(text).unwrap() });
        if let Some(keeps) = self.keeps {
            let gone = log.1.len().saturating_sub(keeps);
            log.1.drain(..gone);
        }
    }

    async fn call(&self) -> aws::Result<()> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        for _ in 0..calls % 3 {
            tokio::task::yield_now().await;
        }
        match self.down.load(Ordering::Relaxed) {
            true => Err(aws::Error::refused("no network")),
            false => Ok(()),
        }
    }

    /// Makes every entry look as if it were written that long ago.
    fn age(&self, by: Duration) {
        self.log.lock().unwrap().1.iter_mut().for_each(|it| it.at = it.at.checked_sub(by).unwrap());
    }
}

impl Store for Memory {
    fn create<'a>(&'a self, text: &'a str) -> BoxFuture<'a, aws::Result<bool>> {
        async move {
            self.call().await?;
            let free = self.log.lock().unwrap().1.is_empty();
            if free {
                self.write(text);
            }
            Ok(free)
        }
        .boxed()
    }

    fn append<'a>(&'a self, text: &'a str) -> BoxFuture<'a, aws::Result<()>> {
        async move {
            self.call().await?;
            self.write(text);
            Ok(())
        }
        .boxed()
    }

    fn log(&self) -> BoxFuture<'_, aws::Result<Vec<Written>>> {
        async {
            self.call().await?;
            Ok(self.log.lock().unwrap().1.clone())
        }
        .boxed()
    }

    fn clear(&self) -> BoxFuture<'_, aws::Result<()>> {
        async {
            self.call().await?;
            *self.log.lock().unwrap() = (0, Vec::new());
            Ok(())
        }
        .boxed()
    }
}

fn on(boot: &str) -> Machine {
    Machine { owner: format!("kim@{boot}"), boot: Some(boot.to_owned()), ..Machine::this() }
}

/// A process number that nothing has: above the kernel's highest.
const NOBODY: u32 = 4_194_305;

async fn take(store: &Arc<Memory>, machine: Machine) -> Result<Lock, LockError> {
    let terms = Terms { pause: Duration::from_millis(1), ..TERMS };
    Lock::take_in(store.clone(), machine, "lab-vpc", "lamp up", terms).await
}

#[tokio::test]
async fn the_second_operator_is_told_who_holds_it_since_when_and_what_to_do() {
    let store = Arc::new(Memory::default());
    let lock = take(&store, on("desk")).await.unwrap();
    let err = take(&store, on("laptop")).await.err().unwrap().to_string();
    let since = store.log.lock().unwrap().1[0].entry.since.to_string();
    for part in ["lab-vpc", "kim@desk", "`lamp up`", &since, "`lamp unlock`"] {
        assert!(err.contains(part), "{part} in {err}");
    }
    lock.release().await.unwrap();
    assert!(take(&store, on("laptop")).await.unwrap().note().is_none());
}

#[tokio::test]
async fn a_lock_of_a_killed_process_of_this_machine_is_taken_over_at_once() {
    let store = Arc::new(Memory::default());
    std::mem::forget(take(&store, Machine { pid: NOBODY, ..on("desk") }).await.unwrap());
    let lock = take(&store, on("desk")).await.unwrap();
    assert!(lock.note().is_some_and(|it| it.contains("gone")), "{:?}", lock.note());
}

#[tokio::test]
async fn a_process_that_got_the_number_of_a_dead_one_is_not_its_heir() {
    let store = Arc::new(Memory::default());
    std::mem::forget(take(&store, on("desk")).await.unwrap());
    store.log.lock().unwrap().1[0].entry.started = Some(1);
    assert!(take(&store, on("desk")).await.is_ok());
}

#[tokio::test]
async fn a_lock_of_another_machine_is_taken_over_only_after_its_lease() {
    let store = Arc::new(Memory::default());
    std::mem::forget(take(&store, Machine { pid: NOBODY, ..on("desk") }).await.unwrap());
    store.age(TERMS.lease - Duration::from_secs(5));
    assert!(matches!(take(&store, on("laptop")).await, Err(LockError::Held { .. })));
    store.age(Duration::from_secs(10));
    assert!(take(&store, on("laptop")).await.unwrap().note().is_some());
}

#[tokio::test]
async fn of_many_who_take_over_at_once_exactly_one_gets_it() {
    for round in 0..50 {
        let store = Arc::new(Memory::default());
        std::mem::forget(take(&store, Machine { pid: NOBODY, ..on("desk") }).await.unwrap());
        store.calls.store(round, Ordering::Relaxed);
        let takers = join_all((0..4).map(|_| take(&store, on("desk")))).await;
        assert_eq!(takers.iter().filter(|it| it.is_ok()).count(), 1, "round {round}");
    }
}

#[tokio::test]
async fn one_who_takes_over_what_was_released_and_taken_meanwhile_loses() {
    let store = Arc::new(Memory::default());
    std::mem::forget(take(&store, Machine { pid: NOBODY, ..on("desk") }).await.unwrap());
    let dead = store.log().await.unwrap()[0].entry.stamp.clone();
    store.clear().await.unwrap();
    let lock = take(&store, on("desk")).await.unwrap();
    let late = Entry::new(&on("laptop"), "lamp down", "late", TERMS.lease).replacing(Some(dead));
    store.append(&late.text()).await.unwrap();
    assert!(lock.shared.ours().await.unwrap().is_some(), "the late entry does not count");
}

#[tokio::test]
async fn a_broken_lock_stops_the_run() {
    let store = Arc::new(Memory::default());
    let terms = Terms { lease: Duration::from_secs(60), renewal: Duration::from_millis(10), ..TERMS };
    let lock = Lock::take_in(store.clone(), on("desk"), "lab-vpc", "lamp up", terms).await.unwrap();
    let stop = Stop::default();
    lock.stops(&stop);
    sleep(Duration::from_millis(100)).await;
    assert!(!lock.is_lost() && !stop.is_asked());
    store.clear().await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(lock.is_lost() && stop.is_asked());
}

#[tokio::test]
async fn a_lock_that_cannot_be_renewed_in_time_counts_as_lost() {
    let store = Arc::new(Memory::default());
    let terms = Terms { lease: Duration::from_millis(100), renewal: Duration::from_millis(10), ..TERMS };
    let lock = Lock::take_in(store.clone(), on("desk"), "lab-vpc", "lamp up", terms).await.unwrap();
    store.down.store(true, Ordering::Relaxed);
    sleep(Duration::from_millis(300)).await;
    assert!(lock.is_lost());
}

#[tokio::test]
async fn renewals_outlive_the_number_of_versions_that_are_kept() {
    let store = Arc::new(Memory { keeps: Some(10), ..Memory::default() });
    let terms = Terms { lease: Duration::from_secs(60), renewal: Duration::from_millis(2), ..TERMS };
    let lock = Lock::take_in(store.clone(), on("desk"), "lab-vpc", "lamp up", terms).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(10 < store.log.lock().unwrap().0, "not enough renewals to prove anything");
    assert!(!lock.is_lost());
    assert!(matches!(take(&store, on("laptop")).await, Err(LockError::Held { .. })));
}

#[tokio::test]
async fn a_dropped_lock_is_released() {
    let store = Arc::new(Memory::default());
    drop(take(&store, on("desk")).await.unwrap());
    sleep(Duration::from_millis(50)).await;
    assert!(store.log.lock().unwrap().1.is_empty());
}
