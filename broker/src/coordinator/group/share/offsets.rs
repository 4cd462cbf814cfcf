//! The partitions whose state is kept for a group: initialized, altered and deleted (Kafka's `initializeShareGroupState`,
//! `alterShareGroupOffsets`, `sharePartitionsEligibleForOffsetDeletion` and `maybeCleanupShareGroupState` in
//! `GroupMetadataManager`).
//!
//! The state itself is the share coordinator's. Each change is two steps with its work in between, and a step that is never
//! followed by the other is found in the group's record and done again.

use std::collections::BTreeSet;
use std::time::Instant;

use protocol::ErrorCode;
use uuid::Uuid;

use super::event::ShareRequest;
use super::records;
use super::response::{AlteredTopic, AlteringOffsets, DeletingOffsets, ShareResponse};
use super::state::StateTopic;
use crate::coordinator::effect::WaiterId;
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::group::config::MAX_STRING;
use crate::coordinator::group::consumer::member::Assignment;
use crate::coordinator::group::response::Refusal;
use crate::coordinator::group::turn::Turn;

impl GroupCoordinator {
    pub(in crate::coordinator::group) fn share_request(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        request: ShareRequest,
    ) {
        let group_id = request.group_id().to_owned();
        let response = match request {
            ShareRequest::Heartbeat(heartbeat) => return self.share_heartbeat(now, waiter, *heartbeat),
            ShareRequest::Describe { group_id } => self.describe_share_group(now, &group_id),
            ShareRequest::Initialized { partitions, succeeded, .. } => {
                ShareResponse::Noted(self.initialized(now, &group_id, &partitions, succeeded))
            }
            ShareRequest::StatePartitions { .. } => {
                ShareResponse::StatePartitions(Ok(self.state_partitions(&group_id)))
            }
            ShareRequest::AlterOffsets { topics, .. } => {
                ShareResponse::AlterOffsets(self.alter_share_offsets(now, &group_id, topics))
            }
            ShareRequest::DeleteOffsets { topics, .. } => {
                ShareResponse::DeleteOffsets(self.delete_share_offsets(now, &group_id, topics))
            }
            ShareRequest::OffsetsDeleted { topics, .. } => {
                ShareResponse::Noted(self.offsets_deleted(now, &group_id, &topics))
            }
        };
        self.respond_about(now, waiter, &group_id, response);
    }

    fn initialized(
        &mut self,
        now: Instant,
        group_id: &str,
        partitions: &Assignment,
        succeeded: bool,
    ) -> ErrorCode {
        let mut turn = match self.share_turn(now, group_id) {
            Ok(turn) => turn,
            Err(refusal) => return refusal.error,
        };
        turn.share().state.end_initializing(partitions, succeeded);
        turn.write_share_state();
        ErrorCode::None
    }

    fn state_partitions(&self, group_id: &str) -> Assignment {
        let share = self.group(group_id).and_then(|group| group.share.as_ref());
        let topics = share.into_iter().flat_map(|share| share.state.initialized());
        topics.map(|(id, topic)| (*id, topic.partitions.clone())).collect()
    }

    fn alter_share_offsets(
        &mut self,
        now: Instant,
        group_id: &str,
        topics: Vec<(String, Vec<(i32, i64)>)>,
    ) -> Result<AlteringOffsets, Refusal> {
        let is_new = !self.contains(group_id);
        let altering = self.share_turn_or_new(now, group_id)?.alter_share_offsets(topics);
        let is_idle = altering.as_ref().map_or(true, |altering| altering.initialize.is_empty());
        if is_new && is_idle {
            self.forget(group_id);
        }
        altering
    }

    fn delete_share_offsets(
        &mut self,
        now: Instant,
        group_id: &str,
        topics: Option<Vec<String>>,
    ) -> Result<DeletingOffsets, Refusal> {
        let mut turn = match (self.share_turn(now, group_id), &topics) {
            (Ok(turn), _) => turn,
            // Whatever it is, if anything, has no state to go first.
            (Err(_), None) => return Ok(DeletingOffsets::default()),
            (Err(refusal), Some(_)) => return Err(refusal),
        };
        turn.must_be_empty()?;
        Ok(match topics {
            None => turn.delete_all_share_offsets(),
            Some(topics) => turn.delete_share_offsets(topics),
        })
    }

