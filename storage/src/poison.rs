//! The latch behind "a failed write or sync stops the log": set once, never cleared, seen by everyone.
//!
//! Every write and every sync of the commitlog goes through [`Poison::guard`], so no caller can forget it.

use std::io;
use std::sync::OnceLock;

use crate::error::Error;

/// Closed by the first failed write or sync.
#[derive(Debug, Default)]
pub(crate) struct Poison(OnceLock<String>);

impl Poison {
    /// Passes a success on; a failure closes the latch.
    pub(crate) fn guard<T>(&self, doing: &str, result: io::Result<T>) -> Result<T, Error> {
        result.map_err(|error| {
            let reason = format!("{doing}: {error}");
            tracing::error!(%reason, "the log stops: nothing is acknowledged from here on");
            Error::Poisoned(self.0.get_or_init(|| reason).clone())
        })
    }

    /// # Errors
    /// `Poisoned` when the latch is closed.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.reason().map_or(Ok(()), |reason| Err(Error::Poisoned(reason.to_owned())))
    }

    /// Why it is closed.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}
