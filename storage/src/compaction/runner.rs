//! Compacting partitions: keys are learned from the dirty part, every batch is filtered, what is left is rewritten.
//!
//! Called by `cleaner`. The outcome becomes part of the log as any rewrite does (`rewrite::commit`): a crash before its frame
//! is durable leaves everything as it was, one after it finds the outcome. (Kafka `LogCleaner`, `Cleaner.doClean`.)

use std::sync::Arc;

use protocol::record_batch::RecordBatchView;

use super::cleanable::{CleanRange, clean_range};
use super::filter::{BatchFilter, FilterContext, Kept};
use super::key_map::KeyMap;
use crate::consume_queue::Entry;
use crate::engine::Engine;
use crate::error::Error;
use crate::manifest::Compaction;
use crate::partition_log::PartitionLog;
use crate::position::Offset;
use crate::rewrite::{Copies, commit, copy_of};
use crate::segments::LogBounds;
use crate::transactions::AbortedTransaction;

/// What one commit carries before the next begins, bytes, unless configured.
pub(crate) const COMMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Compacts those of `partitions` for which it is time, the dirtiest first.
///
/// # Errors
/// Log failures; nothing is lost, a later round tries again.
pub(crate) fn compact(engine: &Engine, partitions: &[Arc<PartitionLog>]) -> Result<(), Arc<Error>> {
    let now_ms = engine.clock.now_ms();
    let due = |partition: &Arc<PartitionLog>| Some((Arc::clone(partition), range_of(partition, now_ms)?));
    let mut due: Vec<_> = partitions.iter().filter_map(due).collect();
    due.sort_by(|a, b| b.1.dirty_ratio.total_cmp(&a.1.dirty_ratio));
    let mut due = due.into_iter().peekable();
    while due.peek().is_some() && !engine.is_closed() {
        let mut copies = Copies::new(engine);
        let mut outcomes = Vec::new();
        let mut copied = Ok(());
        while copied.is_ok()
            && copies.bytes() < engine.config.compaction.commit_bytes
            && let Some((partition, range)) = due.next()
        {
            copied = compact_one(engine, &partition, &range, now_ms, &mut copies).map(|upto| {
                outcomes.extend(upto.map(|upto| (partition, upto)));
            });
        }
        let generation = copies.generation().unwrap_or_else(|| engine.log.next_incarnation());
        let files = copies.finish(engine, copied)?;
        let compactions = outcomes.iter().map(|(partition, upto)| Compaction {
            topic: partition.topic_number(),
            partition: partition.partition().unsigned_abs(),
            upto: *upto,
            generation,
        });
        let compactions: Vec<_> = compactions.collect();
        if !compactions.is_empty() {
            commit(engine, files, compactions)?;
        }
    }
    Ok(())
}

fn range_of(partition: &PartitionLog, now_ms: i64) -> Option<CleanRange> {
    let policy = partition.policy();
    if !policy.compact || partition.is_deleted() {
        return None;
    }
    let state = partition.state();
    let bounds = LogBounds {
        log_start: partition.log_start_offset(),
        // Nothing is decided by a transaction that is not (Kafka `LogCleanerManager.cleanableOffsets`).
        high_watermark: partition.last_stable_offset_in(&state, partition.high_watermark()),
        log_end: state.next_offset,
        appended_bytes: state.appended_bytes,
    };
    let compacted_upto = state.compacted.as_ref().map_or(0, |done| done.upto);
    clean_range(&state.segments, &policy, now_ms, compacted_upto, &bounds)
}

/// Puts what is left of the partition into `copies`. Returns up to where it is compacted then; `None` when a damaged batch
/// forbids it.
fn compact_one(
    engine: &Engine,
    partition: &PartitionLog,
    range: &CleanRange,
    now_ms: i64,
    copies: &mut Copies,
) -> Result<Option<Offset>, Error> {
    let entries = partition.entries(range.from, range.upto, &engine.extents, |_| true)?;
    let dirty = entries.partition_point(|entry| entry.last_offset() < range.dirty_from);
    let mut aborted = partition.aborted_transactions(range.from, range.upto);
    aborted.sort_by_key(|transaction| (transaction.producer_id, transaction.first_offset));
    let Some(keys) = learn_keys(engine, range, &entries[dirty..], &aborted)? else {
        return Ok(damaged(partition));
    };
    let upto = keys.upto();
    let newest = partition.newest_batches();
    let is_last = |batch: &RecordBatchView<'_>| newest.contains(batch);
    let mut filter = BatchFilter::new(FilterContext {
        keys: &keys,
        now_ms,
        delete_retention_ms: partition.policy().delete_retention_ms,
        range_end: upto,
        is_last_of_producer: &is_last,
        aborted: &aborted,
    });
    let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
    for entry in entries.iter().take_while(|entry| entry.base_offset < upto) {
        let Some(batch) = copy_of(engine, entry)? else { return Ok(damaged(partition)) };
        match filter.filter(&batch) {
            Kept::Whole => copies.push(engine, numbers, entry, &batch)?,
            // Delete horizons may lengthen a batch; one that would not fit a file any more stays as it is.
            Kept::Rewritten(left) if left.len() > engine.log.max_payload() => {
                copies.push(engine, numbers, entry, &batch)?;
            }
            Kept::Rewritten(left) => copies.push(engine, numbers, entry, &left)?,
            Kept::Gone => {}
        }
    }
    Ok(Some(upto))
}

/// `None` when a batch is damaged.
fn learn_keys(
    engine: &Engine,
    range: &CleanRange,
    dirty: &[Entry],
    aborted: &[AbortedTransaction],
) -> Result<Option<KeyMap>, Error> {
    let mut keys = KeyMap::new(range.dirty_from, engine.config.compaction.keys);
    for entry in dirty {
        let Some(batch) = copy_of(engine, entry)? else { return Ok(None) };
        let whole = RecordBatchView::parse(&batch).is_ok_and(|view| keys.add_batch(&view, aborted));
        if !whole {
            return Ok(Some(keys));
        }
    }
    keys.finish(range.upto);
    Ok(Some(keys))
}

fn damaged(partition: &PartitionLog) -> Option<Offset> {
    tracing::error!(
        topic = partition.topic_number(),
        partition = partition.partition(),
        "a damaged batch forbids compaction of the partition; `onelog log verify` names it"
    );
    None
}
