//! The two addresses of this project, kept apart by type.

use std::fmt;

/// Record number inside one partition, as Kafka counts it.
pub type Offset = i64;

/// Byte address in the commitlog. Never crosses the wire; never mixed up with an [`Offset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// The address `bytes` further on; no further than the last one, which is in no file, where damaged bytes claim more.
    #[must_use]
    pub fn plus(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
