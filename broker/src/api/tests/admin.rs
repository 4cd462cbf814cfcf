//! Topics and records through the admin APIs.

use protocol::ErrorCode;
use protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use protocol::messages::create_topics_response::CreatableTopicResult;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::delete_topics_response::DeletableTopicResult;
use protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use protocol::messages::{
    ApiKey, BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, ProduceResponse,
};
use uuid::Uuid;

use super::{Client, topic_name};

fn topic(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
}

fn create(client: &Client, validate_only: bool, topics: Vec<CreatableTopic>) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest::default().with_topics(topics).with_validate_only(validate_only);
    let response: CreateTopicsResponse = client.call(ApiKey::CreateTopics, 7, &request);
    response.topics
}

#[test]
fn created_topics_tell_id_partitions_replicas_and_configs() {
    let client = Client::with_config(&[("num.partitions", "4"), ("log.retention.ms", "9")]);
    let config = CreatableTopicConfig::default()
        .with_name("cleanup.policy".into())
        .with_value(Some("compact, delete".into()));
    let result = create(&client, false, vec![topic("t", -1, -1).with_configs(vec![config])]).remove(0);
    assert_eq!(
        (result.error_code, result.error_message, result.num_partitions, result.replication_factor),
        (0, None, 4, 1)
    );
    assert_eq!(client.broker.store.topic("t").unwrap().id(), result.topic_id);
    let configs = result.configs.unwrap();
    let value = |name: &str| {
        let config = configs.iter().find(|config| config.name.as_str() == name).unwrap();
        (config.value.as_deref().unwrap().to_owned(), config.config_source)
    };
    assert_eq!(value("cleanup.policy"), ("compact,delete".to_owned(), 1));
    assert_eq!(value("retention.ms"), ("9".to_owned(), 4));
    assert_eq!(value("segment.bytes"), ("1073741824".to_owned(), 5));
}

#[test]
fn each_wrong_topic_has_its_own_code_and_sentence() {
    let client = Client::new();
    client.create("there", 1, &[]);
    let bad_config =
        CreatableTopicConfig::default().with_name("retention.ms".into()).with_value(Some("x".into()));
    let null_config = CreatableTopicConfig::default().with_name("retention.ms".into()).with_value(None);
    let assigned =
        CreatableReplicaAssignment::default().with_partition_index(0).with_broker_ids(vec![BrokerId(0)]);
    let results = create(
        &client,
        false,
        vec![
            topic("there", 1, 1),
            topic("a b", 1, 1),
            topic("zero", 0, 1),
            topic("three", 1, 3),
            topic("none", 1, 0),
            topic("config", 1, 1).with_configs(vec![bad_config]),
            topic("null", 1, 1).with_configs(vec![null_config]),
            topic("both", 1, -1).with_assignments(vec![assigned.clone()]),
            topic("assigned", -1, -1).with_assignments(vec![assigned]),
            topic("twice", 1, 1),
            topic("twice", 2, 1),
        ],
    );
    let outcomes: Vec<(&str, i16)> =
        results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
    let expected = [
        ("there", ErrorCode::TopicAlreadyExists),
        ("a b", ErrorCode::InvalidTopicException),
        ("zero", ErrorCode::InvalidPartitions),
        ("three", ErrorCode::InvalidReplicationFactor),
        ("none", ErrorCode::InvalidReplicationFactor),
        ("config", ErrorCode::InvalidConfig),
        ("null", ErrorCode::InvalidConfig),
        ("both", ErrorCode::InvalidRequest),
        ("assigned", ErrorCode::None),
        ("twice", ErrorCode::InvalidRequest),
    ];
    assert_eq!(outcomes, expected.map(|(name, error)| (name, error.code())));
    let message = results[5].error_message.as_deref();
    assert_eq!(message, Some("Invalid value x for configuration retention.ms: Not a number of type LONG"));
    assert!(client.broker.store.topic("twice").is_none());
}

#[test]
fn validate_only_creates_nothing() {
    let client = Client::new();
    let results = create(&client, true, vec![topic("t", 3, 1), topic("x", 0, 1)]);
    assert_eq!((results[0].error_code, results[0].num_partitions, results[1].error_code), (0, 3, 37));
    assert!(client.broker.store.topic("t").is_none());
}

fn delete(client: &Client, topics: Vec<DeleteTopicState>) -> Vec<DeletableTopicResult> {
    let request = DeleteTopicsRequest::default().with_topics(topics);
    let response: DeleteTopicsResponse = client.call(ApiKey::DeleteTopics, 6, &request);
    response.responses
}

