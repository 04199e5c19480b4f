//! The time that the engine waits by: tokio's, or in tests a simulated one.

use std::time::Duration;

use tokio::time::Instant;

pub(super) fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = simulated::now() {
        return now;
    }
    Instant::now()
}

pub(super) async fn sleep(pause: Duration) {
    #[cfg(test)]
    if simulated::now().is_some() {
        return simulated::sleep(pause).await;
    }
    tokio::time::sleep(pause).await;
}

/// Time that jumps to the next timer whenever nothing else can happen. Not tokio's own pausing
/// clock: its feature would change the crate, and with it every SDK would be built a second time.
#[cfg(test)]
pub(super) mod simulated {
    use std::{
        cell::RefCell,
        collections::BTreeMap,
        future::poll_fn,
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::{Context, Poll, Wake, Waker},
        time::Duration,
    };

    use tokio::time::Instant;

    struct Clock {
        now: Instant,
        /// Sleepers by the moment they wake; the number keeps those of one moment apart.
        sleepers: BTreeMap<(Instant, usize), Waker>,
        slept: usize,
    }

    thread_local! {
        static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
    }

    pub(in crate::engine) fn now() -> Option<Instant> {
        CLOCK.with_borrow(|it| it.as_ref().map(|it| it.now))
    }

    pub(in crate::engine) async fn sleep(pause: Duration) {
        let key = CLOCK.with_borrow_mut(|it| {
            let clock = it.as_mut().expect("inside `run`");
            clock.slept += 1;
            (clock.now + pause, clock.slept)
        });
        poll_fn(|cx| {
            CLOCK.with_borrow_mut(|it| {
                let clock = it.as_mut().expect("inside `run`");
                if key.0 <= clock.now {
                    return Poll::Ready(());
                }
                clock.sleepers.insert(key, cx.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Runs `work` to its end in simulated time.
    pub(in crate::engine) fn run<T>(work: impl Future<Output = T>) -> T {
        let clock = Clock { now: Instant::now(), sleepers: BTreeMap::new(), slept: 0 };
        CLOCK.set(Some(clock));
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut work = pin!(work);
        loop {
            while woken.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(end) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                    CLOCK.set(None);
                    return end;
                }
            }
            let next = CLOCK.with_borrow_mut(|it| {
                let clock = it.as_mut().expect("set above");
                let ((at, _), sleeper) = clock.sleepers.pop_first().expect("everything waits for nothing");
                clock.now = clock.now.max(at);
                sleeper
            });
            next.wake();
        }
    }
}
