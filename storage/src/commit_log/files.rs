//! The files of the log by position: append files with holes where some were given up, and rewrite files.
//!
//! A value inside `CommitLog`. Invariant: the last append file is the one that is written to; it is never given up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::manifest::FileRecord;
use crate::mapped_file::MappedFile;
use crate::position::Position;

/// Files by their base.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) appended: BTreeMap<u64, Arc<MappedFile>>,
    pub(crate) rewritten: BTreeMap<u64, Arc<MappedFile>>,
}

impl Files {
    /// The file that holds `position`.
    pub(crate) fn at(&self, position: Position) -> Option<&Arc<MappedFile>> {
        let files = if position.is_rewritten() { &self.rewritten } else { &self.appended };
        let (_, file) = files.range(..=position.0).next_back()?;
        (position < file.end()).then_some(file)
    }

    /// All files, append files first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<MappedFile>> {
        self.appended.values().chain(self.rewritten.values())
    }

    /// Files that nothing is appended to any more.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = &Arc<MappedFile>> {
        let sealed = self.appended.len().saturating_sub(1);
        self.appended.values().take(sealed).chain(self.rewritten.values())
    }

    /// Ranges of append files that are no more, from position 0 to the last file there is.
    pub(crate) fn holes(&self) -> Vec<(Position, Position)> {
        let mut expected = Position(0);
        let mut holes = Vec::new();
        for file in self.appended.values() {
            if file.base() > expected {
                holes.push((expected, file.base()));
            }
            expected = file.end();
        }
        holes
    }

    /// What a manifest or snapshot says of the rewrite files.
    pub(crate) fn rewritten_records(&self) -> Vec<FileRecord> {
        self.rewritten.values().map(|file| file.record()).collect()
    }

    /// Takes out the file that begins at `base`.
    pub(crate) fn remove(&mut self, base: Position) -> Option<Arc<MappedFile>> {
        let files = if base.is_rewritten() { &mut self.rewritten } else { &mut self.appended };
        files.remove(&base.0)
    }
}