#[test]
fn topics_are_deleted_by_name_or_id_and_wrong_ones_are_named() {
    let client = Client::new();
    let (one, two) = (client.create("one", 1, &[]), client.create("two", 1, &[]));
    client.create("__consumer_offsets", 1, &[]);
    let by_name = |name| DeleteTopicState::default().with_name(Some(topic_name(name)));
    let by_id = |id| DeleteTopicState::default().with_name(None).with_topic_id(id);
    let results = delete(
        &client,
        vec![
            by_name("one"),
            by_id(two),
            by_name("missing"),
            by_id(Uuid::max()),
            by_id(Uuid::nil()),
            by_name("one").with_topic_id(two),
            by_name("__consumer_offsets"),
        ],
    );
    // "one" is named twice: one error for both, and it stays.
    assert_eq!(results.iter().map(|result| result.error_code).collect::<Vec<_>>(), [42, 0, 3, 100, 42, 17]);
    assert_eq!(results[1].name, Some(topic_name("two")));
    let results = delete(&client, vec![by_name("one")]);
    assert_eq!((results[0].error_code, results[0].topic_id), (0, one));
    assert!(client.broker.store.topic("one").is_none());
    assert_ne!(client.create("one", 1, &[]), one, "a new topic has a new id");
}

#[test]
fn deletion_can_be_forbidden() {
    let client = Client::with_config(&[("delete.topic.enable", "false")]);
    client.create("t", 1, &[]);
    let result =
        delete(&client, vec![DeleteTopicState::default().with_name(Some(topic_name("t")))]).remove(0);
    assert_eq!(result.error_code, ErrorCode::TopicDeletionDisabled.code());
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    let response: DeleteTopicsResponse = client.call(ApiKey::DeleteTopics, 2, &request);
    assert_eq!(response.responses[0].error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn names_are_free_for_look_alikes_after_a_deletion() {
    let client = Client::new();
    client.create("a.b", 1, &[]);
    assert_eq!(create(&client, false, vec![topic("a_b", 1, 1)])[0].error_code, 17);
    delete(&client, vec![DeleteTopicState::default().with_name(Some(topic_name("a.b")))]);
    assert_eq!(create(&client, false, vec![topic("a_b", 1, 1)])[0].error_code, 0);
}

#[test]
fn partitions_only_grow() {
    let client = Client::new();
    client.create("t", 2, &[]);
    let grow = |name: &str, count, assignments: Option<Vec<i32>>, validate_only| {
        let assignments = assignments.map(|brokers| {
            let one = |id: i32| CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(id)]);
            brokers.into_iter().map(one).collect()
        });
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(count)
            .with_assignments(assignments);
        let request =
            CreatePartitionsRequest::default().with_topics(vec![topic]).with_validate_only(validate_only);
        let mut response: CreatePartitionsResponse = client.call(ApiKey::CreatePartitions, 3, &request);
        let result = response.results.remove(0);
        (result.error_code, result.error_message.map(|message| message.to_string()).unwrap_or_default())
    };
    assert_eq!(grow("t", 4, None, true).0, 0);
    assert_eq!(grow("t", 2, None, false), (37, "Topic already has 2 partition(s).".to_owned()));
    let shrink = "The topic t currently has 2 partition(s); -1 would not be an increase.";
    assert_eq!(grow("t", -1, None, false), (37, shrink.to_owned()));
    assert_eq!(grow("missing", 3, None, false).0, 3);
    assert_eq!(grow("t", 4, Some(vec![0]), false).0, ErrorCode::InvalidReplicaAssignment.code());
    assert_eq!(grow("t", 4, Some(vec![0, 9]), false).0, ErrorCode::InvalidReplicaAssignment.code());
    assert_eq!(grow("t", 4, Some(vec![0, 0]), false).0, 0);
    assert_eq!(client.broker.store.topic("t").unwrap().partition_count(), 4);
    assert_eq!(client.produce("t", 3, super::batch(&["a"])).error_code, 0);
}

#[test]
fn records_are_deleted_up_to_the_high_watermark() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.create("compacted", 1, &[("cleanup.policy", "compact")]);
    client.create("both", 1, &[("cleanup.policy", "compact,delete")]);
    client.fill("t", 0, &["a", "b", "c", "d"]);
    let delete = |name: &str, index, offset| {
        let asked = DeleteRecordsPartition::default().with_partition_index(index).with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(topic_name(name)).with_partitions(vec![asked]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let mut response: DeleteRecordsResponse = client.call(ApiKey::DeleteRecords, 2, &request);
        let result = response.topics.remove(0).partitions.remove(0);
        (result.error_code, result.low_watermark)
    };
    assert_eq!(delete("t", 0, 2), (0, 2));
    assert_eq!(delete("t", 0, 1), (0, 2), "already gone");
    assert_eq!(delete("t", 0, 5), (1, -1));
    assert_eq!(delete("t", 0, -2), (1, -1));
    assert_eq!(delete("t", 7, 0), (3, -1));
    assert_eq!(delete("missing", 0, 0), (3, -1));
    assert_eq!(delete("compacted", 0, 0), (ErrorCode::PolicyViolation.code(), -1));
    assert_eq!(delete("both", 0, 0), (0, 0));
    assert_eq!(delete("t", 0, -1), (0, 4));
    assert_eq!(client.broker.store.topic("t").unwrap().partition(0).unwrap().log_start_offset(), 4);
}

