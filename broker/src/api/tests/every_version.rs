//! Every version of every API is answered, with data in the answer, in a form that the version can decode.

use protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::incremental_alter_configs_request as incremental;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::*;
use protocol::{Decodable, Encodable, Message, newer};
use uuid::Uuid;

use super::{Client, batch, decoded, finished, topic_name};
use crate::api::find;

/// Sends what `request` builds in each version that its type can be written in; the answer decodes to its last byte. What
/// only `protocol::newer` can read has tests in `newer`.
pub(super) fn answered<Q: Encodable + Message, R: Decodable>(
    client: &Client,
    key: ApiKey,
    request: impl Fn(i16) -> Q,
) -> Vec<R> {
    let (first, last) = find(key as i16).expect("it is served").versions;
    let answer = |version| decoded(finished(client.reply(key, version, &request(version))), version);
    (first..=last.min(Q::VERSIONS.max)).map(answer).collect()
}

fn two_topics() -> (Client, Uuid) {
    let client = Client::new();
    let id = client.create("t", 2, &[]);
    client.fill("t", 0, &["a", "b"]);
    (client, id)
}

#[test]
fn records_are_produced_and_fetched_in_every_version() {
    let (client, id) = two_topics();
    let produced: Vec<ProduceResponse> = answered(&client, ApiKey::Produce, |version| {
        let good = PartitionProduceData::default().with_index(0).with_records(Some(batch(&["v"])));
        let bad = PartitionProduceData::default().with_index(1).with_records(None);
        let topic = TopicProduceData::default().with_partition_data(vec![good, bad]);
        let topic = if version < 13 { topic.with_name(topic_name("t")) } else { topic.with_topic_id(id) };
        ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic])
    });
    for (count, response) in produced.iter().enumerate() {
        let partitions = &response.responses[0].partition_responses;
        assert_eq!(partitions[0].base_offset, i64::try_from(count).unwrap() + 2);
        assert_eq!(partitions[1].error_code, 87);
    }
    let fetched: Vec<FetchResponse> = answered(&client, ApiKey::Fetch, |version| {
        let good = FetchPartition::default().with_partition(0).with_partition_max_bytes(1 << 20);
        let bad = FetchPartition::default().with_partition(5);
        let topic = FetchTopic::default().with_partitions(vec![good, bad]);
        let topic = if version < 13 { topic.with_topic(topic_name("t")) } else { topic.with_topic_id(id) };
        FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_min_bytes(1)
            .with_session_epoch(-1)
            .with_topics(vec![topic])
    });
    for response in fetched {
        let partitions = &response.responses[0].partitions;
        assert!(partitions[0].records.as_ref().unwrap().len() > 100);
        assert_eq!(partitions[1].error_code, 3);
        assert_eq!(partitions[1].records.as_ref().map(bytes::Bytes::len), Some(0), "never null");
    }
}

#[test]
fn lookups_are_answered_in_every_version() {
    let (client, _) = two_topics();
    let listed: Vec<newer::ListOffsetsResponse> = answered(&client, ApiKey::ListOffsets, |_| {
        let asked = ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(-1);
        let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![asked]);
        newer::ListOffsetsRequest::from(ListOffsetsRequest::default().with_topics(vec![topic]))
    });
    assert_eq!(listed.len(), 11);
    assert!(listed.iter().all(|response| response.0.topics[0].partitions[0].offset == 2));
    let ends: Vec<OffsetForLeaderEpochResponse> = answered(&client, ApiKey::OffsetForLeaderEpoch, |_| {
        let asked = OffsetForLeaderPartition::default().with_current_leader_epoch(-1);
        let topic = OffsetForLeaderTopic::default().with_topic(topic_name("t")).with_partitions(vec![asked]);
        OffsetForLeaderEpochRequest::default().with_topics(vec![topic])
    });
    assert!(ends.iter().all(|response| response.topics[0].partitions[0].end_offset == 2));
    let ids: Vec<InitProducerIdResponse> = answered(&client, ApiKey::InitProducerId, |_| {
        InitProducerIdRequest::default().with_transactional_id(None)
    });
    assert!(ids.iter().all(|response| response.error_code == 0));
}

#[test]
fn the_cluster_is_described_in_every_version() {
    let (client, _) = two_topics();
    let metadata: Vec<MetadataResponse> = answered(&client, ApiKey::Metadata, |version| {
        MetadataRequest::default().with_topics(if version == 0 { Some(Vec::new()) } else { None })
    });
    assert!(metadata.iter().all(|response| response.topics[0].partitions.len() == 2));
    let versions: Vec<ApiVersionsResponse> = answered(&client, ApiKey::ApiVersions, |version| {
        let name = if version < 3 { "" } else { "n" };
        ApiVersionsRequest::default()
            .with_client_software_name(name.into())
            .with_client_software_version(name.into())
    });
    assert!(versions.iter().all(|response| response.error_code == 0 && response.api_keys.len() > 10));
    let clusters: Vec<DescribeClusterResponse> =
        answered(&client, ApiKey::DescribeCluster, |_| DescribeClusterRequest::default());
    assert!(clusters.iter().all(|response| response.brokers.len() == 1));
    let dirs: Vec<DescribeLogDirsResponse> =
        answered(&client, ApiKey::DescribeLogDirs, |_| DescribeLogDirsRequest::default().with_topics(None));
    assert!(dirs.iter().all(|response| response.results[0].topics[0].partitions.len() == 2));
    let topics: Vec<DescribeTopicPartitionsResponse> =
        answered(&client, ApiKey::DescribeTopicPartitions, |_| {
            DescribeTopicPartitionsRequest::default().with_response_partition_limit(100)
        });
    assert!(topics.iter().all(|response| response.topics[0].partitions.len() == 2));
}

