//! What compaction leaves of one batch (Kafka's `Cleaner.cleanInto` and `MemoryRecords.filterTo`, KIP-534).
//!
//! Called by the compaction runner for every batch below the map's end, from the log start on and in offset order. Pure;
//! invariants: a batch that cannot be read to its last byte is kept as it is; no batch becomes another's: offsets,
//! sequences, producer and leader epoch stay; decompression is bounded by `PAYLOAD_CAP`.

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use protocol::record_batch::RecordBatchView;
use protocol::record_batch_rebuild::{with_records, without_records};
use protocol::record_lookup::records_payload;
use protocol::record_set::{Record, RecordIter};

use super::PAYLOAD_CAP;
use super::key_map::KeyMap;
use crate::position::Offset;
use crate::transactions::AbortedTransaction;

#[cfg(test)]
mod kafka_tests;
#[cfg(test)]
mod tests;

/// What is left of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The batch as it is.
    Whole,
    /// This instead, with the same first and last offset. Most often smaller; where a delete horizon is set, each
    /// record of an uncompressed batch may have grown by up to nine bytes.
    Rewritten(Bytes),
    /// Nothing.
    Gone,
}

/// What decides about a batch beside the batch.
#[derive(Clone, Copy)]
pub(crate) struct FilterContext<'a> {
    /// Newest offset of each key, filled up to [`KeyMap::upto`]; records at and above are kept.
    pub(crate) keys: &'a KeyMap,
    /// When this pass began.
    pub(crate) now_ms: i64,
    /// `delete.retention.ms`: how long tombstones and markers stay after the pass that first finds them removable.
    pub(crate) delete_retention_ms: i64,
    /// Where the range of this pass ends (`CleanRange::upto`): its last batch stays, even empty, so that the log's
    /// offsets can be told from its batches.
    pub(crate) range_end: Offset,
    /// Whether a batch is the newest of its still remembered producer: it stays, even empty, with its sequences. For a
    /// producer whose newest batch is a marker: whether it is that one.
    pub(crate) is_last_of_producer: &'a dyn Fn(&RecordBatchView<'_>) -> bool,
    /// The aborted transactions with records below the range's end, sorted by producer id, then first offset.
    pub(crate) aborted: &'a [AbortedTransaction],
}

impl fmt::Debug for FilterContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterContext").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

/// Filters the batches of one partition in one pass.
#[derive(Debug)]
pub(crate) struct BatchFilter<'a> {
    context: FilterContext<'a>,
    /// Producers with a batch in their current transaction since their last marker: the next marker is still needed.
    in_transaction: HashSet<i64>,
}

impl<'a> BatchFilter<'a> {
    pub(crate) fn new(context: FilterContext<'a>) -> Self {
        Self { context, in_transaction: HashSet::new() }
    }

    /// What is left of the next batch. `batch` is a whole batch, base offset and leader epoch stamped.
    pub(crate) fn filter(&mut self, batch: &[u8]) -> Kept {
        // A damaged batch must not get a CRC that says otherwise, nor vanish.
        match RecordBatchView::parse(batch) {
            Ok(view) if view.as_bytes().len() == batch.len() && view.verify_crc().is_ok() => {
                let has_no_meaning = self.has_no_meaning(&view);
                self.context.filter(&view, has_no_meaning).unwrap_or(Kept::Whole)
            }
            _ => Kept::Whole,
        }
    }

    /// Records of an aborted transaction, and markers of a transaction of which no record is left
    /// (`CleanedTransactionMetadata`).
    fn has_no_meaning(&mut self, batch: &RecordBatchView<'_>) -> bool {
        if batch.is_control() {
            match marker(batch) {
                Marker::Emptied => true,
                Marker::EndOfTransaction => !self.in_transaction.remove(&batch.producer_id()),
                Marker::Other => false,
            }
        } else {
            if batch.is_transactional() {
                self.in_transaction.insert(batch.producer_id());
            }
            is_aborted(batch, self.context.aborted)
        }
    }
}

