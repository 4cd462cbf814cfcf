//! Saying metadata again at the log's end, so that the files where it was said first can be given up.
//!
//! Called by `rewrite::retire`. Invariant: after `restate` a replay of the log without those files knows every topic, deletion,
//! config, log start, compaction and producer id that still holds.

use std::sync::Arc;

use bytes::Bytes;

use crate::append::{append_metadata, metadata_draft};
use crate::catalog::encode_configs;
use crate::commit_log::Draft;
use crate::engine::Engine;
use crate::error::Error;
use crate::frame::FrameKind;
use crate::partition_log::{Compacted, PartitionLog};
use crate::position::Position;
use crate::topic::Topic;

/// Why something was not said again.
enum Skipped {
    /// It was deleted meanwhile.
    Gone,
    Failed(Arc<Error>),
}

impl From<Arc<Error>> for Skipped {
    fn from(error: Arc<Error>) -> Self {
        Self::Failed(error)
    }
}

/// Frames for which `in_dead` holds and whose word still holds, and how long they are without their header, bytes.
pub(crate) fn frames_that_hold(
    engine: &Engine,
    in_dead: &impl Fn(Position) -> bool,
) -> Vec<(Position, usize)> {
    let catalog = &engine.catalog;
    let mut frames = Vec::new();
    for topic in catalog.topics() {
        if in_dead(topic.frame()) {
            frames.push((topic.frame(), topic.record().encode().len()));
        }
        for partition in topic.partitions().iter() {
            frames.extend(partition.log_start_frame().map(|frame| (frame, 0)));
            frames.extend(partition.compacted().map(|compacted| (compacted.frame, 0)));
        }
    }
    frames.extend(catalog.deleted().into_iter().map(|(_, deleted)| (deleted.frame, 0)));
    frames.retain(|(frame, _)| in_dead(*frame));
    frames
}

/// Appends again what frames for which `in_dead` holds say and what still holds.
///
/// # Errors
/// Log failures; calling it again later is harmless.
pub(crate) fn restate(engine: &Engine, in_dead: &impl Fn(Position) -> bool) -> Result<(), Arc<Error>> {
    let catalog = &engine.catalog;
    for topic in catalog.topics() {
        if in_dead(topic.frame()) {
            settle(restate_topic(engine, &topic))?;
        }
        for partition in topic.partitions().iter() {
            if partition.log_start_frame().is_some_and(in_dead) {
                settle(restate_log_start(engine, partition))?;
            }
            if let Some(compacted) = partition.compacted().filter(|compacted| in_dead(compacted.frame)) {
                settle(restate_compacted(engine, partition, compacted))?;
            }
        }
    }
    for (number, _) in catalog.deleted().into_iter().filter(|(_, deleted)| in_dead(deleted.frame)) {
        let prepare = || Ok((metadata_draft(FrameKind::TopicDeleted, number, 0, 0, Bytes::new()), ()));
        let apply = |(), frame| {
            catalog.apply_topic_deleted(number, frame);
        };
        settle(append_metadata(engine, prepare, apply))?;
    }
    if in_dead(catalog.producer_ids_frame()) {
        let below = catalog.reserved_producer_ids();
        let prepare = || Ok((metadata_draft(FrameKind::ProducerIds, 0, 0, below, Bytes::new()), ()));
        settle(append_metadata(engine, prepare, |(), frame| catalog.apply_producer_ids(below, frame)))?;
    }
    if in_dead(catalog.broker_configs_frame()) {
        let prepare = || {
            let configs = catalog.broker_configs();
            Ok((metadata_draft(FrameKind::BrokerConfigs, 0, 0, 0, encode_configs(&configs)), configs))
        };
        let apply = |configs, frame| {
            catalog.apply_broker_configs(Arc::unwrap_or_clone(configs), frame);
        };
        settle(append_metadata(engine, prepare, apply))?;
    }
    Ok(())
}

fn restate_topic(engine: &Engine, topic: &Topic) -> Result<((), Position), Skipped> {
    let prepare = || {
        let topic = engine.catalog.topic_by_number(topic.number()).ok_or(Skipped::Gone)?;
        let body = topic.record().encode();
        Ok((metadata_draft(FrameKind::Topic, topic.number(), 0, 0, body), topic))
    };
    append_metadata(engine, prepare, |topic, frame| topic.set_frame(frame))
}

fn restate_log_start(engine: &Engine, partition: &PartitionLog) -> Result<((), Position), Skipped> {
    let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
    let prepare = || {
        if partition.is_deleted() {
            return Err(Skipped::Gone);
        }
        let log_start = partition.log_start_offset();
        Ok((metadata_draft(FrameKind::LogStart, numbers.0, numbers.1, log_start, Bytes::new()), ()))
    };
    append_metadata(engine, prepare, |(), frame| partition.set_log_start_frame(frame))
}

fn restate_compacted(
    engine: &Engine,
    partition: &PartitionLog,
    compacted: Compacted,
) -> Result<((), Position), Skipped> {
    let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
    let prepare = || {
        if partition.is_deleted() {
            return Err(Skipped::Gone);
        }
        let draft = metadata_draft(FrameKind::Compacted, numbers.0, numbers.1, compacted.upto, Bytes::new());
        Ok((Draft { log_index: u64::from(compacted.generation), ..draft }, ()))
    };
    append_metadata(engine, prepare, |(), frame| partition.set_compacted_frame(frame))
}

fn settle(outcome: Result<((), Position), Skipped>) -> Result<(), Arc<Error>> {
    match outcome {
        Ok(_) | Err(Skipped::Gone) => Ok(()),
        Err(Skipped::Failed(error)) => Err(error),
    }
}
