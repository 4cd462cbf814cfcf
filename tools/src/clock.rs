//! The one room that reads the time and sleeps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, to measure with.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Waits.
pub(crate) fn sleep(time: Duration) {
    std::thread::sleep(time);
}
