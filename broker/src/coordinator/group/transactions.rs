//! Offsets committed by transactions: TxnOffsetCommit, the markers that decide about them, and reading both back (KIP-98,
//! KIP-447; Kafka's `OffsetMetadataManager.commitTransactionalOffset` and `replayEndTransactionMarker`).
//!
//! The log may refuse a transactional append because of its producer, and that is nobody else's business: unlike other
//! writes these change the state only when the log has taken them (`GroupEvent::AppendTried`).
//! **Invariant:** a shard knows, for each producer, every group that has offsets of it pending.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use protocol::ErrorCode;
use protocol::control_batch::{EndTransactionMarker, MarkerType};

use super::GroupCoordinator;
use super::Shard;
use super::classic::{Group, GroupState};
use super::consumer::topics::TopicIndex;
use super::effect::{Ticket, TransactionalAppend, TransactionalContent, WaiterId};
use super::event::{CompleteTransaction, OffsetCommit, Request, TxnOffsetCommit};
use super::offsets::{Commits, Terms};
use super::records::Record;
use super::response::Response;
use super::turn::Turn;
use crate::coordinator::effect::append_error;

/// What a transactional append changes once it is in the log.
#[derive(Debug)]
pub(super) enum Tried {
    Offsets { group_id: String, producer_id: i64, commits: Commits },
    Marker { producer_id: i64, committed: bool },
}

impl GroupCoordinator {
    pub(super) fn txn_offset_commit(&mut self, now: Instant, waiter: WaiterId, request: TxnOffsetCommit) {
        let allowed = match self.group(&request.group_id) {
            Some(group) => group.admit_txn_commit(&request, &self.topics),
            None if request.generation_id >= 0 => Err(ErrorCode::IllegalGeneration),
            None if self.groups >= self.config.max_groups => Err(ErrorCode::PolicyViolation),
            None => Ok(()),
        };
        let terms = Terms { group_id: &request.group_id, retention: None };
        let checked = allowed.and_then(|()| self.check_commit(now, terms, &request.topics));
        let checked = match checked {
            Err(error) => return self.refuse(waiter, Request::TxnOffsetCommit(request), error),
            Ok(checked) if checked.records.is_empty() => {
                return self.outbox.respond(waiter, Response::TxnOffsetCommit(checked.outcomes));
            }
            Ok(checked) => checked,
        };
        let partition = self.partition_of(&request.group_id);
        let producer = (request.producer_id, request.producer_epoch);
        let content = TransactionalContent::Records(checked.records);
        let answer = (waiter, Response::TxnOffsetCommit(checked.outcomes));
        let (group_id, producer_id, commits) = (request.group_id, request.producer_id, checked.commits);
        let tried = Tried::Offsets { group_id, producer_id, commits };
        self.append_transactional(partition, producer, content, tried, answer);
    }

    /// Writes the marker, whether or not anything is pending.
    pub(super) fn complete_transaction(&mut self, waiter: WaiterId, complete: CompleteTransaction) {
        let CompleteTransaction { partition, producer_id, producer_epoch, coordinator_epoch, committed } =
            complete;
        let marker_type = if committed { MarkerType::Commit } else { MarkerType::Abort };
        let content = TransactionalContent::Marker(EndTransactionMarker { marker_type, coordinator_epoch });
        let answer = (waiter, Response::CompleteTransaction(ErrorCode::None));
        let producer = (producer_id, producer_epoch);
        let tried = Tried::Marker { producer_id, committed };
        self.append_transactional(partition, producer, content, tried, answer);
    }

    /// The response leaves when the append is durable.
    fn append_transactional(
        &mut self,
        partition: i32,
        producer: (i64, i16),
        content: TransactionalContent,
        tried: Tried,
        (waiter, response): (WaiterId, Response),
    ) {
        let append = |ticket| TransactionalAppend { partition, producer, content, waiter, ticket };
        let ticket = self.outbox.work(tried, append);
        self.outbox.park(ticket, partition, (waiter, response));
    }

    /// The log took a transactional append, or refused it because of its producer: then nothing has changed.
    pub(super) fn append_tried(&mut self, now: Instant, ticket: Ticket, result: Result<(), ErrorCode>) {
        let Some(tried) = self.outbox.take_note(ticket) else { return };
        // Its partition may have been given up meanwhile, because of another append.
        let Some(partition) = self.outbox.partition_of(ticket) else { return };
        if let Err(error) = result {
            return self.outbox.fail(ticket, append_error(error));
        }
        match tried {
            Tried::Offsets { group_id, producer_id, commits } => {
                if !self.contains(&group_id)
                    && let Err(error) = self.create(now, &group_id)
                {
                    // The log knows more than we can hold.
                    return self.drop_partition(partition, error);
                }
                let Some(mut turn) = self.turn_in(now, partition, &group_id) else { return };
                turn.put_pending(ticket, producer_id, commits);
                let id = turn.group.id.clone();
                if let Some(shard) = self.shard_mut(partition) {
                    shard.transactions.entry(producer_id).or_default().insert(id);
                }
            }
            Tried::Marker { producer_id, committed } => {
                let groups =
                    self.shard_mut(partition).and_then(|shard| shard.transactions.remove(&producer_id));
                for group_id in groups.into_iter().flatten() {
                    if let Some(mut turn) = self.turn_in(now, partition, &group_id) {
                        turn.end_transaction(ticket, producer_id, committed);
                    }
                }
            }
        }
    }

