//! The front door: what AWS would answer, refuse and take its time for, and what can be made to go wrong.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod aws;
mod commands;
mod databases;
mod faults;
mod refusals;
mod states;

use std::sync::{LazyLock, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws::Aws;
use rehearsal::{Cloud, Options};

/// One cloud for all tests: each keeps to what it made itself. It ends with the program.
static CLOUD: LazyLock<Cloud> = LazyLock::new(|| Cloud::start(Options::default()).unwrap());

fn aws() -> Aws {
    Aws::new(&CLOUD.endpoint())
}

/// How many tests let time stand still.
static STILL: Mutex<u32> = Mutex::new(0);

/// While it is held nothing comes and nothing goes, so that a state is seen however slow the machine is.
struct Still;

fn still() -> Still {
    let mut held = STILL.lock().unwrap();
    *held += 1;
    CLOUD.set_clock(0);
    Still
}

impl Drop for Still {
    fn drop(&mut self) {
        let mut held = STILL.lock().unwrap();
        *held -= 1;
        if *held == 0 {
            CLOUD.set_clock(60);
        }
    }
}

/// Held by whoever lets the cloud answer everybody otherwise.
static ALONE: RwLock<()> = RwLock::new(());

/// Runs a test's calls.
fn block_on<F: Future>(it: F) -> F::Output {
    let _others = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    run(it)
}

/// Runs the calls of a test that would mislead the others, while none of them is under way.
fn block_on_alone<F: Future>(it: F) -> F::Output {
    let _nobody = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    run(it)
}

fn run<F: Future>(it: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(it)
}

/// Asks again and again until the answer is right; generous, since machines are slow and shared.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(it) = ask().await {
            return it;
        }
        assert!(
            began.elapsed() < Duration::from_secs(180),
            "waited 3 minutes until {what}: {:#?}",
            CLOUD.status()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
