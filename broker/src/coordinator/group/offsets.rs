//! Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete, and deleted topics (Kafka's `OffsetMetadataManager`). What
//! transactions commit is next door, in `transactions`.
//!
//! Offsets are kept by topic name and partition. A group that only stores offsets ("simple") is made by its first commit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::ErrorCode;

use super::GroupCoordinator;
use super::classic::{Group, GroupState};
use super::config::MAX_STRING;
use super::effect::{CoordinatorRecord, WaiterId};
use super::event::{OffsetCommit, OffsetDelete, OffsetFetch, PartitionCommit};
use super::records;
use super::response::{FetchedOffset, OffsetDeleteResponse, OffsetFetchResponse, PartitionErrors, Response};
use super::turn::Turn;

/// One committed offset, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommittedOffset {
    pub(super) offset: i64,
    /// -1 if unknown.
    pub(super) leader_epoch: i32,
    pub(super) metadata: String,
    pub(super) commit_timestamp_ms: i64,
    /// Set by clients that choose their own retention (OffsetCommit up to version 4).
    pub(super) expire_timestamp_ms: Option<i64>,
}

/// Offsets by topic name.
pub(super) type Commits = Vec<(String, Vec<(i32, CommittedOffset)>)>;

/// A commit that passed its checks but is not applied.
pub(super) struct Checked {
    pub(super) outcomes: PartitionErrors,
    pub(super) commits: Commits,
    pub(super) records: Vec<CoordinatorRecord>,
}

/// What a commit is for, and for how long.
pub(super) struct Terms<'a> {
    pub(super) group_id: &'a str,
    pub(super) retention: Option<Duration>,
}

impl GroupCoordinator {
    pub(super) fn offset_commit(&mut self, now: Instant, waiter: WaiterId, request: OffsetCommit) {
        let group_id = request.group_id.clone();
        let is_new_group = !self.contains(&group_id);
        let allowed = match self.turn(now, &group_id) {
            Some(mut turn) => turn.admit_commit(&request),
            None if request.generation_id < 0 => Ok(()),
            None if request.supports_group_id_not_found => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
        };
        let terms = Terms { group_id: &group_id, retention: request.retention };
        let checked = allowed.and_then(|()| self.check_commit(now, terms, &request.topics));
        let checked = checked.and_then(|checked| {
            if is_new_group && !checked.records.is_empty() {
                self.create(now, &group_id)?;
            }
            Ok(checked)
        });
        match checked {
            Err(error) => self.outbox.respond(waiter, refused(request, error)),
            Ok(checked) => match self.turn(now, &group_id) {
                Some(mut turn) => turn.apply_commit(waiter, request.retention, checked),
                None => self.outbox.respond(waiter, Response::OffsetCommit(checked.outcomes)),
            },
        }
    }

