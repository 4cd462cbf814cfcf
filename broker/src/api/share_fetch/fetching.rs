//! Records for a member of a share group: where are they, what do they say, who gets them.
//!
//! Invariants: what is answered was acquired, and what was acquired is answered; a fetch that waits subscribes before it
//! looks, so that neither new records nor ones that can be had again are missed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::control_batch::{EndTransactionMarker, MarkerType};
use protocol::fetch_response::{
    AbortedTransaction, FetchResponse, FetchedPartition, LeaderIdAndEpoch, NodeEndpoint,
};
use protocol::messages::FetchRequest;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::record_batch::RecordBatchView;
use protocol::share_fetch_response::ShareFetchedPartition;
use storage::{Offset, PartitionLog};

use crate::api::{fetch, share_acknowledge};
use crate::broker::Broker;
use crate::coordinator::share::{self, Acquire, AcquireMode, Acquired, Key, LogState, Position, Positions};
use crate::error_map;
use crate::share_session::TopicPartition;
use crate::share_settings::{Reset, ShareSettings};
use crate::virtual_nodes::{AtNode, NodeAddress};

/// One share fetch.
pub(super) struct Fetching {
    pub(super) broker: Arc<Broker>,
    pub(super) group: Arc<str>,
    pub(super) member: Arc<str>,
    pub(super) settings: ShareSettings,
    pub(super) at: Option<AtNode>,
    pub(super) nodes: Vec<NodeAddress>,
    /// In the order in which they are served.
    pub(super) partitions: Vec<TopicPartition>,
    /// Those that are named even when there is nothing of them.
    pub(super) fresh: BTreeSet<TopicPartition>,
    pub(super) mode: AcquireMode,
    pub(super) batch_size: i64,
    pub(super) max_records: i64,
    pub(super) min_bytes: i32,
    pub(super) max_bytes: i32,
    pub(super) max_wait: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) partitions: BTreeMap<TopicPartition, ShareFetchedPartition>,
    pub(super) node_endpoints: Vec<NodeEndpoint>,
}

impl Fetched {
    fn fail(&mut self, place: TopicPartition, error_code: ErrorCode) {
        let failed = ShareFetchedPartition {
            partition_index: place.1,
            error_code,
            ..ShareFetchedPartition::default()
        };
        self.partitions.insert(place, failed);
    }

    /// Whether there is something to say.
    fn is_worth_it(&self) -> bool {
        !self.partitions.is_empty()
    }
}

/// A partition that is there and led here.
struct Served {
    place: TopicPartition,
    log: Arc<PartitionLog>,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// There is nothing, or not enough: wait.
    Nothing,
    /// There was something; another look finds something else.
    Changed,
}

impl Fetching {
    pub(super) fn wants_anything(&self) -> bool {
        self.max_records > 0 && self.max_bytes > 0 && !self.partitions.is_empty()
    }

    /// Records, or errors of the log, or nothing when the time is over. What cannot be served does not make the others hurry.
    pub(super) async fn run(self) -> Fetched {
        let (mut fetched, mut failed, mut served) = (Fetched::default(), Fetched::default(), Vec::new());
        for place in self.partitions.iter().copied() {
            match share_acknowledge::find(&self.broker, self.at.as_ref(), place) {
                Ok(log) => served.push(Served { place, log }),
                Err(error) => failed.fail(place, error),
            }
        }
        let subscription = self.broker.waits.subscribe(served.iter().map(|served| &served.log));
        let deadline = self.broker.sleep(self.max_wait);
        tokio::pin!(deadline);
        let mut is_over = self.max_wait.is_zero();
        loop {
            let look = self.look(&served, (&mut fetched, &mut failed), is_over).await;
            if is_over || fetched.is_worth_it() || failed.partitions.len() == self.partitions.len() {
                for served in served.iter().filter(|served| self.fresh.contains(&served.place)) {
                    let nothing =
                        ShareFetchedPartition { partition_index: served.place.1, ..Default::default() };
                    failed.partitions.entry(served.place).or_insert(nothing);
                }
                failed.partitions.append(&mut fetched.partitions);
                fetched.partitions = failed.partitions;
                self.tell_leaders(&mut fetched);
                return fetched;
            }
            if look == Look::Changed {
                continue;
            }
            tokio::select! {
                biased;
                () = subscription.changed() => {}
                () = &mut deadline => is_over = true,
            }
        }
    }

