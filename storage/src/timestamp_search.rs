//! Finding records by timestamp (Kafka `UnifiedLog.fetchOffsetByTimestamp`, `FileRecords.searchForTimestamp`).
//!
//! Called by `store`. The queue's running maximum finds the batch, then that one batch is decoded. Timestamps may come
//! in any order; the answer is what a scan of all records would give. Batches are looked up and checked as `read` does.

use std::ops::{ControlFlow, Range};

use protocol::record_batch::RecordBatchView;
use protocol::record_lookup;

use crate::commit_log::CommitLog;
use crate::consume_queue::{Entry, Extents};
use crate::error::ReadError;
use crate::partition_log::PartitionLog;
use crate::position::Offset;
use crate::read::{Piece, visit};

/// A batch that decompresses to more than this is not searched; its first record stands for it.
const DECOMPRESSED_CAP: usize = 64 * 1024 * 1024;

/// A record found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Offset of the record.
    pub offset: Offset,
    /// Its timestamp, ms.
    pub timestamp: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: i32,
}

/// The first record at or above the log start, below `limit`, in the first batch whose maximum reaches `timestamp`,
/// with a timestamp of at least that.
pub(crate) fn first_at_or_after(
    log: &CommitLog,
    extents: &Extents,
    partition: &PartitionLog,
    timestamp: i64,
    limit: Offset,
) -> Result<Option<TimestampOffset>, ReadError> {
    let log_start = partition.log_start_offset();
    let limit = limit.min(partition.log_end_offset());
    let Some(mut from) = partition.state().queue.first_page_reaching(timestamp, log_start) else {
        return Ok(None);
    };
    from = from.max(log_start);
    while from < limit {
        let wanted = |entry: &Entry| entry.max_timestamp >= timestamp;
        let Some(piece) = next_piece(log, extents, partition, from..limit, wanted)? else {
            return Ok(None);
        };
        let found = search(partition, &piece, |view| {
            record_lookup::first_record_at_or_after(view, timestamp, log_start, DECOMPRESSED_CAP)
        })?;
        if let Some(found) = found {
            return Ok(Some(found).filter(|found| found.offset < limit));
        }
        from = piece.entry.last_offset() + 1;
    }
    Ok(None)
}

/// The first record that carries the greatest timestamp between log start and `limit`.
pub(crate) fn greatest(
    log: &CommitLog,
    extents: &Extents,
    partition: &PartitionLog,
    limit: Offset,
) -> Result<Option<TimestampOffset>, ReadError> {
    let limit = limit.min(partition.log_end_offset());
    let mut best: Option<Entry> = None;
    let ranges = partition.state().queue.ranges_with_greatest(partition.log_start_offset(), limit);
    for range in ranges {
        visit(extents, partition, range.start, |entry| {
            if entry.base_offset >= range.end {
                return ControlFlow::Break(());
            }
            if entry.max_timestamp >= 0 && best.is_none_or(|best| entry.max_timestamp > best.max_timestamp) {
                best = Some(*entry);
            }
            ControlFlow::Continue(())
        })?;
    }
    let Some(best) = best else { return Ok(None) };
    // Its place may be another by now.
    let offsets = best.base_offset..best.base_offset + 1;
    match next_piece(log, extents, partition, offsets, |entry| entry.base_offset == best.base_offset)? {
        Some(piece) => {
            search(partition, &piece, |view| record_lookup::max_timestamp_record(view, DECOMPRESSED_CAP))
        }
        None => Ok(None),
    }
}

/// The first wanted batch that holds an offset in `offsets` and is still there.
fn next_piece(
    log: &CommitLog,
    extents: &Extents,
    partition: &PartitionLog,
    offsets: Range<Offset>,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<Option<Piece>, ReadError> {
    let found = visit(extents, partition, offsets.start, |entry| {
        if entry.base_offset >= offsets.end {
            return ControlFlow::Break(None);
        }
        if wanted(entry) {
            return ControlFlow::Break(Some(Piece::locate(log, entry, None)));
        }
        ControlFlow::Continue(())
    })?;
    Ok(found.flatten().transpose()?)
}

/// Decodes one batch. A batch that cannot be decoded (a client compressed garbage) answers with its first record.
fn search<E>(
    partition: &PartitionLog,
    piece: &Piece,
    pick: impl Fn(&RecordBatchView<'_>) -> Result<Option<(Offset, i64)>, E>,
) -> Result<Option<TimestampOffset>, ReadError> {
    piece.read_ahead();
    let (entry, bytes) = (&piece.entry, piece.checked(partition)?);
    let picked = match RecordBatchView::parse(bytes) {
        Ok(view) => pick(&view).unwrap_or(Some((entry.base_offset, entry.max_timestamp))),
        Err(_) => Some((entry.base_offset, entry.max_timestamp)),
    };
    Ok(picked.map(|(offset, timestamp)| TimestampOffset {
        offset,
        timestamp,
        leader_epoch: entry.leader_epoch,
    }))
}
