//! Fetch sessions (KIP-227), by name (version 7 to 12) and by id (13 and later).

use protocol::ErrorCode;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use protocol::messages::{ApiKey, BrokerId, FetchRequest, FetchResponse};
use uuid::Uuid;

use super::{Client, block_on, decoded, topic_name};
use crate::api::Reply;

/// Versions with names and with ids, old and new encodings.
const VERSIONS: [i16; 5] = [7, 11, 12, 13, 18];

/// A client that fetches in one version.
struct Consumer<'a> {
    client: &'a Client,
    version: i16,
}

impl Consumer<'_> {
    fn request(&self, session: (i32, i32), partitions: &[(&str, i32, i64)]) -> FetchRequest {
        let topics = partitions.iter().map(|(name, index, from)| {
            let partition = FetchPartition::default()
                .with_partition(*index)
                .with_fetch_offset(*from)
                .with_partition_max_bytes(1 << 20);
            let topic = FetchTopic::default().with_partitions(vec![partition]);
            if self.version >= 13 {
                topic.with_topic_id(self.id(name))
            } else {
                topic.with_topic(topic_name(name))
            }
        });
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_bytes(1 << 20)
            .with_min_bytes(1)
            .with_session_id(session.0)
            .with_session_epoch(session.1)
            .with_topics(topics.collect())
    }

    fn id(&self, name: &str) -> Uuid {
        self.client.broker.store.topic(name).map_or(Uuid::max(), |topic| topic.id())
    }

    fn send(&self, request: &FetchRequest) -> FetchResponse {
        self.client.call(ApiKey::Fetch, self.version, request)
    }

    /// A full fetch that opens a session; its id.
    fn open(&self, partitions: &[(&str, i32, i64)]) -> i32 {
        let response = self.send(&self.request((0, 0), partitions));
        assert_eq!(response.error_code, 0);
        assert_eq!(told(&response).len(), partitions.len(), "a full fetch is answered in full");
        assert!(response.session_id > 0);
        response.session_id
    }

    fn next(&self, session: (i32, i32), partitions: &[(&str, i32, i64)]) -> Vec<(i32, i16, usize)> {
        let response = self.send(&self.request(session, partitions));
        assert_eq!((response.error_code, response.session_id), (0, session.0));
        told(&response)
    }

    fn error(&self, request: &FetchRequest) -> i16 {
        let response = self.send(request);
        assert!(response.responses.is_empty() && response.session_id == 0, "an error stands alone");
        response.error_code
    }
}

/// Partition, error and bytes of each partition in the answer.
fn told(response: &FetchResponse) -> Vec<(i32, i16, usize)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let records = |records: &Option<bytes::Bytes>| records.as_ref().expect("never null").len();
    partitions.map(|told| (told.partition_index, told.error_code, records(&told.records))).collect()
}

fn indexes(told: &[(i32, i16, usize)]) -> Vec<i32> {
    told.iter().map(|(index, ..)| *index).collect()
}

