//! Transactions as a client drives them, from InitProducerId to what a reader of committed records sees.

use protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use protocol::messages::describe_producers_request::TopicRequest;
use protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::produce_response::PartitionProduceResponse;
use protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    ApiKey, DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, GroupId, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest,
    ListTransactionsResponse, OffsetFetchRequest, OffsetFetchResponse, ProduceRequest, ProduceResponse,
    TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::{ErrorCode, StrBytes};
use storage::PartitionLog;

use super::*;

/// Producer id, epoch.
pub(super) type Producer = (i64, i16);

const OK: i16 = 0;

fn id(name: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(name.to_owned()))
}

fn setup() -> Client {
    let client = Client::with_config(&[("transaction.state.log.num.partitions", "3")]);
    client.create("t", 3, &[]);
    client
}

impl Client {
    fn init(&self, name: &str, version: i16, had: Option<Producer>) -> (i16, Producer) {
        let mut request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id(name)))
            .with_transaction_timeout_ms(60_000);
        if let Some((producer_id, epoch)) = had {
            request = request.with_producer_id(producer_id.into()).with_producer_epoch(epoch);
        }
        let response: InitProducerIdResponse = self.call(ApiKey::InitProducerId, version, &request);
        (response.error_code, (response.producer_id.0, response.producer_epoch))
    }

    /// A producer, once the coordinator is done with its predecessor.
    pub(super) fn begin(&self, name: &str) -> Producer {
        for _ in 0..1000 {
            match self.init(name, 4, None) {
                (OK, producer) => return producer,
                (error, _) => assert_eq!(error, ErrorCode::ConcurrentTransactions.code()),
            }
        }
        panic!("the predecessor's transaction does not end");
    }

    pub(super) fn send_transactional(
        &self,
        version: i16,
        name: Option<&str>,
        (producer_id, epoch): Producer,
        (partition, sequence): (i32, i32),
    ) -> PartitionProduceResponse {
        let mut builder = RecordBatchBuilder::new(0).producer(producer_id, epoch, sequence).transactional();
        builder.append(-1, Some(b"k"), Some(b"v"));
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(builder.build()));
        let topic = TopicProduceData::default().with_partition_data(vec![data]);
        let topic = if version >= 13 {
            topic.with_topic_id(self.broker.store.topic("t").unwrap().id())
        } else {
            topic.with_name(topic_name("t"))
        };
        let request = ProduceRequest::default()
            .with_transactional_id(name.map(id))
            .with_acks(-1)
            .with_topic_data(vec![topic]);
        let response: ProduceResponse = self.call(ApiKey::Produce, version, &request);
        response.responses[0].partition_responses[0].clone()
    }

    /// Adds partitions of "t"; the error of each.
    fn add(&self, version: i16, name: &str, (producer_id, epoch): Producer, partitions: &[i32]) -> Vec<i16> {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(partitions.to_vec());
        let request = if version < 4 {
            AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(id(name))
                .with_v3_and_below_producer_id(producer_id.into())
                .with_v3_and_below_producer_epoch(epoch)
                .with_v3_and_below_topics(vec![topic])
        } else {
            AddPartitionsToTxnRequest::default().with_transactions(vec![
                AddPartitionsToTxnTransaction::default()
                    .with_transactional_id(id(name))
                    .with_producer_id(producer_id.into())
                    .with_producer_epoch(epoch)
                    .with_topics(vec![topic]),
            ])
        };
        let response: AddPartitionsToTxnResponse = self.call(ApiKey::AddPartitionsToTxn, version, &request);
        let topics = if version < 4 {
            response.results_by_topic_v3_and_below
        } else {
            response.results_by_transaction.into_iter().flat_map(|result| result.topic_results).collect()
        };
        let partitions = topics.into_iter().flat_map(|topic| topic.results_by_partition);
        partitions.map(|partition| partition.partition_error_code).collect()
    }

    pub(super) fn end(
        &self,
        version: i16,
        name: &str,
        (producer_id, epoch): Producer,
        committed: bool,
    ) -> (i16, Producer) {
        let request = EndTxnRequest::default()
            .with_transactional_id(id(name))
            .with_producer_id(producer_id.into())
            .with_producer_epoch(epoch)
            .with_committed(committed);
        let response: EndTxnResponse = self.call(ApiKey::EndTxn, version, &request);
        (response.error_code, (response.producer_id.0, response.producer_epoch))
    }

    pub(super) fn state_of(&self, name: &str) -> (i16, String) {
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id(name)]);
        let response: DescribeTransactionsResponse = self.call(ApiKey::DescribeTransactions, 0, &request);
        let state = &response.transaction_states[0];
        (state.error_code, state.transaction_state.to_string())
    }

    /// Waits until the transaction is in this state.
    pub(super) fn becomes(&self, name: &str, state: &str) {
        for _ in 0..10_000 {
            if self.state_of(name).1 == state {
                return;
            }
        }
        panic!("{name} stays {:?}", self.state_of(name));
    }

    fn log(&self, partition: i32) -> Arc<PartitionLog> {
        self.broker.store.topic("t").unwrap().partition(partition).unwrap()
    }
}

