//! Produce: outcomes per partition, acknowledgement, idempotence.

use bytes::BytesMut;
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::{ApiKey, ListGroupsRequest, ProduceRequest, ProduceResponse, TransactionalId};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::{Encodable as _, ErrorCode};
use uuid::Uuid;

use super::{Client, batch, decoded, dispatch, finished, produce_request, topic_name};
use crate::api::Reply;

fn data(partition: i32, values: &[&str]) -> PartitionProduceData {
    PartitionProduceData::default().with_index(partition).with_records(Some(batch(values)))
}

fn idempotent(id: i64, epoch: i16, sequence: i32) -> bytes::Bytes {
    let mut builder = RecordBatchBuilder::new(0).producer(id, epoch, sequence);
    builder.append(-1, None, Some(b"v"));
    builder.build()
}

#[test]
fn one_bad_partition_does_not_fail_the_others() {
    let client = Client::with_config(&[("auto.create.topics.enable", "false")]);
    client.create("t", 2, &[]);
    let empty = PartitionProduceData::default().with_index(1).with_records(None);
    let topic = TopicProduceData::default().with_name(topic_name("t")).with_partition_data(vec![
        data(0, &["a"]),
        empty,
        data(9, &["b"]),
        data(1, &["c", "d"]),
    ]);
    let missing = TopicProduceData::default()
        .with_name(topic_name("missing"))
        .with_partition_data(vec![data(0, &["e"])]);
    let request = ProduceRequest::default().with_acks(1).with_topic_data(vec![topic, missing]);
    let response: ProduceResponse = client.call(ApiKey::Produce, 9, &request);
    let outcomes: Vec<(i32, i16, i64)> = response.responses[0]
        .partition_responses
        .iter()
        .map(|partition| (partition.index, partition.error_code, partition.base_offset))
        .collect();
    assert_eq!(outcomes, [(0, 0, 0), (1, 87, -1), (9, 3, -1), (1, 0, 0)]);
    assert_eq!(response.responses[1].partition_responses[0].error_code, 3);
    assert_eq!(response.responses[1].name, topic_name("missing"));
    let log = client.broker.store.topic("t").unwrap().partition(1).unwrap();
    assert_eq!(log.log_end_offset(), 2);
}

/// As those of librdkafka, which has hundreds of them on their way.
#[test]
fn small_requests_of_one_connection_are_written_together_and_before_whatever_follows_them() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let log = client.broker.store.topic("t").unwrap().partition(0).unwrap();
    let writes = || client.broker.store.facts().write.counts.iter().sum::<u64>();
    let send = |acks| client.reply(ApiKey::Produce, 9, &produce_request(acks, "t", 0, batch(&["v"])));
    let before = writes();
    let replies: Vec<Reply> = [-1, 1, -1].map(send).into();
    assert_eq!((log.log_end_offset(), writes()), (0, before));
    for (offset, reply) in (0..).zip(replies) {
        let response: ProduceResponse = decoded(finished(reply), 9);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, offset));
        assert_eq!(
            (log.log_end_offset(), writes()),
            (3, before + 1),
            "the first answer has all of them written"
        );
    }
    let _unanswered = send(1);
    let _other = client.reply(ApiKey::ListGroups, 4, &ListGroupsRequest::default());
    assert_eq!(log.log_end_offset(), 4, "whatever comes behind a produce finds its records");
    let _unanswered = send(1);
    assert!(matches!(send(0), Reply::Nothing));
    assert_eq!(log.log_end_offset(), 6, "whoever wants no answer does not wait for one");
    drop(send(1));
    assert_eq!(log.log_end_offset(), 7, "the connection is gone, the records are not");
}

#[test]
fn batches_of_one_partition_keep_their_order_within_a_request() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let partitions = vec![data(0, &["a"]), data(0, &["b", "c"]), data(0, &["d"])];
    let topic = TopicProduceData::default().with_name(topic_name("t")).with_partition_data(partitions);
    let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    let response: ProduceResponse = client.call(ApiKey::Produce, 9, &request);
    let offsets: Vec<i64> =
        response.responses[0].partition_responses.iter().map(|partition| partition.base_offset).collect();
    assert_eq!(offsets, [0, 1, 3]);
}

