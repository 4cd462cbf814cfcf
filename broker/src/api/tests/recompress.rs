//! Topics whose `compression.type` names a codec: what is stored, what is answered, what stays as it came.

use std::ops::Range;

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::compression::decompress;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::{ApiKey, BrokerId, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};
use protocol::record_batch::{Codec, RecordBatchView};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::record_batch_rebuild::with_codec;
use protocol::record_set::RecordIter;

use super::{Client, finished, produce_request, topic_name};
use crate::api::Reply;

const CODECS: [(Codec, &str); 5] = [
    (Codec::None, "uncompressed"),
    (Codec::Gzip, "gzip"),
    (Codec::Snappy, "snappy"),
    (Codec::Lz4, "lz4"),
    (Codec::Zstd, "zstd"),
];
/// Batches of one record are compressed on the core, those of this many away from it.
const MANY: usize = 2000;
const CAP: usize = 1 << 24;

/// A batch of `count` records that can be compressed, from producer 7 with the sequence given.
fn idempotent(codec: Codec, count: usize, sequence: i32) -> Bytes {
    let mut builder = RecordBatchBuilder::new(0).producer(7, 0, sequence);
    for index in 0..count {
        let value = format!("value {index} of some records that resemble one another");
        let key = index.to_string();
        let headers: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"1")), (b"h", None)];
        let timestamp = 1_000 + i64::try_from(index % 7).unwrap();
        builder.append_with_headers(timestamp, Some(key.as_bytes()), Some(value.as_bytes()), headers);
    }
    in_codec(&builder.build(), codec)
}

fn in_codec(batch: &[u8], codec: Codec) -> Bytes {
    with_codec(&RecordBatchView::parse(batch).unwrap(), codec, None, CAP).unwrap()
}

/// The batches of partition 0.
fn stored(client: &Client, topic: &str) -> Vec<Bytes> {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let asked = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    let request = FetchRequest::default().with_replica_id(BrokerId(-1)).with_max_bytes(1 << 20);
    let request = request.with_session_epoch(-1).with_topics(vec![asked]);
    let mut answer: FetchResponse = client.call(ApiKey::Fetch, 12, &request);
    let mut rest = answer.responses.remove(0).partitions.remove(0).records.unwrap();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        batches.push(rest.split_to(RecordBatchView::parse(&rest).unwrap().as_bytes().len()));
    }
    batches
}

/// Offset, timestamp, and what else a record holds, as text.
fn records(batch: &[u8]) -> Vec<(i64, i64, String)> {
    let view = RecordBatchView::parse(batch).unwrap();
    view.verify_crc().unwrap();
    let payload = decompress(view.codec().unwrap(), view.records_bytes(), CAP).unwrap();
    let told = RecordIter::new(&payload, view.record_count()).unwrap().map(|record| {
        let record = record.unwrap();
        let headers: Vec<_> = record.headers().collect();
        let text = format!("{:?} {:?} {headers:?}", record.key, record.value);
        let offset = view.base_offset() + i64::from(record.offset_delta);
        (offset, view.base_timestamp() + record.timestamp_delta, text)
    });
    told.collect()
}

#[test]
fn every_codec_becomes_every_other_and_the_records_stay() {
    let client = Client::new();
    for (wanted, name) in CODECS {
        client.create(name, 1, &[("compression.type", name)]);
        let mut sent = Vec::new();
        for (codec, _) in CODECS {
            for count in [1, MANY] {
                let sequence = i32::try_from(sent.len()).unwrap();
                let batch = idempotent(codec, count, sequence);
                let answer = client.produce(name, 0, batch.clone());
                assert_eq!(
                    (answer.error_code, answer.base_offset),
                    (0, i64::from(sequence)),
                    "{codec:?} to {name}"
                );
                let first = sent.len();
                sent.extend(
                    records(&batch).into_iter().zip(first..).map(|((_, timestamp, text), offset)| {
                        (i64::try_from(offset).unwrap(), timestamp, text)
                    }),
                );
            }
        }
        let batches = stored(&client, name);
        let views: Vec<_> = batches.iter().map(|batch| RecordBatchView::parse(batch).unwrap()).collect();
        assert!(views.iter().all(|view| view.codec() == Some(wanted)), "{name}");
        assert!(views.iter().all(|view| (view.producer_id(), view.producer_epoch()) == (7, 0)));
        assert!(views.iter().all(|view| i64::from(view.base_sequence()) == view.base_offset()));
        assert_eq!(batches.iter().flat_map(|batch| records(batch)).collect::<Vec<_>>(), sent, "{name}");
    }
}

