//! ShareFetch and ShareAcknowledge: records for members of a share group, whose coordinator has initialized its partitions.

use std::sync::Arc;
use std::time::Duration;

use protocol::ErrorCode;
use protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch as AcknowledgeOnly,
};
use protocol::messages::share_fetch_request::{AcknowledgementBatch, FetchPartition, FetchTopic};
use protocol::messages::share_fetch_response::PartitionData;
use protocol::messages::{
    ApiKey, GroupId, ShareAcknowledgeRequest, ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse,
};
use protocol::{Encodable, StrBytes};
use uuid::Uuid;

use super::{Client, batch, block_on, decoded, finished};
use crate::api::{Later, Reply, connection_closed};

/// First offset, last offset, deliveries.
type Acquired = (i64, i64, i16);

const WAIT_MS: i32 = 60_000;
const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;

struct Share {
    client: Client,
    topic: Uuid,
}

impl Share {
    /// A topic of one partition, read by group "g" from its beginning.
    fn new(configs: &[(&str, &str)]) -> Self {
        let client = Client::with_config(configs);
        let topic = client.create("t", 1, &[]);
        let share = Self { client, topic };
        share.initialize(1, 0);
        share
    }

    fn initialize(&self, state_epoch: i32, start: i64) {
        let shares = &self.client.broker.share_partitions;
        block_on(shares.initialize("g", state_epoch, vec![(self.topic, 0, start)])).unwrap();
    }

    fn request(&self, member: &str, epoch: i32) -> ShareFetchRequest {
        let partitions = vec![FetchPartition::default()];
        let topics = vec![FetchTopic::default().with_topic_id(self.topic).with_partitions(partitions)];
        ShareFetchRequest::default()
            .with_group_id(Some(GroupId(StrBytes::from_static_str("g"))))
            .with_member_id(Some(StrBytes::from_string(member.to_owned())))
            .with_share_session_epoch(epoch)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(500)
            .with_batch_size(500)
            .with_topics(topics)
    }

    fn ask(&self, request: &ShareFetchRequest) -> ShareFetchResponse {
        self.client.call(ApiKey::ShareFetch, 1, request)
    }

    /// What the member gets, without waiting.
    fn fetch(&self, member: &str, epoch: i32) -> Vec<Acquired> {
        let response = self.ask(&self.request(member, epoch));
        assert_eq!(response.error_code, 0);
        acquired(&response)
    }

    fn parked(&self, member: &str, epoch: i32) -> Later {
        let mut body = bytes::BytesMut::new();
        self.request(member, epoch).with_max_wait_ms(WAIT_MS).encode(&mut body, 1).unwrap();
        match self.client.send(ApiKey::ShareFetch, 1, &body).unwrap().reply {
            Reply::Later(later) => later,
            other => panic!("{other:?}"),
        }
    }

    /// Error codes: of the request, of the partition.
    fn acknowledge(&self, member: &str, epoch: i32, said: (i64, i64, i8)) -> (i16, i16) {
        let (first, last, kind) = said;
        let batch = AcknowledgeOnly::default()
            .with_first_offset(first)
            .with_last_offset(last)
            .with_acknowledge_types(vec![kind]);
        let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
        let topic = AcknowledgeTopic::default().with_topic_id(self.topic).with_partitions(vec![partition]);
        let request = ShareAcknowledgeRequest::default()
            .with_group_id(Some(GroupId(StrBytes::from_static_str("g"))))
            .with_member_id(Some(StrBytes::from_string(member.to_owned())))
            .with_share_session_epoch(epoch)
            .with_topics(vec![topic]);
        let response: ShareAcknowledgeResponse = self.client.call(ApiKey::ShareAcknowledge, 1, &request);
        let partition = response.responses.first().map_or(0, |topic| topic.partitions[0].error_code);
        (response.error_code, partition)
    }

    fn fill(&self, values: &[&str]) {
        assert_eq!(self.client.produce("t", 0, batch(values)).error_code, 0);
    }

    fn reopened(self) -> Self {
        Self { client: self.client.reopened(), topic: self.topic }
    }
}

fn partitions(response: &ShareFetchResponse) -> impl Iterator<Item = &PartitionData> {
    response.responses.iter().flat_map(|topic| &topic.partitions)
}