#[test]
fn acks_zero_is_never_answered_and_closes_the_connection_on_an_error() {
    let client = Client::with_config(&[("auto.create.topics.enable", "false")]);
    client.create("t", 1, &[]);
    let sent = client.reply(ApiKey::Produce, 9, &produce_request(0, "t", 0, batch(&["a"])));
    assert!(matches!(sent, Reply::Nothing), "{sent:?}");
    let failed = client.reply(ApiKey::Produce, 9, &produce_request(0, "missing", 0, batch(&["a"])));
    assert!(matches!(failed, Reply::Close), "{failed:?}");
    assert_eq!(client.broker.store.topic("t").unwrap().partition(0).unwrap().log_end_offset(), 1);
}

#[test]
fn acks_other_than_minus_one_zero_and_one_fail_every_partition() {
    let client = Client::new();
    client.create("t", 1, &[]);
    for acks in [-2, 2, i16::MAX] {
        let response: ProduceResponse =
            client.call(ApiKey::Produce, 9, &produce_request(acks, "t", 0, batch(&["a"])));
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::InvalidRequiredAcks.code());
    }
}

#[test]
fn acks_all_is_answered_once_the_batch_is_durable() {
    let client = Client::with_config(&[("onelog.flush", "sync")]);
    client.create("t", 1, &[]);
    let answered = client.produce("t", 0, batch(&["a", "b"]));
    assert_eq!((answered.error_code, answered.base_offset, answered.log_append_time_ms), (0, 0, -1));
    assert_eq!(answered.log_start_offset, 0);
    assert_eq!(client.broker.store.topic("t").unwrap().partition(0).unwrap().high_watermark(), 2);
}

/// Else each further request of the connection would be read into memory of its own.
#[test]
fn an_answer_that_waits_for_the_disk_holds_nothing_of_its_request() {
    let client = Client::with_config(&[("onelog.flush", "sync")]);
    client.create("t", 1, &[]);
    let large = batch(&["v".repeat(20_000).as_str()]);
    let mut body = BytesMut::new();
    produce_request(-1, "t", 0, large).encode(&mut body, 9).unwrap();
    let frame = client.frame(ApiKey::Produce, 9, &body);
    let answer = dispatch(&client.broker, &client.connection, frame.clone()).unwrap();
    assert!(frame.is_unique(), "{:?}", answer.reply);
    let response: ProduceResponse = decoded(finished(answer.reply), 9);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

#[test]
fn a_topic_that_is_not_there_is_not_created_by_a_batch() {
    let client = Client::new();
    assert_eq!(client.produce("fresh", 0, batch(&["a"])).error_code, 3);
    assert!(client.broker.store.topic("fresh").is_none());
}

#[test]
fn bytes_that_are_no_batch_fail_the_whole_request() {
    let client = Client::new();
    client.create("t", 2, &[]);
    let mut bytes = batch(&["a"]).to_vec();
    bytes[16] = 3;
    let bad = PartitionProduceData::default().with_index(1).with_records(Some(bytes.into()));
    let topic = TopicProduceData::default()
        .with_name(topic_name("t"))
        .with_partition_data(vec![data(0, &["a"]), bad]);
    let request = ProduceRequest::default().with_acks(1).with_topic_data(vec![topic]);
    let response: ProduceResponse = client.call(ApiKey::Produce, 9, &request);
    for partition in &response.responses[0].partition_responses {
        assert_eq!(partition.error_code, ErrorCode::CorruptMessage.code());
        assert_eq!(partition.error_message.as_deref(), Some("Invalid magic found in record: 3"));
    }
    assert!(matches!(client.reply(ApiKey::Produce, 9, &request.with_acks(0)), Reply::Close));
    assert_eq!(client.broker.store.topic("t").unwrap().partition(0).unwrap().log_end_offset(), 0);
}

#[test]
fn version_thirteen_knows_topics_by_id_only() {
    let client = Client::new();
    let id = client.create("t", 1, &[]);
    let send = |id| -> ProduceResponse {
        let topic = TopicProduceData::default().with_topic_id(id).with_partition_data(vec![data(0, &["a"])]);
        let request = ProduceRequest::default().with_acks(1).with_topic_data(vec![topic]);
        client.call(ApiKey::Produce, 13, &request)
    };
    let found = send(id);
    assert_eq!((found.responses[0].topic_id, found.responses[0].partition_responses[0].error_code), (id, 0));
    let unknown = send(Uuid::max());
    assert_eq!(unknown.responses[0].topic_id, Uuid::max());
    assert_eq!(unknown.responses[0].partition_responses[0].error_code, ErrorCode::UnknownTopicId.code());
}

#[test]
fn a_duplicate_gets_its_original_offset_and_a_gap_is_out_of_order() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let send = |id, epoch, sequence| {
        let answer = client.produce("t", 0, idempotent(id, epoch, sequence));
        (answer.error_code, answer.base_offset)
    };
    for sequence in 0..6 {
        assert_eq!(send(5, 0, sequence), (0, i64::from(sequence)));
    }
    assert_eq!(send(5, 0, 1), (0, 1), "among the last five");
    assert_eq!(send(5, 0, 5), (0, 5));
    assert_eq!(send(5, 0, 0).0, ErrorCode::OutOfOrderSequenceNumber.code(), "forgotten");
    assert_eq!(send(5, 0, 9).0, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(send(5, 1, 0), (0, 6));
    assert_eq!(send(5, 0, 6).0, ErrorCode::InvalidProducerEpoch.code());
    assert_eq!(send(6, 0, 40), (0, 7), "an unknown producer may start anywhere");
}

#[test]
fn internal_topics_take_records_of_the_admin_client_only() {
    let mut client = Client::new();
    crate::topics::create_internal(&client.broker).unwrap();
    let refused = client.produce("__consumer_offsets", 0, batch(&["a"]));
    assert_eq!(refused.error_code, ErrorCode::InvalidTopicException.code());
    client.client_id = "__admin_client";
    assert_eq!(client.produce("__consumer_offsets", 0, batch(&["a"])).error_code, 0);
}

#[test]
fn transactional_batches_of_nobody_are_refused() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let mut builder = RecordBatchBuilder::new(0).producer(1, 0, 0).transactional();
    builder.append(-1, None, None);
    let request = produce_request(-1, "t", 0, builder.build());
    let response: ProduceResponse = client.call(ApiKey::Produce, 9, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 53);
    let named = request.with_transactional_id(Some(TransactionalId("tx".into())));
    let response: ProduceResponse = client.call(ApiKey::Produce, 9, &named);
    let unknown = ErrorCode::InvalidProducerIdMapping.code();
    assert_eq!(response.responses[0].partition_responses[0].error_code, unknown);
}

