//! The one room that reads the time and sleeps.

use std::time::{Duration, Instant};

/// Now, to measure with.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits.
pub(crate) fn sleep(time: Duration) {
    std::thread::sleep(time);
}
