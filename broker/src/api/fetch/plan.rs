//! A fetch as it will be read: which partitions, from where, within which limits.
//!
//! Made once per request; looking again finds what is there by then. Invariant: topics that do not exist are decided
//! when the plan is made, everything that can change while the fetch waits is looked at each time.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use protocol::fetch_response::{
    EpochEndOffset, FetchResponse, FetchedPartition, FetchedTopic, LeaderIdAndEpoch, NodeEndpoint,
};
use protocol::messages::FetchRequest;
use protocol::messages::fetch_request::FetchTopic;
use protocol::{ErrorCode, StrBytes};
use storage::{Located, Offset, PartitionLog, ReadRequest, Store, Topic};
use uuid::Uuid;

use super::limits::{Budget, Share};
use super::looked::{Looked, PartitionLocated, failed};
use crate::broker::Broker;
use crate::fetch_session::{Asked, AskedPartition, Begun, Place, SessionPartition};
use crate::virtual_nodes::{AtNode, NodeAddress, Placement, check_leader};
use crate::{error_map, partition, topics};

/// One fetch reads this much from the device, bytes, or one first batch that is larger.
pub(super) const COLD_AT_ONCE: usize = 2 << 20;
const READ_COMMITTED: i8 = 1;
/// From this version on topics are named by id.
pub(super) const FIRST_VERSION_WITH_IDS: i16 = 13;

/// See the module.
pub(super) struct Plan {
    version: i16,
    min_bytes: usize,
    max_bytes: usize,
    committed: bool,
    /// Who asks has the id of a broker.
    follower: bool,
    session: Begun,
    at: Option<AtNode>,
    /// Where the client can be sent to.
    nodes: Vec<NodeAddress>,
    /// No more than about so many offsets of a partition are wanted.
    window: Option<i64>,
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
    asked: Asked,
    /// In the session that the fetch continues.
    place: Place,
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
    /// `broker_max_bytes` is `fetch.max.bytes`; `min_bytes` never asks for more than may be sent. What is fetched is what
    /// the request names, or the partitions of the session that it continues.
    pub(super) fn new(
        ((at, nodes), store): ((Option<AtNode>, Vec<NodeAddress>), &Store),
        version: i16,
        broker_max_bytes: i32,
        request: &FetchRequest,
        (session, partitions): (Begun, Vec<SessionPartition>),
    ) -> Self {
        let max_bytes = bytes(request.max_bytes.min(broker_max_bytes));
        let topics = match session {
            Begun::Continues(_) => of_session(store, version, &partitions),
            Begun::Sessionless | Begun::Opens { .. } => of_request(store, version, &request.topics),
        };
        Self {
            version,
            min_bytes: bytes(request.min_bytes).min(max_bytes),
            max_bytes,
            committed: request.isolation_level == READ_COMMITTED,
            follower: request.replica_id.0 >= 0 || request.replica_state.replica_id.0 >= 0,
            session,
            at,
            nodes,
            window: None,
            topics,
        }
    }

    /// Only the batches with the first `offsets` offsets, or the next batch where there is none among them.
    pub(super) fn within(self, offsets: i64) -> Self {
        Self { window: Some(offsets), ..self }
    }

    pub(super) fn version(&self) -> i16 {
        self.version
    }