    fn offsets_deleted(&mut self, now: Instant, group_id: &str, topics: &[Uuid]) -> ErrorCode {
        let mut turn = match self.share_turn(now, group_id) {
            Ok(turn) => turn,
            Err(refusal) => return refusal.error,
        };
        turn.share().state.deleting.retain(|id, _| !topics.contains(id));
        turn.write_share_state();
        ErrorCode::None
    }

    /// Topics are gone, and with them their state: the share coordinator hears of it on its own.
    pub(in crate::coordinator::group) fn forget_share_topics(&mut self, now: Instant, partition: i32) {
        let Some(shard) = self.shard_mut(partition) else { return };
        let shared = shard.groups.values().filter(|group| group.share.is_some());
        let shared: Vec<_> = shared.map(|group| group.id.clone()).collect();
        for group_id in shared {
            let Some(mut turn) = self.turn_in(now, partition, &group_id) else { continue };
            let topics = turn.topics;
            if turn.share().state.forget_missing(topics) {
                turn.write_share_state();
            }
        }
    }
}

impl Turn<'_> {
    pub(super) fn write_share_state(&mut self) {
        let group_id = self.group.id.clone();
        let record = records::state(&group_id, Some(&self.share().state));
        self.append(vec![record]);
    }

    fn must_be_empty(&mut self) -> Result<(), Refusal> {
        if self.share().is_empty() {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::NonEmptyGroup, "The group is not empty.".to_owned()))
    }

    fn alter_share_offsets(
        &mut self,
        topics: Vec<(String, Vec<(i32, i64)>)>,
    ) -> Result<AlteringOffsets, Refusal> {
        self.must_be_empty()?;
        let (index, now_ms) = (self.topics, self.wall_clock_ms);
        let state_epoch = self.share().epoch;
        let mut altering = AlteringOffsets { state_epoch, topics: Vec::new(), initialize: Vec::new() };
        let mut begun = Vec::new();
        for (name, partitions) in topics {
            let info = index.get(&name).filter(|_| name.len() <= MAX_STRING);
            let mut outcomes = Vec::with_capacity(partitions.len());
            let mut known = BTreeSet::new();
            for (partition, start_offset) in partitions {
                let exists = info.filter(|info| (0..info.partitions).contains(&partition));
                let error =
                    if exists.is_some() { ErrorCode::None } else { ErrorCode::UnknownTopicOrPartition };
                outcomes.push((partition, error));
                if let Some(info) = exists {
                    altering.initialize.push((info.id, partition, start_offset));
                    known.insert(partition);
                }
            }
            if let Some(info) = info.filter(|_| !known.is_empty()) {
                let topic = StateTopic { name: name.clone(), partitions: known, since_ms: now_ms };
                begun.push((info.id, topic));
            }
            let id = info.map(|info| info.id);
            altering.topics.push(AlteredTopic { name, id, partitions: outcomes });
        }
        if !begun.is_empty() {
            self.share().state.begin_initializing(&begun);
            self.write_share_state();
        }
        Ok(altering)
    }

    fn delete_all_share_offsets(&mut self) -> DeletingOffsets {
        let topics = self.topics;
        let doomed = self.share().state.begin_deleting_all(topics);
        if doomed.is_empty() {
            return DeletingOffsets::default();
        }
        self.write_share_state();
        let named = doomed.into_iter();
        let delete =
            named.map(|(id, topic)| (id, topic.name, topic.partitions.into_iter().collect())).collect();
        DeletingOffsets { failed: Vec::new(), delete }
    }

    fn delete_share_offsets(&mut self, topics: Vec<String>) -> DeletingOffsets {
        let index = self.topics;
        let mut deleting = DeletingOffsets::default();
        for name in topics {
            let Some(info) = index.get(&name) else {
                deleting.failed.push((name, ErrorCode::UnknownTopicOrPartition, None));
                continue;
            };
            match self.share().state.begin_deleting(info.id, info.partitions) {
                Some(partitions) => deleting.delete.push((info.id, name, partitions.into_iter().collect())),
                None => {
                    let why = "There is no offset information to delete.";
                    deleting.failed.push((name, ErrorCode::UnknownTopicOrPartition, Some(why)));
                }
            }
        }
        if !deleting.delete.is_empty() {
            self.write_share_state();
        }
        deleting
    }
}
