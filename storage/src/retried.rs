//! Background work that is done in rounds, and its failures: said when they begin, when they change and when they are over.
//!
//! Called by the threads of `housekeeping` and `cleaner`. Invariant: a failure that lasts is one line in the log, not one a
//! round.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::engine::{Engine, Wake};
use crate::error::Error;

/// What failed last, in one thread's work.
#[derive(Debug)]
pub(crate) struct Retried {
    what: &'static str,
    failure: Option<String>,
}

impl Retried {
    /// `what` names the work.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, failure: None }
    }

    /// Does `round` again and again until the store is closed: when `wake` says so, or after the `pause` that is right while
    /// the work fails or does not; then `rest`.
    pub(crate) fn rounds(
        mut self,
        engine: &Engine,
        wake: &Wake,
        pause: impl Fn(bool) -> Duration,
        round: impl Fn(&Engine) -> Result<(), Arc<Error>>,
        rest: Duration,
    ) {
        loop {
            wake.wait_timeout(pause(self.failing()));
            if engine.is_closed() {
                return;
            }
            self.note(round(engine));
            // Closing unparks.
            thread::park_timeout(rest);
        }
    }

    /// Takes note of how a round went.
    fn note(&mut self, outcome: Result<(), Arc<Error>>) {
        let failure = outcome.err().map(|error| error.to_string());
        if failure == self.failure {
            return;
        }
        match &failure {
            Some(error) => tracing::warn!(error, "{} failed; it is tried again", self.what),
            None => tracing::info!("{} works again", self.what),
        }
        self.failure = failure;
    }

    /// Whether the last round failed.
    fn failing(&self) -> bool {
        self.failure.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_fails_until_a_round_succeeds() {
        let mut work = Retried::new("work");
        assert!(!work.failing());
        for _ in 0..2 {
            work.note(Err(Arc::new(Error::Closed)));
            assert!(work.failing());
        }
        work.note(Ok(()));
        assert!(!work.failing());
    }
}
