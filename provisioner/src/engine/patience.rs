//! How long to wait and how often to look.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::clock::{now, sleep};

/// Growing pauses until a deadline: dense at first, since most things are ready at once; never more
/// than five seconds apart, since every blind second is one that the operator waits.
pub(super) struct Patience {
    deadline: Instant,
    pub pause: Duration,
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(super) fn new(budget: Duration) -> Self {
        Patience { deadline: now() + budget, pause: Self::FIRST }
    }

    pub(super) fn is_over(&self) -> bool {
        self.deadline <= now()
    }

    /// Sleeps once, a little longer each time.
    pub(super) async fn wait(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 3 / 2).min(Self::LONGEST);
    }

    /// Sleeps with jitter, so that what was refused together is not tried together again.
    pub(super) async fn back_off(&mut self) {
        let jitter = rand::rng().random_range(0.5..1.5);
        sleep(self.pause.mul_f64(jitter)).await;
        self.pause = (self.pause * 2).min(Self::LONGEST);
    }
}
