//! Offsets of partitions by time, and partitions by their leader. Shared by the tools that read or move offsets.

use std::collections::BTreeMap;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};

use crate::client::{Client, Cluster, Target, topic_name};
use crate::failure::{Failure, Outcome};

/// The timestamp that means the end of the partition.
pub(crate) const LATEST: i64 = -1;
/// The timestamp that means its first record.
pub(crate) const EARLIEST: i64 = -2;
/// With isolation level 1 the end is the last stable offset.
pub(crate) const READ_UNCOMMITTED: i8 = 0;

/// Topic and partition index.
pub(crate) type TopicPartition = (String, i32);

/// Things by the leader, then the topic of their partition, each with the partition's index.
pub(crate) type ByLeader<T> = BTreeMap<i32, BTreeMap<String, Vec<(i32, T)>>>;

/// All partitions of `cluster`, sorted.
pub(crate) fn all(cluster: &Cluster) -> Vec<TopicPartition> {
    let topics = cluster.topics.values();
    topics.flat_map(|topic| topic.leaders.keys().map(|index| (topic.name.clone(), *index))).collect()
}

/// `items` by the leader of their partition.
///
/// # Errors
/// A partition does not exist, or nobody leads it right now.
pub(crate) fn by_leader<T>(
    cluster: &Cluster,
    items: impl IntoIterator<Item = (TopicPartition, T)>,
) -> Outcome<ByLeader<T>> {
    let mut leaders: ByLeader<T> = BTreeMap::new();
    for ((topic, index), item) in items {
        let leader = cluster.leader(&topic, index)?;
        leaders.entry(leader).or_default().entry(topic).or_default().push((index, item));
    }
    Ok(leaders)
}

/// The first offset of each partition whose record has the wanted timestamp or a later one, or what a negative timestamp asks
/// for; -1 where there is none.
///
/// # Errors
/// The broker's, or a partition does not exist.
pub(crate) fn offsets(
    client: &mut Client,
    wanted: &[(TopicPartition, i64)],
    isolation_level: i8,
) -> Outcome<BTreeMap<TopicPartition, i64>> {
    client.retry(|client| {
        let mut names: Vec<&str> = wanted.iter().map(|((topic, _), _)| topic.as_str()).collect();
        names.dedup();
        let cluster = client.cluster_once(Some(&names), false)?;
        let mut found = BTreeMap::new();
        for (leader, topics) in by_leader(&cluster, wanted.iter().cloned())? {
            let topics = topics.into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, timestamp)| {
                    ListOffsetsPartition::default()
                        .with_partition_index(index)
                        .with_current_leader_epoch(-1)
                        .with_timestamp(timestamp)
                });
                ListOffsetsTopic::default().with_name(topic_name(&name)).with_partitions(partitions.collect())
            });
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_isolation_level(isolation_level)
                .with_topics(topics.collect());
            for topic in client.call(Target::Node(leader), &request)?.topics {
                for partition in topic.partitions {
                    Failure::check(partition.error_code, None)?;
                    found.insert((topic.name.to_string(), partition.partition_index), partition.offset);
                }
            }
        }
        Ok(found)
    })
}