    /// Takes what there is, if it is enough or `anything` will do.
    async fn look(
        &self,
        served: &[Served],
        (fetched, failed): (&mut Fetched, &mut Fetched),
        anything: bool,
    ) -> Look {
        let positions = self.positions(served).await;
        let mut wanted = Vec::new();
        for (served, position) in served.iter().zip(positions) {
            match position {
                _ if served.log.is_deleted() => failed.fail(served.place, ErrorCode::UnknownTopicId),
                Ok(Position::At(from)) => wanted.push((served, from)),
                Ok(Position::Full | Position::Unset) => {}
                Err(error) => failed.fail(served.place, error),
            }
        }
        if wanted.is_empty() {
            return Look::Nothing;
        }
        let at = (self.at.clone(), self.nodes.clone());
        let (request, window) = (self.request(&wanted), self.window());
        match fetch::read_for_share(&self.broker, at, (&request, window), anything).await {
            Some(response) => self.acquire(&wanted, response, fetched).await,
            None => Look::Nothing,
        }
    }

    /// Where the next records are; a partition that the group never read gets its beginning first.
    async fn positions(&self, served: &[Served]) -> Vec<Result<Position, ErrorCode>> {
        let logs = served.iter().map(|Served { place, log }| LogState {
            topic: place.0,
            partition: place.1,
            log_start: log.log_start_offset(),
            leader_epoch: log.leader_epoch(),
        });
        let (group, limits) = (Arc::clone(&self.group), self.settings.limits);
        let asked = Positions { group, limits, partitions: logs.collect() };
        let positions = self.broker.share_partitions.positions(asked.clone()).await;
        let both = served.iter().zip(&positions);
        let unset: Vec<&Served> = both
            .filter(|(_, position)| **position == Ok(Position::Unset))
            .map(|(served, _)| served)
            .collect();
        if unset.is_empty() {
            return positions;
        }
        for Served { place: (topic, partition), log } in unset {
            let key = Key { group: Arc::clone(&self.group), topic: *topic, partition: *partition };
            let started = match self.beginning(log).await {
                Ok(offset) => self.broker.share_partitions.start(key, offset).await,
                Err(error) => Err(error),
            };
            if let Err(error) = started {
                tracing::warn!(%error, group = %self.group, "a share group cannot begin to read a partition");
            }
        }
        self.broker.share_partitions.positions(asked).await
    }

    /// Where a group begins that never read the partition (Kafka `SharePartition.startOffsetDuringInitialization`).
    async fn beginning(&self, log: &Arc<PartitionLog>) -> Result<Offset, ErrorCode> {
        let age_ms = match self.settings.reset {
            Reset::Latest => return Ok(log.high_watermark()),
            Reset::Earliest => return Ok(log.log_start_offset()),
            Reset::ByDuration(age_ms) => age_ms,
        };
        let since = self.broker.clock.now_ms().saturating_sub(age_ms);
        let turn = Arc::clone(&self.broker.searches);
        let turn = turn.acquire_owned().await.expect("the semaphore is never closed");
        let (store, log) = (Arc::clone(&self.broker.store), Arc::clone(log));
        let search = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let limit = log.high_watermark();
            let found = store.offset_for_timestamp(&log, since, limit);
            // Nothing is that young yet: the next record will be.
            found.map(|found| found.map_or(limit, |found| found.offset))
        });
        let found = search.await.expect("a search neither panics nor is cancelled");
        found.map_err(|error| error_map::read_error(&error))
    }

    /// As a consumer would ask for it.
    fn request(&self, wanted: &[(&Served, Offset)]) -> FetchRequest {
        let count = i32::try_from(wanted.len()).unwrap_or(i32::MAX).max(1);
        let topics = wanted.iter().map(|(Served { place: (topic, partition), .. }, from)| {
            let partition = FetchPartition::default()
                .with_partition(*partition)
                .with_fetch_offset(*from)
                .with_partition_max_bytes((self.max_bytes / count).max(1));
            FetchTopic::default().with_topic_id(*topic).with_partitions(vec![partition])
        });
        FetchRequest::default()
            .with_min_bytes(self.min_bytes)
            .with_max_bytes(self.max_bytes)
            .with_isolation_level(i8::from(self.settings.committed))
            .with_topics(topics.collect())
    }

    /// Offsets of a partition that are worth reading.
    fn window(&self) -> i64 {
        self.max_records.min(self.settings.limits.in_flight).max(1)
    }

    async fn acquire(
        &self,
        wanted: &[(&Served, Offset)],
        response: FetchResponse,
        fetched: &mut Fetched,
    ) -> Look {
        fetched.node_endpoints.extend(response.node_endpoints);
        let read = response.topics.into_iter().flat_map(|topic| topic.partitions);
        let (mut partitions, mut records, mut look) = (Vec::new(), Vec::new(), Look::Nothing);
        for ((served, from), partition) in wanted.iter().zip(read) {
            match partition.error_code {
                ErrorCode::None if partition.records.is_empty() => {}
                ErrorCode::None => {
                    partitions.push(described(served.place, *from, &partition));
                    records.push((served.place, partition.records));
                }
                // The log let go of what was to be read: the next look knows. A log that lost its end is waited for.
                ErrorCode::OffsetOutOfRange if served.log.log_start_offset() > *from => look = Look::Changed,
                ErrorCode::OffsetOutOfRange => {}
                error => fetched.fail(served.place, error),
            }
        }
        if partitions.is_empty() {
            return look;
        }
        let acquire = Acquire {
            group: Arc::clone(&self.group),
            member: Arc::clone(&self.member),
            limits: self.settings.limits,
            mode: self.mode,
            batch_size: self.batch_size,
            max_records: self.max_records,
            partitions,
        };
        let acquired = self.broker.share_partitions.acquire(acquire).await;
        for ((place, records), acquired) in records.into_iter().zip(acquired) {
            match acquired {
                Ok(acquired) if acquired.is_empty() => {}
                Ok(acquired) => {
                    fetched.partitions.insert(place, delivered(place, records, &acquired));
                }
                Err(error) => fetched.fail(place, error),
            }
        }
        // When nothing was acquired, somebody else was faster, or all of it was aborted: the next records are elsewhere.
        Look::Changed
    }

    fn tell_leaders(&self, fetched: &mut Fetched) {
        for (place, partition) in &mut fetched.partitions {
            if partition.error_code != ErrorCode::NotLeaderOrFollower {
                continue;
            }
            let Some((leader_id, leader_epoch)) = share_acknowledge::leader_of(&self.broker, *place) else {
                continue;
            };
            partition.current_leader = Some(LeaderIdAndEpoch { leader_id, leader_epoch });
            let node = self.nodes.iter().find(|node| node.id == leader_id);
            fetched.node_endpoints.extend(node.map(|node| NodeEndpoint {
                node_id: node.id,
                host: node.host.clone(),
                port: i32::from(node.port),
                rack: None,
            }));
        }
        fetched.node_endpoints.sort_by_key(|node| node.node_id);
        fetched.node_endpoints.dedup_by_key(|node| node.node_id);
    }
}

