//! AWS's durations on this machine's clock, and those that no clock can hurry.

use std::time::Duration;

use jiff::Timestamp;

/// A measure of less is noise.
const SHORTEST_PERIOD: Duration = Duration::from_secs(5);
/// What a host does after its boot takes its own time: software is installed, caches fill.
const SETTLING: u64 = 60;
/// A new host's first measures; its boot is over by then, unlike on AWS.
const WARMING: u64 = 15;

#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// AWS's durations are divided by this.
    pub(super) clock: u32,
}

impl Pace {
    /// The minute in which CloudWatch measures.
    pub(super) fn period(self) -> Duration {
        (Duration::from_secs(60) / self.clock.max(1)).max(SHORTEST_PERIOD)
    }

    /// A cooldown, a life.
    pub(super) fn span(self, seconds: u32) -> Duration {
        Duration::from_secs(seconds.into()) / self.clock.max(1)
    }

    /// How long a new host's health is not judged.
    pub(super) fn grace(self, seconds: u32) -> Duration {
        self.span(seconds).max(Duration::from_secs(u64::from(seconds).min(SETTLING)))
    }

    /// How long a new host's load does not count.
    pub(super) fn warmup(self, seconds: u32) -> Duration {
        self.span(seconds).max(Duration::from_secs(u64::from(seconds).min(WARMING)))
    }
}

/// Whether so much time has passed since then.
pub(super) fn is_over(now: Timestamp, since: Timestamp, span: Duration) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|it| it >= span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shortens_what_it_can_and_nothing_else() {
        let (real, fast) = (Pace { clock: 1 }, Pace { clock: 60 });
        let seconds = |it: Duration| it.as_secs();
        assert_eq!((seconds(real.period()), seconds(fast.period())), (60, 5));
        assert_eq!((seconds(real.span(300)), seconds(fast.span(300))), (300, 5));
        assert_eq!(
            (seconds(real.grace(300)), seconds(fast.grace(300)), seconds(fast.grace(20))),
            (300, 60, 20)
        );
        assert_eq!(
            (seconds(real.warmup(60)), seconds(fast.warmup(60)), seconds(fast.warmup(0))),
            (60, 15, 0)
        );
    }
}
