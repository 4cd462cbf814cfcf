//! The wall and monotonic clocks of the harness. Real clients run in real time, so this room is the one place
//! that reads them; everything else asks here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock, for deadlines and durations.
#[expect(clippy::disallowed_methods, reason = "real clients are timed by the real clock")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the Unix epoch, as Kafka stamps records.
#[expect(clippy::disallowed_methods, reason = "record timestamps come from the real clock")]
#[must_use]
pub fn unix_millis() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Calls `attempt` until it answers `Some`, every `pause`, at most for `limit`; `None` when time ran out.
/// With a `limit` of zero it tries exactly once.
///
/// # Errors
/// The first error of `attempt` ends the wait.
pub fn poll_until<T>(
    limit: Duration,
    pause: Duration,
    mut attempt: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let deadline = now() + limit;
    loop {
        if let Some(value) = attempt()? {
            return Ok(Some(value));
        }
        if now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(pause);
    }
}