#[test]
fn transaction_of_a_new_client_is_committed_and_the_next_one_aborted() {
    let client = setup();
    let me = client.begin("tx");
    assert_eq!(client.send_transactional(12, Some("tx"), me, (0, 0)).error_code, OK);
    assert_eq!(client.send_transactional(12, Some("tx"), me, (1, 0)).error_code, OK);
    assert_eq!(client.state_of("tx"), (OK, "Ongoing".to_owned()));
    assert_eq!((client.log(0).last_stable_offset(), client.log(0).high_watermark()), (0, 1));
    let (error, next) = client.end(5, "tx", me, true);
    assert_eq!((error, next), (OK, (me.0, me.1 + 1)));
    // At once, while the first is still completing.
    assert_eq!(client.send_transactional(12, Some("tx"), next, (0, 0)).error_code, OK);
    assert_eq!(client.end(5, "tx", next, false), (OK, (me.0, me.1 + 2)));
    client.becomes("tx", "CompleteAbort");
    let log = client.log(0);
    assert_eq!((log.high_watermark(), log.last_stable_offset()), (4, 4));
    let aborted = log.aborted_transactions(0, 4);
    assert_eq!(aborted.iter().map(|aborted| aborted.first_offset).collect::<Vec<_>>(), [2]);
    assert_eq!(client.log(1).aborted_transactions(0, 10), []);
}

#[test]
fn transaction_of_a_classic_client_adds_its_partitions_first() {
    let client = setup();
    let me = client.begin("tx");
    let refused = client.send_transactional(9, Some("tx"), me, (0, 0));
    assert_eq!(refused.error_code, ErrorCode::InvalidTxnState.code());
    assert_eq!(refused.error_message.as_deref(), Some("Partition was not added to the transaction"));
    let refused = client.send_transactional(11, Some("tx"), me, (0, 0));
    assert_eq!(refused.error_code, ErrorCode::TransactionAbortable.code());
    assert_eq!(client.add(3, "tx", me, &[0, 1]), [OK, OK]);
    assert_eq!(client.send_transactional(9, Some("tx"), me, (0, 0)).error_code, OK);
    assert_eq!(client.send_transactional(9, Some("tx"), me, (0, 1)).error_code, OK);
    let refused = client.send_transactional(9, Some("tx"), me, (2, 0));
    assert_eq!(refused.error_code, ErrorCode::InvalidTxnState.code());
    assert_eq!(client.end(4, "tx", me, true).0, OK);
    client.becomes("tx", "CompleteCommit");
    assert_eq!((client.log(0).last_stable_offset(), client.log(1).last_stable_offset()), (3, 1));
    // The same epoch again, for the next transaction.
    assert_eq!(client.add(0, "tx", me, &[0]), [OK]);
    assert_eq!(client.send_transactional(9, Some("tx"), me, (0, 2)).error_code, OK);
    assert_eq!(client.end(1, "tx", me, false).0, OK);
    client.becomes("tx", "CompleteAbort");
    assert_eq!(client.log(0).aborted_transactions(0, 10).len(), 1);
}

#[test]
fn verification_can_be_switched_off_for_classic_clients() {
    let client = Client::with_config(&[("transaction.partition.verification.enable", "false")]);
    client.create("t", 1, &[]);
    let me = client.begin("tx");
    assert_eq!(client.send_transactional(9, Some("tx"), me, (0, 0)).error_code, OK);
    assert_eq!(client.state_of("tx").1, "Empty", "nobody asked the coordinator");
}

#[test]
fn batch_without_the_requests_transactional_id_is_refused() {
    let client = setup();
    let me = client.begin("tx");
    let refused = client.send_transactional(12, None, me, (0, 0));
    assert_eq!(refused.error_code, ErrorCode::TransactionalIdAuthorizationFailed.code());
    let refused = client.send_transactional(12, Some("other"), me, (0, 0));
    assert_eq!(refused.error_code, ErrorCode::InvalidProducerIdMapping.code());
}