#[test]
fn topics_come_and_go_in_every_version() {
    let (client, _) = two_topics();
    let created: Vec<CreateTopicsResponse> = answered(&client, ApiKey::CreateTopics, |version| {
        let new = CreatableTopic::default()
            .with_name(topic_name(&format!("new{version}")))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let old = CreatableTopic::default()
            .with_name(topic_name("t"))
            .with_num_partitions(1)
            .with_replication_factor(1);
        CreateTopicsRequest::default().with_topics(vec![new, old])
    });
    for response in created {
        assert_eq!(response.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>(), [0, 36]);
    }
    let grown: Vec<CreatePartitionsResponse> = answered(&client, ApiKey::CreatePartitions, |version| {
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name("t"))
            .with_count(3 + i32::from(version))
            .with_assignments(None);
        CreatePartitionsRequest::default().with_topics(vec![topic])
    });
    assert!(grown.iter().all(|response| response.results[0].error_code == 0));
    let records: Vec<DeleteRecordsResponse> = answered(&client, ApiKey::DeleteRecords, |_| {
        let asked = DeleteRecordsPartition::default().with_offset(1);
        let topic = DeleteRecordsTopic::default().with_name(topic_name("t")).with_partitions(vec![asked]);
        DeleteRecordsRequest::default().with_topics(vec![topic])
    });
    assert!(records.iter().all(|response| response.topics[0].partitions[0].low_watermark == 1));
    let deleted: Vec<DeleteTopicsResponse> = answered(&client, ApiKey::DeleteTopics, |version| {
        if version < 6 {
            return DeleteTopicsRequest::default().with_topic_names(vec![topic_name("missing")]);
        }
        let topic = DeleteTopicState::default().with_name(Some(topic_name("t")));
        DeleteTopicsRequest::default().with_topics(vec![topic])
    });
    let codes: Vec<i16> = deleted.iter().map(|response| response.responses[0].error_code).collect();
    assert_eq!(codes, [3, 3, 3, 3, 3, 0]);
}

#[test]
fn configs_are_read_and_changed_in_every_version() {
    let (client, _) = two_topics();
    let described: Vec<DescribeConfigsResponse> = answered(&client, ApiKey::DescribeConfigs, |version| {
        let topic = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name("t".into())
            .with_configuration_keys(None);
        DescribeConfigsRequest::default()
            .with_resources(vec![topic])
            .with_include_synonyms(true)
            .with_include_documentation(version >= 3)
    });
    assert!(described.iter().all(|response| response.results[0].configs.len() == 34));
    let replaced: Vec<AlterConfigsResponse> = answered(&client, ApiKey::AlterConfigs, |_| {
        let config = AlterableConfig::default().with_name("retention.ms".into()).with_value(Some("5".into()));
        let topic = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name("t".into())
            .with_configs(vec![config]);
        AlterConfigsRequest::default().with_resources(vec![topic])
    });
    assert!(replaced.iter().all(|response| response.responses[0].error_code == 0));
    let changed: Vec<IncrementalAlterConfigsResponse> =
        answered(&client, ApiKey::IncrementalAlterConfigs, |_| {
            let config =
                incremental::AlterableConfig::default().with_name("nope".into()).with_value(Some("5".into()));
            let topic = incremental::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name("t".into())
                .with_configs(vec![config]);
            IncrementalAlterConfigsRequest::default().with_resources(vec![topic])
        });
    assert!(changed.iter().all(|response| response.responses[0].error_code == 40));
}

#[test]
fn resources_with_configs_are_listed_in_every_version() {
    let (client, _) = two_topics();
    let config = incremental::AlterableConfig::default()
        .with_name("interval.ms".into())
        .with_value(Some("1000".into()));
    let subscription = incremental::AlterConfigsResource::default()
        .with_resource_type(16)
        .with_resource_name("m".into())
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![subscription]);
    let set: IncrementalAlterConfigsResponse = client.call(ApiKey::IncrementalAlterConfigs, 1, &request);
    assert_eq!(set.responses[0].error_code, 0);
    let listed: Vec<ListConfigResourcesResponse> =
        answered(&client, ApiKey::ListConfigResources, |_| ListConfigResourcesRequest::default());
    let names = |response: &ListConfigResourcesResponse| -> Vec<(i8, String)> {
        let resources = response.config_resources.iter();
        resources.map(|one| (one.resource_type, one.resource_name.to_string())).collect()
    };
    let all = [(2, "t"), (4, "0"), (8, "0"), (16, "m")].map(|(kind, name)| (kind, name.to_owned()));
    assert_eq!((names(&listed[0]), names(&listed[1])), (vec![(16, "m".to_owned())], all.to_vec()));
    let strange = ListConfigResourcesRequest::default().with_resource_types(vec![2, 7]);
    let refused: ListConfigResourcesResponse = client.call(ApiKey::ListConfigResources, 1, &strange);
    assert_eq!(refused.error_code, 35);
}
