//! Background work of the store: the next file ahead of need, queue pages to their extents, checkpoints, silent
//! producers.
//!
//! One thread; every step is a function that deterministic tests call themselves. Nothing here holds the append lock
//! but the freezing of state for a checkpoint.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::checkpoint::Checkpoint;
use crate::consume_queue::PAGE_LEN;
use crate::data_dir::write_atomically;
use crate::engine::Engine;
use crate::error::Error;
use crate::flush::flush_once;
use crate::position::Position;
use crate::retried::Retried;
use crate::snapshot;

/// Between two rounds under load.
const ROUND: Duration = Duration::from_millis(20);

/// Between two looks for silent producers (Kafka's `producer.id.expiration.check.interval.ms`).
pub(crate) const PRODUCER_EXPIRY_INTERVAL_MS: i64 = 600_000;

/// Between two attempts at what failed or found no room.
const RETRY: Duration = Duration::from_millis(500);
/// Between two looks at the disk while nothing is appended.
const IDLE: Duration = Duration::from_secs(10);

/// A checkpoint waits for so many times as many bytes of log as the last one wrote beside it.
const COST_FACTOR: u64 = 8;
/// But for no more than so many times the configured bytes.
const MOST_INTERVALS: u64 = 16;

/// Runs until the store is closed. All but sleeps while nothing is appended.
pub(crate) fn run(engine: &Arc<Engine>) {
    let pause = |failing| if failing || engine.log.is_full() { RETRY } else { IDLE };
    Retried::new("housekeeping").rounds(engine, &engine.housekeeper, pause, round, ROUND);
}

/// One round of it all but the waiting.
pub(crate) fn round(engine: &Engine) -> Result<(), Arc<Error>> {
    if engine.log.poison().reason().is_some() {
        return Ok(());
    }
    let written = engine.log.written().0;
    if written % engine.log.file_size() > engine.log.file_size() / 4 || engine.log.is_full() {
        match engine.log.prepare_next() {
            // The rest of the round goes on without: some of it makes room.
            Err(Error::Full(_)) => {}
            prepared => prepared?,
        }
    }
    engine.log.space();
    engine.extents.write_pending()?;
    let (_, position) = *engine.last_checkpoint.lock().expect("no panic under this lock");
    // The cleaner may have written a checkpoint since.
    let cost = engine.checkpoint_cost.load(Ordering::Relaxed);
    if written.saturating_sub(position.0) >= checkpoint_after(engine.config.checkpoint_bytes, cost) {
        checkpoint(engine, false)?;
        // Files below it may be rewritten now.
        engine.cleaner.notify();
    }
    expire_producers(engine);
    Ok(())
}

/// How many bytes are appended between two checkpoints, when the last one wrote `cost` bytes beside the log.
///
/// A checkpoint writes a page of each partition that was written to, and a line of every other: with tens of thousands of
/// partitions that is more than the log itself grows meanwhile. It waits until it adds an eighth, as long as what a start
/// has to replay stays within [`MOST_INTERVALS`] times what was configured.
fn checkpoint_after(configured: u64, cost: u64) -> u64 {
    cost.saturating_mul(COST_FACTOR).clamp(configured, configured.saturating_mul(MOST_INTERVALS))
}

/// Forgets producers that have been silent for long. Only appends add producers, so no timer is needed.
fn expire_producers(engine: &Engine) {
    let now_ms = engine.clock.now_ms();
    if now_ms < engine.next_producer_expiry_ms.load(Ordering::Relaxed) {
        return;
    }
    engine.next_producer_expiry_ms.store(now_ms + PRODUCER_EXPIRY_INTERVAL_MS, Ordering::Relaxed);
    let kept = (engine.config.producer_expiration)(&engine.catalog.broker_configs());
    let kept_ms = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    let before_ms = now_ms.saturating_sub(kept_ms);
    for topic in engine.catalog.topics() {
        topic.partitions().iter().for_each(|partition| partition.expire_producers(before_ms));
    }
}

/// What a checkpoint takes under the append lock beside the state: all of it must be of one moment, or a start would miss
/// files that were given up a little later.
struct Moment {
    position: Position,
    begin: Position,
    quarantined: usize,
}

/// Writes a checkpoint at the log's end. A crash anywhere leaves the previous one usable.
pub(crate) fn checkpoint(engine: &Engine, clean: bool) -> Result<(), Error> {
    let mut last = engine.last_checkpoint.lock().expect("no panic under this lock");
    let (frozen, moment) = {
        let _all_settled = engine.settled.write().expect("no panic under this lock");
        let (draft, moment) = {
            let writer = engine.writer.lock().expect("no panic under the append lock");
            engine.freeze.begin();
            let position = writer.tail();
            let (begin, quarantined) = (engine.log.begin(), engine.extents.quarantined());
            let draft = snapshot::begin(&engine.catalog, &engine.log, position);
            (draft, Moment { position, begin, quarantined })
        };
        (draft.finish(&engine.extents, &engine.freeze), moment)
    };
    let Moment { position, begin, quarantined } = moment;
    flush_once(engine)?;
    let pages = engine.extents.write_pending()?;
    engine.extents.sync(engine.log.poison()).inspect_err(|error| engine.poisoned(&error.to_string()))?;
    let (previous, sequence) = (last.0, last.0 + 1);
    write_atomically(&*engine.disk, &engine.dir.snapshots(), &snapshot_name(sequence), &frozen)?;
    let durable = engine.log.synced();
    let next_incarnation = engine.log.next_incarnation();
    Checkpoint { sequence, position, durable, begin, next_incarnation, clean }
        .store(&*engine.disk, &engine.dir)?;
    *last = (sequence, position);
    engine.checkpoint_cost.store((pages * PAGE_LEN + frozen.len()) as u64, Ordering::Relaxed);
    engine.extents.release(quarantined);
    if previous > 0 {
        let path = engine.dir.snapshots().join(snapshot_name(previous));
        engine.disk.remove(&path).map_err(|error| Error::io("remove", path, error))?;
    }
    Ok(())
}

/// File name of the snapshot that checkpoint `sequence` names.
pub(crate) fn snapshot_name(sequence: u64) -> String {
    format!("{sequence:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_that_write_much_are_written_less_often_within_limits() {
        const MIB: u64 = 1 << 20;
        assert_eq!(checkpoint_after(64 * MIB, 0), 64 * MIB, "the first");
        assert_eq!(checkpoint_after(64 * MIB, 4 * MIB), 64 * MIB, "a thousand partitions");
        assert_eq!(checkpoint_after(64 * MIB, 40 * MIB), 320 * MIB, "ten thousand");
        assert_eq!(checkpoint_after(64 * MIB, 400 * MIB), 1024 * MIB, "a hundred thousand");
        assert_eq!(checkpoint_after(u64::MAX, u64::MAX), u64::MAX, "never");
    }
}
