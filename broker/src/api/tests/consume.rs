//! Fetch and the lookups beside it.

use std::time::{Duration, Instant};

use protocol::ErrorCode;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::fetch_response::PartitionData;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use protocol::messages::{
    ApiKey, BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceResponse,
};
use protocol::record_batch::RecordBatchView;
use protocol::record_batch_builder::RecordBatchBuilder;
use uuid::Uuid;

use super::{Client, batch, block_on, decoded, finished, produce_request, topic_name};
use crate::api::Reply;

fn partition(index: i32, from: i64) -> FetchPartition {
    FetchPartition::default().with_partition(index).with_fetch_offset(from).with_partition_max_bytes(1 << 20)
}

fn request(topic: &str, partitions: Vec<FetchPartition>) -> FetchRequest {
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(1 << 20)
        .with_min_bytes(1)
        .with_session_epoch(-1)
        .with_topics(vec![FetchTopic::default().with_topic(topic_name(topic)).with_partitions(partitions)])
}

/// A fetch of the first `count` partitions that waits for long.
pub(super) fn waiting_request(topic: &str, count: i32) -> FetchRequest {
    request(topic, (0..count).map(|index| partition(index, 0)).collect()).with_max_wait_ms(60_000)
}

fn fetch(client: &Client, version: i16, request: &FetchRequest) -> Vec<PartitionData> {
    let response: FetchResponse = client.call(ApiKey::Fetch, version, request);
    assert_eq!((response.error_code, response.session_id), (0, 0));
    response.responses.into_iter().flat_map(|topic| topic.partitions).collect()
}

/// Base offsets of the batches in a partition's records.
fn batches(partition: &PartitionData) -> Vec<i64> {
    let records = partition.records.as_ref().expect("records are never null");
    let (mut rest, mut offsets) = (&records[..], Vec::new());
    while !rest.is_empty() {
        let view = RecordBatchView::parse(rest).unwrap();
        offsets.push(view.base_offset());
        rest = &rest[view.as_bytes().len()..];
    }
    offsets
}

#[test]
fn a_fetch_returns_the_stored_batches_from_the_one_that_holds_the_offset() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.produce("t", 0, batch(&["a", "b", "c"]));
    client.produce("t", 0, batch(&["d"]));
    let fetched = fetch(&client, 12, &request("t", vec![partition(0, 1)])).remove(0);
    assert_eq!((fetched.error_code, fetched.high_watermark, fetched.last_stable_offset), (0, 4, 4));
    assert_eq!((fetched.log_start_offset, batches(&fetched)), (0, vec![0, 3]));
    assert_eq!(fetched.aborted_transactions, None);
    let committed = request("t", vec![partition(0, 3)]).with_isolation_level(1);
    let fetched = fetch(&client, 12, &committed).remove(0);
    assert_eq!((batches(&fetched), fetched.aborted_transactions), (vec![3], Some(Vec::new())));
}

/// The core's other connections wait for no more than one turn, however much a consumer asks for.
#[test]
fn checking_a_large_fetch_gives_way_after_each_mebibyte() {
    const MIB: usize = 1 << 20;
    let client = Client::new();
    client.create("t", 2, &[]);
    let records = batch(&["x".repeat(100 << 10).as_str()]);
    let per_mib = MIB / records.len();
    for index in 0..2 {
        (0..6 * per_mib).for_each(|_| assert_eq!(client.produce("t", index, records.clone()).error_code, 0));
    }
    let of_each = |max_bytes: usize| {
        let max_bytes = i32::try_from(max_bytes).unwrap();
        let partitions = (0..2).map(|index| partition(index, 0).with_partition_max_bytes(max_bytes));
        request("t", partitions.collect()).with_max_bytes(50 << 20)
    };
    assert!(
        matches!(client.reply(ApiKey::Fetch, 12, &of_each(MIB / 2)), Reply::Now(_)),
        "one turn is enough"
    );
    let Reply::Later(mut later) = client.reply(ApiKey::Fetch, 12, &of_each(50 << 20)) else {
        panic!("more than one turn is needed")
    };
    let mut turns = 0;
    let response = block_on(std::future::poll_fn(|context| {
        turns += 1;
        later.as_mut().poll(context)
    }));
    let response: FetchResponse = decoded(response, 12);
    for partition in &response.responses[0].partitions {
        assert_eq!(batches(partition).len(), 6 * per_mib);
    }
    assert_eq!(turns, 12);
}

