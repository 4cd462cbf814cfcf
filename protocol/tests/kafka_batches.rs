//! Batches that Apache Kafka 4.3.1 wrote (`MemoryRecords.withRecords`, base offset 500, leader epoch 3), read and written
//! here: 40 records, every fifth key and every seventh value null, two headers with the same key, timestamps out of order.

use protocol::record_batch::{Codec, RecordBatchView};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::record_lookup::{first_record_at_or_after, max_timestamp_record, records_payload};
use protocol::record_set::{RecordIter, validate_records_in};

const CAP: usize = 1 << 20;

const BATCHES: [(&[u8], Codec); 6] = [
    (include_bytes!("fixtures/kafka-4.3.1/none.batch"), Codec::None),
    (include_bytes!("fixtures/kafka-4.3.1/gzip.batch"), Codec::Gzip),
    (include_bytes!("fixtures/kafka-4.3.1/snappy.batch"), Codec::Snappy),
    (include_bytes!("fixtures/kafka-4.3.1/lz4.batch"), Codec::Lz4),
    (include_bytes!("fixtures/kafka-4.3.1/zstd.batch"), Codec::Zstd),
    // Level 22: a window of 128 MiB, the greatest that a client can choose.
    (include_bytes!("fixtures/kafka-4.3.1/zstd22.batch"), Codec::Zstd),
];

struct Expected {
    timestamp: i64,
    key: Option<String>,
    value: Option<String>,
    header: String,
}

fn expected() -> Vec<Expected> {
    (0..40)
        .map(|i| Expected {
            timestamp: 1000 + (i * 7) % 40,
            key: (i % 5 != 0).then(|| format!("key-{i}")),
            value: (i % 7 != 0).then(|| format!("value number {i} value number {i}")),
            header: format!("x{i}"),
        })
        .collect()
}

#[test]
fn batches_of_every_codec_are_read_as_kafka_wrote_them() {
    for (bytes, codec) in BATCHES {
        let batch = RecordBatchView::parse(bytes).unwrap();
        batch.verify_crc().unwrap();
        assert_eq!(batch.codec(), Some(codec));
        let payload = records_payload(&batch, CAP).unwrap();
        validate_records_in(&batch, &payload).unwrap();
        let records = RecordIter::new(&payload, batch.record_count()).unwrap();
        for (record, expected) in records.zip(expected()) {
            let record = record.unwrap();
            assert_eq!(batch.base_timestamp() + record.timestamp_delta, expected.timestamp);
            assert_eq!(record.key, expected.key.as_deref().map(str::as_bytes));
            assert_eq!(record.value, expected.value.as_deref().map(str::as_bytes));
            let headers: Vec<_> = record.headers().map(|header| (header.key, header.value)).collect();
            assert_eq!(headers, [(&b"h"[..], Some(expected.header.as_bytes())), (b"h", None)]);
        }
    }
}

#[test]
fn lookup_by_time_finds_the_first_record_in_every_codec() {
    // Timestamps run 1000, 1007, 1014, 1021, 1028, 1035, 1002, ...
    for (bytes, _) in BATCHES {
        let batch = RecordBatchView::parse(bytes).unwrap();
        let find = |timestamp, offset| first_record_at_or_after(&batch, timestamp, offset, CAP).unwrap();
        assert_eq!(find(1008, 0), Some((502, 1014)));
        assert_eq!(find(1001, 506), Some((506, 1002)));
        assert_eq!(find(1040, 0), None);
        assert_eq!(max_timestamp_record(&batch, CAP).unwrap(), Some((517, 1039)));
    }
}

#[test]
fn builder_writes_the_very_bytes_that_kafka_writes() {
    let mut builder = RecordBatchBuilder::new(500).leader_epoch(3);
    for record in expected() {
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(record.header.as_bytes())), (b"h", None)];
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        builder.append_with_headers(record.timestamp, key, value, &headers);
    }
    assert_eq!(&builder.build()[..], BATCHES[0].0);
}