impl FilterContext<'_> {
    /// `None` when the batch cannot be read or put together.
    fn filter(&self, batch: &RecordBatchView<'_>, has_no_meaning: bool) -> Option<Kept> {
        let horizon = batch.delete_horizon();
        let horizon_passed = horizon.is_some_and(|horizon| horizon <= self.now_ms);
        let removes_all = has_no_meaning && (!batch.is_control() || horizon_passed);
        if removes_all {
            return Some(self.without_records(batch));
        }
        let payload = records_payload(batch, PAYLOAD_CAP).ok()?;
        let records = RecordIter::new(&payload, batch.record_count()).ok()?;
        let mut kept = Vec::new();
        let mut has_tombstone = false;
        for record in records.clone() {
            let record = record.ok()?;
            let keeps = batch.is_control() || self.keeps(batch, &record);
            kept.push(keeps);
            has_tombstone |= keeps && record.value.is_none();
        }
        if !kept.contains(&true) {
            return Some(self.without_records(batch));
        }
        let sets_horizon = horizon.is_none() && (has_tombstone || has_no_meaning);
        if !sets_horizon && !kept.contains(&false) {
            return Some(Kept::Whole);
        }
        let new_horizon = self.now_ms.saturating_add(self.delete_retention_ms);
        let horizon = if sets_horizon { Some(new_horizon) } else { horizon };
        let left = records.flatten().zip(&kept).filter(|(_, keeps)| **keeps).map(|(record, _)| record);
        let rebuilt = with_records(batch, left, horizon.filter(|horizon| *horizon >= 0)).ok()?;
        Some(Kept::Rewritten(rebuilt))
    }

    /// The newest record of its key stays; a tombstone until the batch's delete horizon has passed. A record without a
    /// key cannot be told from others and goes: it was written before the topic was compacted.
    fn keeps(&self, batch: &RecordBatchView<'_>, record: &Record<'_>) -> bool {
        let offset = batch.base_offset().saturating_add(i64::from(record.offset_delta));
        if offset >= self.keys.upto() {
            return true;
        }
        let tombstone_stays = batch.delete_horizon().is_none_or(|horizon| self.now_ms < horizon);
        record.key.is_some_and(|key| self.keys.is_newest(key, offset))
            && (record.value.is_some() || tombstone_stays)
    }

    fn without_records(&self, batch: &RecordBatchView<'_>) -> Kept {
        let end = batch.base_offset().saturating_add(i64::from(batch.last_offset_delta())).saturating_add(1);
        let stays = end == self.range_end || (batch.producer_id() >= 0 && (self.is_last_of_producer)(batch));
        if !stays {
            return Kept::Gone;
        }
        let empty = without_records(batch);
        if empty == batch.as_bytes() { Kept::Whole } else { Kept::Rewritten(empty) }
    }
}

/// Whether the records of `batch` belong to one of the aborted transactions, which are sorted by producer id, then first
/// offset. Those of one producer do not overlap.
pub(super) fn is_aborted(batch: &RecordBatchView<'_>, aborted: &[AbortedTransaction]) -> bool {
    if !batch.is_transactional() || batch.is_control() {
        return false;
    }
    let place = (batch.producer_id(), batch.base_offset());
    let after =
        aborted.partition_point(|transaction| (transaction.producer_id, transaction.first_offset) <= place);
    after.checked_sub(1).map(|at| aborted[at]).is_some_and(|transaction| {
        transaction.producer_id == batch.producer_id() && batch.base_offset() <= transaction.last_offset
    })
}

/// What a control batch is.
enum Marker {
    /// Its record is gone: an earlier pass found no use for it.
    Emptied,
    EndOfTransaction,
    Other,
}

/// The key of a control record is a version and a type, two bytes each; types 0 (abort) and 1 (commit) end a transaction.
fn marker(batch: &RecordBatchView<'_>) -> Marker {
    match protocol::record_set::records(batch).ok().map(|mut records| records.next()) {
        Some(None) => Marker::Emptied,
        Some(Some(Ok(Record { key: Some([_, _, 0, 0 | 1, ..]), .. }))) => Marker::EndOfTransaction,
        _ => Marker::Other,
    }
}
