//! How long the steps of an append take: waiting for the append lock, writing under it, syncing.
//!
//! Recorded by `append` and `flush`, read through [`crate::Store::facts`]. Invariant: recording takes no lock and
//! allocates nothing, so it may be done under the append lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, microseconds: from an uncontended lock to a disk that hangs.
pub const BOUNDS_US: [u64; 16] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 50_000, 200_000, 1_000_000, 5_000_000];

/// Durations counted in buckets of [`BOUNDS_US`].
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// The last one is above all bounds.
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// What a `Timing` had counted at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimingCounts {
    /// For each of [`BOUNDS_US`], how many took longer than the bound before it and at most this long; then those above all.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// Of all, together.
    pub sum: Duration,
}

/// The steps.
#[derive(Debug, Default)]
pub(crate) struct Timings {
    pub(crate) wait: Timing,
    pub(crate) write: Timing,
    pub(crate) sync: Timing,
}

impl Timing {
    pub(crate) fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> TimingCounts {
        let counts = std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed));
        TimingCounts { counts, sum: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_first_bucket_that_holds_them() {
        let timing = Timing::default();
        for us in [0, 1, 2, 3, 5_000_000, 5_000_001] {
            timing.record(Duration::from_micros(us));
        }
        let counted = timing.counts();
        assert_eq!((counted.counts[0], counted.counts[1], counted.counts[2]), (2, 1, 1));
        assert_eq!((counted.counts[15], counted.counts[16]), (1, 1));
        assert_eq!(counted.sum, Duration::from_micros(10_000_007));
    }
}
