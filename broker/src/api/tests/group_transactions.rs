//! Offsets that are committed in transactions, from the group coordinator's shell down to the log and back.

use protocol::ErrorCode;
use protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use protocol::messages::{ApiKey, OffsetFetchRequest, OffsetFetchResponse};
use protocol::record_batch::RecordBatchView;
use storage::{ReadRequest, VerificationGuard};

use super::{Client, block_on, topic_name};
use crate::coordinator::group::{CompleteTransaction, PartitionCommit, Response, TxnOffsetCommit};
use crate::coordinator::partition_for;

const GROUP: &str = "my-group";
const KNOWN: Option<VerificationGuard> = Some(VerificationGuard::COORDINATOR);

fn partition() -> i32 {
    partition_for(GROUP, 3)
}

fn commit(client: &Client, epoch: i16, offset: i64, verification: Option<VerificationGuard>) -> ErrorCode {
    let metadata = Some("meta".to_owned());
    let committed = PartitionCommit { partition: 0, offset, leader_epoch: 0, metadata };
    let commit = TxnOffsetCommit {
        group_id: GROUP.to_owned(),
        producer_id: 7,
        producer_epoch: epoch,
        generation_id: -1,
        member_id: String::new(),
        group_instance_id: None,
        topics: vec![("t".to_owned(), vec![committed])],
    };
    match block_on(client.broker.groups.commit_in_transaction(commit, verification)) {
        Response::TxnOffsetCommit(outcomes) => outcomes[0].1[0].1,
        other => panic!("{other:?}"),
    }
}

fn complete(client: &Client, epoch: i16, coordinator_epoch: i32, committed: bool) -> Result<(), ErrorCode> {
    let groups = &client.broker.groups;
    let complete = CompleteTransaction {
        partition: partition(),
        producer_id: 7,
        producer_epoch: epoch,
        coordinator_epoch,
        committed,
    };
    block_on(groups.complete_transaction(complete, None))
}

/// Offset and error, for who requires stable offsets.
fn fetched(client: &Client) -> (i64, i16) {
    let topic = OffsetFetchRequestTopic::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(protocol::StrBytes::from_static_str(GROUP).into())
        .with_topics(Some(vec![topic]))
        .with_require_stable(true);
    let mut response: OffsetFetchResponse = client.call(ApiKey::OffsetFetch, 7, &request);
    let partition = response.topics.remove(0).partitions.remove(0);
    (partition.committed_offset, partition.error_code)
}

const UNSTABLE: (i64, i16) = (-1, 88);

#[test]
fn pending_offsets_survive_a_restart_and_count_after_the_marker() {
    let client = Client::new();
    client.create("t", 1, &[]);
    assert_eq!(commit(&client, 0, 10, KNOWN), ErrorCode::None);
    assert_eq!(fetched(&client), UNSTABLE);
    let client = client.reopened();
    assert_eq!(fetched(&client), UNSTABLE);
    assert_eq!(commit(&client, 0, 11, None), ErrorCode::None, "its transaction is open");
    assert_eq!(complete(&client, 0, 0, true), Ok(()));
    assert_eq!(fetched(&client), (11, 0));
    assert_eq!(commit(&client, 0, 12, KNOWN), ErrorCode::None);
    assert_eq!(complete(&client, 0, 0, false), Ok(()));
    assert_eq!(complete(&client, 0, 0, false), Ok(()), "a second time is harmless");
    assert_eq!(fetched(&client), (11, 0));
    let client = client.reopened();
    assert_eq!(fetched(&client), (11, 0));
}

#[test]
fn the_log_refuses_transactions_that_nobody_knows_of_and_producers_of_the_past() {
    let client = Client::new();
    client.create("t", 1, &[]);
    assert_eq!(commit(&client, 3, 10, None), ErrorCode::InvalidTxnState);
    assert_eq!(fetched(&client), (-1, 0));
    assert_eq!(commit(&client, 3, 10, KNOWN), ErrorCode::None);
    assert_eq!(commit(&client, 2, 9, KNOWN), ErrorCode::InvalidProducerEpoch);
    assert_eq!(complete(&client, 2, 5, true), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(fetched(&client), UNSTABLE);
    assert_eq!(complete(&client, 3, 5, true), Ok(()));
    assert_eq!(complete(&client, 3, 4, true), Err(ErrorCode::TransactionCoordinatorFenced));
    assert_eq!(fetched(&client), (10, 0));
}

#[test]
fn the_log_holds_transactional_batches_and_markers() {
    let client = Client::new();
    client.create("t", 1, &[]);
    assert_eq!(commit(&client, 3, 10, KNOWN), ErrorCode::None);
    assert_eq!(complete(&client, 3, 5, true), Ok(()));
    let store = &client.broker.store;
    let log = store.topic("__consumer_offsets").unwrap().partition(partition()).unwrap();
    let request = ReadRequest { from: 0, limit: 2, max_bytes: 1 << 20, at_least_one: true };
    let read = store.read(&log, &request).unwrap().batches;
    let batches: Vec<_> = read.iter().map(|batch| RecordBatchView::parse(batch).unwrap()).collect();
    let of = |batch: &RecordBatchView<'_>| {
        let producer = (batch.producer_id(), batch.producer_epoch());
        (batch.is_transactional(), batch.is_control(), producer)
    };
    assert_eq!(batches.iter().map(of).collect::<Vec<_>>(), [(true, false, (7, 3)), (true, true, (7, 3))]);
    assert_eq!((log.last_stable_offset(), log.high_watermark()), (2, 2));
}