/// The batches without their records.
fn described(place: TopicPartition, from: Offset, partition: &FetchedPartition) -> share::Fetched {
    let views = || partition.records.iter().filter_map(|batch| RecordBatchView::parse(batch).ok());
    let aborted = partition.aborted_transactions.as_deref().unwrap_or_default();
    share::Fetched {
        topic: place.0,
        partition: place.1,
        from,
        batches: views().map(|batch| ends(&batch)).collect(),
        aborted: if aborted.is_empty() { Vec::new() } else { aborted_batches(views(), aborted) },
    }
}

fn ends(batch: &RecordBatchView<'_>) -> (Offset, Offset) {
    let base = batch.base_offset();
    (base, base + i64::from(batch.last_offset_delta()))
}

/// Batches of aborted transactions; `aborted` is sorted by first offset.
fn aborted_batches<'a>(
    batches: impl Iterator<Item = RecordBatchView<'a>>,
    aborted: &[AbortedTransaction],
) -> Vec<(Offset, Offset)> {
    let (mut left, mut producers) = (aborted.iter().peekable(), HashSet::new());
    let mut found = Vec::new();
    for batch in batches.filter(|batch| batch.producer_id() >= 0) {
        let (base, last) = ends(&batch);
        while let Some(begun) = left.next_if(|begun| begun.first_offset <= last) {
            producers.insert(begun.producer_id);
        }
        if batch.is_control() {
            let marker = EndTransactionMarker::parse(&batch);
            if marker.is_some_and(|marker| marker.marker_type == MarkerType::Abort) {
                producers.remove(&batch.producer_id());
            }
        } else if batch.is_transactional() && producers.contains(&batch.producer_id()) {
            found.push((base, last));
        }
    }
    found
}

/// The batches that hold what was acquired, from the first to the last.
fn delivered(place: TopicPartition, mut records: Vec<Bytes>, acquired: &[Acquired]) -> ShareFetchedPartition {
    let first = acquired.iter().map(|piece| piece.first).min().unwrap_or(0);
    let last = acquired.iter().map(|piece| piece.last).max().unwrap_or(0);
    records.retain(|batch| {
        RecordBatchView::parse(batch).is_ok_and(|batch| {
            let (base, end) = ends(&batch);
            base <= last && end >= first
        })
    });
    let acquired = acquired.iter().map(|piece| (piece.first, piece.last, piece.deliveries));
    ShareFetchedPartition {
        partition_index: place.1,
        records,
        acquired: acquired.collect(),
        ..ShareFetchedPartition::default()
    }
}