fn each_version(test: impl Fn(&Consumer<'_>)) {
    for version in VERSIONS {
        let client = Client::new();
        client.create("t", 4, &[]);
        test(&Consumer { client: &client, version });
    }
}

#[test]
fn an_incremental_answer_has_only_what_changed() {
    each_version(|consumer| {
        consumer.client.fill("t", 0, &["a"]);
        let id = consumer.open(&[("t", 0, 1), ("t", 1, 0), ("t", 2, 0)]);
        assert_eq!(consumer.next((id, 1), &[]), []);
        consumer.client.fill("t", 1, &["b"]);
        let told = consumer.next((id, 2), &[]);
        assert_eq!(indexes(&told), [1]);
        assert!(told[0].2 > 0);
        assert_eq!(indexes(&consumer.next((id, 3), &[("t", 1, 1), ("t", 3, 0)])), [3], "one came to it");
        assert_eq!(consumer.next((id, 4), &[]), []);
    });
}

#[test]
fn what_is_forgotten_is_not_fetched_and_a_session_without_partitions_ends() {
    each_version(|consumer| {
        let id = consumer.open(&[("t", 0, 0), ("t", 1, 0)]);
        let forget = |epoch, partitions: &[i32]| {
            let forgotten = ForgottenTopic::default().with_partitions(partitions.to_vec());
            let forgotten = if consumer.version >= 13 {
                forgotten.with_topic_id(consumer.id("t"))
            } else {
                forgotten.with_topic(topic_name("t"))
            };
            consumer.request((id, epoch), &[]).with_forgotten_topics_data(vec![forgotten])
        };
        assert_eq!(consumer.send(&forget(1, &[0])).session_id, id);
        consumer.client.fill("t", 0, &["a"]);
        consumer.client.fill("t", 1, &["b"]);
        assert_eq!(indexes(&consumer.next((id, 2), &[])), [1]);
        let last = consumer.send(&forget(3, &[1]));
        assert_eq!((last.error_code, last.session_id, last.responses.len()), (0, 0, 0));
        let gone = consumer.error(&consumer.request((id, 4), &[]));
        assert_eq!(gone, ErrorCode::FetchSessionIdNotFound.code());
        assert_eq!(consumer.client.broker.fetch_sessions.counts(), (0, 0));
    });
}

#[test]
fn sessions_and_epochs_that_are_not_expected_are_errors() {
    each_version(|consumer| {
        let id = consumer.open(&[("t", 0, 0)]);
        let error = |session| consumer.error(&consumer.request(session, &[]));
        let not_found = ErrorCode::FetchSessionIdNotFound.code();
        for stranger in [0, -1, i32::MIN, i32::MAX, if id == 5 { 6 } else { 5 }] {
            assert_eq!(error((stranger, 1)), not_found, "{stranger}");
        }
        let wrong_epoch = ErrorCode::InvalidFetchSessionEpoch.code();
        for epoch in [2, -2, i32::MAX] {
            assert_eq!(error((id, epoch)), wrong_epoch, "{epoch}");
        }
        assert_eq!(consumer.next((id, 1), &[]), []);
        assert_eq!(error((id, 1)), wrong_epoch, "each epoch once");
        assert_eq!(consumer.next((id, 2), &[]), [], "errors leave the session as it is");
        let other = Consumer { client: consumer.client, version: 25 - consumer.version.max(12) };
        let switched = other.error(&other.request((id, 3), &[]));
        assert_eq!(switched, ErrorCode::FetchSessionTopicIdError.code());
    });
}

#[test]
fn a_full_fetch_closes_the_session_it_names() {
    each_version(|consumer| {
        let first = consumer.open(&[("t", 0, 0)]);
        let anew = consumer.send(&consumer.request((first, 0), &[("t", 1, 0)]));
        assert!(anew.session_id != 0 && anew.session_id != first);
        assert_eq!(consumer.client.broker.fetch_sessions.counts(), (1, 1));
        let closed = consumer.send(&consumer.request((anew.session_id, -1), &[("t", 0, 0)]));
        assert_eq!((closed.error_code, closed.session_id, indexes(&told(&closed))), (0, 0, vec![0]));
        assert_eq!(consumer.client.broker.fetch_sessions.counts(), (0, 0));
    });
}

#[test]
fn a_partition_that_gave_records_lets_the_others_go_first() {
    each_version(|consumer| {
        let large = "x".repeat(600);
        (0..3).for_each(|index| consumer.client.fill("t", index, &[&large]));
        let request = consumer.request((0, 0), &[("t", 0, 0), ("t", 1, 0), ("t", 2, 0)]).with_max_bytes(100);
        let opened = consumer.send(&request);
        assert_eq!(told(&opened).iter().map(|told| told.2 > 0).collect::<Vec<_>>(), [true, false, false]);
        let id = opened.session_id;
        let mut served = Vec::new();
        for epoch in 1..=4 {
            let response = consumer.send(&consumer.request((id, epoch), &[]).with_max_bytes(100));
            served.extend(told(&response).iter().filter(|told| told.2 > 0).map(|told| told.0));
        }
        assert_eq!(served, [0, 1, 2, 0], "the opening answer does not count, as in Kafka");
    });
}

#[test]
fn a_topic_that_is_made_later_is_found_by_its_session() {
    let client = Client::new();
    let consumer = Consumer { client: &client, version: 12 };
    client.create("t", 1, &[]);
    let id = consumer.open(&[("t", 0, 0), ("later", 0, 0)]);
    assert_eq!(consumer.next((id, 1), &[]), [(0, 3, 0)], "an error is told each time");
    client.create("later", 1, &[]);
    client.fill("later", 0, &["a"]);
    let told = consumer.next((id, 2), &[]);
    assert!(told.len() == 1 && told[0].1 == 0 && told[0].2 > 0, "{told:?}");
}

#[test]
fn a_topic_that_is_deleted_is_an_error_in_its_session() {
    each_version(|consumer| {
        let id = consumer.open(&[("t", 0, 0)]);
        let broker = &consumer.client.broker;
        let topic = broker.store.topic("t").unwrap();
        broker.topics.delete(&broker.store, &topic).unwrap();
        let gone = if consumer.version >= 13 { 100 } else { 3 };
        assert_eq!(consumer.next((id, 1), &[]), [(0, gone, 0)]);
        consumer.client.create("t", 1, &[]);
        consumer.client.fill("t", 0, &["a"]);
        let (_, error, bytes) = consumer.next((id, 2), &[])[0];
        if consumer.version >= 13 {
            assert_eq!((error, bytes), (100, 0), "the new one has another id");
        } else {
            assert!(error == 0 && bytes > 0);
        }
    });
}

#[test]
fn what_is_not_there_does_not_make_the_others_hurry() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let consumer = Consumer { client: &client, version: 12 };
    let waiting = consumer.request((0, -1), &[("missing", 0, 0), ("t", 0, 0)]).with_max_wait_ms(50);
    assert!(matches!(client.reply(ApiKey::Fetch, 12, &waiting), Reply::Later(_)));
    let missing = consumer.request((0, -1), &[("missing", 0, 0)]).with_max_wait_ms(60_000);
    assert!(matches!(client.reply(ApiKey::Fetch, 12, &missing), Reply::Now(_)), "nothing to wait for");
}