#[test]
fn bytes_are_those_that_were_sent_with_offset_and_epoch_stamped() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.fill("t", 0, &["first"]);
    let sent = batch(&["a", "b"]);
    client.produce("t", 0, sent.clone());
    let fetched = fetch(&client, 12, &request("t", vec![partition(0, 1)])).remove(0);
    let records = fetched.records.unwrap();
    assert_eq!(records[21..], sent[21..]);
    assert_eq!(RecordBatchView::parse(&records).unwrap().verify_crc(), Ok(()));
}

#[test]
fn the_first_partition_with_data_always_gives_a_batch_and_the_others_obey_the_limits() {
    let client = Client::new();
    client.create("t", 3, &[]);
    let large = "x".repeat(500);
    for index in 1..3 {
        client.fill("t", index, &[&large, &large]);
    }
    let tight = |index| partition(index, 0).with_partition_max_bytes(10);
    let fetched = fetch(&client, 12, &request("t", vec![tight(0), tight(1), tight(2)]));
    assert_eq!(fetched.iter().map(|data| batches(data).len()).collect::<Vec<_>>(), [0, 1, 0]);
    let whole = request("t", vec![partition(2, 0), partition(1, 0)]).with_max_bytes(1300);
    let fetched = fetch(&client, 12, &whole);
    assert_eq!(
        fetched.iter().map(|data| (data.partition_index, batches(data).len())).collect::<Vec<_>>(),
        [(2, 2), (1, 0)]
    );
}

#[test]
fn offsets_outside_the_log_are_out_of_range_and_its_end_is_not() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.fill("t", 0, &["a"]);
    for (from, code) in [(-1, 1), (0, 0), (1, 0), (2, 1)] {
        let fetched = fetch(&client, 12, &request("t", vec![partition(0, from)])).remove(0);
        assert_eq!(fetched.error_code, code, "offset {from}");
        assert_eq!(fetched.high_watermark, if code == 0 { 1 } else { -1 });
        assert!(fetched.records.is_some());
    }
}

#[test]
fn a_partition_named_twice_is_fetched_once_as_it_was_asked_for_last() {
    let client = Client::new();
    client.create("t", 2, &[]);
    client.fill("t", 0, &["a", "b"]);
    let answers = fetch(&client, 12, &request("t", vec![partition(0, 0), partition(1, 0), partition(0, 1)]));
    let indexes: Vec<i32> = answers.iter().map(|answer| answer.partition_index).collect();
    assert_eq!((indexes, batches(&answers[0])), (vec![0, 1], vec![1]));
}

#[test]
fn fetches_that_kafka_does_not_serve_are_refused_with_its_codes() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.fill("t", 0, &["a"]);
    let asked = |partition: FetchPartition| request("t", vec![partition]);
    let code = |request: &FetchRequest| {
        let response: FetchResponse = client.call(ApiKey::Fetch, 11, request);
        response.responses[0].partitions[0].error_code
    };
    assert_eq!(code(&asked(partition(0, 0)).with_replica_id(BrokerId(77))), 6);
    assert_eq!(code(&asked(partition(0, 0)).with_isolation_level(9)), -1);
    assert_eq!(code(&asked(partition(0, 0).with_partition_max_bytes(-1))), -1);
    assert_eq!(code(&asked(partition(0, 1).with_partition_max_bytes(-1))), 0, "nothing to read there");
}

#[test]
fn unknown_topics_are_told_apart_by_name_and_by_id() {
    let client = Client::new();
    let id = client.create("t", 1, &[]);
    client.fill("t", 0, &["a"]);
    let by_name = fetch(&client, 12, &request("missing", vec![partition(0, 0)])).remove(0);
    assert_eq!((by_name.error_code, by_name.aborted_transactions), (3, Some(Vec::new())));
    let by_id = |id| {
        let topic = FetchTopic::default().with_topic_id(id).with_partitions(vec![partition(0, 0)]);
        fetch(&client, 17, &request("t", Vec::new()).with_topics(vec![topic])).remove(0)
    };
    assert_eq!(by_id(Uuid::max()).error_code, ErrorCode::UnknownTopicId.code());
    assert_eq!(batches(&by_id(id)), [0]);
}

#[test]
fn a_clients_leader_epoch_must_be_the_current_one() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let current = client.broker.store.topic("t").unwrap().partition(0).unwrap().leader_epoch();
    for (epoch, code) in [(-1, 0), (current, 0), (current + 1, 75)] {
        let asked = partition(0, 0).with_current_leader_epoch(epoch);
        assert_eq!(
            fetch(&client, 12, &request("t", vec![asked])).remove(0).error_code,
            code,
            "epoch {epoch}"
        );
    }
}

