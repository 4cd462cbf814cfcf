//! Saying metadata again at the log's end, so that the files where it was said first can be given up.
//!
//! Called by `housekeeping`. Invariant: after `restate(end)` a replay of the log from `end` on knows every topic, config,
//! log start and producer id that still holds.

use std::sync::Arc;

use bytes::Bytes;

use crate::append::{append_metadata, metadata_draft};
use crate::catalog::encode_configs;
use crate::engine::Engine;
use crate::error::Error;
use crate::frame::FrameKind;
use crate::partition_log::PartitionLog;
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

/// Appends again what frames below `end` say and what still holds.
///
/// # Errors
/// Log failures; calling it again later is harmless.
pub(crate) fn restate(engine: &Engine, end: Position) -> Result<(), Arc<Error>> {
    let catalog = &engine.catalog;
    for topic in catalog.topics() {
        if topic.frame() < end {
            settle(restate_topic(engine, &topic))?;
        }
        for partition in topic.partitions().iter() {
            if partition.log_start_frame().is_some_and(|frame| frame < end) {
                settle(restate_log_start(engine, partition))?;
            }
        }
    }
    if catalog.producer_ids_frame() < end {
        let below = catalog.reserved_producer_ids();
        let prepare = || Ok((metadata_draft(FrameKind::ProducerIds, 0, 0, below, Bytes::new()), ()));
        settle(append_metadata(engine, prepare, |(), frame| catalog.apply_producer_ids(below, frame)))?;
    }
    if catalog.broker_configs_frame() < end {
        let prepare = || {
            let configs = catalog.broker_configs();
            Ok((metadata_draft(FrameKind::BrokerConfigs, 0, 0, 0, encode_configs(&configs)), configs))
        };
        let apply = |configs, frame| catalog.apply_broker_configs(Arc::unwrap_or_clone(configs), frame);
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

fn settle(outcome: Result<((), Position), Skipped>) -> Result<(), Arc<Error>> {
    match outcome {
        Ok(_) | Err(Skipped::Gone) => Ok(()),
        Err(Skipped::Failed(error)) => Err(error),
    }
}
