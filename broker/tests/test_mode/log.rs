//! What test mode does to the log and its disk.

use super::*;

#[test]
fn a_slow_disk_delays_what_waits_for_it_until_reset() {
    let broker = Broker::start(&[
        ("onelog.test.mode", "local"),
        ("onelog.flush", "sync"),
        ("onelog.create.topics", "t:2"),
    ]);
    let mut client = broker.connect();
    client.produce(&[0]);
    assert_eq!(broker.http("POST", "/test/slow-disk", r#"{"fsync_ms": 200}"#).0, 200);
    let begun = Instant::now();
    assert_eq!(client.produce(&[0]), [(0, 0, 1)]);
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    let (status, sentence) = broker.refused("POST", "/test/slow-disk", r#"{"fsync_ms": 60001}"#);
    assert!(status == 400 && sentence.contains("60000"), "{sentence}");
    let (status, sentence) = broker.refused("POST", "/test/slow-disk", "");
    assert!(status == 400 && sentence.contains("fsync_ms"), "{sentence}");
    let unsynced = Broker::in_test_mode();
    let (status, sentence) = unsynced.refused("POST", "/test/slow-disk", r#"{"fsync_ms": 5}"#);
    assert!(status == 409 && sentence.contains("--flush sync"), "{sentence}");
}

#[test]
fn a_full_disk_refuses_records_at_once_until_it_is_lifted_or_reset() {
    const KAFKA_STORAGE_ERROR: i16 = 56;
    let broker = Broker::start(&[("onelog.test.mode", "local"), ("onelog.create.topics", "t:2")]);
    let mut client = broker.connect();
    assert_eq!(client.produce(&[0]), [(0, 0, 0)]);
    assert_eq!(broker.http("POST", "/test/disk-full", "").2["full"], true);
    assert_eq!(client.produce(&[0, 1]), [(0, KAFKA_STORAGE_ERROR, -1), (1, KAFKA_STORAGE_ERROR, -1)]);
    assert_eq!(broker.http("POST", "/test/disk-full", r#"{"full": false}"#).2["full"], false);
    assert_eq!(client.produce(&[0]), [(0, 0, 1)]);
    broker.http("POST", "/test/disk-full", "");
    assert_eq!(broker.http("POST", "/test/reset", r#"{"keep_topics": ["t"]}"#).0, 200);
    assert_eq!(client.produce(&[0]), [(0, 0, 2)]);
}

#[test]
fn records_that_are_too_old_go_when_retention_is_asked_for() {
    let broker = Broker::start(&[
        ("onelog.test.mode", "local"),
        ("onelog.create.topics", "t:2"),
        ("log.retention.ms", "1"),
        // By itself it would look in an hour.
        ("log.retention.check.interval.ms", "3600000"),
    ]);
    let mut client = broker.connect();
    let mut builder = RecordBatchBuilder::new(0);
    builder.append(1_000, None, Some(b"old"));
    let data = PartitionProduceData::default().with_records(Some(builder.build()));
    let topic = TopicProduceData::default().with_name(TopicName("t".into())).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic]);
    client.send(ApiKey::Produce, 9, true, &request);
    assert_eq!(client.produced(), [(0, 0, 0)]);
    let begun = Instant::now();
    while client.first_offset("t") != (0, 1) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the record stays");
        assert_eq!(broker.http("POST", "/test/retention", "").0, 200);
        std::thread::sleep(Duration::from_millis(10));
    }
}