#[test]
fn what_was_answered_before_it_is_durable_can_be_deleted() {
    let client = Client::with_config(&[("onelog.flush", "sync"), ("onelog.test.mode", "local")]);
    client.create("t", 1, &[]);
    client.broker.test_mode.as_ref().unwrap().disk.slow_down(100);
    for (offset, low_watermark) in [(-1, 1), (2, 2)] {
        let sent = super::produce_request(1, "t", 0, super::batch(&["a"]));
        let answered: ProduceResponse = client.call(ApiKey::Produce, 9, &sent);
        assert_eq!(answered.responses[0].partition_responses[0].error_code, 0);
        let asked = DeleteRecordsPartition::default().with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(topic_name("t")).with_partitions(vec![asked]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let response: DeleteRecordsResponse = client.call(ApiKey::DeleteRecords, 2, &request);
        let result = &response.topics[0].partitions[0];
        assert_eq!((result.error_code, result.low_watermark), (0, low_watermark));
    }
}

fn page(
    client: &Client,
    names: &[&str],
    limit: i32,
    cursor: Option<(&str, i32)>,
) -> DescribeTopicPartitionsResponse {
    let topics = names.iter().map(|name| TopicRequest::default().with_name(topic_name(name)));
    let cursor = cursor
        .map(|(name, index)| Cursor::default().with_topic_name(topic_name(name)).with_partition_index(index));
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor);
    client.call(ApiKey::DescribeTopicPartitions, 0, &request)
}

#[test]
fn pages_of_partitions_go_on_where_the_last_one_ended() {
    let client = Client::new();
    client.create("a", 3, &[]);
    client.create("b", 2, &[]);
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let response = page(
            &client,
            &[],
            2,
            cursor.as_ref().map(|(name, index): &(String, i32)| (name.as_str(), *index)),
        );
        for topic in &response.topics {
            let name = topic.name.as_ref().unwrap().to_string();
            seen.extend(topic.partitions.iter().map(|partition| (name.clone(), partition.partition_index)));
        }
        let Some(next) = response.next_cursor else { break };
        cursor = Some((next.topic_name.to_string(), next.partition_index));
    }
    let expected = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)];
    assert_eq!(seen, expected.map(|(name, index)| (name.to_owned(), index)));
    let named = page(&client, &["b", "missing", "a b"], 100, None);
    let codes: Vec<i16> = named.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [17, 0, 3], "in order of name");
}

#[test]
fn cursor_is_of_a_topic_that_is_asked_for() {
    let client = Client::new();
    client.create("b", 2, &[]);
    let codes = |names: &[&str], cursor| -> Vec<i16> {
        page(&client, names, 9, Some(cursor)).topics.iter().map(|topic| topic.error_code).collect()
    };
    assert_eq!(codes(&["b", "c"], ("a", 0)), [42, 42]);
    assert_eq!(codes(&["b", "c"], ("b", -1)), [42, 42]);
    assert_eq!(codes(&["b", "c"], ("b", 1)), [0, 3]);
    assert_eq!(codes(&[], ("a", 0)), [0], "all topics may go on with one that is gone");
}

#[test]
fn page_of_partitions_is_no_larger_than_the_configured_limit() {
    let client = Client::with_config(&[("max.request.partition.size.limit", "2")]);
    client.create("a", 2, &[]);
    client.create("b", 2, &[]);
    let response = page(&client, &["a", "none"], 100, None);
    assert_eq!((response.topics.len(), response.topics[0].partitions.len()), (1, 2));
    let next = response.next_cursor.unwrap();
    assert_eq!((next.topic_name.as_str(), next.partition_index), ("none", 0));
}

#[test]
fn log_dirs_show_what_partitions_take() {
    let client = Client::new();
    client.create("t", 2, &[]);
    client.fill("t", 1, &["a"]);
    let asked = DescribableLogDirTopic::default().with_topic(topic_name("t")).with_partitions(vec![1, 9]);
    let missing =
        DescribableLogDirTopic::default().with_topic(topic_name("missing")).with_partitions(vec![0]);
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![asked, missing]));
    let mut response: DescribeLogDirsResponse = client.call(ApiKey::DescribeLogDirs, 4, &request);
    let dir = response.results.remove(0);
    assert!(dir.total_bytes > 0 && dir.usable_bytes >= 0);
    assert!(std::path::Path::new(dir.log_dir.as_str()).is_dir());
    assert_eq!((dir.topics.len(), dir.topics[0].partitions.len()), (1, 1));
    let size = i64::try_from(super::batch(&["a"]).len()).unwrap();
    assert_eq!(dir.topics[0].partitions[0].partition_size, size);
}
