//! The control API of test mode over HTTP, against brokers in this process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::disallowed_methods, reason = "tests of delays look at the clock")]

#[path = "test_mode/command.rs"]
mod command;
#[path = "test_mode/log.rs"]
mod log;
#[path = "test_mode/nodes.rs"]
mod nodes;
#[path = "test_mode/snapshots.rs"]
mod snapshots;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use broker::config::Config;
use broker::server::Server;
use bytes::{BufMut as _, Bytes, BytesMut};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::*;
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::{Decodable, Encodable};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Broker {
    server: Option<Server>,
    _dir: TempDir,
}

impl Broker {
    fn start(pairs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data").display().to_string();
        let own = [
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("log.dirs", data.as_str()),
            ("onelog.flush", "os"),
            ("onelog.commitlog.file.bytes", "4194304"),
            ("offsets.topic.num.partitions", "1"),
        ];
        let config = Config::from_properties(own.into_iter().chain(pairs.iter().copied())).unwrap();
        Self { server: Some(Server::start(config).unwrap()), _dir: dir }
    }

    fn in_test_mode() -> Self {
        Self::start(&[("onelog.test.mode", "local"), ("group.initial.rebalance.delay.ms", "0")])
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn connect(&self) -> Client {
        let address = self.server().client_address();
        Client(TcpStream::connect((address.host.as_str(), address.port)).unwrap())
    }

    /// Status, `Allow` and the JSON of the answer.
    fn http(&self, method: &str, path: &str, body: &str) -> (u16, Option<String>, Value) {
        http(self.server().admin_address().unwrap(), method, path, body)
    }

    fn get(&self, path: &str) -> Value {
        let (status, _, json) = self.http("GET", path, "");
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    /// The status and sentence of a request that is refused.
    fn refused(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let (status, _, json) = self.http(method, path, body);
        (status, json["error"].as_str().unwrap_or_else(|| panic!("{json}")).to_owned())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.server.take().unwrap().stop().unwrap();
    }
}

fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Option<String>, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let allow = head.lines().find_map(|line| line.strip_prefix("allow: ")).map(str::to_owned);
    assert!(head.contains("content-type: application/json"), "{head}");
    (status, allow, serde_json::from_str(body).unwrap())
}

struct Client(TcpStream);

impl Client {
    fn send(&mut self, key: ApiKey, version: i16, flexible: bool, request: &impl Encodable) {
        let mut frame = BytesMut::new();
        frame.put_i16(key as i16);
        frame.put_i16(version);
        frame.put_i32(7);
        frame.put_i16(6);
        frame.put_slice(b"tester");
        if flexible {
            frame.put_u8(0);
        }
        request.encode(&mut frame, version).unwrap();
        let length = i32::try_from(frame.len()).unwrap();
        self.0.write_all(&[&length.to_be_bytes()[..], &frame[..]].concat()).unwrap();
    }

    /// The body of the next answer.
    fn receive<R: Decodable>(&mut self, version: i16, flexible: bool) -> R {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut frame).unwrap();
        let mut body = Bytes::from(frame).slice(if flexible { 5 } else { 4 }..);
        R::decode(&mut body, version).unwrap()
    }

    fn metadata(&mut self) -> MetadataResponse {
        self.send(ApiKey::Metadata, 12, true, &MetadataRequest::default().with_topics(None));
        self.receive(12, true)
    }
}

/// A member of group `g`, alone in it and stable.
fn join(client: &mut Client) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol::default().with_name("range".into());
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_protocol_type("consumer".into())
        .with_protocols(vec![protocol]);
    client.send(ApiKey::JoinGroup, 3, false, &request);
    let joined: JoinGroupResponse = client.receive(3, false);
    assert_eq!(joined.error_code, 0);
    let request = SyncGroupRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    client.send(ApiKey::SyncGroup, 2, false, &request);
    assert_eq!(client.receive::<SyncGroupResponse>(2, false).error_code, 0);
    joined
}

fn heartbeat(client: &mut Client, joined: &JoinGroupResponse) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    client.send(ApiKey::Heartbeat, 2, false, &request);
    client.receive::<HeartbeatResponse>(2, false).error_code
}

const UNKNOWN_MEMBER_ID: i16 = 25;
const GROUP_ID_NOT_FOUND: i16 = 69;

