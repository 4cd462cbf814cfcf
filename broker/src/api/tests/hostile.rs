//! Bytes that no client should send: refused or answered, never a panic.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use protocol::ErrorCode;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::{ApiKey, CreateTopicsRequest, CreateTopicsResponse};

use super::{Client, topic_name};
use crate::api::{APIS, Entry, Reply, dispatch};

fn frame(entry: &Entry, version: i16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(entry.key);
    frame.put_i16(version);
    frame.put_i32(1);
    frame.put_i16(-1);
    if entry.layout.is_flexible(version) {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    frame.freeze()
}

#[test]
fn the_greatest_count_at_any_place_is_refused_or_harmless() {
    let client = Client::new();
    for entry in APIS {
        for version in entry.versions.0..=entry.versions.1 {
            for zeros in 0..24 {
                for count in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
                    let body = [&vec![0; zeros][..], count].concat();
                    // Either outcome will do: what must not happen is a panic or an allocation by the count.
                    drop(dispatch(&client.broker, &client.connection, frame(entry, version, &body)));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_answered(frames in prop::collection::vec((0..APIS.len(), 0..20_i16, prop::collection::vec(0..6_u8, 0..60)), 40)) {
        // One broker for many frames: small bytes make many bodies that decode.
        let client = Client::new();
        for (index, version, body) in frames {
            let entry = &APIS[index];
            drop(dispatch(&client.broker, &client.connection, frame(entry, version, &body)));
        }
        prop_assert!(client.broker.store.poisoned().is_none());
    }
}

#[test]
fn a_topic_of_two_billion_partitions_is_an_error() {
    let client = Client::new();
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(i32::MAX)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let response: CreateTopicsResponse = client.call(ApiKey::CreateTopics, 7, &request);
    assert_eq!(response.topics[0].error_code, ErrorCode::PolicyViolation.code());
}

#[test]
fn a_parked_fetch_that_is_given_up_leaves_no_waiter() {
    let client = Client::new();
    client.create("t", 3, &[]);
    let reply = client.reply(ApiKey::Fetch, 12, &super::consume::waiting_request("t", 3));
    let Reply::Later(mut later) = reply else { panic!("it should wait") };
    super::block_on(async {
        assert!(futures_util::poll!(&mut later).is_pending());
        assert_eq!(client.broker.waits.counts().1, 3);
        drop(later);
    });
    assert_eq!(client.broker.waits.counts(), (0, 0));
}
