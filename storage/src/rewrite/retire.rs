//! Files in which nothing lives become spare ones.
//!
//! Called by `cleaner`. What such a file says of topics, configs and the like, and what still holds, is said again at the
//! log's end first; then a frame gives the file up, then a checkpoint does without it, then its name goes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::append::{append_metadata, metadata_draft};
use crate::engine::Engine;
use crate::error::Error;
use crate::frame::{FrameKind, HEADER_LEN};
use crate::housekeeping::checkpoint;
use crate::position::Position;
use crate::restate::{frames_that_hold, restate};

/// Gives up the files in which nothing lives. Returns whether there were any.
///
/// # Errors
/// Log failures; the next round goes on where this one stopped.
pub(crate) fn retire_dead(engine: &Engine) -> Result<bool, Arc<Error>> {
    let log = &engine.log;
    if !log.has_condemned() {
        let dead = worth_retiring(engine);
        if dead.is_empty() {
            log.remove_surplus()?;
            return Ok(false);
        }
        restate(engine, &|frame| file_of(&dead, frame).is_some())?;
        let bases: Vec<Position> = dead.iter().map(|(base, _)| *base).collect();
        let prepare = || {
            let body = log.manifest(&[], &bases, Vec::new()).encode();
            Ok::<_, Arc<Error>>((metadata_draft(FrameKind::Files, 0, 0, 0, body), ()))
        };
        append_metadata(engine, prepare, |(), _| log.condemn(&bases))?;
        engine.catalog.forget_deleted_below(log.begin());
    }
    checkpoint(engine, false)?;
    log.retire()?;
    Ok(true)
}

/// Sealed files without a live batch, unless saying their metadata again would take half as much as they give back.
fn worth_retiring(engine: &Engine) -> Vec<(Position, Position)> {
    let dead: Vec<(Position, Position)> = engine
        .log
        .sealed()
        .iter()
        .filter(|file| file.live() == 0)
        .map(|file| (file.base(), file.end()))
        .collect();
    if dead.is_empty() {
        return dead;
    }
    let mut held: HashMap<Position, u64> = HashMap::new();
    for (frame, payload_len) in frames_that_hold(engine, &|frame| file_of(&dead, frame).is_some()) {
        let base = file_of(&dead, frame).expect("only those were asked for");
        *held.entry(base).or_default() += (HEADER_LEN + payload_len) as u64;
    }
    dead.into_iter()
        .filter(|(base, end)| held.get(base).is_none_or(|held| *held < (end.0 - base.0) / 2))
        .collect()
}

/// Where the one of `files` begins that holds `position`. They are given by their ends, in order.
fn file_of(files: &[(Position, Position)], position: Position) -> Option<Position> {
    let (base, end) = *files[..files.partition_point(|(base, _)| *base <= position)].last()?;
    (position < end).then_some(base)
}
