//! The flusher: one thread, no timer in sync mode. Group commit comes by itself: what is written while one `fdatasync`
//! runs is covered by the next.

use std::sync::Arc;
use std::thread;

use crate::engine::Engine;
use crate::error::Error;
use crate::store::FlushMode;

/// Runs until the store is closed or the log is poisoned.
pub(crate) fn run(engine: &Arc<Engine>) {
    loop {
        match engine.config.flush {
            FlushMode::Sync => engine.flusher.wait(),
            FlushMode::Interval(interval) => thread::park_timeout(interval),
            FlushMode::Os => return,
        }
        if engine.is_closed() || flush_once(engine).is_err() {
            return;
        }
    }
}

/// Syncs what is written and, in sync mode, acknowledges it.
///
/// # Errors
/// `Poisoned`; the listener was told.
pub(crate) fn flush_once(engine: &Engine) -> Result<(), Error> {
    let begun = engine.clock.elapsed();
    let synced = engine.log.sync();
    engine.timings.sync.record(engine.clock.elapsed().saturating_sub(begun));
    match synced {
        Ok(durable) => {
            if engine.config.flush == FlushMode::Sync {
                engine.acknowledge(durable);
            }
            Ok(())
        }
        Err(error) => {
            engine.poisoned(&error.to_string());
            Err(error)
        }
    }
}
