//! A fetch as it will be read: which partitions, from where, within which limits.
//!
//! Made once per request; looking again finds what is there by then. Invariant: topics that do not exist are decided
//! when the plan is made, everything that can change while the fetch waits is looked at each time.

use std::sync::Arc;

use protocol::fetch_response::{EpochEndOffset, FetchResponse, FetchedPartition, FetchedTopic};
use protocol::messages::FetchRequest;
use protocol::messages::fetch_request::FetchPartition;
use protocol::{ErrorCode, StrBytes};
use storage::{Located, Offset, PartitionLog, ReadRequest, Store, Topic};
use uuid::Uuid;

use super::limits::{Budget, Share};
use super::looked::{Looked, PartitionLocated, failed};
use crate::{error_map, partition, topics};

/// One fetch reads this much from the device, bytes, or one first batch that is larger.
pub(super) const COLD_AT_ONCE: usize = 2 << 20;
const READ_COMMITTED: i8 = 1;
const FIRST_VERSION_WITH_IDS: i16 = 13;
const FIRST_VERSION_WITH_ZSTD: i16 = 10;

/// See the module.
pub(super) struct Plan {
    version: i16,
    min_bytes: usize,
    max_bytes: usize,
    committed: bool,
    topics: Vec<PlannedTopic>,
}

struct PlannedTopic {
    name: StrBytes,
    id: Uuid,
    partitions: Vec<Planned>,
}

struct Planned {
    index: i32,
    log: Result<Arc<PartitionLog>, ErrorCode>,
    from: Offset,
    max_bytes: usize,
    leader_epoch: i32,
    last_fetched_epoch: i32,
}

/// Whether a look may wait for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// On a core: what cannot be found without waiting is left out, and counts as found.
    None,
    /// On a thread of its own.
    Waits,
}

/// One look at everything.
struct Look<'a> {
    store: &'a Store,
    patience: Patience,
    budget: Budget,
    /// Bytes that may yet be read from the device.
    cold_left: usize,
}