#[test]
fn a_group_is_waited_for_and_its_member_can_be_taken_out() {
    let broker = Broker::in_test_mode();
    let mut client = broker.connect();
    let (status, sentence) = broker.refused("GET", "/test/groups/g/wait?state=Stable&timeout_ms=1", "");
    assert!(status == 408 && sentence.contains("it is not there"), "{sentence}");
    let (status, sentence) = broker.refused("GET", "/test/groups/g/wait?state=Stabel", "");
    assert!(status == 400 && sentence.contains("Stable"), "{sentence}");
    let address = broker.server().admin_address().unwrap();
    let waiting = std::thread::spawn(move || {
        http(address, "GET", "/test/groups/g/wait?state=stable&members=1&timeout_ms=20000", "")
    });
    let joined = join(&mut client);
    let (status, _, group) = waiting.join().unwrap();
    assert_eq!((status, &group["state"], &group["members"]), (200, &"Stable".into(), &1.into()));
    assert_eq!(heartbeat(&mut client, &joined), 0);
    let (status, sentence) = broker.refused("POST", "/test/members/g/nobody/expire", "");
    assert!(status == 404 && sentence.contains(joined.member_id.as_str()), "{sentence}");
    let path = format!("/test/members/g/{}/expire", joined.member_id.as_str());
    assert_eq!(broker.http("POST", &path, "").0, 200);
    assert_eq!(heartbeat(&mut client, &joined), UNKNOWN_MEMBER_ID);
    assert_eq!(broker.get("/test/groups/g/wait?state=Empty&members=0")["members"], 0);
}

