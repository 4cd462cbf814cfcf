//! FindCoordinator, OffsetCommit and OffsetFetch: an error for each key, partition or group.

use protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, OffsetCommitResponse, OffsetFetchResponse,
};
use uuid::Uuid;

use super::{Erring, Rest, Target, encoded, newer};

pub(super) struct FindCoordinator;

impl Erring for FindCoordinator {
    type Request = FindCoordinatorRequest;
    type Response = FindCoordinatorResponse;

    fn patch(answer: &mut FindCoordinatorResponse, version: i16, target: &Target<'_>) {
        if version < 4 {
            // There is one key, and the rule wanted it.
            let throttle_time_ms = answer.throttle_time_ms;
            *answer = FindCoordinatorResponse::default()
                .with_throttle_time_ms(throttle_time_ms)
                .with_error_code(target.code())
                .with_node_id((-1).into())
                .with_port(-1);
        }
        for found in answer.coordinators.iter_mut().filter(|found| target.has_group(&found.key)) {
            found.error_code = target.code();
            found.error_message = None;
            found.node_id = (-1).into();
            found.host = "".into();
            found.port = -1;
        }
    }

    fn throttle(answer: &mut FindCoordinatorResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }
}

pub(super) struct OffsetCommit;

impl Erring for OffsetCommit {
    type Request = newer::OffsetCommitRequest;
    type Response = OffsetCommitResponse;

    fn patch(answer: &mut OffsetCommitResponse, _version: i16, target: &Target<'_>) {
        for topic in &mut answer.topics {
            if target.has_topic(&topic.name, topic.topic_id) {
                let meant = topic.partitions.iter_mut().filter(|it| target.has_partition(it.partition_index));
                meant.for_each(|partition| partition.error_code = target.code());
            }
        }
    }

    fn throttle(answer: &mut OffsetCommitResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }

    fn refuse(
        mut request: newer::OffsetCommitRequest,
        version: i16,
        target: &Target<'_>,
    ) -> (Rest, OffsetCommitResponse) {
        let mut refused = OffsetCommitResponse::default();
        for topic in &mut request.0.topics {
            if !target.has_topic(&topic.name, topic.topic_id) {
                continue;
            }
            let meant = topic.partitions.extract_if(.., |it| target.has_partition(it.partition_index));
            let failed = meant.map(|partition| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(target.code())
            });
            refused.topics.push(
                OffsetCommitResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partitions(failed.collect()),
            );
        }
        request.0.topics.retain(|topic| !topic.partitions.is_empty());
        let rest =
            if request.0.topics.is_empty() { Rest::Nothing } else { Rest::Some(encoded(&request, version)) };
        (rest, refused)
    }

    fn join(answer: &mut OffsetCommitResponse, refused: OffsetCommitResponse) {
        for topic in refused.topics {
            let same =
                |it: &&mut OffsetCommitResponseTopic| it.name == topic.name && it.topic_id == topic.topic_id;
            match answer.topics.iter_mut().find(same) {
                Some(known) => known.partitions.extend(topic.partitions),
                None => answer.topics.push(topic),
            }
        }
    }
}

pub(super) struct OffsetFetch;

impl Erring for OffsetFetch {
    type Request = newer::OffsetFetchRequest;
    type Response = OffsetFetchResponse;

    fn patch(answer: &mut OffsetFetchResponse, version: i16, target: &Target<'_>) {
        // The field of the whole request came with version 2, that of a group with version 8; partitions have one always.
        let whole = target.is_all();
        if whole && (2..8).contains(&version) {
            answer.error_code = target.code();
        }
        for topic in answer.topics.iter_mut().filter(|topic| target.has_topic(&topic.name, Uuid::nil())) {
            for partition in topic.partitions.iter_mut().filter(|it| target.has_partition(it.partition_index))
            {
                partition.error_code = target.code();
                partition.committed_offset = -1;
                partition.committed_leader_epoch = -1;
            }
        }
        for group in answer.groups.iter_mut().filter(|group| target.has_group(&group.group_id)) {
            if whole {
                group.error_code = target.code();
                group.topics.clear();
            }
            for topic in group.topics.iter_mut().filter(|it| target.has_topic(&it.name, it.topic_id)) {
                for partition in
                    topic.partitions.iter_mut().filter(|it| target.has_partition(it.partition_index))
                {
                    partition.error_code = target.code();
                    partition.committed_offset = -1;
                    partition.committed_leader_epoch = -1;
                }
            }
        }
    }

    fn throttle(answer: &mut OffsetFetchResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }
}