impl Plan {
    /// `broker_max_bytes` is `fetch.max.bytes`; `min_bytes` never asks for more than may be sent.
    pub(super) fn new(store: &Store, version: i16, broker_max_bytes: i32, request: FetchRequest) -> Self {
        let bytes = |limit: i32| usize::try_from(limit).unwrap_or_default();
        let max_bytes = bytes(request.max_bytes.min(broker_max_bytes));
        let by_id = version >= FIRST_VERSION_WITH_IDS;
        let topics = request.topics.into_iter().map(|topic| {
            let found = topics::resolve(store, by_id, &topic.topic, topic.topic_id);
            let log = |index| match &found {
                Ok(topic) if version < FIRST_VERSION_WITH_ZSTD && promises_zstd(topic) => {
                    Err(ErrorCode::UnsupportedCompressionType)
                }
                Ok(topic) => topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition),
                Err(error) => Err(*error),
            };
            let planned = |asked: &FetchPartition| Planned {
                index: asked.partition,
                log: log(asked.partition),
                from: asked.fetch_offset,
                max_bytes: bytes(asked.partition_max_bytes),
                leader_epoch: asked.current_leader_epoch,
                last_fetched_epoch: asked.last_fetched_epoch,
            };
            let partitions = topic.partitions.iter().map(planned).collect();
            PlannedTopic { name: topic.topic.0, id: topic.topic_id, partitions }
        });
        Self {
            version,
            min_bytes: bytes(request.min_bytes).min(max_bytes),
            max_bytes,
            committed: request.isolation_level == READ_COMMITTED,
            topics: topics.collect(),
        }
    }

    pub(super) fn version(&self) -> i16 {
        self.version
    }

    /// The partitions that exist: what to subscribe to.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Arc<PartitionLog>> {
        self.topics.iter().flat_map(|topic| &topic.partitions).filter_map(|planned| planned.log.as_ref().ok())
    }

    /// Finds everything that is there now.
    pub(super) fn look(&self, store: &Store, patience: Patience) -> Looked<'_> {
        let budget = Budget::new(self.max_bytes);
        let mut look = Look { store, patience, budget, cold_left: COLD_AT_ONCE };
        let mut at_once = self.partitions().next().is_none();
        let mut response =
            FetchResponse { topics: Vec::with_capacity(self.topics.len()), ..FetchResponse::default() };
        let mut located = Vec::new();
        for topic in &self.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for planned in &topic.partitions {
                let (fetched, batches) = self.partition(&mut look, planned);
                at_once |= !fetched.error_code.is_none() || fetched.diverging_epoch.is_some();
                partitions.push(fetched);
                located.push(batches);
            }
            response.topics.push(FetchedTopic { name: topic.name.clone(), topic_id: topic.id, partitions });
        }
        Looked { response, located, is_enough: at_once || look.budget.counted() >= self.min_bytes }
    }

    fn partition<'a>(
        &self,
        look: &mut Look<'_>,
        planned: &'a Planned,
    ) -> (FetchedPartition, Option<PartitionLocated<'a>>) {
        let looked = planned.log.as_deref().map_err(|error| *error).and_then(|log| {
            let (fetched, located) = self.log(look, log, planned)?;
            Ok((fetched, located.map(|located| (log, located))))
        });
        looked.unwrap_or_else(|error_code| (failed(planned.index, error_code), None))
    }

    fn log(
        &self,
        look: &mut Look<'_>,
        log: &PartitionLog,
        planned: &Planned,
    ) -> Result<(FetchedPartition, Option<Located>), ErrorCode> {
        if log.is_deleted() {
            return Err(if self.version >= FIRST_VERSION_WITH_IDS {
                ErrorCode::UnknownTopicId
            } else {
                ErrorCode::UnknownTopicOrPartition
            });
        }
        partition::check_leader_epoch(log, planned.leader_epoch)?;
        let high_watermark = log.high_watermark();
        let last_stable_offset = log.last_stable_offset();
        let log_start_offset = log.log_start_offset();
        let from = planned.from;
        let mut fetched = FetchedPartition {
            partition_index: planned.index,
            high_watermark,
            last_stable_offset,
            log_start_offset,
            aborted_transactions: self.committed.then(Vec::new),
            ..FetchedPartition::default()
        };
        if planned.last_fetched_epoch >= 0 {
            fetched.diverging_epoch = diverging(log, planned)?;
            if fetched.diverging_epoch.is_some() {
                return Ok((fetched, None));
            }
        }
        if from < log_start_offset || from > log.log_end_offset() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let limit = if self.committed { last_stable_offset } else { high_watermark };
        // Between the limit and the log end there is nothing to see yet, which is not an error.
        let located = if from < limit { look.locate(log, planned, limit)? } else { None };
        Ok((fetched, located))
    }
}

impl Look<'_> {
    /// What there is below `limit`, within what is left for this partition.
    fn locate(
        &mut self,
        log: &PartitionLog,
        planned: &Planned,
        limit: Offset,
    ) -> Result<Option<Located>, ErrorCode> {
        let share = self.budget.share(planned.max_bytes);
        let Share { max_bytes, at_least_one } = share;
        if max_bytes == 0 && !at_least_one {
            self.budget.took(share, 0, true);
            return Ok(None);
        }
        let request = ReadRequest { from: planned.from, limit, max_bytes, at_least_one };
        let located = match self.patience {
            Patience::None => self.store.locate(log, &request),
            Patience::Waits => self.store.locate_waiting(log, &request),
        };
        let mut located = located.map_err(|error| error_map::read_error(&error))?;
        if located.is_cold() {
            located.truncate(self.cold_left, at_least_one);
            self.cold_left = self.cold_left.saturating_sub(located.bytes());
        }
        // Whether records below the limit are left out.
        let cut = located.end_offset().is_none_or(|end| end < limit);
        self.budget.took(share, located.bytes(), cut);
        Ok(Some(located))
    }
}

/// Kafka looks at the topic's config and not at the batches: a producer's own zstd goes out in every version.
fn promises_zstd(topic: &Topic) -> bool {
    topic.configs().get("compression.type").is_some_and(|codec| codec == "zstd")
}

/// The client's log is not ours when ours ends its last epoch earlier than it did (Kafka `Partition.readRecords`).
fn diverging(log: &PartitionLog, planned: &Planned) -> Result<Option<EpochEndOffset>, ErrorCode> {
    let (epoch, end_offset) = log.end_offset_for_epoch(planned.last_fetched_epoch);
    if epoch < 0 || end_offset < 0 || planned.from < log.log_start_offset() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let differs = epoch < planned.last_fetched_epoch || end_offset < planned.from;
    Ok(differs.then_some(EpochEndOffset { epoch, end_offset }))
}