#[test]
fn topic_configs_decide_and_their_change_holds_at_once() {
    let client = Client::new();
    client.create("small", 1, &[("max.message.bytes", "100")]);
    assert_eq!(client.produce("small", 0, batch(&["a"])).error_code, 0);
    let large = "x".repeat(100);
    let refused = client.produce("small", 0, batch(&[&large]));
    assert_eq!(refused.error_code, ErrorCode::MessageTooLarge.code());
    assert_eq!((refused.error_message, refused.log_start_offset), (None, -1));
    let topic = client.broker.store.topic("small").unwrap();
    client
        .broker
        .store
        .set_topic_configs(&topic, [("max.message.bytes".into(), "1000".into())].into())
        .unwrap();
    assert_eq!(client.produce("small", 0, batch(&[&large])).error_code, 0);
    let all = [("message.max.bytes".to_owned(), "120".to_owned())];
    client.broker.store.set_broker_configs(all.into()).unwrap();
    client.create("plain", 1, &[]);
    assert_eq!(client.produce("plain", 0, batch(&[&large])).error_code, ErrorCode::MessageTooLarge.code());
}

#[test]
fn a_log_append_time_topic_answers_with_its_time() {
    let client = Client::new();
    client.create("t", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let before = client.now();
    let answer = client.produce("t", 0, batch(&["a"]));
    assert!((before..=client.now()).contains(&answer.log_append_time_ms));
}

#[test]
fn null_keys_on_a_compacted_topic_are_named() {
    let client = Client::new();
    client.create("t", 1, &[("cleanup.policy", "compact")]);
    let mut builder = RecordBatchBuilder::new(0);
    builder.append(-1, Some(b"k"), None);
    builder.append(-1, None, Some(b"v"));
    let answer = client.produce("t", 0, builder.build());
    assert_eq!((answer.error_code, answer.log_start_offset), (ErrorCode::InvalidRecord.code(), 0));
    assert_eq!(answer.record_errors.len(), 1);
    assert_eq!(answer.record_errors[0].batch_index, 1);
}