#[test]
fn reset_leaves_no_topic_no_group_and_no_remembered_request() {
    let broker = Broker::start(&[
        ("onelog.test.mode", "local"),
        ("onelog.create.topics", "a:3,b,kept"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]);
    let mut client = broker.connect();
    let joined = join(&mut client);
    let (status, sentence) = broker.refused("POST", "/test/reset", r#"{"keep_topics": ["gone"]}"#);
    assert!(status == 400 && sentence.contains("gone"), "{sentence}");
    let (status, sentence) = broker.refused("POST", "/test/reset", r#"{"keep": []}"#);
    assert!(status == 400 && sentence.contains("`keep`") && sentence.contains("keep_topics"), "{sentence}");
    let (status, sentence) = broker.refused("POST", "/test/reset", r#"{"keep_topics": ["a", 7]}"#);
    assert!(status == 400 && sentence.contains("keep_topics[1]"), "{sentence}");
    let (status, _, done) = broker.http("POST", "/test/reset", r#"{"keep_topics": ["kept"]}"#);
    assert_eq!((status, &done["topics_deleted"]), (200, &serde_json::json!(["a", "b"])), "{done}");
    assert_eq!(done["groups_deleted"], serde_json::json!(["g"]));
    assert_eq!(heartbeat(&mut client, &joined), UNKNOWN_MEMBER_ID);
    let named = client.metadata().topics.into_iter().filter(|topic| !topic.is_internal);
    let names: Vec<String> = named.map(|topic| topic.name.unwrap().to_string()).collect();
    assert_eq!(names, ["kept"]);
    let page = broker.get("/test/requests");
    assert_eq!(page["requests"].as_array().unwrap().len(), 2, "a heartbeat and a metadata request: {page}");
}

#[test]
fn members_of_share_groups_are_taken_out_too_alone_and_by_reset() {
    let broker = Broker::start(&[("onelog.test.mode", "local"), ("onelog.create.topics", "kept")]);
    let mut client = broker.connect();
    let mut beat = |member_epoch: i32| {
        let topics = (member_epoch == 0).then(|| vec![TopicName("kept".into())]);
        let request = ShareGroupHeartbeatRequest::default()
            .with_group_id(GroupId("shared".into()))
            .with_member_id("m".into())
            .with_member_epoch(member_epoch)
            .with_subscribed_topic_names(topics);
        client.send(ApiKey::ShareGroupHeartbeat, 1, true, &request);
        client.receive::<ShareGroupHeartbeatResponse>(1, true).error_code
    };
    assert_eq!(beat(0), 0);
    assert_eq!(broker.get("/test/groups/shared/wait?state=Stable&members=1")["members"], 1);
    assert_eq!(broker.http("POST", "/test/members/shared/m/expire", "").0, 200);
    assert_eq!(beat(2), UNKNOWN_MEMBER_ID);
    assert_eq!(beat(0), 0);
    let (status, _, done) = broker.http("POST", "/test/reset", r#"{"keep_topics": ["kept"]}"#);
    assert_eq!((status, &done["groups_deleted"]), (200, &serde_json::json!(["shared"])), "{done}");
    assert_eq!(beat(2), GROUP_ID_NOT_FOUND);
}

#[test]
fn without_test_mode_every_verb_is_refused_and_told_how_to_switch_it_on() {
    let broker = Broker::start(&[("onelog.admin.listen", "127.0.0.1:0"), ("onelog.create.topics", "kept")]);
    for (method, path) in
        [("POST", "/test/reset"), ("GET", "/test/requests"), ("DELETE", "/test"), ("PUT", "/test/x")]
    {
        let (status, sentence) = broker.refused(method, path, "");
        assert_eq!(status, 403, "{method} {path}");
        assert!(sentence.contains("--test-mode"), "{sentence}");
    }
    assert_eq!(broker.connect().metadata().topics.len(), 1, "nothing was done");
}

#[test]
fn requests_that_came_in_are_listed_by_api_and_number() {
    let broker = Broker::start(&[("onelog.test.mode", "local"), ("onelog.create.topics", "kept")]);
    let mut client = broker.connect();
    client.metadata();
    client.metadata();
    let page = broker.get("/test/requests?key=metadata&since=1");
    assert_eq!(page["next"], 2);
    assert_eq!(page["requests"].as_array().unwrap().len(), 1);
    let request = &page["requests"][0];
    assert_eq!((&request["sequence"], &request["api"]), (&1.into(), &"Metadata".into()));
    assert_eq!((&request["version"], &request["client_id"]), (&12.into(), &"tester".into()));
    assert!(broker.get("/test/requests?key=Produce")["requests"].as_array().unwrap().is_empty());
}

#[test]
fn a_wrong_request_is_told_what_is_wrong_and_what_would_be_right() {
    let broker = Broker::in_test_mode();
    let (status, sentence) = broker.refused("GET", "/test/request", "");
    assert!(status == 404 && sentence.contains("the nearest is GET /test/requests"), "{sentence}");
    let (status, allow, _) = broker.http("POST", "/test/requests", "{}");
    assert_eq!((status, allow.as_deref()), (405, Some("GET")));
    let (status, sentence) = broker.refused("GET", "/test/requests?kye=x", "");
    assert!(status == 400 && sentence.contains("kye") && sentence.contains("key, since"), "{sentence}");
    let (status, sentence) = broker.refused("GET", "/test/requests?key=prodce", "");
    assert!(status == 400 && sentence.contains("Produce"), "{sentence}");
    let (status, sentence) = broker.refused("GET", "/test/requests?since=-1", "");
    assert!(status == 400 && sentence.contains("since is \"-1\""), "{sentence}");
    let (status, sentence) = broker.refused("GET", "/test/requests", "{}");
    assert!(status == 400 && sentence.contains("takes no body"), "{sentence}");
}

#[test]
fn an_admin_address_that_others_reach_needs_a_second_word_in_test_mode() {
    let config = |mode, address| {
        Config::from_properties([("onelog.test.mode", mode), ("onelog.admin.listen", address)])
    };
    let sentence = config("local", "0.0.0.0:9644").unwrap_err().to_string();
    assert!(sentence.contains("0.0.0.0:9644") && sentence.contains("--test-mode=anywhere"), "{sentence}");
    assert!(config("local", "broker.example:9644").is_err());
    assert!(config("local", ":9644").is_err());
    for loopback in ["127.0.0.1:0", "localhost:0", "[::1]:0", "127.0.0.9:1"] {
        assert!(config("local", loopback).unwrap().test_mode, "{loopback}");
    }
    assert!(config("anywhere", "0.0.0.0:9644").unwrap().test_mode);
    assert!(!config("off", "0.0.0.0:9644").unwrap().test_mode);
    let alone = Config::from_properties([("onelog.test.mode", "local")]).unwrap();
    assert_eq!(alone.admin.unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(Config::default().admin, None);
}

#[test]
fn time_is_moved_and_a_silent_member_is_gone() {
    let broker = Broker::in_test_mode();
    let mut client = broker.connect();
    let joined = join(&mut client);
    let before = broker.get("/test/clock");
    assert_eq!(before["ahead_ms"], 0);
    for (body, expected) in [
        ("", "advance_ms"),
        (r#"{"advance_ms": -1}"#, "advance_ms"),
        (r#"{"advance_ms": 1, "by": 2}"#, "`by`"),
        (r#"{"advance_ms": 10000000000000}"#, "no further"),
    ] {
        let (status, sentence) = broker.refused("POST", "/test/clock", body);
        assert!(status == 400 && sentence.contains(expected), "{sentence}");
    }
    let (status, _, after) = broker.http("POST", "/test/clock", r#"{"advance_ms": 30000}"#);
    assert_eq!((status, &after["ahead_ms"]), (200, &30_000.into()));
    assert!(after["now_ms"].as_i64().unwrap() >= before["now_ms"].as_i64().unwrap() + 30_000);
    assert_eq!(heartbeat(&mut client, &joined), UNKNOWN_MEMBER_ID);
}

fn batch(value: &str) -> Bytes {
    let mut builder = RecordBatchBuilder::new(0);
    builder.append(-1, None, Some(value.as_bytes()));
    builder.build()
}

impl Broker {
    fn with_topic() -> Self {
        Self::start(&[
            ("onelog.test.mode", "local"),
            ("onelog.create.topics", "t:2,u"),
            ("group.initial.rebalance.delay.ms", "0"),
        ])
    }

    /// Makes a rule; its number.
    fn fault(&self, rule: Value) -> u64 {
        let (status, _, json) = self.http("POST", "/test/faults", &rule.to_string());
        assert_eq!(status, 200, "{json}");
        json["id"].as_u64().unwrap()
    }

    fn hits(&self, id: u64) -> u64 {
        self.get(&format!("/test/faults/{id}"))["hits"].as_u64().unwrap()
    }
}

impl Client {
    /// Sends one record to each of `partitions` of `t`, acks=all.
    fn send_records(&mut self, partitions: &[i32], acks: i16) {
        let data = partitions
            .iter()
            .map(|index| PartitionProduceData::default().with_index(*index).with_records(Some(batch("v"))));
        let topic =
            TopicProduceData::default().with_name(TopicName("t".into())).with_partition_data(data.collect());
        let request =
            ProduceRequest::default().with_acks(acks).with_timeout_ms(1000).with_topic_data(vec![topic]);
        self.send(ApiKey::Produce, 9, true, &request);
    }

    /// Error and base offset by partition.
    fn produced(&mut self) -> Vec<(i32, i16, i64)> {
        let response: ProduceResponse = self.receive(9, true);
        let partitions = response.responses.into_iter().flat_map(|topic| topic.partition_responses);
        let mut produced: Vec<_> = partitions.map(|it| (it.index, it.error_code, it.base_offset)).collect();
        produced.sort_unstable();
        produced
    }

    fn produce(&mut self, partitions: &[i32]) -> Vec<(i32, i16, i64)> {
        self.send_records(partitions, -1);
        self.produced()
    }

    fn end(&mut self, partition: i32) -> i64 {
        let asked = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(-1);
        let topic = ListOffsetsTopic::default().with_name(TopicName("t".into())).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        self.send(ApiKey::ListOffsets, 5, false, &request);
        let response: ListOffsetsResponse = self.receive(5, false);
        response.topics[0].partitions[0].offset
    }

    fn fetch(&mut self, wait_ms: i32) -> FetchResponse {
        self.fetch_at(0, wait_ms)
    }

    fn fetch_at(&mut self, offset: i64, wait_ms: i32) -> FetchResponse {
        let partition = |index| {
            FetchPartition::default()
                .with_partition(index)
                .with_fetch_offset(if index == 0 { offset } else { 0 })
                .with_partition_max_bytes(1 << 20)
        };
        let topic = FetchTopic::default()
            .with_topic(TopicName("t".into()))
            .with_partitions(vec![partition(0), partition(1)]);
        let request = FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_session_epoch(0)
            .with_topics(vec![topic]);
        self.send(ApiKey::Fetch, 11, false, &request);
        self.receive(11, false)
    }

    /// Everything until the broker closes the connection.
    fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        rest
    }

    fn is_silent(&mut self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let silent = matches!(self.0.read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.0.set_read_timeout(None).unwrap();
        silent
    }
}

const NOT_LEADER: i16 = 6;

#[test]
fn an_error_is_said_for_its_partition_alone_and_that_part_is_not_done() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    let id = broker.fault(json!({
        "keys": ["produce"], "topic": "t", "partition": 1, "error": "NOT_LEADER_OR_FOLLOWER", "count": 2,
    }));
    for base_offset in 0..2 {
        assert_eq!(client.produce(&[0, 1]), [(0, 0, base_offset), (1, NOT_LEADER, -1)]);
    }
    assert_eq!(client.produce(&[0, 1]), [(0, 0, 2), (1, 0, 0)], "the count is used up");
    assert_eq!((client.end(0), client.end(1), broker.hits(id)), (3, 1, 2));
    broker.fault(json!({"keys": ["Produce"], "error": 6, "count": 1}));
    assert_eq!(client.produce(&[0, 1]), [(0, NOT_LEADER, -1), (1, NOT_LEADER, -1)]);
    assert_eq!((client.end(0), client.end(1)), (3, 1));
}

#[test]
fn an_error_after_apply_hides_what_was_done() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    broker.fault(json!({
        "keys": ["Produce"], "partition": 1, "error": "REQUEST_TIMED_OUT", "after_apply": true, "count": 1,
    }));
    assert_eq!(client.produce(&[0, 1]), [(0, 0, 0), (1, 7, -1)]);
    assert_eq!((client.end(0), client.end(1)), (1, 1), "both are there");
}

#[test]
fn a_connection_is_closed_instead_of_the_request_or_instead_of_the_answer() {
    let broker = Broker::with_topic();
    let before = broker.fault(json!({"keys": ["Produce"], "disconnect": true, "count": 1}));
    let mut client = broker.connect();
    client.send_records(&[0], -1);
    assert!(client.rest().is_empty());
    let mut client = broker.connect();
    assert_eq!(client.end(0), 0, "not done");
    broker.fault(json!({"keys": ["Produce"], "disconnect": true, "after_apply": true, "count": 1}));
    client.send_records(&[0], -1);
    assert!(client.rest().is_empty());
    assert_eq!(broker.connect().end(0), 1, "done");
    assert_eq!(broker.hits(before), 1);
    broker.fault(json!({"keys": ["Produce"], "error": 6, "count": 1}));
    let mut client = broker.connect();
    client.send_records(&[0], 0);
    assert!(client.rest().is_empty(), "with acks=0 an error closes the connection");
}

#[test]
fn an_answer_is_lost_or_breaks_off_and_the_request_is_done() {
    let broker = Broker::with_topic();
    let lost = broker.fault(json!({"keys": ["Produce"], "drop_response": true, "count": 1}));
    let mut client = broker.connect();
    client.send_records(&[0], -1);
    broker.get(&format!("/test/faults/{lost}/wait?hits=1"));
    assert!(client.is_silent());
    assert_eq!(client.end(0), 1, "the connection goes on");
    broker.fault(json!({"keys": ["Produce"], "truncate": true, "count": 1}));
    client.send_records(&[0], -1);
    let half = client.rest();
    let whole = usize::try_from(i32::from_be_bytes(half[..4].try_into().unwrap())).unwrap();
    assert_eq!(half.len(), 4 + whole / 2);
    assert_eq!(broker.connect().end(0), 2);
}

#[test]
fn a_request_or_its_answer_comes_late() {
    let broker = Broker::with_topic();
    let (mut client, mut other) = (broker.connect(), broker.connect());
    broker.fault(json!({"keys": ["Produce"], "delay_ms": 150, "count": 1}));
    let begun = Instant::now();
    client.send_records(&[0], -1);
    assert_eq!(other.end(0), 0, "another connection is served, and nothing is done yet");
    assert_eq!(client.produced(), [(0, 0, 0)]);
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
    broker.fault(json!({"keys": ["Produce"], "delay_ms": 150, "after_apply": true, "count": 1}));
    let begun = Instant::now();
    client.send_records(&[0], -1);
    while other.end(0) < 2 {}
    assert_eq!(client.produced(), [(0, 0, 1)]);
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
}

#[test]
fn a_throttled_client_is_told_and_not_heard_for_that_time() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    broker.fault(json!({"keys": ["Metadata"], "throttle_ms": 200, "count": 1}));
    let begun = Instant::now();
    assert_eq!(client.metadata().throttle_time_ms, 200);
    let told = begun.elapsed();
    assert_eq!(broker.connect().metadata().throttle_time_ms, 0);
    assert_eq!(client.metadata().throttle_time_ms, 0);
    assert!(begun.elapsed() - told >= Duration::from_millis(190), "{told:?} {:?}", begun.elapsed());
}

#[test]
fn records_come_with_a_wrong_checksum_once_there_are_records() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    let id = broker.fault(json!({"keys": ["Fetch"], "topic": "t", "corrupt_crc": true, "count": 1}));
    client.fetch(0);
    assert_eq!(broker.hits(id), 0, "an empty answer has nothing to break");
    client.produce(&[0]);
    let records = |response: FetchResponse| response.responses[0].partitions[0].records.clone().unwrap();
    let broken = records(client.fetch(1000));
    let sound = records(client.fetch(1000));
    assert_ne!(broken[17..21], sound[17..21]);
    assert_eq!((&broken[..17], &broken[21..]), (&sound[..17], &sound[21..]));
    assert_eq!(broker.hits(id), 1);
}

#[test]
fn a_fetch_that_fails_does_so_at_once_and_for_its_partition() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    broker.fault(json!({"keys": ["Fetch"], "topic": "t", "partition": 1, "error": 6, "count": 1}));
    let begun = Instant::now();
    let response = client.fetch(20_000);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let codes = response.responses[0].partitions.iter().map(|it| (it.partition_index, it.error_code));
    assert_eq!(codes.collect::<Vec<_>>(), [(0, 0), (1, NOT_LEADER)]);
    assert_eq!(response.session_id, 0, "in test mode there are no fetch sessions");
}

#[test]
fn group_requests_fail_by_group_and_client() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    let joined = join(&mut client);
    broker.fault(json!({"keys": ["Heartbeat"], "group": "other", "error": "REBALANCE_IN_PROGRESS"}));
    broker.fault(json!({"keys": ["Heartbeat"], "client_id": "nobody*", "error": "REBALANCE_IN_PROGRESS"}));
    assert_eq!(heartbeat(&mut client, &joined), 0);
    broker.fault(json!({"keys": ["Heartbeat"], "group": "g", "client_id": "test?r", "error": "REBALANCE_IN_PROGRESS", "nth": 2}));
    let codes = [0; 3].map(|_| heartbeat(&mut client, &joined));
    assert_eq!(codes, [0, 27, 0]);
}

#[test]
fn faults_are_listed_waited_for_and_reported_when_they_never_fired() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    let fired = broker.fault(json!({"keys": ["Metadata"], "delay_ms": 1}));
    let never = broker.fault(json!({"keys": ["EndTxn"], "error": "INVALID_TXN_STATE"}));
    let (status, sentence) = broker.refused("GET", &format!("/test/faults/{fired}/wait?timeout_ms=1"), "");
    assert!(status == 408 && sentence.contains("fired 0 times, not 1"), "{sentence}");
    let address = broker.server().admin_address().unwrap();
    let path = format!("/test/faults/{fired}/wait?hits=2&timeout_ms=20000");
    let waiting = std::thread::spawn(move || http(address, "GET", &path, ""));
    client.metadata();
    client.metadata();
    let (status, _, shown) = waiting.join().unwrap();
    assert_eq!((status, &shown["hits"]), (200, &2.into()));
    let page = broker.get("/test/requests?key=metadata");
    assert_eq!(page["requests"][1]["fault"], fired);
    assert_eq!(broker.get("/test/faults")["faults"].as_array().unwrap().len(), 2);
    let (_, _, done) = broker.http("POST", "/test/reset", "");
    assert_eq!(done["faults_deleted"], 2);
    let never_fired = done["faults_never_fired"].as_array().unwrap();
    assert_eq!((never_fired.len(), &never_fired[0]["id"]), (1, &never.into()), "{done}");
    assert_eq!(never_fired[0]["rule"], json!({"keys": ["EndTxn"], "error": "INVALID_TXN_STATE"}));
    let (status, sentence) = broker.refused("DELETE", &format!("/test/faults/{never}"), "");
    assert!(status == 404 && sentence.contains("there are none"), "{sentence}");
    let again = broker.fault(json!({"disconnect": true}));
    assert!(again > never, "numbers do not come again");
    let (status, _, removed) = broker.http("DELETE", &format!("/test/faults/{again}"), "");
    assert_eq!((status, &removed["id"]), (200, &again.into()));
}

#[test]
fn a_wrong_rule_is_told_what_is_wrong_and_makes_no_fault() {
    let broker = Broker::in_test_mode();
    for (body, said) in [
        (r#"{"keys": ["Fetch"], "eror": 6}"#, "unknown field `eror`"),
        (r#"{"keys": "Fetch", "error": 6}"#, "field `keys`: invalid type"),
        (r#"{"keys": ["Fetch"], "delay_ms": -5}"#, "field `delay_ms`"),
        (r#"{"keys": ["Fetch"], "error": "NOT_A_LEADER"}"#, "the nearest is "),
        (r#"{"keys": ["Fetch"]}"#, "the rule does nothing"),
        (r#"{"keys": ["#, "the body is wrong"),
        (r#"{} {}"#, "trailing characters"),
    ] {
        let (status, sentence) = broker.refused("POST", "/test/faults", body);
        assert!(status == 400 && sentence.contains(said), "{body}: {sentence}");
    }
    assert!(broker.get("/test/faults")["faults"].as_array().unwrap().is_empty());
    let (status, sentence) = broker.refused("GET", "/test/faults/x", "");
    assert!(status == 400 && sentence.contains("no number of a fault"), "{sentence}");
}

impl Client {
    fn api_versions(&mut self, version: i16) -> ApiVersionsResponse {
        let request = ApiVersionsRequest::default()
            .with_client_software_name("tester".into())
            .with_client_software_version("1".into());
        self.send(ApiKey::ApiVersions, version, true, &request);
        // Its answers have the old header always, and a version that is not served is answered in version 0.
        self.receive(if version > 3 { 0 } else { version }, false)
    }

    /// Error and log start of partition 0 of `topic`.
    fn first_offset(&mut self, topic: &str) -> (i16, i64) {
        let asked = ListOffsetsPartition::default().with_timestamp(-2);
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(topic.to_owned().into()))
            .with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        self.send(ApiKey::ListOffsets, 5, false, &request);
        let response: ListOffsetsResponse = self.receive(5, false);
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.offset)
    }
}

#[test]
fn an_older_release_is_imitated_until_it_is_lifted() {
    let broker = Broker::in_test_mode();
    let (status, sentence) = broker.refused("POST", "/test/max-versions", r#"{"profile": "kafka-2.9"}"#);
    assert!(status == 400 && sentence.contains("kafka-2.8") && sentence.contains("or null"), "{sentence}");
    let (status, _, json) = broker.http("POST", "/test/max-versions", r#"{"profile": "kafka-2.8"}"#);
    assert_eq!((status, &json["profile"]), (200, &"kafka-2.8".into()));
    let mut client = broker.connect();
    let shown = client.api_versions(3);
    let max =
        |key: ApiKey| shown.api_keys.iter().find(|api| api.api_key == key as i16).map(|api| api.max_version);
    assert_eq!((max(ApiKey::Produce), max(ApiKey::Metadata)), (Some(9), Some(11)));
    assert_eq!(max(ApiKey::ConsumerGroupHeartbeat), None);
    assert!(shown.finalized_features.is_empty(), "transactions as they were then");
    let refused = client.api_versions(4);
    assert_eq!((refused.error_code, refused.api_keys.len(), refused.api_keys[0].max_version), (35, 1, 3));
    client.send(ApiKey::Metadata, 12, true, &MetadataRequest::default());
    assert!(client.rest().is_empty(), "as such a broker, it closes the connection");
    broker.http("POST", "/test/max-versions", r#"{"profile": null}"#);
    let mut client = broker.connect();
    client.metadata();
    assert!(!client.api_versions(3).finalized_features.is_empty());
}

#[test]
fn an_open_transaction_runs_out_of_time_and_its_producer_is_fenced() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    let (status, sentence) = broker.refused("POST", "/test/txn/tx/expire", "");
    assert!(status == 404 && sentence.contains("tx"), "{sentence}");
    let id = || TransactionalId("tx".into());
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id()))
        .with_transaction_timeout_ms(60_000);
    client.send(ApiKey::InitProducerId, 2, true, &request);
    let producer: InitProducerIdResponse = client.receive(2, true);
    assert_eq!(producer.error_code, 0);
    let (status, sentence) = broker.refused("POST", "/test/txn/tx/expire", "");
    assert!(status == 409 && sentence.contains("it is Empty"), "{sentence}");
    let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
        .with_name(TopicName("t".into()))
        .with_partitions(vec![0]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id())
        .with_v3_and_below_producer_id(producer.producer_id)
        .with_v3_and_below_producer_epoch(producer.producer_epoch)
        .with_v3_and_below_topics(vec![topic]);
    client.send(ApiKey::AddPartitionsToTxn, 3, true, &request);
    let added: AddPartitionsToTxnResponse = client.receive(3, true);
    assert_eq!(added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, 0);
    let (status, _, json) = broker.http("POST", "/test/txn/tx/expire", "");
    assert_eq!((status, &json["transactional_id"]), (200, &"tx".into()), "{json}");
    let request = EndTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(producer.producer_id)
        .with_producer_epoch(producer.producer_epoch)
        .with_committed(true);
    client.send(ApiKey::EndTxn, 3, true, &request);
    const PRODUCER_FENCED: i16 = 90;
    assert_eq!(client.receive::<EndTxnResponse>(3, true).error_code, PRODUCER_FENCED);
}

#[test]
fn nodes_are_shown_moved_between_and_taken_down() {
    let broker = Broker::start(&[
        ("onelog.test.mode", "local"),
        ("onelog.brokers", "3"),
        ("onelog.create.topics", "t:1:3"),
    ]);
    let nodes = broker.get("/test/nodes");
    let nodes = nodes["nodes"].as_array().unwrap();
    assert_eq!(nodes.iter().map(|node| node["id"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    let address = |node: &Value| node["address"].as_str().unwrap().to_owned();
    assert_eq!(address(&nodes[0]), broker.server().client_address().to_string());
    let leads = |node: &&Value| node["leads"] == 1;
    let (leader, other) =
        (nodes.iter().find(leads).unwrap(), nodes.iter().find(|node| !leads(node)).unwrap());
    let moving = "/test/partitions/t/0/leader";
    let body = format!(r#"{{"node": {}}}"#, other["id"]);
    let (status, _, moved) = broker.http("POST", moving, &body);
    assert_eq!((status, &moved["leader"], &moved["leader_epoch"]), (200, &other["id"], &1.into()));
    let mut connected = Client(TcpStream::connect(address(leader)).unwrap());
    assert_eq!(connected.metadata().brokers.len(), 3);
    assert_eq!(broker.http("POST", &format!("/test/nodes/{}/down", leader["id"]), "").0, 200);
    let cut = |mut client: Client| {
        client.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        match client.0.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    };
    assert!(cut(connected), "the connection is cut");
    assert!(cut(Client(TcpStream::connect(address(leader)).unwrap())), "a new one too");
    let mut there = Client(TcpStream::connect(address(other)).unwrap());
    assert_eq!(there.metadata().brokers.len(), 2);
    assert_eq!(broker.http("POST", &format!("/test/nodes/{}/up", leader["id"]), "").0, 200);
    assert_eq!(Client(TcpStream::connect(address(leader)).unwrap()).metadata().brokers.len(), 3);
    for (path, body, status, expected) in [
        ("/test/nodes/9/down", "", 404, "there are 1 to 3"),
        ("/test/nodes/x/up", "", 400, "whole number"),
        ("/test/partitions/gone/0/leader", r#"{"node": 1}"#, 404, "no partition 0 of a topic gone"),
        ("/test/partitions/t/0/leader", r#"{"to": 1}"#, 400, "node"),
    ] {
        let (told, sentence) = broker.refused("POST", path, body);
        assert!(told == status && sentence.contains(expected), "{path}: {told} {sentence}");
    }
    let one = Broker::in_test_mode();
    let (status, sentence) = one.refused("GET", "/test/nodes", "");
    assert!(status == 400 && sentence.contains("--brokers"), "{sentence}");
}

#[test]
fn quiet_is_when_all_requests_are_answered_and_parked_fetches_do_not_count() {
    let broker = Broker::with_topic();
    let (mut client, mut parked) = (broker.connect(), broker.connect());
    broker.fault(json!({"keys": ["Produce"], "delay_ms": 800}));
    client.send_records(&[0], -1);
    let begun = Instant::now();
    let (_, _, refused) = loop {
        let answer = broker.http("POST", "/test/quiesce?timeout_ms=1", "");
        assert!(begun.elapsed() < Duration::from_secs(10), "the request is under way for a while");
        if answer.0 == 408 {
            break answer;
        }
    };
    assert_eq!(refused["error"], "1 requests are under way");
    let (status, _, _) = broker.http("POST", "/test/quiesce", "");
    assert_eq!(status, 200);
    assert_eq!(client.produced(), [(0, 0, 0)]);
    client.end(0);
    let end = std::thread::spawn(move || parked.fetch_at(1, 1_000));
    while broker.get("/test/requests?key=fetch")["requests"] == json!([]) {}
    assert_eq!(broker.http("POST", "/test/quiesce?timeout_ms=500", "").0, 200);
    end.join().unwrap();
    // A connection that is lost takes its requests with it.
    client.send_records(&[0], -1);
    drop(client);
    assert_eq!(broker.http("POST", "/test/quiesce", "").0, 200);
}
