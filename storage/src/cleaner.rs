//! Space: what is too old or replaced goes, what remains of mostly dead files is copied together, dead files are given up.
//!
//! One thread, apart from housekeeping because copying takes long; every step is a function that deterministic tests call
//! themselves. Nothing here holds the append lock for longer than one frame takes.

use std::sync::Arc;
use std::time::Duration;

use crate::compaction::compact;
use crate::engine::Engine;
use crate::error::Error;
use crate::retention::{self, FIRST_RETENTION_CHECK};
use crate::retried::Retried;
use crate::rewrite::{relocate, retire_dead};

/// Between two rounds under load.
const ROUND: Duration = Duration::from_millis(100);
/// Between two attempts at what failed.
const RETRY: Duration = Duration::from_secs(1);
/// Rewrites in one round at most, so that retention gets its turn.
const REWRITES: usize = 8;

/// Runs until the store is closed. Sleeps until something closed, moved or was deleted, or until retention is due.
pub(crate) fn run(engine: &Arc<Engine>) {
    // What the last process did not come to: on a full disk nothing else would wake this thread.
    engine.cleaner.notify();
    let due = engine.config.retention_check.min(FIRST_RETENTION_CHECK);
    let pause = |failing| if failing { RETRY.min(due) } else { due };
    Retried::new("cleaning").rounds(engine, &engine.cleaner, pause, round, ROUND);
}

/// One round of it all but the waiting.
///
/// # Errors
/// Log failures; nothing is lost, the next round goes on.
pub(crate) fn round(engine: &Engine) -> Result<(), Arc<Error>> {
    if engine.log.poison().reason().is_some() {
        return Ok(());
    }
    let due = engine.retention.due(engine);
    retention::apply(engine, &due).and_then(|()| compact(engine, &due)).inspect_err(|_| {
        // Those that did not get their turn are looked for again.
        engine.retention.all_changed();
    })?;
    for _ in 0..REWRITES {
        retire_dead(engine)?;
        if engine.is_closed() || !relocate(engine)? {
            return Ok(());
        }
    }
    engine.cleaner.notify();
    Ok(())
}
