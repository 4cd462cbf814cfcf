//! DescribeLogDirs (35), versions 1 to 5: the one data directory and what each partition takes of it.
//!
//! Null asks for all topics, otherwise partitions that are not there are left out. A partition's size is that of its
//! readable batches: on a shared log no file is its own. Of several virtual nodes each tells of the partitions that it has
//! replicas of, all in the one directory. Version 4 adds the size of the volume and what is free on it, 5
//! whether the directory is cordoned, which this one never is.
//!
//! Deliberate gaps: no replica is ever moving between directories, so `offset_lag` is 0 and `is_future_key` false.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use protocol::messages::{ApiKey, TopicName};
use protocol::newer::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use protocol::{StrBytes, layouts, messages};
use storage::{PartitionLog, Store, Topic};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

pub(super) struct DescribeLogDirs;

impl Api for DescribeLogDirs {
    type Request = DescribeLogDirsRequest;
    type Response = DescribeLogDirsResponse;
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    const LAYOUT: &'static Layout = &layouts::topics::DESCRIBE_LOG_DIRS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: DescribeLogDirsRequest) -> Reply {
        let at = context.at(broker);
        let is_here = |log: &&Arc<PartitionLog>| at.as_ref().is_none_or(|at| at.has_replica(log));
        let store = &broker.store;
        let topics = match request.0.topics {
            None => store
                .topics()
                .iter()
                .filter_map(|topic| described(topic, &topic.partitions(), is_here))
                .collect(),
            Some(asked) => asked.iter().filter_map(|asked| chosen(store, asked, is_here)).collect(),
        };
        let dir = data_dir(broker);
        let (total, usable) = volume(&dir);
        let result = DescribeLogDirsResult::default()
            .with_log_dir(StrBytes::from_string(dir.display().to_string()))
            .with_topics(topics)
            .with_total_bytes(total)
            .with_usable_bytes(usable);
        let response = messages::DescribeLogDirsResponse::default().with_results(vec![result]);
        context.reply(&DescribeLogDirsResponse(response))
    }
}

/// The data directory as clients are told of it.
pub(super) fn data_dir(broker: &Broker) -> PathBuf {
    let dir = &broker.config.data_dir;
    std::path::absolute(dir).unwrap_or_else(|_| dir.clone())
}

fn chosen(
    store: &Store,
    asked: &DescribableLogDirTopic,
    is_here: impl Fn(&&Arc<PartitionLog>) -> bool,
) -> Option<DescribeLogDirsTopic> {
    let topic = store.topic(&asked.topic)?;
    let partitions: Vec<Arc<PartitionLog>> =
        asked.partitions.iter().filter_map(|index| topic.partition(*index)).collect();
    described(&topic, &partitions, is_here)
}

/// `None` when none of the partitions is here.
fn described(
    topic: &Topic,
    partitions: &[Arc<PartitionLog>],
    is_here: impl Fn(&&Arc<PartitionLog>) -> bool,
) -> Option<DescribeLogDirsTopic> {
    let partitions = partitions.iter().filter(is_here).map(|log| {
        DescribeLogDirsPartition::default()
            .with_partition_index(log.partition())
            .with_partition_size(i64::try_from(log.size_bytes()).unwrap_or(i64::MAX))
    });
    let partitions: Vec<_> = partitions.collect();
    (!partitions.is_empty()).then(|| {
        DescribeLogDirsTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.name().to_string())))
            .with_partitions(partitions)
    })
}

/// Total and usable bytes of the volume, -1 where it does not say.
fn volume(dir: &std::path::Path) -> (i64, i64) {
    let Ok(volume) = rustix::fs::statvfs(dir) else {
        return (-1, -1);
    };
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(volume.f_frsize)).unwrap_or(i64::MAX);
    (bytes(volume.f_blocks), bytes(volume.f_bavail))
}