    /// The partitions that exist: what to subscribe to.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Arc<PartitionLog>> {
        self.topics.iter().flat_map(|topic| &topic.partitions).filter_map(|planned| planned.log.as_ref().ok())
    }

    /// Tells of the partitions that are led elsewhere, or of which the client knows another leader, who leads them (KIP-951).
    pub(super) fn tell_leaders(&self, broker: &Broker, response: &mut FetchResponse) {
        if self.nodes.is_empty() {
            return;
        }
        let planned = self.topics.iter().flat_map(|topic| &topic.partitions);
        let fetched = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        let mut leaders = BTreeSet::new();
        for (planned, fetched) in planned.zip(fetched) {
            let is_elsewhere =
                matches!(fetched.error_code, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
            if let (true, Ok(log)) = (is_elsewhere, &planned.log) {
                let Placement { leader: leader_id, leader_epoch, .. } = broker.placement(log);
                fetched.current_leader = Some(LeaderIdAndEpoch { leader_id, leader_epoch });
                leaders.insert(leader_id);
            }
        }
        let named = self.nodes.iter().filter(|node| leaders.contains(&node.id));
        response.node_endpoints = named
            .map(|node| NodeEndpoint {
                node_id: node.id,
                host: node.host.clone(),
                port: i32::from(node.port),
                rack: broker.config.broker_rack.clone().map(StrBytes::from_string),
            })
            .collect();
    }

    /// The session that the fetch belongs to.
    pub(super) fn session(&self) -> &Begun {
        &self.session
    }

    /// What was asked of each partition, in the order of the response.
    pub(super) fn asked(&self) -> impl Iterator<Item = AskedPartition<'_>> + Clone {
        self.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(move |planned| (&topic.name, topic.id, planned.asked))
        })
    }

    /// The place of each partition in the session, in the order of the response.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|planned| planned.place)
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
                // What is not there does not make the others hurry (Kafka answers for it without asking the log).
                let failed = planned.log.is_ok() && !fetched.error_code.is_none();
                at_once |= failed || fetched.diverging_epoch.is_some();
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
            let committed_from = self.committed.then_some(planned.asked.from);
            Ok((fetched, located.map(|located| PartitionLocated { log, located, committed_from })))
        });
        looked.unwrap_or_else(|error_code| {
            // Kafka has two places that say no, and they fill in different emptiness.
            let aborted_transactions = planned.log.is_err().then(Vec::new);
            (FetchedPartition { aborted_transactions, ..failed(planned.index, error_code) }, None)
        })
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
        partition::check_leader_epoch(log, planned.asked.leader_epoch)?;
        check_leader(self.at.as_ref(), log)?;
        if self.follower {
            // No other broker has a replica (Kafka `Partition.followerReplicaOrThrow`).
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let high_watermark = log.high_watermark();
        // It may have moved beyond what was seen of the high watermark.
        let last_stable_offset = log.last_stable_offset().min(high_watermark);
        let log_start_offset = log.log_start_offset();
        let from = planned.asked.from;
        let mut fetched = FetchedPartition {
            partition_index: planned.index,
            high_watermark,
            last_stable_offset,
            log_start_offset,
            aborted_transactions: self.committed.then(Vec::new),
            ..FetchedPartition::default()
        };
        if planned.asked.last_fetched_epoch >= 0 {
            fetched.diverging_epoch = diverging(log, planned.asked)?;
            if fetched.diverging_epoch.is_some() {
                return Ok((fetched, None));
            }
        }
        if from < log_start_offset || from > log.log_end_offset() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let limit = if self.committed { last_stable_offset } else { high_watermark };
        // Between the limit and the log end there is nothing to see yet, which is not an error.
        let located = if from < limit { look.locate(log, planned, limit, self.window)? } else { None };
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
        window: Option<i64>,
    ) -> Result<Option<Located>, ErrorCode> {
        if planned.asked.max_bytes < 0 {
            // Kafka's `LogSegment.read` throws, which it does only where there is something to read.
            return Err(ErrorCode::UnknownServerError);
        }
        let share = self.budget.share(bytes(planned.asked.max_bytes));
        let Share { max_bytes, at_least_one } = share;
        if max_bytes == 0 && !at_least_one {
            self.budget.took(share, 0, true);
            return Ok(None);
        }
        let from = planned.asked.from;
        let wanted = ReadRequest { from, limit, max_bytes, at_least_one };
        let mut located = match window.map(|offsets| from.saturating_add(offsets)) {
            Some(end) if end < limit => self.find(log, ReadRequest { limit: end, ..wanted })?,
            _ => self.find(log, wanted)?,
        };
        if window.is_some() && located.end_offset().is_none() && !located.is_cold() {
            // Compaction left a gap.
            located = self.find(log, ReadRequest { max_bytes: max_bytes.min(1), ..wanted })?;
        }
        if located.is_cold() {
            located.truncate(self.cold_left, at_least_one);
            self.cold_left = self.cold_left.saturating_sub(located.bytes());
        }
        // Whether records below the limit are left out.
        let cut = located.end_offset().is_none_or(|end| end < limit);
        self.budget.took(share, located.bytes(), cut);
        Ok(Some(located))
    }

    fn find(&self, log: &PartitionLog, request: ReadRequest) -> Result<Located, ErrorCode> {
        let located = match self.patience {
            Patience::None => self.store.locate(log, &request),
            Patience::Waits => self.store.locate_waiting(log, &request),
        };
        located.map_err(|error| error_map::read_error(&error))
    }
}

