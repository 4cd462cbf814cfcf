//! AlterReplicaLogDirs (34), versions 1 and 2: replicas into other directories of this broker.
//!
//! There is one directory, in the form in which DescribeLogDirs names it. Moving a partition there changes nothing; any
//! other path is LOG_DIR_NOT_FOUND, an unknown partition UNKNOWN_TOPIC_OR_PARTITION (`ReplicaManager.alterReplicaLogDirs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, ApiKey, TopicName};
use protocol::{ErrorCode, layouts};

use super::describe_log_dirs::data_dir;
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

pub(super) struct AlterReplicaLogDirs;

impl Api for AlterReplicaLogDirs {
    type Request = AlterReplicaLogDirsRequest;
    type Response = AlterReplicaLogDirsResponse;
    const KEY: ApiKey = ApiKey::AlterReplicaLogDirs;
    const LAYOUT: &'static Layout = &layouts::topics::ALTER_REPLICA_LOG_DIRS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: AlterReplicaLogDirsRequest,
    ) -> Reply {
        let own = data_dir(broker);
        let mut results: BTreeMap<TopicName, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
        for dir in request.dirs {
            let found = own.to_str() == Some(dir.path.as_str());
            for topic in dir.topics {
                let known = broker.store.topic(&topic.name);
                let partition = |index: i32| {
                    let error = match &known {
                        _ if !found => ErrorCode::LogDirNotFound,
                        Some(topic) if topic.partition(index).is_some() => ErrorCode::None,
                        _ => ErrorCode::UnknownTopicOrPartition,
                    };
                    AlterReplicaLogDirPartitionResult::default()
                        .with_partition_index(index)
                        .with_error_code(error.code())
                };
                let partitions = topic.partitions.iter().map(|index| partition(*index));
                results.entry(topic.name.clone()).or_default().extend(partitions);
            }
        }
        let results = results.into_iter().map(|(name, partitions)| {
            AlterReplicaLogDirTopicResult::default().with_topic_name(name).with_partitions(partitions)
        });
        context.reply(&AlterReplicaLogDirsResponse::default().with_results(results.collect()))
    }
}