#[test]
fn batch_in_the_right_codec_stays_as_it_came() {
    const AFTER_LEADER_EPOCH: usize = 16;
    let client = Client::new();
    client.create("t", 1, &[("compression.type", "gzip")]);
    client.create("producer", 1, &[]);
    let batch = idempotent(Codec::Gzip, MANY, 0);
    for topic in ["t", "producer"] {
        let reply = client.reply(ApiKey::Produce, 9, &produce_request(1, topic, 0, batch.clone()));
        assert!(!matches!(reply, Reply::Ordered(_)), "{reply:?}");
        finished(reply);
        assert_eq!(stored(&client, topic)[0][AFTER_LEADER_EPOCH..], batch[AFTER_LEADER_EPOCH..]);
    }
}

#[test]
fn long_work_leaves_the_core_and_holds_the_connection() {
    let client = Client::new();
    client.create("t", 1, &[("compression.type", "zstd")]);
    for (codec, count, held) in [
        (Codec::None, 1, false),
        (Codec::None, MANY, true),
        (Codec::Gzip, MANY, true),
        (Codec::Zstd, MANY, false),
    ] {
        let request = produce_request(-1, "t", 0, idempotent(codec, count, 0));
        let reply = client.reply(ApiKey::Produce, 9, &request);
        assert_eq!(matches!(reply, Reply::Ordered(_)), held, "{codec:?} {count} {reply:?}");
    }
}

#[test]
fn duplicate_has_its_first_offset_though_it_is_compressed_anew() {
    let client = Client::new();
    client.create("t", 1, &[("compression.type", "lz4")]);
    let second = i32::try_from(MANY).unwrap();
    for (count, sequence) in [(MANY, 0), (1, second)] {
        let batch = idempotent(Codec::Gzip, count, sequence);
        let offsets = [(); 2].map(|()| client.produce("t", 0, batch.clone()).base_offset);
        assert_eq!(offsets, [i64::from(sequence); 2]);
    }
    assert_eq!(stored(&client, "t").len(), 2);
    let gap = client.produce("t", 0, idempotent(Codec::Gzip, MANY, second + 5));
    assert_eq!(gap.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
}

#[test]
fn dynamic_default_of_the_broker_holds_at_once() {
    let client = Client::with_config(&[("compression.type", "gzip"), ("compression.zstd.level", "19")]);
    client.create("t", 1, &[]);
    client.create("own", 1, &[("compression.type", "snappy")]);
    for (sequence, dynamic) in [(0, None), (1, Some("zstd"))] {
        if let Some(codec) = dynamic {
            let all = [("compression.type".to_owned(), codec.to_owned())];
            client.broker.store.set_broker_configs(all.into()).unwrap();
        }
        for topic in ["t", "own"] {
            assert_eq!(client.produce(topic, 0, idempotent(Codec::None, 1, sequence)).error_code, 0);
        }
    }
    let codecs = |topic| -> Vec<_> {
        stored(&client, topic)
            .iter()
            .map(|batch| RecordBatchView::parse(batch).unwrap().codec().unwrap())
            .collect()
    };
    assert_eq!(codecs("t"), [Codec::Gzip, Codec::Zstd]);
    assert_eq!(codecs("own"), [Codec::Snappy, Codec::Snappy]);
}

#[test]
fn append_time_is_stamped_on_what_was_compressed_anew() {
    let client = Client::new();
    let configs = [("compression.type", "zstd"), ("message.timestamp.type", "LogAppendTime")];
    client.create("t", 1, &configs);
    for count in [1, MANY] {
        let answer = client.produce("t", 0, idempotent(Codec::Gzip, count, i32::from(count > 1)));
        assert_eq!(answer.error_code, 0);
        let batch = stored(&client, "t").pop().unwrap();
        let view = RecordBatchView::parse(&batch).unwrap();
        view.verify_crc().unwrap();
        assert_eq!((view.codec(), view.is_log_append_time()), (Some(Codec::Zstd), true));
        assert_eq!(view.max_timestamp(), answer.log_append_time_ms);
    }
}

/// One answer per batch, all of them sent to their partitions in one request.
fn produce_all(client: &Client, acks: i16, batches: &[Bytes]) -> Vec<(i16, i64, String)> {
    let data = batches.iter().zip(0..).map(|(batch, index)| {
        PartitionProduceData::default().with_index(index).with_records(Some(batch.clone()))
    });
    let topic = TopicProduceData::default().with_name(topic_name("t")).with_partition_data(data.collect());
    let request = ProduceRequest::default().with_acks(acks).with_topic_data(vec![topic]);
    let answer: ProduceResponse = client.call(ApiKey::Produce, 9, &request);
    let outcomes = answer.responses[0].partition_responses.iter().map(|partition| {
        let message = partition.error_message.as_ref().map(|text| text.to_string());
        (partition.error_code, partition.base_offset, message.unwrap_or_default())
    });
    outcomes.collect()
}

#[test]
fn batch_that_grows_over_the_limit_is_too_large_and_the_others_are_not() {
    let client = Client::new();
    client.create("t", 4, &[("compression.type", "uncompressed"), ("max.message.bytes", "40000")]);
    let small = idempotent(Codec::Zstd, 100, 0);
    let large = idempotent(Codec::Zstd, MANY, 0);
    assert!(large.len() < 40_000);
    let outcomes = produce_all(&client, -1, &[small.clone(), large.clone(), small.clone(), large]);
    let too_large = ErrorCode::MessageTooLarge.code();
    let wanted = [(0, 0), (too_large, -1), (0, 0), (too_large, -1)]
        .map(|(code, offset)| (code, offset, String::new()));
    assert_eq!(outcomes, wanted);
}

#[test]
fn records_that_lie_are_found_on_the_way() {
    const COUNT: Range<usize> = 57..61;
    const LAST_OFFSET_DELTA: Range<usize> = 23..27;
    let client = Client::new();
    client.create("t", 3, &[("compression.type", "zstd"), ("max.message.bytes", "40000")]);
    let mut miscounted = idempotent(Codec::Gzip, MANY, 0).to_vec();
    let claimed = i32::try_from(MANY).unwrap() + 1;
    miscounted[COUNT].copy_from_slice(&claimed.to_be_bytes());
    miscounted[LAST_OFFSET_DELTA].copy_from_slice(&(claimed - 1).to_be_bytes());
    let miscounted = with_right_checksum(miscounted);
    let mut bomb = RecordBatchBuilder::new(0);
    bomb.append(-1, None, Some(&vec![0; 3_000_000]));
    let bomb = in_codec(&bomb.build(), Codec::Gzip);
    let outcomes = produce_all(&client, 1, &[miscounted, bomb, idempotent(Codec::Gzip, MANY, 0)]);
    let codes: Vec<i16> = outcomes.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, [ErrorCode::InvalidRecord.code(), ErrorCode::UnknownServerError.code(), 0]);
}

