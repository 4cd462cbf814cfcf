//! The door of the group coordinator: what is refused before any group is looked at, so that the rooms behind it see only
//! requests within bounds (Kafka's `GroupCoordinatorService`).

use std::time::Duration;

use protocol::ErrorCode;

use super::GroupCoordinator;
use super::classic::millis;
use super::config::MAX_STRING;
use super::event::{JoinGroup, Request};

impl GroupCoordinator {
    pub(super) fn admit(&self, request: &Request) -> Result<(), ErrorCode> {
        match request {
            Request::CompleteTransaction(complete) => return self.loaded(complete.partition),
            Request::Observe => return Ok(()),
            _ => {}
        }
        let Some(group_id) = request.group_id() else { return self.all_loaded() };
        let may_be_empty = if let Request::Share(request) = request {
            request.may_be_empty()
        } else {
            matches!(
                request,
                Request::OffsetCommit(_)
                    | Request::OffsetFetch(_)
                    | Request::DescribeGroup(_)
                    | Request::DeleteGroup { .. }
                    // Refused with a sentence further in.
                    | Request::ConsumerGroupHeartbeat(_)
                    | Request::ConsumerGroupDescribe { .. }
            )
        };
        if (group_id.is_empty() && !may_be_empty) || group_id.len() > MAX_STRING {
            return Err(ErrorCode::InvalidGroupId);
        }
        if let Request::JoinGroup(join) = request {
            self.admit_join(join)?;
        }
        self.loaded(self.partition_of(group_id))
    }

    fn loaded(&self, partition: i32) -> Result<(), ErrorCode> {
        let shard = usize::try_from(partition).ok().and_then(|partition| self.shards.get(partition));
        match shard {
            None => Err(ErrorCode::NotCoordinator),
            Some(shard) if shard.loaded => Ok(()),
            Some(_) => Err(ErrorCode::CoordinatorLoadInProgress),
        }
    }

    fn admit_join(&self, join: &JoinGroup) -> Result<(), ErrorCode> {
        let session: Duration = millis(join.session_timeout_ms);
        if session < self.config.min_session_timeout || session > self.config.max_session_timeout {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        let names = join.protocols.iter().map(|protocol| &protocol.name);
        // Not the member id: it is compared with those we made, never stored.
        let stored = [&join.client_id, &join.client_host, &join.protocol_type];
        let mut stored = names.chain(stored).chain(&join.group_instance_id);
        if join.protocols.len() > self.config.max_protocols || stored.any(|it| it.len() > MAX_STRING) {
            return Err(ErrorCode::InvalidRequest);
        }
        let metadata: usize = join.protocols.iter().map(|protocol| protocol.metadata.len()).sum();
        if metadata > self.config.max_append_bytes {
            return Err(ErrorCode::MessageTooLarge);
        }
        Ok(())
    }

    fn all_loaded(&self) -> Result<(), ErrorCode> {
        if self.shards.iter().all(|shard| shard.loaded) {
            Ok(())
        } else {
            Err(ErrorCode::CoordinatorLoadInProgress)
        }
    }
}

impl Request {
    /// The group a request is about; `None` for all.
    pub(crate) fn group_id(&self) -> Option<&str> {
        match self {
            Request::JoinGroup(join) => Some(&join.group_id),
            Request::SyncGroup(sync) => Some(&sync.group_id),
            Request::Heartbeat(heartbeat) => Some(&heartbeat.group_id),
            Request::LeaveGroup(leave) => Some(&leave.group_id),
            Request::OffsetCommit(commit) => Some(&commit.group_id),
            Request::TxnOffsetCommit(commit) => Some(&commit.group_id),
            Request::OffsetFetch(fetch) => Some(&fetch.group_id),
            Request::OffsetDelete(delete) => Some(&delete.group_id),
            Request::DescribeGroup(describe) => Some(&describe.group_id),
            Request::ListGroups(_) | Request::CompleteTransaction(_) | Request::Observe => None,
            Request::Share(request) => Some(request.group_id()),
            Request::ConsumerGroupHeartbeat(heartbeat) => Some(&heartbeat.group_id),
            Request::ConsumerGroupDescribe { group_id } | Request::DeleteGroup { group_id } => Some(group_id),
        }
    }
}
