//! What clients see when a test moves the broker's clock: everything that has a deadline, without anybody sleeping.

use std::time::Duration;

use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::{
    ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, FetchResponse, GroupId, JoinGroupRequest,
    JoinGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use protocol::record_batch_builder::RecordBatchBuilder;

use super::consume::waiting_request;
use super::{Client, block_on, decoded, topic_name};
use crate::api::{Later, Reply, Response};
use crate::coordinator::group::Request;
use crate::virtual_clock::{AdvanceError, advance};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Deadlines that real time would reach within a test are far away.
fn client() -> Client {
    Client::with_config(&[
        ("onelog.test.mode", "local"),
        ("group.initial.rebalance.delay.ms", "40000"),
        ("transaction.state.log.num.partitions", "3"),
    ])
}

impl Client {
    fn advance(&self, by: Duration) {
        block_on(advance(&self.broker, by)).unwrap();
    }

    /// What the threads of the log or a coordinator do by themselves, soon after the clock has moved.
    fn soon(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..2000 {
            if is_so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not come true that {what}");
    }

    fn group_state(&self) -> String {
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId("g".into())]);
        let response: DescribeGroupsResponse = self.call(ApiKey::DescribeGroups, 5, &request);
        response.groups[0].group_state.to_string()
    }

    fn committed(&self) -> i64 {
        use protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
        let topic =
            OffsetFetchRequestTopic::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId("simple".into()))
            .with_topics(Some(vec![topic]));
        let response: OffsetFetchResponse = self.call(ApiKey::OffsetFetch, 5, &request);
        response.topics[0].partitions[0].committed_offset
    }
}

/// What comes long before its deadline on the real clock.
async fn in_time(later: Later) -> Response {
    tokio::time::timeout(30 * SECOND, later).await.expect("the clock was moved")
}

fn join() -> JoinGroupRequest {
    let range = JoinGroupRequestProtocol::default().with_name("range".into());
    JoinGroupRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_session_timeout_ms(45_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type("consumer".into())
        .with_protocols(vec![range])
}

#[test]
fn group_forms_and_its_silent_member_is_evicted_when_the_clock_has_passed_both_deadlines() {
    let client = client();
    let Reply::Later(joined) = client.reply(ApiKey::JoinGroup, 2, &join()) else { panic!("it waits") };
    let (joined, moved) = block_on(async {
        tokio::join!(in_time(joined), async {
            // The coordinator takes questions in the order of their coming: when this is answered, the member has joined.
            client.broker.groups.ask(Request::Observe).await;
            advance(&client.broker, 40 * SECOND).await
        })
    });
    assert_eq!(moved, Ok(()));
    let joined: JoinGroupResponse = decoded(joined, 2);
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(client.group_state(), "CompletingRebalance");
    client.advance(44 * SECOND);
    assert_eq!(client.group_state(), "CompletingRebalance", "45 s are not over yet");
    client.advance(SECOND);
    assert_eq!(client.group_state(), "Empty");
}

#[test]
fn committed_offsets_of_a_group_without_members_expire() {
    let client = client();
    client.create("t", 1, &[]);
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic =
        OffsetCommitRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId("simple".into()))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let response: OffsetCommitResponse = client.call(ApiKey::OffsetCommit, 5, &request);
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    client.advance(6 * DAY);
    assert_eq!(client.committed(), 7);
    client.advance(DAY + 600 * SECOND);
    client.soon("the offset is forgotten", |client| client.committed() == -1);
}

#[test]
fn records_are_stamped_with_the_moved_time_and_deleted_when_they_are_old_in_it() {
    let client = client();
    client.create("stamped", 1, &[("message.timestamp.type", "LogAppendTime"), ("retention.ms", "30000")]);
    let began = client.now();
    client.advance(DAY);
    let mut builder = RecordBatchBuilder::new(0);
    builder.append(began, None, Some(b"v"));
    let appended = client.produce("stamped", 0, builder.build());
    let day_ms = i64::try_from(DAY.as_millis()).unwrap();
    assert!(appended.log_append_time_ms >= began + day_ms, "{appended:?}");
    let log = client.broker.store.topic("stamped").unwrap().partition(0).unwrap();
    client.advance(29 * SECOND);
    assert_eq!(log.log_start_offset(), 0);
    client.advance(2 * SECOND);
    client.soon("the record is deleted", |_| log.log_start_offset() == 1);
}

#[test]
fn open_transaction_times_out_and_its_producer_is_fenced() {
    let client = client();
    client.create("t", 3, &[]);
    let producer = client.begin("tx");
    assert_eq!(client.send_transactional(12, Some("tx"), producer, (0, 0)).error_code, 0);
    client.advance(59 * SECOND);
    assert_eq!(client.state_of("tx"), (0, "Ongoing".to_owned()));
    // Looked for every 10 s, as in Kafka.
    client.advance(11 * SECOND);
    client.becomes("tx", "CompleteAbort");
    assert_ne!(client.end(5, "tx", producer, true).0, 0);
}

#[test]
fn parked_fetch_answers_when_its_time_is_over_on_the_moved_clock() {
    let client = client();
    client.create("t", 1, &[]);
    let asked = waiting_request("t", 1).with_max_wait_ms(600_000);
    let Reply::Later(later) = client.reply(ApiKey::Fetch, 12, &asked) else { panic!("it waits") };
    // The fetch waits when the second of both begins.
    let (response, moved) =
        block_on(async { tokio::join!(in_time(later), advance(&client.broker, 600 * SECOND)) });
    assert_eq!(moved, Ok(()));
    let response: FetchResponse = decoded(response, 12);
    assert_eq!(response.responses.iter().map(|topic| topic.partitions.len()).sum::<usize>(), 1);
}

#[test]
fn clock_of_a_broker_that_is_not_in_test_mode_cannot_be_moved() {
    let client = Client::new();
    assert_eq!(block_on(advance(&client.broker, SECOND)), Err(AdvanceError::NotInTestMode));
}
