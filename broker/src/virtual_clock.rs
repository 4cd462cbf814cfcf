//! Time that a test moves: the machine's clock, put ahead by what the test asked for.
//!
//! Made by `Broker::open_with` in test mode, moved by the control API through [`advance`], and nowhere else. Invariants: time of
//! day and deadlines are put ahead together, never back; between two moves the clock runs as the machine's, it never
//! advances by itself; everybody who sleeps until one of its deadlines looks again when it moves. What guards the process
//! and not the protocol stays on the machine's clock: idle and stalled connections, durations in metrics, rates.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use storage::Clock;
use thiserror::Error;
use tokio::sync::watch;

use crate::broker::Broker;

/// A hundred years: further ahead, deadlines would leave what the system's clock can express.
const MOST_AHEAD: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Why the clock was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum AdvanceError {
    /// Its time is everybody's time.
    #[error("the clock of a broker that is not in test mode cannot be moved")]
    NotInTestMode,
    /// In all, not by one move.
    #[error("the clock can be moved by {} ms in all, no further", MOST_AHEAD.as_millis())]
    TooFar,
}

/// See the module.
pub(crate) struct VirtualClock {
    real: Arc<dyn Clock>,
    ahead_ms: AtomicU64,
    moved: watch::Sender<()>,
}

impl VirtualClock {
    pub(crate) fn over(real: Arc<dyn Clock>) -> Self {
        Self { real, ahead_ms: AtomicU64::new(0), moved: watch::Sender::new(()) }
    }

    /// How far it was moved in all.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::Acquire))
    }

    fn move_by(&self, by: Duration) -> Result<(), AdvanceError> {
        let most = u64::try_from(MOST_AHEAD.as_millis()).expect("a century in ms fits");
        let by = u64::try_from(by.as_millis()).map_err(|_| AdvanceError::TooFar)?;
        let moved = |ahead: u64| ahead.checked_add(by).filter(|ahead| *ahead <= most);
        self.ahead_ms
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, moved)
            .map_err(|_| AdvanceError::TooFar)?;
        self.moved.send_replace(());
        Ok(())
    }

    /// Ends when this clock is `wait` further than now.
    async fn sleep(&self, wait: Duration) {
        // Before the deadline is made: a move in between would be missed.
        let mut moved = self.moved.subscribe();
        let Some(deadline) = self.instant().checked_add(wait) else { return std::future::pending().await };
        loop {
            let left = deadline.saturating_duration_since(self.instant());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                outcome = moved.changed() => outcome.expect("the sender is this clock's own"),
            }
        }
    }
}

impl Clock for VirtualClock {
    fn now_ms(&self) -> i64 {
        let ahead = i64::try_from(self.ahead_ms.load(Ordering::Acquire)).unwrap_or(i64::MAX);
        self.real.now_ms().saturating_add(ahead)
    }

    /// What is measured took as long as it took.
    fn elapsed(&self) -> Duration {
        self.real.elapsed()
    }

    fn instant(&self) -> Instant {
        self.real.instant() + self.ahead()
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualClock").field("ahead", &self.ahead()).finish_non_exhaustive()
    }
}

impl Broker {
    /// Sleeps on the broker's clock.
    pub(crate) async fn sleep(&self, wait: Duration) {
        match &self.virtual_clock {
            None => tokio::time::sleep(wait).await,
            // Boxed: a fetch that is parked outside of test mode does not carry its state.
            Some(clock) => Box::pin(clock.sleep(wait)).await,
        }
    }
}

/// Moves the broker's time forward. On return every deadline of a group, a transaction or a share partition that is over by now has been acted
/// upon; what that writes to the log, and what retention deletes, follows within moments. Parked fetches whose time is over are
/// on their way to answer.
///
/// # Errors
/// Not in test mode; too far. Nothing was moved then.
pub(crate) async fn advance(broker: &Broker, by: Duration) -> Result<(), AdvanceError> {
    let clock = broker.virtual_clock.as_ref().ok_or(AdvanceError::NotInTestMode)?;
    clock.move_by(by)?;
    broker.store.clock_moved();
    broker.groups.clock_moved().await;
    broker.transactions.clock_moved().await;
    broker.share_partitions.clock_moved().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use storage::SystemClock;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn clock() -> VirtualClock {
        VirtualClock::over(Arc::new(SystemClock))
    }

    #[test]
    fn time_of_day_and_deadlines_move_together_and_measured_time_does_not() {
        let clock = clock();
        let before = (clock.now_ms(), clock.instant(), clock.elapsed());
        clock.move_by(HOUR).unwrap();
        let after = (clock.now_ms(), clock.instant(), clock.elapsed());
        assert!((3_600_000..3_660_000).contains(&(after.0 - before.0)));
        assert!((HOUR..HOUR + Duration::from_mins(1)).contains(&(after.1 - before.1)));
        assert!(after.2 - before.2 < Duration::from_mins(1));
        assert_eq!(clock.ahead(), HOUR);
    }

    #[test]
    fn clock_refuses_to_leave_what_can_be_expressed_and_stays_where_it_was() {
        let clock = clock();
        clock.move_by(HOUR).unwrap();
        for too_far in [MOST_AHEAD, Duration::MAX] {
            assert_eq!(clock.move_by(too_far), Err(AdvanceError::TooFar));
        }
        assert_eq!(clock.ahead(), HOUR);
        clock.move_by(MOST_AHEAD - HOUR).unwrap();
        assert_eq!(clock.ahead(), MOST_AHEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn sleeper_is_done_when_moves_and_real_time_add_up_to_its_deadline() {
        let (clock, began) = (clock(), tokio::time::Instant::now());
        let (slept, ()) = tokio::join!(
            async {
                clock.sleep(HOUR).await;
                began.elapsed()
            },
            async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                clock.move_by(HOUR / 2).unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                clock.move_by(HOUR / 2).unwrap();
            }
        );
        assert!(slept < Duration::from_secs(1), "{slept:?}");
    }
}