fn acquired(response: &ShareFetchResponse) -> Vec<Acquired> {
    let acquired = partitions(response).flat_map(|partition| &partition.acquired_records);
    acquired.map(|it| (it.first_offset, it.last_offset, it.delivery_count)).collect()
}

#[test]
fn two_members_never_get_the_same_record_and_what_is_accepted_never_comes_again() {
    let share = Share::new(&[]);
    share.fill(&["a", "b"]);
    assert_eq!(share.fetch("m", 0), [(0, 1, 1)]);
    assert_eq!(share.fetch("n", 0), []);
    share.fill(&["c"]);
    assert_eq!(share.fetch("n", 1), [(2, 2, 1)]);
    assert_eq!(share.acknowledge("m", 1, (0, 1, ACCEPT)), (0, 0));
    assert_eq!(share.acknowledge("m", 2, (2, 2, ACCEPT)), (0, ErrorCode::InvalidRecordState.code()));
    assert_eq!(share.acknowledge("n", 2, (2, 2, ACCEPT)), (0, 0));
    assert_eq!((share.fetch("m", 3), share.fetch("n", 3)), (vec![], vec![]));
}

#[test]
fn a_released_record_comes_again_and_a_rejected_one_does_not() {
    let share = Share::new(&[]);
    share.fill(&["a", "b", "c"]);
    assert_eq!(share.fetch("m", 0), [(0, 2, 1)]);
    assert_eq!(share.acknowledge("m", 1, (0, 0, REJECT)), (0, 0));
    assert_eq!(share.acknowledge("m", 2, (1, 2, RELEASE)), (0, 0));
    assert_eq!(share.fetch("n", 0), [(1, 2, 2)]);
}

#[test]
fn acknowledgements_travel_with_the_next_fetch() {
    let share = Share::new(&[]);
    share.fill(&["a"]);
    assert_eq!(share.fetch("m", 0), [(0, 0, 1)]);
    share.fill(&["b"]);
    let mut request = share.request("m", 1);
    let said = |first| {
        AcknowledgementBatch::default()
            .with_first_offset(first)
            .with_last_offset(first)
            .with_acknowledge_types(vec![ACCEPT])
    };
    request.topics[0].partitions[0].acknowledgement_batches = vec![said(0)];
    let response = share.ask(&request);
    assert_eq!(acquired(&response), [(1, 1, 1)]);
    assert_eq!(partitions(&response).next().unwrap().acknowledge_error_code, 0);
    // Nobody holds it any more: that error does not touch what is fetched.
    request.share_session_epoch = 2;
    request.topics[0].partitions[0].acknowledgement_batches = vec![said(1), said(1)];
    let response = share.ask(&request);
    let partition = partitions(&response).next().unwrap();
    assert_eq!((partition.error_code, partition.acknowledge_error_code), (0, 121));
    // The last request ends the session, and says what is left to say.
    request.share_session_epoch = -1;
    request.topics[0].partitions[0].acknowledgement_batches = vec![said(1)];
    let response = share.ask(&request);
    assert_eq!(partitions(&response).next().unwrap().acknowledge_error_code, 0);
    assert_eq!(share.ask(&share.request("m", 3)).error_code, ErrorCode::ShareSessionNotFound.code());
}

#[test]
fn a_parked_fetch_wakes_for_new_records_and_for_released_ones() {
    let share = Share::new(&[]);
    let parked = share.parked("m", 0);
    share.fill(&["a"]);
    let response: ShareFetchResponse = decoded(block_on(parked), 1);
    assert_eq!(acquired(&response), [(0, 0, 1)]);
    assert_eq!(response.acquisition_lock_timeout_ms, 30_000);
    let parked = share.parked("n", 0);
    let (response, ()) = block_on(async {
        let closes = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            // The connection of both: the records of the first are had again.
            connection_closed(&share.client.broker, share.client.connection.id).await;
        };
        futures_util::join!(parked, closes)
    });
    let response: ShareFetchResponse = decoded(response, 1);
    assert_eq!(acquired(&response), [(0, 0, 2)]);
}