/// A partition that is named twice is fetched once, in its first place, as it was asked for last (Kafka
/// `FetchRequest.fetchData`).
fn of_request(store: &Store, version: i16, topics: &[FetchTopic]) -> Vec<PlannedTopic> {
    let mut planned: Vec<PlannedTopic> = Vec::with_capacity(topics.len());
    let mut seen = HashMap::new();
    for topic in topics {
        let found = find(store, version, &topic.topic, topic.topic_id);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let partition = found.planned(asked.partition, asked.into(), 0);
            match seen.entry((topic.topic.as_str(), topic.topic_id, asked.partition)) {
                Entry::Vacant(new) => {
                    new.insert((planned.len(), partitions.len()));
                    partitions.push(partition);
                }
                Entry::Occupied(earlier) => match *earlier.get() {
                    (of, at) if of == planned.len() => partitions[at] = partition,
                    (of, at) => planned[of].partitions[at] = partition,
                },
            }
        }
        if !partitions.is_empty() {
            planned.push(PlannedTopic { name: topic.topic.0.clone(), id: topic.topic_id, partitions });
        }
    }
    planned
}

/// A session's partitions in its order: those of one topic that follow each other are answered together.
fn of_session(store: &Store, version: i16, partitions: &[SessionPartition]) -> Vec<PlannedTopic> {
    let topics = partitions.chunk_by(|one, next| one.topic == next.topic).map(|partitions| {
        let (name, id) = (partitions[0].topic.name.clone(), partitions[0].topic.id);
        let found = find(store, version, &name, id);
        let planned = partitions.iter().map(|it| found.planned(it.index, it.asked, it.place));
        PlannedTopic { name, id, partitions: planned.collect() }
    });
    topics.collect()
}

/// A topic as it was found, or why it cannot be fetched.
struct Found(Result<Arc<Topic>, ErrorCode>);

fn find(store: &Store, version: i16, name: &str, id: Uuid) -> Found {
    Found(topics::resolve(store, version >= FIRST_VERSION_WITH_IDS, name, id))
}

impl Found {
    fn planned(&self, index: i32, asked: Asked, place: Place) -> Planned {
        let log = self.0.as_ref().map_err(|error| *error);
        let log = log.and_then(|topic| topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition));
        Planned { index, log, asked, place }
    }
}

fn bytes(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or_default()
}

/// The client's log is not ours when ours ends its last epoch earlier than it did (Kafka `Partition.readRecords`).
fn diverging(log: &PartitionLog, asked: Asked) -> Result<Option<EpochEndOffset>, ErrorCode> {
    let (epoch, end_offset) = log.end_offset_for_epoch(asked.last_fetched_epoch);
    if epoch < 0 || end_offset < 0 || asked.from < log.log_start_offset() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let differs = epoch < asked.last_fetched_epoch || end_offset < asked.from;
    Ok(differs.then_some(EpochEndOffset { epoch, end_offset }))
}
