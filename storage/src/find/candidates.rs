//! Where a key may be: offsets from the key tables, and from reading what no key table covers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::Search;
use crate::error::Error;
use crate::index_file::{IndexFile, PartitionRow, TopicRows, each_record, key_hash};
use crate::partition_log::PartitionLog;
use crate::position::{Offset, Position};
use crate::read::Piece;

/// Offsets kept over all partitions in one go; of a key with more records the older ones are looked up again once the newer
/// ones are through.
const MAX_KEPT: usize = 1 << 20;
/// ... but of each partition at least so many.
const MIN_KEPT_PER_PARTITION: usize = 1024;
/// Queue entries looked at while a partition is locked.
const ENTRIES_AT_ONCE: usize = 1024;

/// The newest offsets of one partition that may have the key, each once.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    offsets: BTreeSet<Offset>,
    most: usize,
    /// Offsets below this one were left out.
    dropped_below: Option<Offset>,
}

impl Candidates {
    fn new(most: usize) -> Self {
        Self { offsets: BTreeSet::new(), most, dropped_below: None }
    }

    fn add(&mut self, offset: Offset) {
        self.offsets.insert(offset);
        if self.offsets.len() > self.most {
            self.offsets.pop_first();
            self.dropped_below = self.offsets.first().copied();
        }
    }

    pub(super) fn take_newest(&mut self) -> Option<Offset> {
        self.offsets.pop_last()
    }

    /// Below which offset to look again, when not all were kept.
    pub(super) fn dropped_below(&self) -> Option<Offset> {
        self.dropped_below
    }

    /// The batch that begins here was read to its first record.
    pub(super) fn forget_from(&mut self, offset: Offset) {
        drop(self.offsets.split_off(&offset));
        self.dropped_below = self.dropped_below.map(|below| below.min(offset));
    }
}

impl Search<'_> {
    /// Offsets below those given that may have the key, for the partitions given that have any.
    pub(super) fn candidates(
        &self,
        below: &BTreeMap<i32, Offset>,
    ) -> Result<BTreeMap<i32, Candidates>, Error> {
        let most = (MAX_KEPT / below.len().max(1)).max(MIN_KEPT_PER_PARTITION);
        let mut candidates: BTreeMap<i32, Candidates> = BTreeMap::new();
        let mut add = |partition: i32, offset: Offset| {
            if below.get(&partition).is_some_and(|below| offset < *below) {
                candidates.entry(partition).or_insert_with(|| Candidates::new(most)).add(offset);
            }
        };
        let covered = self.search_key_tables(&mut add)?;
        for (partition, below) in below {
            let partition = usize::try_from(*partition).ok().and_then(|index| self.partitions.get(index));
            if let Some(partition) = partition {
                self.search_batches(partition, *below, &covered, &mut add)?;
            }
        }
        Ok(candidates)
    }

    /// Also says which commitlog files need not be read any more.
    fn search_key_tables(&self, add: &mut impl FnMut(i32, Offset)) -> Result<Covered, Error> {
        let (hash, mut covered) = (key_hash(self.topic, self.key), Covered::default());
        for (file, index) in &self.sources.0 {
            self.engine.check_open()?;
            let searched = match index {
                Some(index) => {
                    let searched = self.search_key_table(index, hash, add);
                    self.engine.index_files.unless_damaged(index, searched)?
                }
                None => None,
            };
            match searched {
                Some(rows) => covered.add(file.base().0, file.end().0, &rows.rows),
                None => {
                    covered.gap = true;
                    covered.rewritten_gap |= file.base().is_rewritten();
                }
            }
        }
        Ok(covered)
    }

    fn search_key_table(
        &self,
        index: &IndexFile,
        hash: u64,
        add: &mut impl FnMut(i32, Offset),
    ) -> Result<TopicRows, Error> {
        let rows = index.rows_of(self.topic)?;
        index.look_up(&rows, hash, |partition, offset| {
            if let Ok(partition) = i32::try_from(partition) {
                add(partition, offset);
            }
        })?;
        Ok(rows)
    }

    /// Reads the batches of `partition` that lie in files without a key table.
    fn search_batches(
        &self,
        partition: &PartitionLog,
        below: Offset,
        covered: &Covered,
        add: &mut impl FnMut(i32, Offset),
    ) -> Result<(), Error> {
        let mut from = covered.first_to_read(partition).max(partition.log_start_offset());
        while from < below {
            self.engine.check_open()?;
            let (pieces, next) = self.uncovered(partition, from, below, covered)?;
            for piece in pieces {
                each_record(piece.checked(partition)?, |record| {
                    if record.record.key == Some(self.key) {
                        add(partition.partition(), record.offset);
                    }
                    ControlFlow::Continue(())
                });
            }
            let Some(next) = next else { return Ok(()) };
            from = next;
        }
        Ok(())
    }

    /// Batches from `from` on that are not covered, some at a time, and where to go on.
    fn uncovered(
        &self,
        partition: &PartitionLog,
        from: Offset,
        below: Offset,
        covered: &Covered,
    ) -> Result<(Vec<Piece>, Option<Offset>), Error> {
        let (log, extents) = (&self.engine.log, &self.engine.extents);
        let (mut pieces, mut seen, mut next, mut lost): (Vec<Piece>, _, _, _) = (Vec::new(), 0, None, None);
        partition.state().queue.visit_from(from, extents, |entry| {
            if entry.base_offset >= below {
                return false;
            }
            if seen == ENTRIES_AT_ONCE {
                next = Some(entry.base_offset);
                return false;
            }
            seen += 1;
            if covered.holds(entry.position) {
                return true;
            }
            match Piece::locate(log, entry, pieces.last()) {
                Ok(piece) => pieces.push(piece),
                Err(error) => lost = Some(error),
            }
            lost.is_none()
        })?;
        lost.map_or(Ok((pieces, next)), Err)
    }
}

/// Commitlog files whose key tables were searched.
#[derive(Debug, Default)]
struct Covered {
    /// Base and end of each, sorted.
    files: Vec<(u64, u64)>,
    /// A file was not searched.
    gap: bool,
    /// A rewrite file was not searched.
    rewritten_gap: bool,
    /// Below these offsets of a partition every record is in a file that was searched.
    complete_below: BTreeMap<u32, Offset>,
}

impl Covered {
    /// Files come in the order of their bases: append files, then rewrite files, which hold copies of append files that are
    /// sealed. In append files offsets grow with positions, so what was searched is complete up to the first gap; and what
    /// rewrite files hold comes before the file being appended to.
    fn add(&mut self, base: u64, end: u64, rows: &[PartitionRow]) {
        self.files.push((base, end));
        if self.gap {
            return;
        }
        for row in rows {
            let below = self.complete_below.entry(row.partition).or_default();
            *below = row.last_offset.saturating_add(1).max(*below);
        }
    }

    fn holds(&self, position: Position) -> bool {
        let after = self.files.partition_point(|(base, _)| *base <= position.0);
        after.checked_sub(1).is_some_and(|at| position.0 < self.files[at].1)
    }

    fn first_to_read(&self, partition: &PartitionLog) -> Offset {
        // Nobody knows which offsets a rewrite file holds that was not searched.
        let complete =
            self.complete_below.get(&partition.partition().unsigned_abs()).filter(|_| !self.rewritten_gap);
        complete.copied().unwrap_or(0)
    }
}