#[test]
fn a_lock_that_is_over_gives_its_records_to_others() {
    let share =
        Share::new(&[("onelog.test.mode", "local"), ("group.share.record.lock.duration.ms", "15000")]);
    share.fill(&["a"]);
    assert_eq!(share.fetch("m", 0), [(0, 0, 1)]);
    let parked = share.parked("n", 0);
    let broker = Arc::clone(&share.client.broker);
    let (response, ()) = block_on(async {
        let moves = async {
            for _ in 0..2 {
                crate::virtual_clock::advance(&broker, Duration::from_secs(8)).await.unwrap();
            }
        };
        futures_util::join!(parked, moves)
    });
    assert_eq!(acquired(&decoded(response, 1)), [(0, 0, 2)]);
    assert_eq!(share.acknowledge("m", 1, (0, 0, ACCEPT)), (0, ErrorCode::InvalidRecordState.code()));
}

#[test]
fn what_was_acknowledged_stays_so_when_the_broker_is_opened_again() {
    let mut share = Share::new(&[("onelog.flush", "sync")]);
    share.fill(&["a", "b", "c", "d"]);
    assert_eq!(share.fetch("m", 0), [(0, 3, 1)]);
    assert_eq!(share.acknowledge("m", 1, (1, 1, ACCEPT)), (0, 0));
    assert_eq!(share.acknowledge("m", 2, (3, 3, RELEASE)), (0, 0));
    share = share.reopened();
    assert_eq!(share.fetch("n", 0), [(0, 0, 1), (2, 2, 1), (3, 3, 2)]);
    let summary = block_on(share.client.broker.share_partitions.summary("g", vec![(share.topic, 0)]));
    let summary = summary[0].unwrap().unwrap();
    assert_eq!((summary.start_offset, summary.delivery_complete_count), (0, 1));
}

#[test]
fn a_group_begins_where_its_config_says() {
    let share = Share::new(&[]);
    share.initialize(2, -1);
    share.fill(&["a"]);
    assert_eq!(share.fetch("m", 0), [], "latest");
    share.fill(&["b"]);
    assert_eq!(share.fetch("m", 1), [(1, 1, 1)]);
}

#[test]
fn partitions_that_are_not_there_have_their_own_errors() {
    let share = Share::new(&[]);
    let mut request = share.request("m", 0);
    let unknown = FetchTopic::default()
        .with_topic_id(Uuid::from_u128(9))
        .with_partitions(vec![FetchPartition::default()]);
    request.topics[0].partitions.push(FetchPartition::default().with_partition_index(7));
    request.topics.push(unknown);
    share.fill(&["a"]);
    let response = share.ask(&request);
    let mut errors: Vec<_> =
        partitions(&response).map(|partition| (partition.partition_index, partition.error_code)).collect();
    errors.sort_unstable();
    assert_eq!(errors, [(0, 0), (0, 100), (7, 3)]);
    // A group that never was.
    let mut request = share.request("m", 0);
    request.group_id = Some(GroupId(StrBytes::from_static_str("other")));
    let response = share.ask(&request);
    assert_eq!(partitions(&response).next().unwrap().error_code, -1);
}

#[test]
fn a_request_without_a_group_or_a_member_is_refused() {
    let share = Share::new(&[]);
    for wrong in ["", "longer-than-any-uuid-is-by-itself-0123456789"] {
        assert_eq!(share.ask(&share.request(wrong, 0)).error_code, ErrorCode::InvalidRequest.code());
    }
    let mut request = share.request("m", 0);
    request.group_id = None;
    assert_eq!(share.ask(&request).error_code, ErrorCode::InvalidRequest.code());
    assert_eq!(share.acknowledge("m", 0, (0, 0, ACCEPT)).0, ErrorCode::InvalidShareSessionEpoch.code());
}