    /// Decides about each partition. A commit too large for one append is refused whole, as Kafka does.
    pub(super) fn check_commit(
        &self,
        now: Instant,
        Terms { group_id, retention }: Terms<'_>,
        topics: &[(String, Vec<PartitionCommit>)],
    ) -> Result<Checked, ErrorCode> {
        let commit_timestamp_ms = self.wall_clock_ms(now);
        let retention_ms = retention.map(|it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX));
        let expire_timestamp_ms = retention_ms.map(|it| commit_timestamp_ms.saturating_add(it));
        let mut checked = Checked { outcomes: Vec::new(), commits: Vec::new(), records: Vec::new() };
        for (topic, partitions) in topics {
            let (mut outcomes, mut commits) = (Vec::with_capacity(partitions.len()), Vec::new());
            for commit in partitions {
                let outcome = self.check_partition(topic, commit);
                outcomes.push((commit.partition, outcome));
                if outcome != ErrorCode::None {
                    continue;
                }
                let offset = CommittedOffset {
                    offset: commit.offset,
                    leader_epoch: commit.leader_epoch.max(-1),
                    metadata: commit.metadata.clone().unwrap_or_default(),
                    commit_timestamp_ms,
                    expire_timestamp_ms,
                };
                let record = records::offset_commit(group_id, topic, commit.partition, Some(&offset));
                checked.records.push(record);
                commits.push((commit.partition, offset));
            }
            checked.outcomes.push((topic.clone(), outcomes));
            checked.commits.push((topic.clone(), commits));
        }
        let size: usize = checked.records.iter().map(CoordinatorRecord::size).sum();
        if size > self.config.max_append_bytes { Err(ErrorCode::UnknownServerError) } else { Ok(checked) }
    }

    fn check_partition(&self, topic: &str, commit: &PartitionCommit) -> ErrorCode {
        let max = self.config.offset_metadata_max_bytes;
        let metadata = commit.metadata.as_deref().unwrap_or_default();
        // Kafka counts UTF-16 units, of which there are never more than bytes.
        let is_too_large = metadata.len() > max && metadata.encode_utf16().count() > max;
        if topic.len() > MAX_STRING {
            ErrorCode::InvalidTopicException
        } else if is_too_large || metadata.len() > MAX_STRING {
            ErrorCode::OffsetMetadataTooLarge
        } else {
            ErrorCode::None
        }
    }

    /// A topic is gone, and what was committed for it. Partitions that are being loaded forget it afterwards.
    pub(super) fn topic_deleted(&mut self, now: Instant, topic: &str) {
        for partition in 0..self.config.partitions {
            match self.shard_mut(partition) {
                Some(shard) if !shard.loaded => shard.deleted_topics.push(topic.to_owned()),
                _ => self.forget_topic(now, partition, topic),
            }
        }
    }

    /// Tombstones for every offset that this partition's groups have of the topic.
    pub(super) fn forget_topic(&mut self, now: Instant, partition: i32, topic: &str) {
        self.forget_share_topics(now, partition);
        let Some(shard) = self.shard_mut(partition) else { return };
        let concerned = shard.groups.values().filter(|group| !group.partitions_of(topic).is_empty());
        let concerned: Vec<_> = concerned.map(|group| group.id.clone()).collect();
        for group_id in concerned {
            let Some(mut turn) = self.turn_in(now, partition, &group_id) else { continue };
            let partitions = turn.group.partitions_of(topic);
            let tombstone = |partition: &i32| records::offset_commit(&group_id, topic, *partition, None);
            let tombstones = partitions.iter().map(tombstone).collect();
            for partition in partitions {
                turn.group.remove_offset(topic, partition);
            }
            turn.append_in_parts(tombstones);
            turn.check_retention_soon();
        }
    }
}

impl Turn<'_> {
    /// Who may commit now (Kafka's `ClassicGroup.validateOffsetCommit`). A commit is as good as a heartbeat.
    fn admit_commit(&mut self, request: &OffsetCommit) -> Result<(), ErrorCode> {
        if self.group.share.is_some() {
            return Err(ErrorCode::GroupIdNotFound);
        }
        if let Some(consumer) = &self.group.consumer {
            return consumer.admit_commit(request, self.topics);
        }
        let (state, generation_id) = (self.group.state(), request.generation_id);
        if generation_id < 0 && state == GroupState::Empty {
            return Ok(());
        }
        if generation_id < 0 && request.member_id.is_empty() && request.group_instance_id.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if generation_id != self.group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        if state == GroupState::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.keep_alive(&request.member_id);
        Ok(())
    }

    fn apply_commit(&mut self, waiter: WaiterId, retention: Option<Duration>, checked: Checked) {
        if checked.records.is_empty() {
            return self.respond(waiter, Response::OffsetCommit(checked.outcomes));
        }
        for (topic, commits) in checked.commits {
            for (partition, offset) in commits {
                self.group.put_offset(&topic, partition, offset);
            }
        }
        self.append(checked.records);
        self.check_retention_in(retention.unwrap_or(self.config.offsets_retention));
        self.respond_when_durable(waiter, Response::OffsetCommit(checked.outcomes));
    }

    /// A commit that is not yet durable must not be read: such an answer waits for it.
    pub(super) fn fetch_offsets(&mut self, waiter: WaiterId, request: OffsetFetch) {
        let admitted = match (&self.group.consumer, &request.member) {
            (Some(consumer), Some((member, epoch))) => consumer.admit_fetch(member, *epoch),
            _ => Ok(()),
        };
        if let Err(error) = admitted {
            let response = OffsetFetchResponse { error, topics: Vec::new() };
            return self.respond(waiter, Response::OffsetFetch(response));
        }
        let topics = fetch(Some(&*self.group), request);
        let response = OffsetFetchResponse { error: ErrorCode::None, topics };
        self.respond_when_durable(waiter, Response::OffsetFetch(response));
    }

    pub(super) fn delete_offsets(&mut self, waiter: WaiterId, request: OffsetDelete) {
        if self.group.share.is_some() {
            let response = OffsetDeleteResponse { error: ErrorCode::GroupIdNotFound, topics: Vec::new() };
            return self.respond(waiter, Response::OffsetDelete(response));
        }
        if !self.group.is_empty() && !self.group.is_consumer_group() {
            let response = OffsetDeleteResponse { error: ErrorCode::NonEmptyGroup, topics: Vec::new() };
            return self.respond(waiter, Response::OffsetDelete(response));
        }
        let (mut tombstones, mut topics) = (Vec::new(), Vec::with_capacity(request.topics.len()));
        for (topic, partitions) in request.topics {
            let in_use = self.group.is_subscribed_to(&topic);
            let error = if in_use { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
            for partition in partitions.iter().filter(|_| !in_use) {
                if self.group.remove_offset(&topic, *partition) {
                    tombstones.push(records::offset_commit(&self.group.id, &topic, *partition, None));
                }
            }
            topics.push((topic, partitions.into_iter().map(|partition| (partition, error)).collect()));
        }
        if self.append_in_parts(tombstones).is_some() {
            self.check_retention_soon();
        }
        let response = OffsetDeleteResponse { error: ErrorCode::None, topics };
        self.respond_when_durable(waiter, Response::OffsetDelete(response));
    }
}