#[test]
fn second_producer_fences_the_first_and_its_transaction_is_aborted() {
    let client = setup();
    let old = client.begin("tx");
    assert_eq!(client.send_transactional(12, Some("tx"), old, (0, 0)).error_code, OK);
    assert_eq!(client.init("tx", 4, None).0, ErrorCode::ConcurrentTransactions.code());
    let new = client.begin("tx");
    assert_eq!(new, (old.0, old.1 + 2));
    assert_eq!(client.log(0).last_stable_offset(), 2, "aborted");
    let fenced = ErrorCode::InvalidProducerEpoch.code();
    assert_eq!(client.send_transactional(12, Some("tx"), old, (0, 1)).error_code, fenced);
    assert_eq!(client.send_transactional(12, Some("tx"), old, (1, 0)).error_code, fenced);
    for (version, error) in [(1, ErrorCode::InvalidProducerEpoch), (2, ErrorCode::ProducerFenced)] {
        assert_eq!(client.add(version, "tx", old, &[0]), [error.code()]);
        assert_eq!(client.end(version, "tx", old, true).0, error.code());
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(id("tx"))
            .with_producer_id(old.0.into())
            .with_producer_epoch(old.1)
            .with_group_id(GroupId("g".into()));
        let response: AddOffsetsToTxnResponse = client.call(ApiKey::AddOffsetsToTxn, version, &request);
        assert_eq!(response.error_code, error.code());
    }
    assert_eq!(client.init("tx", 3, Some(old)).0, ErrorCode::InvalidProducerEpoch.code());
    assert_eq!(client.init("tx", 4, Some(old)).0, ErrorCode::ProducerFenced.code());
    assert_eq!(client.send_transactional(12, Some("tx"), new, (0, 0)).error_code, OK);
}

#[test]
fn half_an_identity_is_an_invalid_request() {
    let client = setup();
    let invalid = ErrorCode::InvalidRequest.code();
    assert_eq!(client.init("tx", 4, Some((-1, 3))), (invalid, (-1, -1)));
    assert_eq!(client.init("tx", 4, Some((7, -1))), (invalid, (-1, -1)));
    assert_eq!(client.init("", 4, None), (invalid, (-1, -1)));
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id("tx")))
        .with_transaction_timeout_ms(900_001);
    let response: InitProducerIdResponse = client.call(ApiKey::InitProducerId, 4, &request);
    assert_eq!(response.error_code, ErrorCode::InvalidTransactionTimeout.code());
}

#[test]
fn one_partition_that_is_not_there_keeps_the_others_out() {
    let client = setup();
    let me = client.begin("tx");
    let (missing, untried) =
        (ErrorCode::UnknownTopicOrPartition.code(), ErrorCode::OperationNotAttempted.code());
    for version in 0..=5 {
        assert_eq!(client.add(version, "tx", me, &[0, 9, 1]), [untried, missing, untried]);
    }
    assert_eq!(client.state_of("tx").1, "Empty");
}

#[test]
fn brokers_shape_of_add_partitions_verifies_without_adding() {
    let client = setup();
    let me = client.begin("tx");
    assert_eq!(client.add(4, "tx", me, &[0]), [OK]);
    let transaction = |name: &str, verify_only| {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name("t")).with_partitions(vec![0, 1]);
        AddPartitionsToTxnTransaction::default()
            .with_transactional_id(id(name))
            .with_producer_id(me.0.into())
            .with_producer_epoch(me.1)
            .with_verify_only(verify_only)
            .with_topics(vec![topic])
    };
    let request = AddPartitionsToTxnRequest::default()
        .with_transactions(vec![transaction("tx", true), transaction("other", true)]);
    let response: AddPartitionsToTxnResponse = client.call(ApiKey::AddPartitionsToTxn, 5, &request);
    let codes = |index: usize| -> Vec<i16> {
        let partitions = &response.results_by_transaction[index].topic_results[0].results_by_partition;
        partitions.iter().map(|partition| partition.partition_error_code).collect()
    };
    assert_eq!(codes(0), [OK, ErrorCode::TransactionAbortable.code()]);
    assert_eq!(codes(1), [ErrorCode::InvalidProducerIdMapping.code(); 2]);
}

