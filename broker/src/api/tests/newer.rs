//! Versions that the codec crate lacks, as bytes from the Java client's generated classes.

use bytes::{BufMut, Bytes, BytesMut};
use protocol::messages::{ApiKey, OffsetCommitResponse, OffsetFetchResponse};
use protocol::newer;
use uuid::Uuid;

use super::{Client, decoded, finished};

fn body(client: &Client, key: ApiKey, version: i16, request: &[u8]) -> Bytes {
    finished(client.send(key, version, request).unwrap().reply).chunks.concat().into()
}

/// A commit of offset 9 for partition 3 and of a group "g", for each topic.
fn commit(topics: &[Uuid]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_slice(&[2, b'g']);
    out.put_i32(-1);
    out.put_slice(&[1, 0]);
    out.put_u8(u8::try_from(topics.len() + 1).unwrap());
    for topic in topics {
        out.put_slice(topic.as_bytes());
        out.put_u8(2);
        out.put_i32(3);
        out.put_i64(9);
        out.put_i32(-1);
        out.put_slice(&[2, b'x', 0, 0]);
    }
    out.put_u8(0);
    out
}

/// Partition 3 of each topic, or all offsets, of group "g".
fn fetch(topics: Option<&[Uuid]>) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_slice(&[2, 2, b'g', 0]);
    out.put_i32(-1);
    out.put_u8(topics.map_or(0, |topics| u8::try_from(topics.len() + 1).unwrap()));
    for topic in topics.unwrap_or_default() {
        out.put_slice(topic.as_bytes());
        out.put_u8(2);
        out.put_i32(3);
        out.put_u8(0);
    }
    out.put_slice(&[0, 0, 0]);
    out
}

#[test]
fn offsets_are_committed_and_fetched_by_topic_id() {
    let client = Client::new();
    let (known, unknown) = (client.create("t", 4, &[]), Uuid::from_u128(7));
    let committed: OffsetCommitResponse = decoded(
        finished(client.send(ApiKey::OffsetCommit, 10, &commit(&[known, unknown])).unwrap().reply),
        10,
    );
    let codes: Vec<(Uuid, i16)> =
        committed.topics.iter().map(|topic| (topic.topic_id, topic.partitions[0].error_code)).collect();
    assert_eq!(codes, [(known, 0), (unknown, 100)]);
    let fetched = |topics: Option<&[Uuid]>| -> Vec<(Uuid, i64, i16)> {
        let reply = client.send(ApiKey::OffsetFetch, 10, &fetch(topics)).unwrap().reply;
        let response: OffsetFetchResponse = decoded(finished(reply), 10);
        let topics = response.groups[0].topics.iter();
        topics
            .map(|topic| {
                (topic.topic_id, topic.partitions[0].committed_offset, topic.partitions[0].error_code)
            })
            .collect()
    };
    assert_eq!(fetched(Some(&[unknown, known])), [(known, 9, 0), (unknown, -1, 100)]);
    assert_eq!(fetched(None), [(known, 9, 0)]);
    let topic = client.broker.store.topic("t").unwrap();
    client.broker.topics.delete(&client.broker.store, &topic).unwrap();
    assert_eq!(fetched(Some(&[known])), [(known, -1, 100)]);
    assert_eq!(fetched(None), [], "a deleted topic has no id");
}

#[test]
fn a_client_that_means_another_broker_is_told_to_begin_anew() {
    let client = Client::new();
    let asked = |cluster: Option<&str>, node: i32| -> i16 {
        let mut request = BytesMut::new();
        request.put_slice(&[2, b'a', 2, b'1']);
        request.put_u8(cluster.map_or(0, |cluster| u8::try_from(cluster.len() + 1).unwrap()));
        request.put_slice(cluster.unwrap_or_default().as_bytes());
        request.put_i32(node);
        request.put_u8(0);
        let reply = client.send(ApiKey::ApiVersions, 5, &request).unwrap().reply;
        let newer::Same(response): newer::ApiVersionsResponse = decoded(finished(reply), 5);
        assert_eq!(response.error_code == 0, response.api_keys.len() > 30);
        response.error_code
    };
    let own = client.broker.cluster_id.clone();
    assert_eq!((asked(None, -1), asked(Some(&own), 0)), (0, 0));
    assert_eq!((asked(Some("other"), 0), asked(Some(&own), 4)), (129, 129));
}

#[test]
fn directories_are_not_cordoned() {
    let client = Client::new();
    let older = body(&client, ApiKey::DescribeLogDirs, 4, &[0, 0]);
    let newer = body(&client, ApiKey::DescribeLogDirs, 5, &[0, 0]);
    assert_eq!((newer.len(), &newer[newer.len() - 3..]), (older.len() + 1, &[0, 0, 0][..]));
}

#[test]
fn groups_that_were_not_deleted_have_a_sentence() {
    let client = Client::new();
    let deleted = body(&client, ApiKey::DeleteGroups, 3, &[2, 2, b'g', 0]);
    let expected = [&[0, 0, 0, 0, 2, 2, b'g', 0, 69, 19][..], b"Group g not found.", &[0, 0]].concat();
    assert_eq!(deleted, expected);
}