impl Group {
    /// An offset that counts at once, and more than whatever is pending.
    pub(super) fn put_offset(&mut self, topic: &str, partition: i32, offset: CommittedOffset) {
        self.pending.supersede(topic, partition);
        if let Some(partitions) = self.offsets.get_mut(topic) {
            partitions.insert(partition, offset);
        } else {
            self.offsets.insert(topic.to_owned(), BTreeMap::from([(partition, offset)]));
        }
    }

    /// Whether there was an offset to remove, committed or pending.
    pub(super) fn remove_offset(&mut self, topic: &str, partition: i32) -> bool {
        let pending = self.pending.clear(topic, partition);
        let Some(partitions) = self.offsets.get_mut(topic) else { return pending };
        let removed = partitions.remove(&partition).is_some();
        if partitions.is_empty() {
            self.offsets.remove(topic);
        }
        removed || pending
    }
}

/// The offsets asked for; a group that does not exist has committed nothing.
pub(super) fn fetch(group: Option<&Group>, request: OffsetFetch) -> Vec<(String, Vec<FetchedOffset>)> {
    let one = |topic: &str, partition| {
        let Some(group) = group else { return fetched(partition, None) };
        if request.require_stable && group.pending.contains(topic, partition) {
            let error = ErrorCode::UnstableOffsetCommit;
            return FetchedOffset { error, ..fetched(partition, None) };
        }
        let committed = group.offsets.get(topic).and_then(|partitions| partitions.get(&partition));
        fetched(partition, committed)
    };
    let asked = request.topics.unwrap_or_else(|| {
        let all = group.into_iter().flat_map(|group| &group.offsets);
        all.map(|(topic, committed)| (topic.clone(), committed.keys().copied().collect())).collect()
    });
    let answer = |(topic, partitions): (String, Vec<i32>)| {
        let offsets = partitions.into_iter().map(|partition| one(&topic, partition)).collect();
        (topic, offsets)
    };
    asked.into_iter().map(answer).collect()
}

fn fetched(partition: i32, committed: Option<&CommittedOffset>) -> FetchedOffset {
    FetchedOffset {
        partition,
        offset: committed.map_or(-1, |committed| committed.offset),
        leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch),
        metadata: committed.map(|committed| committed.metadata.clone()).unwrap_or_default(),
        error: ErrorCode::None,
    }
}

fn refused(request: OffsetCommit, error: ErrorCode) -> Response {
    Response::refusal(super::event::Request::OffsetCommit(request), error)
}
