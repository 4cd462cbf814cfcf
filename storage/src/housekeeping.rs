//! Background work of the store: the next file ahead of need, queue pages to their extents, checkpoints, dead files,
//! silent producers.
//!
//! One thread; every step is a function that deterministic tests call themselves. Nothing here holds the append lock
//! but the freezing of state for a checkpoint.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::checkpoint::Checkpoint;
use crate::data_dir::write_atomically;
use crate::engine::Engine;
use crate::error::Error;
use crate::flush::flush_once;
use crate::position::Position;
use crate::restate::restate;
use crate::snapshot;

/// Between two rounds under load.
const ROUND: Duration = Duration::from_millis(20);

/// Between two looks for silent producers (Kafka's `producer.id.expiration.check.interval.ms`).
pub(crate) const PRODUCER_EXPIRY_INTERVAL_MS: i64 = 600_000;

/// Runs until the store is closed. Sleeps while nothing is appended.
pub(crate) fn run(engine: &Arc<Engine>) {
    loop {
        engine.housekeeper.wait();
        if engine.is_closed() {
            return;
        }
        if let Err(error) = round(engine) {
            tracing::warn!(%error, "housekeeping failed; it is tried again");
        }
        thread::sleep(ROUND);
    }
}

/// One round of it all but the waiting.
pub(crate) fn round(engine: &Engine) -> Result<(), Arc<Error>> {
    if engine.log.poison().reason().is_some() {
        return Ok(());
    }
    let written = engine.log.written().0;
    if written % engine.log.file_size() > engine.log.file_size() / 4 {
        engine.log.prepare_next()?;
    }
    engine.extents.write_pending()?;
    let (_, position) = *engine.last_checkpoint.lock().expect("no panic under this lock");
    if written - position.0 >= engine.config.checkpoint_bytes {
        checkpoint(engine, false)?;
    }
    expire_producers(engine);
    give_up_dead_files(engine)
}

/// Forgets producers that have been silent for long. Only appends add producers, so no timer is needed.
fn expire_producers(engine: &Engine) {
    let now_ms = engine.clock.now_ms();
    if now_ms < engine.next_producer_expiry_ms.load(Ordering::Relaxed) {
        return;
    }
    engine.next_producer_expiry_ms.store(now_ms + PRODUCER_EXPIRY_INTERVAL_MS, Ordering::Relaxed);
    let kept_ms = i64::try_from(engine.config.producer_expiration.as_millis()).unwrap_or(i64::MAX);
    let before_ms = now_ms.saturating_sub(kept_ms);
    for topic in engine.catalog.topics() {
        topic.partitions().iter().for_each(|partition| partition.expire_producers(before_ms));
    }
}

/// Files at the log's beginning whose batches were all deleted become spare ones. What else they say that still holds
/// is said again at the log's end first.
fn give_up_dead_files(engine: &Engine) -> Result<(), Arc<Error>> {
    let Some(end) = engine.log.dead_upto() else { return Ok(engine.log.remove_surplus()?) };
    restate(engine, end)?;
    checkpoint_from(engine, end, false)?;
    Ok(engine.log.retire(end)?)
}

/// Writes a checkpoint at the log's end. A crash anywhere leaves the previous one usable.
pub(crate) fn checkpoint(engine: &Engine, clean: bool) -> Result<(), Error> {
    checkpoint_from(engine, engine.log.begin(), clean)
}

/// The same; the log begins at `begin` from then on.
fn checkpoint_from(engine: &Engine, begin: Position, clean: bool) -> Result<(), Error> {
    let mut last = engine.last_checkpoint.lock().expect("no panic under this lock");
    let (frozen, position, quarantined) = {
        let writer = engine.writer.lock().expect("no panic under the append lock");
        let live: Vec<_> = engine.log.live().into_iter().filter(|(file, _)| *file >= begin).collect();
        let frozen = snapshot::encode(&engine.catalog, &engine.extents, &live, writer.tail());
        (frozen, writer.tail(), engine.extents.quarantined())
    };
    flush_once(engine)?;
    engine.extents.write_pending()?;
    engine.extents.sync()?;
    let (previous, sequence) = (last.0, last.0 + 1);
    write_atomically(&*engine.disk, &engine.dir.snapshots(), &snapshot_name(sequence), &frozen)?;
    let durable = engine.log.synced();
    let next_incarnation = engine.log.next_incarnation();
    Checkpoint { sequence, position, durable, begin, next_incarnation, clean }
        .store(&*engine.disk, &engine.dir)?;
    *last = (sequence, position);
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
