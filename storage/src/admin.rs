//! Changing what exists: topics, configs, log starts, producer ids. Each is one metadata frame and its `apply`.
//!
//! The second half of `Store`'s face. Invariant: a change is visible when the call returns, and durable when
//! `acknowledged()` reaches the position it returned.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::append::{append_metadata, metadata_draft};
use crate::catalog::{TopicRecord, encode_configs};
use crate::consume_queue::Entry;
use crate::engine::Engine;
use crate::error::TopicError;
use crate::frame::FrameKind;
use crate::partition_log::PartitionLog;
use crate::position::{Offset, Position};
use crate::store::Store;
use crate::topic::{Configs, PARTITIONS, Topic};

/// Producer ids reserved by one frame.
const PRODUCER_ID_BLOCK: i64 = 1000;

impl Store {
    /// Creates a topic; it is visible at once, durable when `acknowledged() >=` the returned position.
    ///
    /// # Errors
    /// `Exists`, `Limit`, log failures.
    pub fn create_topic(
        &self,
        name: &str,
        id: Uuid,
        partitions: u32,
        configs: Configs,
    ) -> Result<(Arc<Topic>, Position), TopicError> {
        check_partitions(partitions)?;
        let catalog = &self.engine().catalog;
        let prepare = || {
            if catalog.topic(name).is_some() {
                return Err(TopicError::Exists(name.to_owned()));
            }
            let record = TopicRecord { id, name: name.to_owned(), partitions, configs };
            let number = catalog.next_number();
            let draft = metadata_draft(FrameKind::Topic, number, 0, 0, record.encode());
            Ok((draft, (number, record)))
        };
        append_metadata(self.engine(), prepare, |(number, record), frame| {
            catalog.apply_topic(number, record, frame)
        })
    }

    /// Deletes a topic and all its records.
    ///
    /// # Errors
    /// `Unknown` when it is gone already.
    pub fn delete_topic(&self, topic: &Topic) -> Result<Position, TopicError> {
        let engine = self.engine();
        let _unsettled = engine.settled.read().expect("no panic under this lock");
        let prepare = || {
            engine.catalog.topic_by_number(topic.number()).ok_or(TopicError::Unknown)?;
            Ok((metadata_draft(FrameKind::TopicDeleted, topic.number(), 0, 0, Bytes::new()), ()))
        };
        let apply = |(), frame| {
            let topic = engine.catalog.apply_topic_deleted(topic.number(), frame);
            topic
                .iter()
                .flat_map(|topic| topic.partitions().to_vec())
                .for_each(|partition| partition.mark_deleted());
            topic
        };
        let (topic, end) = append_metadata::<_, _, TopicError>(engine, prepare, apply)?;
        let dead = |entry: &Entry| engine.log.remove_live(entry);
        for partition in topic.iter().flat_map(|topic| topic.partitions().to_vec()) {
            partition.clear(&engine.extents, dead);
        }
        engine.cleaner.notify();
        Ok(end)
    }

    /// Grows a topic to `partitions` in all.
    ///
    /// # Errors
    /// `FewerPartitions` (also when equal), `Unknown`.
    pub fn add_partitions(&self, topic: &Topic, partitions: u32) -> Result<Position, TopicError> {
        check_partitions(partitions)?;
        self.change_topic(topic, |record| {
            let current = record.partitions;
            if partitions <= current {
                return Err(TopicError::FewerPartitions { current, asked: partitions });
            }
            record.partitions = partitions;
            Ok(())
        })
    }

    /// Replaces the topic's config overrides.
    ///
    /// # Errors
    /// `Unknown`, log failures.
    pub fn set_topic_configs(&self, topic: &Topic, configs: Configs) -> Result<Position, TopicError> {
        let end = self.change_topic(topic, |record| {
            record.configs = configs;
            Ok(())
        })?;
        self.policies_changed();
        Ok(end)
    }

    /// Retention and compaction look at everything again, soon.
    fn policies_changed(&self) {
        self.engine().retention.all_changed();
        self.engine().cleaner.notify();
    }

    fn change_topic(
        &self,
        topic: &Topic,
        change: impl FnOnce(&mut TopicRecord) -> Result<(), TopicError>,
    ) -> Result<Position, TopicError> {
        let catalog = &self.engine().catalog;
        let prepare = || {
            let topic = catalog.topic_by_number(topic.number()).ok_or(TopicError::Unknown)?;
            let mut record = topic.record();
            change(&mut record)?;
            Ok((
                metadata_draft(FrameKind::Topic, topic.number(), 0, 0, record.encode()),
                (topic.number(), record),
            ))
        };
        append_metadata(self.engine(), prepare, |(number, record), frame| {
            catalog.apply_topic(number, record, frame)
        })
        .map(|(_, end)| end)
    }

