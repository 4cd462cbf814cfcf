//! What an inspection finds, as values; `onelog log` prints them.

use std::fmt;
use std::path::PathBuf;

use crate::position::{Offset, Position};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What a crash leaves behind and the next start puts in order.
    Note,
    /// Something derived from the log is bad; it can be made anew from the log.
    Rebuildable,
    /// Bytes of the log itself, or of the directory's identity, are bad or gone.
    Damage,
}

impl Severity {
    /// As one word: "note", "rebuildable", "damage".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Rebuildable => "rebuildable",
            Self::Damage => "damage",
        }
    }
}

/// Records of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRange {
    /// Number of the topic in this log.
    pub topic: u32,
    /// Its name, when something whole says so.
    pub name: Option<String>,
    /// The partition.
    pub partition: u32,
    /// First offset.
    pub first: Offset,
    /// Last offset.
    pub last: Offset,
    /// Something whole names these very offsets; otherwise they are what is missing between the neighbours.
    pub exact: bool,
}

/// One bad thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub file: PathBuf,
    /// First bad byte in the file.
    pub at: u64,
    /// How many bytes it reaches; 0 when that is not known.
    pub len: u64,
    /// The same place in the log, for commitlog files.
    pub position: Option<Position>,
    /// What is wrong.
    pub what: String,
    /// What it leads to, and what can be done.
    pub meaning: String,
    /// Records that are lost by it, or cannot be found because of it.
    pub offsets: Vec<OffsetRange>,
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "topic {name}")?,
            None => write!(f, "topic number {}", self.topic)?,
        }
        write!(f, " partition {} ", self.partition)?;
        if self.first == self.last {
            write!(f, "offset {}", self.first)?;
        } else {
            write!(f, "offsets {} to {}", self.first, self.last)?;
        }
        if self.exact { Ok(()) } else { write!(f, " (missing between its neighbours)") }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: byte {}", self.severity.name(), self.file.display(), self.at)?;
        if self.len > 0 {
            write!(f, ", {} bytes", self.len)?;
        }
        if let Some(position) = self.position {
            write!(f, " (log position {position})")?;
        }
        write!(f, ": {}", self.what)?;
        for range in &self.offsets {
            write!(f, "; {range}")?;
        }
        write!(f, ". {}", self.meaning)
    }
}