#[test]
fn a_session_from_elsewhere_is_not_found() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let asked = request("t", vec![partition(0, 0)]).with_session_id(5).with_session_epoch(3);
    let response: FetchResponse = client.call(ApiKey::Fetch, 12, &asked);
    assert_eq!(response.error_code, ErrorCode::FetchSessionIdNotFound.code());
    assert!(response.responses.is_empty());
}

#[test]
fn topics_of_zstd_go_out_in_every_version() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.create("z", 1, &[("compression.type", "zstd")]);
    let code =
        |topic, version| fetch(&client, version, &request(topic, vec![partition(0, 0)])).remove(0).error_code;
    // Kafka 4.3.1 refuses neither a topic's choice nor a producer's.
    assert_eq!((code("z", 4), code("z", 9), code("z", 10), code("t", 4)), (0, 0, 0, 0));
}

#[test]
fn a_damaged_batch_is_a_corrupt_message_and_those_before_it_are_served() {
    use std::os::unix::fs::FileExt as _;
    let client = Client::with_config(&[("onelog.flush", "sync")]);
    client.create("t", 2, &[]);
    client.fill("t", 0, &["first", "the second one", "third"]);
    client.fill("t", 1, &["elsewhere"]);
    let path = client.broker.config.data_dir.join("commitlog").join("00000000000000000000");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(14).position(|window| window == b"the second one").unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"T", at as u64).unwrap();
    let from = |offset| request("t", vec![partition(0, offset), partition(1, 0)]).with_max_wait_ms(20_000);
    let fetched = fetch(&client, 12, &from(0));
    assert_eq!((fetched[0].error_code, batches(&fetched[0])), (0, vec![0]));
    let fetched = fetch(&client, 12, &from(1));
    assert_eq!((fetched[0].error_code, batches(&fetched[0])), (ErrorCode::CorruptMessage.code(), Vec::new()));
    assert_eq!((fetched[1].error_code, batches(&fetched[1])), (0, vec![0]));
    assert_eq!(batches(&fetch(&client, 12, &from(2))[0]), [2]);
}

/// Has the system give up the pages of a folder; what this process wrote itself it still takes for hot.
fn forget(client: &Client, folder: &str) {
    for name in std::fs::read_dir(client.broker.config.data_dir.join(folder)).unwrap() {
        let file = std::fs::File::open(name.unwrap().path()).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}

#[test]
fn what_is_not_in_memory_is_read_elsewhere_and_is_the_same() {
    let client = Client::on_device();
    let id = client.create("t", 3, &[]);
    let large = "x".repeat(40_000);
    for _ in 0..30 {
        client.fill("t", 0, &[&large]);
        client.fill("t", 1, &[&large, "small"]);
    }
    let asked = request("t", vec![partition(0, 3), partition(1, 0), partition(2, 0), partition(9, 0)])
        .with_max_bytes(4 << 20)
        .with_max_wait_ms(20_000);
    let hot = fetch(&client, 12, &asked);
    let client = client.reopened();
    forget(&client, "commitlog");
    client.fill("t", 2, &["new"]);
    let reply = client.reply(ApiKey::Fetch, 12, &asked);
    assert!(matches!(reply, Reply::Later(_)), "a core does not wait for the device: {reply:?}");
    let response: FetchResponse = decoded(finished(reply), 12);
    let cold: Vec<PartitionData> =
        response.responses.into_iter().flat_map(|topic| topic.partitions).collect();
    assert_eq!(
        (cold[0].records.as_ref(), cold[1].records.as_ref()),
        (hot[0].records.as_ref(), hot[1].records.as_ref())
    );
    assert_eq!((batches(&cold[0]).len(), batches(&cold[2]), cold[3].error_code), (26, vec![0], 3));
    let [mapped, copied] = client.broker.cold_reads.counters().map(|counter| counter.get());
    let len = |index: usize| cold[index].records.as_ref().unwrap().len() as u64;
    assert_eq!((mapped, copied), (len(2), len(0) + len(1)));
    let hot = request("t", vec![partition(2, 0)]);
    assert!(matches!(client.reply(ApiKey::Fetch, 12, &hot), Reply::Now(_)));
    assert_eq!(client.broker.store.topic("t").unwrap().id(), id);
}

#[test]
fn a_queue_that_is_not_in_memory_is_waited_for_elsewhere() {
    let client = Client::on_device();
    client.create("t", 1, &[]);
    // A page of the queue holds 85 batches.
    (0..200).for_each(|_| client.fill("t", 0, &["value"]));
    let client = client.reopened();
    forget(&client, "commitlog");
    forget(&client, "consumequeue");
    let (mut from, mut rounds) = (0, 0);
    while from < 200 {
        let asked = request("t", vec![partition(0, from)]).with_max_wait_ms(20_000);
        let found = batches(&fetch(&client, 12, &asked)[0]);
        assert_eq!(found.first(), Some(&from), "round {rounds}");
        from = found.last().unwrap() + 1;
        rounds += 1;
    }
    assert!(rounds <= 4, "{rounds}");
    let asked = request("t", vec![partition(0, 3)]).with_min_bytes(1 << 20).with_max_wait_ms(100);
    assert_eq!(batches(&fetch(&client, 12, &asked)[0]).len(), 197, "also when it is not enough");
}

/// Starts a fetch that has to wait, does `meanwhile` in a thread, and returns what came and how long it took.
fn long_poll(
    client: &Client,
    asked: &FetchRequest,
    meanwhile: impl FnOnce(&Client) + Send,
) -> (Vec<PartitionData>, Duration) {
    let Reply::Later(later) = client.reply(ApiKey::Fetch, 12, asked) else { panic!("it should wait") };
    std::thread::scope(|scope| {
        #[expect(clippy::disallowed_methods, reason = "the test measures how long a client waits")]
        let begin = Instant::now();
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            meanwhile(client);
        });
        let response: FetchResponse = decoded(block_on(later), 12);
        let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions).collect();
        (partitions, begin.elapsed())
    })
}