    /// Dynamic broker configs that were set over the wire.
    #[must_use]
    pub fn broker_configs(&self) -> Arc<Configs> {
        self.engine().catalog.broker_configs()
    }

    /// Replaces the dynamic broker configs.
    ///
    /// # Errors
    /// Log failures.
    pub fn set_broker_configs(&self, configs: Configs) -> Result<Position, TopicError> {
        let catalog = &self.engine().catalog;
        let prepare =
            || Ok((metadata_draft(FrameKind::BrokerConfigs, 0, 0, 0, encode_configs(&configs)), configs));
        let apply = |configs, frame| catalog.apply_broker_configs(configs, frame);
        let (changed, end) = append_metadata::<_, _, TopicError>(self.engine(), prepare, apply)?;
        if changed {
            self.policies_changed();
        }
        Ok(end)
    }

    /// Moves the log start forward (DeleteRecords). A lower or equal offset changes nothing.
    ///
    /// # Errors
    /// `OutOfRange` above the high watermark.
    pub fn advance_log_start(
        &self,
        partition: &PartitionLog,
        offset: Offset,
    ) -> Result<Position, TopicError> {
        let (log_start, high_watermark) = (partition.log_start_offset(), partition.high_watermark());
        if offset > high_watermark || offset < 0 {
            return Err(TopicError::OutOfRange { offset, log_start, high_watermark });
        }
        if offset <= log_start {
            return Ok(self.acknowledged());
        }
        move_log_start(self.engine(), partition, offset)
    }

    /// The producer id that is given next, unless ids are skipped.
    #[must_use]
    pub fn next_producer_id(&self) -> i64 {
        *self.next_producer_id.lock().expect("no panic under this lock")
    }

    /// Gives no producer id below `next` any more: of a log that went back to what it was, where clients have such ids.
    pub fn skip_producer_ids(&self, next: i64) {
        let mut own = self.next_producer_id.lock().expect("no panic under this lock");
        *own = next.max(*own);
    }

    /// Reserves one producer id that was never given before, also across kill -9, once the position is acknowledged.
    ///
    /// # Errors
    /// Log failures.
    pub fn allocate_producer_id(&self) -> Result<(i64, Position), TopicError> {
        let mut next = self.next_producer_id.lock().expect("no panic under this lock");
        let catalog = &self.engine().catalog;
        if *next >= catalog.reserved_producer_ids() {
            let below = *next + PRODUCER_ID_BLOCK;
            let prepare = || {
                Ok::<_, TopicError>((metadata_draft(FrameKind::ProducerIds, 0, 0, below, Bytes::new()), ()))
            };
            append_metadata(self.engine(), prepare, |(), frame| catalog.apply_producer_ids(below, frame))?;
        }
        *next += 1;
        Ok((*next - 1, self.engine().log.written()))
    }
}

/// Moves the log start to `offset`, which is above it and not above the high watermark.
///
/// # Errors
/// `Unknown` when the partition was deleted, log failures.
pub(crate) fn move_log_start(
    engine: &Engine,
    partition: &PartitionLog,
    offset: Offset,
) -> Result<Position, TopicError> {
    let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
    let _unsettled = engine.settled.read().expect("no panic under this lock");
    let prepare = || {
        if partition.is_deleted() {
            return Err(TopicError::Unknown);
        }
        Ok((metadata_draft(FrameKind::LogStart, numbers.0, numbers.1, offset, Bytes::new()), ()))
    };
    let apply = |(), frame| partition.set_log_start(offset, frame);
    let ((), end) = append_metadata(engine, prepare, apply)?;
    partition.trim(&engine.extents, |entry: &Entry| engine.log.remove_live(entry)).map_err(Arc::new)?;
    engine.cleaner.notify();
    Ok(end)
}

fn check_partitions(partitions: u32) -> Result<(), TopicError> {
    if PARTITIONS.contains(&partitions) {
        return Ok(());
    }
    let (least, most) = (PARTITIONS.start(), PARTITIONS.end());
    Err(TopicError::Limit(format!("{partitions} partitions asked for; a topic has {least} to {most}")))
}