/// The checksum made right again.
fn with_right_checksum(mut bytes: Vec<u8>) -> Bytes {
    let max_timestamp = RecordBatchView::parse(&bytes).unwrap().max_timestamp();
    protocol::record_batch::set_max_timestamp(&mut bytes, max_timestamp).unwrap();
    bytes.into()
}

fn large_without_key() -> Bytes {
    let mut builder = RecordBatchBuilder::new(0);
    (0..MANY).for_each(|_| builder.append(-1, None, Some(b"value")));
    builder.build()
}

#[test]
fn keys_of_a_compacted_topic_are_looked_for_in_every_form() {
    let client = Client::new();
    client.create("t", 3, &[("compression.type", "zstd"), ("cleanup.policy", "compact")]);
    let keyless = large_without_key();
    let outcomes = produce_all(
        &client,
        -1,
        &[keyless.clone(), in_codec(&keyless, Codec::Snappy), idempotent(Codec::None, MANY, 0)],
    );
    let codes: Vec<i16> = outcomes.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, [ErrorCode::InvalidRecord.code(), ErrorCode::InvalidRecord.code(), 0]);
}

#[test]
fn failure_without_acks_closes_the_connection_after_the_work() {
    let client = Client::new();
    client.create("t", 1, &[("compression.type", "zstd"), ("cleanup.policy", "compact")]);
    for (batch, closes) in [(large_without_key(), true), (idempotent(Codec::None, MANY, 0), false)] {
        let Reply::Ordered(work) = client.reply(ApiKey::Produce, 9, &produce_request(0, "t", 0, batch))
        else {
            panic!("the work was done on the core");
        };
        let reply = super::block_on(work);
        assert_eq!(matches!(reply, Reply::Close), closes, "{reply:?}");
        assert_eq!(matches!(reply, Reply::Nothing), !closes, "{reply:?}");
    }
}