#[test]
fn retry_of_an_end_is_told_the_same_and_the_other_outcome_is_refused() {
    let client = setup();
    let me = client.begin("tx");
    client.send_transactional(13, Some("tx"), me, (0, 0));
    let first = client.end(5, "tx", me, true);
    client.becomes("tx", "CompleteCommit");
    assert_eq!(client.end(5, "tx", me, true), first);
    assert_eq!(client.end(5, "tx", me, false), (ErrorCode::InvalidTxnState.code(), (-1, -1)));
    assert_eq!(client.end(5, "nobody", me, true).0, ErrorCode::InvalidProducerIdMapping.code());
}

#[test]
fn open_and_decided_transactions_survive_a_restart() {
    let mut client = Client::with_config(&[("onelog.flush", "sync")]);
    client.create("t", 3, &[]);
    let (open, done) = (client.begin("open"), client.begin("done"));
    assert_eq!(client.send_transactional(12, Some("open"), open, (0, 0)).error_code, OK);
    assert_eq!(client.send_transactional(12, Some("done"), done, (1, 0)).error_code, OK);
    assert_eq!(client.end(5, "done", done, true).0, OK);
    client = client.reopened();
    client.becomes("done", "CompleteCommit");
    assert_eq!(client.log(1).last_stable_offset(), client.log(1).high_watermark());
    assert_eq!(client.state_of("open").1, "Ongoing");
    assert_eq!(client.log(0).last_stable_offset(), 0);
    assert_eq!(client.send_transactional(12, Some("open"), open, (0, 1)).error_code, OK);
    assert_eq!(client.end(5, "open", open, true).0, OK);
    client.becomes("open", "CompleteCommit");
    assert_eq!(client.log(0).last_stable_offset(), 3);
}

#[test]
fn deleted_topic_does_not_keep_a_transaction_from_completing() {
    let client = setup();
    client.create("doomed", 1, &[]);
    let me = client.begin("tx");
    assert_eq!(client.send_transactional(12, Some("tx"), me, (0, 0)).error_code, OK);
    let doomed = AddPartitionsToTxnTopic::default().with_name(topic_name("doomed")).with_partitions(vec![0]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id("tx"))
        .with_v3_and_below_producer_id(me.0.into())
        .with_v3_and_below_producer_epoch(me.1)
        .with_v3_and_below_topics(vec![doomed]);
    let response: AddPartitionsToTxnResponse = client.call(ApiKey::AddPartitionsToTxn, 3, &request);
    assert_eq!(response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, OK);
    let topic = client.broker.store.topic("doomed").unwrap();
    client.broker.topics.delete(&client.broker.store, &topic).unwrap();
    assert_eq!(client.end(5, "tx", me, true).0, OK);
    client.becomes("tx", "CompleteCommit");
    assert_eq!(client.log(0).last_stable_offset(), 2);
}

#[test]
fn offsets_of_a_group_join_the_transaction() {
    let client = setup();
    let me = client.begin("tx");
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(id("tx"))
        .with_producer_id(me.0.into())
        .with_producer_epoch(me.1)
        .with_group_id(GroupId("g".into()));
    let response: AddOffsetsToTxnResponse = client.call(ApiKey::AddOffsetsToTxn, 3, &request);
    assert_eq!(response.error_code, OK);
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id("tx")]);
    let response: DescribeTransactionsResponse = client.call(ApiKey::DescribeTransactions, 0, &request);
    let state = &response.transaction_states[0];
    assert_eq!(state.topics[0].topic.as_str(), "__consumer_offsets");
    assert_eq!((state.producer_id.0, state.producer_epoch), me);
    assert_eq!(state.transaction_timeout_ms, 60_000);
    assert!(state.transaction_start_time_ms > 0);
    assert_eq!(client.end(4, "tx", me, true).0, OK);
    client.becomes("tx", "CompleteCommit");
}

impl Client {
    fn commit_offset(&self, version: i16, name: &str, (producer_id, epoch): Producer, offset: i64) -> i16 {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(id(name))
            .with_group_id(GroupId("g".into()))
            .with_producer_id(producer_id.into())
            .with_producer_epoch(epoch)
            .with_topics(vec![topic]);
        let response: TxnOffsetCommitResponse = self.call(ApiKey::TxnOffsetCommit, version, &request);
        response.topics[0].partitions[0].error_code
    }

    fn committed_offset(&self) -> i64 {
        let topic =
            OffsetFetchRequestTopic::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
        let request =
            OffsetFetchRequest::default().with_group_id(GroupId("g".into())).with_topics(Some(vec![topic]));
        let response: OffsetFetchResponse = self.call(ApiKey::OffsetFetch, 7, &request);
        response.topics[0].partitions[0].committed_offset
    }
}

