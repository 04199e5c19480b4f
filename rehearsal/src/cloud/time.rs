//! AWS's time: it passes faster than this machine's, as the clock says, and stands still where a test says so.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    /// How much of it had passed when the clock was set.
    before: Duration,
    set: Instant,
    clock: u32,
}

impl Default for Time {
    fn default() -> Time {
        Time { before: Duration::ZERO, set: Instant::now(), clock: 1 }
    }
}

impl Time {
    /// What has passed since the cloud began.
    pub(super) fn now(&self) -> Duration {
        self.before.saturating_add(self.set.elapsed().saturating_mul(self.clock))
    }

    /// By what durations are divided from now on; nothing passes at 0.
    pub(super) fn set(&mut self, clock: u32) {
        *self = Time { before: self.now(), set: Instant::now(), clock };
    }

    /// What passes in so much of this machine's time.
    pub(super) fn within(&self, real: Duration) -> Duration {
        real.saturating_mul(self.clock.max(1))
    }

    /// How long to wait, on this machine's clock, before looking again whether that moment has come.
    pub(super) fn until(&self, moment: Duration) -> Option<Duration> {
        let left = moment.checked_sub(self.now()).filter(|it| !it.is_zero())?;
        // The clock may be set meanwhile.
        Some((left / self.clock.max(1)).clamp(Duration::from_millis(1), Duration::from_millis(500)))
    }

    #[cfg(test)]
    pub(super) fn pass(&mut self, time: Duration) {
        self.before += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn time_stands_still_and_goes_on_where_it_stood() {
        let mut time = Time::default();
        time.set(0);
        time.pass(MINUTE);
        let then = time.now();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(time.now(), then);
        assert!(time.until(then + MINUTE).is_some());
        assert_eq!(time.until(then), None);
        time.set(u32::MAX);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(time.until(then + MINUTE), None);
    }
}