#[test]
fn a_waiting_fetch_wakes_when_enough_bytes_are_there() {
    let client = Client::with_config(&[("onelog.flush", "sync")]);
    client.create("t", 2, &[]);
    let asked =
        request("t", vec![partition(0, 0), partition(1, 0)]).with_max_wait_ms(20_000).with_min_bytes(150);
    let (fetched, took) = long_poll(&client, &asked, |client| {
        client.fill("t", 1, &["one batch of 80 bytes or so"]);
        client.fill("t", 0, &["and another one"]);
    });
    assert_eq!(fetched.iter().map(batches).collect::<Vec<_>>(), [[0], [0]]);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(client.broker.waits.counts(), (0, 0));
}

#[test]
fn a_waiting_fetch_answers_with_what_it_has_when_its_time_is_over() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.fill("t", 0, &["a"]);
    let asked = request("t", vec![partition(0, 0)]).with_max_wait_ms(100).with_min_bytes(100_000);
    let (fetched, took) = long_poll(&client, &asked, |_| {});
    assert_eq!(batches(&fetched[0]), [0]);
    assert!(took >= Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_waiting_fetch_is_told_when_its_topic_is_deleted() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let asked = request("t", vec![partition(0, 0)]).with_max_wait_ms(20_000);
    let (fetched, took) = long_poll(&client, &asked, |client| {
        let topic = client.broker.store.topic("t").unwrap();
        client.broker.topics.delete(&client.broker.store, &topic).unwrap();
        client.broker.waits.partition_changed(&topic.partition(0).unwrap());
    });
    assert_eq!(fetched[0].error_code, 3);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_fetch_does_not_wait_for_what_its_own_limits_keep_out() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.fill("t", 0, &["aaaaaaaaaa", "bbbbbbbbbb"]);
    let asked =
        request("t", vec![partition(0, 0)]).with_max_bytes(100).with_min_bytes(100).with_max_wait_ms(20_000);
    let reply = client.reply(ApiKey::Fetch, 12, &asked);
    assert!(matches!(reply, Reply::Now(_)), "{reply:?}");
}

#[test]
fn errors_do_not_wait() {
    let client = Client::new();
    client.create("t", 2, &[]);
    let asked = request("t", vec![partition(0, 0), partition(1, 7)]).with_max_wait_ms(20_000);
    assert!(matches!(client.reply(ApiKey::Fetch, 12, &asked), Reply::Now(_)));
    let nothing = request("t", Vec::new()).with_topics(Vec::new()).with_max_wait_ms(20_000);
    assert!(matches!(client.reply(ApiKey::Fetch, 12, &nothing), Reply::Now(_)));
}

fn list(client: &Client, version: i16, timestamps: &[i64]) -> Vec<ListOffsetsPartitionResponse> {
    let look_up = |timestamp: &i64| {
        let asked = ListOffsetsPartition::default().with_timestamp(*timestamp).with_current_leader_epoch(-1);
        let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        let mut response: ListOffsetsResponse = client.call(ApiKey::ListOffsets, version, &request);
        response.topics.remove(0).partitions.remove(0)
    };
    timestamps.iter().map(look_up).collect()
}