#[test]
fn a_parked_fetch_of_a_session_is_woken_and_one_that_was_overtaken_is_an_error() {
    let client = Client::new();
    client.create("t", 4, &[]);
    let consumer = Consumer { client: &client, version: 13 };
    let id = consumer.open(&[("t", 0, 0), ("t", 1, 0)]);
    let later = |epoch| {
        let request = consumer.request((id, epoch), &[]).with_max_wait_ms(60_000);
        let Reply::Later(later) = client.reply(ApiKey::Fetch, 13, &request) else { panic!("it should wait") };
        later
    };
    let parked = later(1);
    client.fill("t", 1, &["a"]);
    let response: FetchResponse = decoded(block_on(parked), 13);
    assert_eq!((response.session_id, indexes(&told(&response))), (id, vec![1]));
    let moved = consumer.request((id, 2), &[("t", 1, 1)]).with_max_wait_ms(60_000);
    let Reply::Later(parked) = client.reply(ApiKey::Fetch, 13, &moved) else { panic!("it should wait") };
    let overtaking = later(3);
    client.fill("t", 0, &["b"]);
    let response: FetchResponse = decoded(block_on(parked), 13);
    assert_eq!(response.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    assert_eq!((response.session_id, response.responses.len()), (id, 0));
    let response: FetchResponse = decoded(block_on(overtaking), 13);
    assert_eq!((response.error_code, indexes(&told(&response))), (0, vec![0]));
}

#[test]
fn without_a_free_slot_every_answer_is_full() {
    let client = Client::with_config(&[("max.incremental.fetch.session.cache.slots", "1")]);
    client.create("t", 2, &[]);
    let consumer = Consumer { client: &client, version: 12 };
    let full = || consumer.send(&consumer.request((0, 0), &[("t", 0, 0), ("t", 1, 0)]));
    let sessions: Vec<i32> = (0..16).map(|_| full()).map(|response| response.session_id).collect();
    assert_eq!(sessions.iter().filter(|id| **id != 0).count(), 1, "{sessions:?}");
    assert_eq!(told(&full()).len(), 2);
    assert_eq!(client.broker.fetch_sessions.counts(), (1, 2));
}

#[test]
fn a_name_that_no_topic_can_have_is_not_kept() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let consumer = Consumer { client: &client, version: 12 };
    let long = "x".repeat(30_000);
    let response = consumer.send(&consumer.request((0, 0), &[("t", 0, 0), (&long, 0, 0)]));
    assert_eq!((response.session_id, told(&response).len()), (0, 2));
    let id = consumer.open(&[("t", 0, 0)]);
    let refused = consumer.error(&consumer.request((id, 1), &[(&long, 0, 0)]));
    assert_eq!(refused, ErrorCode::FetchSessionIdNotFound.code());
    assert_eq!(client.broker.fetch_sessions.counts(), (1, 1));
}