    pub(super) fn load_transactional_record(
        &mut self,
        partition: i32,
        producer_id: i64,
        key: &[u8],
        value: Option<&[u8]>,
    ) {
        let record = match Record::decode(key, value) {
            Ok(Record::OffsetCommit { group, topic, partition: index, value: Some(offset) }) => {
                (group, topic, index, offset)
            }
            // What is not a committed offset is nothing that a transaction could take back.
            Ok(_) => return self.load_record(partition, key, value),
            Err(error) => {
                return tracing::error!(partition, %error, "skipped a record of __consumer_offsets");
            }
        };
        let Some(shard) = self.shard_mut(partition).filter(|shard| !shard.loaded) else { return };
        let (group_id, topic, index, offset) = record;
        let group = shard.entry(&group_id);
        group.pending.put(&topic, index, producer_id, offset);
        let id = group.id.clone();
        shard.transactions.entry(producer_id).or_default().insert(id);
    }

    pub(super) fn load_marker(&mut self, partition: i32, producer_id: i64, committed: bool) {
        let Some(shard) = self.shard_mut(partition).filter(|shard| !shard.loaded) else { return };
        let Shard { transactions, groups, .. } = shard;
        for group_id in transactions.remove(&producer_id).into_iter().flatten() {
            if let Some(group) = groups.get_mut(&group_id) {
                group.end_transaction(producer_id, committed);
            }
        }
    }
}

impl Turn<'_> {
    fn put_pending(&mut self, ticket: Ticket, producer_id: i64, commits: Commits) {
        for (topic, offsets) in commits {
            for (partition, offset) in offsets {
                self.group.pending.put(&topic, partition, producer_id, offset);
            }
        }
        self.group.last_append = Some(ticket);
    }

    fn end_transaction(&mut self, ticket: Ticket, producer_id: i64, committed: bool) {
        self.group.end_transaction(producer_id, committed);
        self.group.last_append = Some(ticket);
        // Offsets that came with it, or a group that was made for offsets that never counted.
        self.check_retention_soon();
    }
}

impl TxnOffsetCommit {
    fn as_offset_commit(&self) -> OffsetCommit {
        OffsetCommit {
            group_id: self.group_id.clone(),
            generation_id: self.generation_id,
            member_id: self.member_id.clone(),
            group_instance_id: self.group_instance_id.clone(),
            retention: None,
            supports_group_id_not_found: true,
            topics: self.topics.clone(),
        }
    }
}

impl Group {
    /// Who may commit in a transaction now (Kafka's `validateOffsetCommit` of both kinds of groups): clients before KIP-447
    /// do not say who they are and are trusted; a rebalance under way is no reason to refuse, the generation is.
    fn admit_txn_commit(&self, request: &TxnOffsetCommit, topics: &TopicIndex) -> Result<(), ErrorCode> {
        if self.share.is_some() {
            return Err(ErrorCode::GroupIdNotFound);
        }
        let instance = request.group_instance_id.as_deref();
        if request.generation_id < 0 && request.member_id.is_empty() && instance.is_none() {
            return Ok(());
        }
        if let Some(consumer) = &self.consumer {
            let admitted = consumer.admit_commit(&request.as_offset_commit(), topics);
            // Clients of this API know no member epochs.
            return admitted.map_err(|error| match error {
                ErrorCode::StaleMemberEpoch => ErrorCode::IllegalGeneration,
                error => error,
            });
        }
        if request.generation_id < 0 && self.state() == GroupState::Empty {
            return Ok(());
        }
        self.validate_member(&request.member_id, instance)?;
        if request.generation_id == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        for (topic, partition, offset) in self.pending.end(producer_id, committed) {
            self.offsets.entry(topic).or_default().insert(partition, offset);
        }
    }

    /// Partitions of a topic with an offset, committed or pending.
    pub(super) fn partitions_of(&self, topic: &str) -> Vec<i32> {
        let committed = self.offsets.get(topic).into_iter().flat_map(BTreeMap::keys).copied();
        let pending = self.pending.partitions().filter(|(name, _)| *name == topic);
        let mut partitions: Vec<i32> = committed.chain(pending.map(|(_, partition)| partition)).collect();
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// Every topic with an offset, committed or pending.
    pub(super) fn topics(&self) -> Vec<String> {
        let pending = self.pending.partitions().map(|(topic, _)| topic);
        let mut topics: Vec<String> =
            self.offsets.keys().map(String::as_str).chain(pending).map(str::to_owned).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

/// The groups for which a producer has something pending, by its id.
pub(super) type Transactions = std::collections::HashMap<i64, std::collections::BTreeSet<Arc<str>>>;