#[test]
fn offsets_are_found_by_timestamp_and_special_timestamps() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let now = client.now();
    for offsets in [[30, 10], [20, 20], [50, 40]] {
        let mut builder = RecordBatchBuilder::new(0);
        for offset in offsets {
            builder.append(now + offset, None, Some(b"v"));
        }
        assert_eq!(client.produce("t", 0, builder.build()).error_code, 0);
    }
    let found = list(&client, 9, &[now, now + 31, now + 51, -1, -2, -3, -4, -5]);
    let offsets: Vec<i64> = found.iter().map(|answer| answer.offset).collect();
    assert_eq!(offsets, [0, 4, -1, 6, 0, 4, 0, -1]);
    assert!(found.iter().all(|answer| answer.error_code == 0));
    let timestamps: Vec<i64> = found.iter().map(|answer| answer.timestamp).collect();
    assert_eq!(timestamps, [now + 30, now + 50, -1, -1, -1, now + 50, -1, -1]);
}

/// Kafka's high watermark follows an append at once where no other replica has to have it.
#[test]
fn offsets_count_what_was_answered_before_it_is_durable() {
    let client = Client::with_config(&[("onelog.flush", "sync"), ("onelog.test.mode", "local")]);
    client.create("t", 1, &[]);
    let partition = client.broker.store.topic("t").unwrap().partition(0).unwrap();
    let now = client.now();
    client.broker.test_mode.as_ref().unwrap().disk.slow_down(200);
    for (appended, timestamp, offset) in [(1, -1, 1), (2, now, 0), (3, -3, 0)] {
        let mut builder = RecordBatchBuilder::new(0);
        builder.append(now, None, Some(b"v"));
        let answered: ProduceResponse =
            client.call(ApiKey::Produce, 9, &produce_request(1, "t", 0, builder.build()));
        assert_eq!(answered.responses[0].partition_responses[0].error_code, 0);
        assert!(partition.high_watermark() < appended, "the disk is slow");
        assert_eq!(list(&client, 9, &[-2])[0].offset, 0);
        assert!(partition.high_watermark() < appended, "where the log starts is known at once");
        assert_eq!(list(&client, 9, &[timestamp])[0].offset, offset, "{timestamp}");
        assert_eq!(partition.high_watermark(), appended);
    }
}

#[test]
fn a_special_timestamp_that_the_version_lacks_is_unsupported() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let codes = |version: i16| -> Vec<i16> {
        list(&client, version, &[-1, -2, -3, -4, -5, -6, -99])
            .iter()
            .map(|answer| answer.error_code)
            .collect()
    };
    assert_eq!(codes(1), [0, 0, 35, 35, 35, 35, 35]);
    assert_eq!(codes(7), [0, 0, 0, 35, 35, 35, 35]);
    assert_eq!(codes(10), [0, 0, 0, 0, 0, 35, 35]);
}

#[test]
fn a_partition_named_twice_and_one_that_is_not_there_are_errors() {
    let client = Client::new();
    client.create("t", 2, &[]);
    let asked = |index| {
        ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_timestamp(-1)
            .with_current_leader_epoch(-1)
    };
    let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![
        asked(0),
        asked(1),
        asked(0),
        asked(2),
    ]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let response: ListOffsetsResponse = client.call(ApiKey::ListOffsets, 7, &request);
    let codes: Vec<i16> = response.topics[0].partitions.iter().map(|answer| answer.error_code).collect();
    assert_eq!(codes, [42, 0, 3], "the one that is named twice is answered once");
}

#[test]
fn the_end_of_the_current_epoch_is_the_log_end_and_a_future_one_has_none() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.fill("t", 0, &["a", "b"]);
    let current = client.broker.store.topic("t").unwrap().partition(0).unwrap().leader_epoch();
    let ask = |topic: &str, epoch| {
        let asked =
            OffsetForLeaderPartition::default().with_current_leader_epoch(-1).with_leader_epoch(epoch);
        let topic =
            OffsetForLeaderTopic::default().with_topic(topic_name(topic)).with_partitions(vec![asked]);
        let request =
            OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        let mut response: OffsetForLeaderEpochResponse =
            client.call(ApiKey::OffsetForLeaderEpoch, 4, &request);
        let answer = response.topics.remove(0).partitions.remove(0);
        (answer.error_code, answer.leader_epoch, answer.end_offset)
    };
    assert_eq!(ask("t", current), (0, current, 2));
    assert_eq!(ask("t", current + 1), (0, -1, -1));
    assert_eq!(ask("missing", 0), (3, -1, -1));
}
