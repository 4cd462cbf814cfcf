//! The control API of test mode over HTTP, against brokers in this process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use broker::config::Config;
use broker::server::Server;
use bytes::{BufMut as _, Bytes, BytesMut};
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::{
    ApiKey, GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    MetadataRequest, MetadataResponse, SyncGroupRequest, SyncGroupResponse,
};
use protocol::{Decodable, Encodable};
use serde_json::Value;
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