#[test]
fn offsets_that_a_transaction_commits_count_when_it_is_committed() {
    let client = setup();
    let me = client.begin("tx");
    assert_eq!(client.commit_offset(5, "tx", me, 7), OK, "adds the group's partition by itself");
    assert_eq!(client.committed_offset(), -1);
    let (error, next) = client.end(5, "tx", me, true);
    assert_eq!(error, OK);
    client.becomes("tx", "CompleteCommit");
    assert_eq!(client.committed_offset(), 7);
    assert_eq!(client.commit_offset(5, "tx", next, 9), OK);
    assert_eq!(client.end(5, "tx", next, false).0, OK);
    client.becomes("tx", "CompleteAbort");
    assert_eq!(client.committed_offset(), 7);
    let stale = client.commit_offset(5, "tx", me, 11);
    assert_eq!(stale, ErrorCode::InvalidProducerEpoch.code());
}

#[test]
fn classic_client_that_did_not_add_the_group_cannot_commit_its_offsets() {
    let client = setup();
    let me = client.begin("tx");
    let refused = client.commit_offset(3, "tx", me, 7);
    assert_eq!(refused, ErrorCode::InvalidTxnState.code());
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(id("tx"))
        .with_producer_id(me.0.into())
        .with_producer_epoch(me.1)
        .with_group_id(GroupId("g".into()));
    let response: AddOffsetsToTxnResponse = client.call(ApiKey::AddOffsetsToTxn, 3, &request);
    assert_eq!(response.error_code, OK);
    assert_eq!(client.commit_offset(3, "tx", me, 7), OK);
    assert_eq!(client.end(4, "tx", me, true).0, OK);
    client.becomes("tx", "CompleteCommit");
    assert_eq!(client.committed_offset(), 7);
}

#[test]
fn list_filters_by_state_producer_age_and_pattern() {
    let client = setup();
    let (a, b) = (client.begin("a.1"), client.begin("b.1"));
    client.send_transactional(12, Some("b.1"), b, (0, 0));
    let list = |version, request: ListTransactionsRequest| -> ListTransactionsResponse {
        client.call(ApiKey::ListTransactions, version, &request)
    };
    let names = |response: ListTransactionsResponse| -> Vec<String> {
        assert_eq!(response.error_code, OK);
        let mut names: Vec<String> =
            response.transaction_states.iter().map(|state| state.transactional_id.to_string()).collect();
        names.sort();
        names
    };
    let any = || ListTransactionsRequest::default().with_duration_filter(-1);
    assert_eq!(names(list(0, any())), ["a.1", "b.1"]);
    assert_eq!(names(list(0, any().with_producer_id_filters(vec![a.0.into()]))), ["a.1"]);
    let ongoing = list(1, any().with_state_filters(vec!["Ongoing".into(), "Nonsense".into()]));
    assert_eq!(ongoing.unknown_state_filters, [StrBytes::from_static_str("Nonsense")]);
    assert_eq!(names(ongoing), ["b.1"]);
    assert_eq!(names(list(0, any().with_state_filters(vec!["Nonsense".into()]))), [""; 0]);
    let old = any().with_state_filters(vec!["Ongoing".into()]).with_duration_filter(3_600_000);
    assert_eq!(names(list(1, old)), [""; 0]);
    assert_eq!(names(list(2, any().with_transactional_id_pattern(Some("a.*".into())))), ["a.1"]);
    assert_eq!(names(list(2, any().with_transactional_id_pattern(Some("1".into())))), [""; 0]);
    assert_eq!(names(list(2, any().with_transactional_id_pattern(Some("".into())))), ["a.1", "b.1"]);
    for broken in ["(", "a)(b"] {
        let response = list(2, any().with_transactional_id_pattern(Some(broken.into())));
        assert_eq!(response.error_code, ErrorCode::InvalidRegularExpression.code());
    }
}

