//! The offsets that a group has committed. Shared by the console consumer and the group tool.

use std::collections::BTreeMap;

use kafka_protocol::messages::{GroupId, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;

use crate::client::{Client, Target};
use crate::failure::{Failure, Outcome};
use crate::partitions::TopicPartition;

/// The newest version that asks for one group.
const NEWEST_OFFSET_FETCH: i16 = 7;

/// One committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    /// -1 when the member did not say.
    pub(crate) leader_epoch: i32,
}

/// All that `group` has committed.
pub(crate) fn committed(client: &mut Client, group: &str) -> Outcome<BTreeMap<TopicPartition, Committed>> {
    let id = GroupId(StrBytes::from_string(group.to_owned()));
    let request = OffsetFetchRequest::default().with_group_id(id).with_topics(None);
    client.retry(|client| {
        let coordinator = client.coordinator(group)?;
        let answer = client.call_at_most(Target::Node(coordinator.id), &request, NEWEST_OFFSET_FETCH)?;
        Failure::check(answer.error_code, None)?;
        let mut committed = BTreeMap::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                Failure::check(partition.error_code, None)?;
                if partition.committed_offset >= 0 {
                    let one = Committed {
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                    };
                    committed.insert((topic.name.to_string(), partition.partition_index), one);
                }
            }
        }
        Ok(committed)
    })
}