#[test]
fn an_exact_limit_is_kept_and_locks_are_renewed_in_version_2() {
    let share = Share::new(&[]);
    share.fill(&["a", "b", "c"]);
    let fetch = |epoch: i32, mode: u8, renew: bool| {
        let mut body = vec![2, b'g', 2, b'm'];
        body.extend(epoch.to_be_bytes());
        let limits = if renew { [0, 0, 0, 0, 1] } else { [0, 1, 1 << 20, 2, 1] };
        limits.into_iter().for_each(|limit: i32| body.extend(limit.to_be_bytes()));
        body.extend([mode, u8::from(renew), 2]);
        body.extend(share.topic.as_bytes());
        body.extend([2, 0, 0, 0, 0]);
        if renew {
            body.push(2);
            body.extend(0_i64.to_be_bytes());
            body.extend(1_i64.to_be_bytes());
            body.extend([2, 4, 0]);
        } else {
            body.push(1);
        }
        body.extend([0, 0, 1, 0]);
        decoded::<ShareFetchResponse>(
            finished(share.client.send(ApiKey::ShareFetch, 2, &body).unwrap().reply),
            1,
        )
    };
    assert_eq!(acquired(&fetch(0, 1, false)), [(0, 1, 1)], "two of a batch of three");
    let renewed = fetch(1, 0, true);
    assert_eq!((renewed.error_code, acquired(&renewed)), (0, vec![]));
    assert_eq!(partitions(&renewed).next().unwrap().acknowledge_error_code, 0);
    assert_eq!(share.fetch("n", 0), [(2, 2, 1)]);
}

#[test]
fn a_group_that_is_ahead_of_its_partition_waits_for_it() {
    let share = Share::new(&[]);
    share.initialize(2, 1);
    let ahead = share.parked("m", 0);
    let waited = block_on(async { tokio::time::timeout(Duration::from_millis(50), ahead).await });
    assert!(waited.is_err(), "there is nothing at offset 1");
    share.initialize(3, 7);
    let ahead = share.parked("n", 0);
    let waited = block_on(async { tokio::time::timeout(Duration::from_millis(50), ahead).await });
    assert!(waited.is_err(), "nor at 7, where the log does not reach");
    share.fill(&["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    assert_eq!(share.fetch("n", 1), [(7, 8, 1)]);
}

#[test]
fn what_compaction_took_is_passed_over_however_little_is_asked_for() {
    let client = Client::new();
    let configs = [("cleanup.policy", "compact"), ("segment.bytes", "1048576")];
    let share = Share { topic: client.create("t", 1, &configs), client };
    share.initialize(1, 0);
    // All have the same key, and all but the last segment is compacted.
    for _ in 0..30 {
        share.fill(&["x".repeat(100_000).as_str()]);
    }
    share.client.broker.store.clean().unwrap();
    let response = share.ask(&share.request("m", 0).with_max_records(1));
    let first = acquired(&response)[0].0;
    assert!(first > 0, "compaction left everything");
    assert_eq!(share.acknowledge("m", 1, (first, first, ACCEPT)), (0, 0));
    let rest = share.fetch("m", 2);
    assert!(rest.iter().all(|(next, _, deliveries)| *next > first && *deliveries == 1), "{rest:?}");
    for (first, last, _) in rest {
        assert_eq!(share.acknowledge("m", 3, (first, last, ACCEPT)), (0, 0));
    }
    let summary = block_on(share.client.broker.share_partitions.summary("g", vec![(share.topic, 0)]));
    assert!(summary[0].unwrap().unwrap().start_offset >= first);
}

#[test]
fn a_group_begins_with_records_of_a_certain_age() {
    let share = Share::new(&[]);
    let age = std::collections::BTreeMap::from([(
        "@group/g/share.auto.offset.reset".to_owned(),
        "by_duration:PT1H".to_owned(),
    )]);
    share.client.broker.store.set_broker_configs(age).unwrap();
    let hours_ago = |hours: i64| share.client.now() - hours * 3_600_000;
    for hours in [3, 2] {
        let mut builder = protocol::record_batch_builder::RecordBatchBuilder::new(0);
        builder.append(hours_ago(hours), None, Some(b"old"));
        assert_eq!(share.client.produce("t", 0, builder.build()).error_code, 0);
    }
    let mut builder = protocol::record_batch_builder::RecordBatchBuilder::new(0);
    builder.append(hours_ago(0), None, Some(b"new"));
    assert_eq!(share.client.produce("t", 0, builder.build()).error_code, 0);
    share.initialize(2, -1);
    assert_eq!(share.fetch("m", 0), [(2, 2, 1)]);
}