#[test]
fn hanging_transaction_is_found_and_aborted_by_a_tool() {
    let client = setup();
    let me = client.begin("tx");
    client.send_transactional(12, Some("tx"), me, (1, 0));
    let asked = TopicRequest::default().with_name(topic_name("t")).with_partition_indexes(vec![1, 0, 9]);
    let request = DescribeProducersRequest::default().with_topics(vec![asked]);
    let response: DescribeProducersResponse = client.call(ApiKey::DescribeProducers, 0, &request);
    let partitions = &response.topics[0].partitions;
    let producer = &partitions[0].active_producers[0];
    assert_eq!((producer.producer_id.0, producer.producer_epoch), (me.0, i32::from(me.1)));
    assert_eq!((producer.last_sequence, producer.current_txn_start_offset), (0, 0));
    assert_eq!(producer.coordinator_epoch, -1);
    assert!(partitions[1].active_producers.is_empty());
    assert_eq!(partitions[2].error_code, ErrorCode::UnknownTopicOrPartition.code());
    let topic =
        WritableTxnMarkerTopic::default().with_name(topic_name("t")).with_partition_indexes(vec![1, 9]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(me.0.into())
        .with_producer_epoch(me.1)
        .with_coordinator_epoch(0)
        .with_transaction_result(false)
        .with_topics(vec![topic]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let response: WriteTxnMarkersResponse = client.call(ApiKey::WriteTxnMarkers, 1, &request);
    let results = &response.markers[0].topics[0].partitions;
    let codes: Vec<_> = results.iter().map(|result| (result.partition_index, result.error_code)).collect();
    assert_eq!(codes, [(1, OK), (9, ErrorCode::UnknownTopicOrPartition.code())]);
    assert_eq!(client.log(1).last_stable_offset(), 2);
    assert_eq!(client.log(1).aborted_transactions(0, 5).len(), 1);
}

#[test]
fn unknown_ids_are_told_apart_from_bad_ones() {
    let client = setup();
    assert_eq!(client.state_of("nobody").0, ErrorCode::TransactionalIdNotFound.code());
    assert_eq!(client.state_of("").0, ErrorCode::InvalidRequest.code());
}

#[test]
fn transaction_topic_is_internal_compacted_and_made_by_the_first_producer() {
    let client = setup();
    assert!(client.broker.store.topic("__transaction_state").is_none());
    client.begin("tx");
    let topic = client.broker.store.topic("__transaction_state").unwrap();
    assert_eq!(topic.partition_count(), 3);
    let configs = topic.configs();
    let config = |name: &str| configs.get(name).map(String::as_str);
    assert_eq!(config("cleanup.policy"), Some("compact"));
    assert_eq!(config("compression.type"), Some("uncompressed"));
    assert_eq!(config("min.insync.replicas"), Some("1"));
    assert!(topics_are_internal("__transaction_state"));
}

fn topics_are_internal(name: &str) -> bool {
    crate::topics::is_internal(name)
}

#[test]
fn coordinator_of_a_transactional_id_is_this_broker() {
    let client = setup();
    for version in 1..=3 {
        let request = FindCoordinatorRequest::default().with_key("tx".into()).with_key_type(1);
        let response: FindCoordinatorResponse = client.call(ApiKey::FindCoordinator, version, &request);
        assert_eq!((response.error_code, response.port), (OK, 9092));
    }
    let request = FindCoordinatorRequest::default()
        .with_coordinator_keys(vec!["tx".into(), "".into()])
        .with_key_type(1);
    let response: FindCoordinatorResponse = client.call(ApiKey::FindCoordinator, 6, &request);
    let codes: Vec<_> = response.coordinators.iter().map(|found| found.error_code).collect();
    assert_eq!(codes, [OK, OK], "as in Kafka even an id that InitProducerId will refuse");
}

#[test]
fn transactional_requests_to_a_connection_keep_their_order() {
    // The first batch of a transaction asks the coordinator; the second must not overtake it. Here the handler says so; that
    // connections obey is tested with them.
    let client = setup();
    let me = client.begin("tx");
    let mut builder = RecordBatchBuilder::new(0).producer(me.0, me.1, 0).transactional();
    builder.append(-1, Some(b"k"), Some(b"v"));
    let request = produce_request(-1, "t", 0, builder.build()).with_transactional_id(Some(id("tx")));
    let first = client.reply(ApiKey::Produce, 12, &request);
    assert!(matches!(first, Reply::Ordered(_)), "{first:?}");
    let response: ProduceResponse = decoded(finished(first), 12);
    assert_eq!(response.responses[0].partition_responses[0].error_code, OK);
    let mut builder = RecordBatchBuilder::new(0).producer(me.0, me.1, 1).transactional();
    builder.append(-1, Some(b"k"), Some(b"v"));
    let request = produce_request(-1, "t", 0, builder.build()).with_transactional_id(Some(id("tx")));
    let second = client.reply(ApiKey::Produce, 12, &request);
    assert!(!matches!(second, Reply::Ordered(_)), "the transaction is open: nobody is asked");
}
