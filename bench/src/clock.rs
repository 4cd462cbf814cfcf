//! The clocks of the load generator. It measures real brokers in real time, so this room is the one place that reads
//! them; every other room asks here.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a benchmark takes the time of this machine's clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Since the Unix epoch, for record timestamps and names of result files.
#[expect(clippy::disallowed_methods, reason = "record timestamps come from the real clock")]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// Date and time as text, in UTC.
///
/// # Errors
/// `date` does not run.
pub(crate) fn date() -> Result<String> {
    let output =
        Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output().context("cannot run date")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Sleeps until `due`; returns at once when that has passed.
pub(crate) fn sleep_until(due: Instant) {
    let left = due.saturating_duration_since(now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

/// Calls `attempt` every `pause` until it answers `Some`; `None` after `limit`.
///
/// # Errors
/// The first error of `attempt` ends the wait.
pub(crate) fn poll_until<T>(
    limit: Duration,
    pause: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
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
