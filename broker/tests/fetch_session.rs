//! Fetch sessions over a socket, as raw frames: a consumer that polls an idle topic gets answers of a few bytes, whatever
//! version it speaks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use broker::config::Config;
use broker::server::Server;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::{ApiKey, CreateTopicsRequest, CreateTopicsResponse};
use protocol::{Decodable as _, Encodable as _};
use uuid::Uuid;

const PARTITIONS: i32 = 100;

fn started(dir: &tempfile::TempDir) -> Server {
    let data = dir.path().join("data").display().to_string();
    let pairs = [
        ("log.dirs", data.as_str()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("onelog.commitlog.file.bytes", "4194304"),
        ("onelog.flush", "os"),
    ];
    Server::start(Config::from_properties(pairs).expect("a valid configuration")).expect("it starts")
}

/// Sends a frame without its size, returns the answer behind the correlation id.
fn call(stream: &mut TcpStream, frame: &[u8]) -> Bytes {
    let size = u32::try_from(frame.len()).expect("small").to_be_bytes();
    stream.write_all(&[&size, frame].concat()).expect("the broker reads");
    let mut size = [0; 4];
    stream.read_exact(&mut size).expect("an answer");
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(size)).expect("small")];
    stream.read_exact(&mut body).expect("a whole answer");
    Bytes::from(body).split_off(4)
}

fn header(key: ApiKey, version: i16, flexible: bool) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i16(key as i16);
    frame.put_i16(version);
    frame.put_i32(1);
    frame.put_i16(-1);
    if flexible {
        frame.put_u8(0);
    }
    frame
}

fn created(stream: &mut TcpStream) -> Uuid {
    let topic = CreatableTopic::default()
        .with_name(protocol::StrBytes::from_static_str("t").into())
        .with_num_partitions(PARTITIONS)
        .with_replication_factor(1);
    let mut frame = header(ApiKey::CreateTopics, 7, true);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    request.encode(&mut frame, 7).expect("the request fits its version");
    let mut body = call(stream, &frame).split_off(1);
    let response = CreateTopicsResponse::decode(&mut body, 7).expect("an answer in its version");
    assert_eq!(response.topics[0].error_code, 0);
    response.topics[0].topic_id
}

/// A Fetch written byte by byte: `partitions` of the one topic, from offset 0.
fn fetch(version: i16, id: Uuid, session: (i32, i32), partitions: i32) -> BytesMut {
    let flexible = version >= 12;
    let mut frame = header(ApiKey::Fetch, version, flexible);
    if version < 15 {
        frame.put_i32(-1); // replica id
    }
    frame.put_i32(0); // max wait
    frame.put_i32(1); // min bytes
    frame.put_i32(1 << 20); // max bytes
    frame.put_i8(0); // isolation level
    frame.put_i32(session.0);
    frame.put_i32(session.1);
    let count = |frame: &mut BytesMut, count: i32| {
        if flexible {
            // Up to 127 a varint is one byte, and counts are one more.
            frame.put_u8(u8::try_from(count + 1).expect("a small count"));
        } else {
            frame.put_i32(count);
        }
    };
    count(&mut frame, i32::from(partitions > 0));
    if partitions > 0 {
        match version {
            13.. => frame.put_slice(id.as_bytes()),
            12 => frame.put_slice(b"\x02t"),
            _ => frame.put_slice(b"\x00\x01t"),
        }
        count(&mut frame, partitions);
        for index in 0..partitions {
            frame.put_i32(index);
            if version >= 9 {
                frame.put_i32(-1); // leader epoch
            }
            frame.put_i64(0); // offset
            if version >= 12 {
                frame.put_i32(-1); // last fetched epoch
            }
            frame.put_i64(-1); // log start
            frame.put_i32(1 << 20); // max bytes
            if flexible {
                frame.put_u8(0);
            }
        }
        if flexible {
            frame.put_u8(0);
        }
    }
    count(&mut frame, 0); // forgotten
    if version >= 11 {
        frame.put_slice(if flexible { &[1] } else { &[0, 0] }); // rack
    }
    if flexible {
        frame.put_u8(0);
    }
    frame
}

/// Error and session of an answer, and its length.
fn answered(version: i16, mut body: Bytes) -> (i16, i32, usize) {
    let len = body.len();
    body.advance(if version >= 12 { 5 } else { 4 }); // tags of the header, throttle time
    (body.get_i16(), body.get_i32(), len)
}

#[test]
fn an_idle_session_costs_a_few_bytes_whatever_its_version() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = started(&dir);
    let address = server.client_address();
    let mut stream = TcpStream::connect((address.host.as_str(), address.port)).expect("the broker listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    let id = created(&mut stream);
    for version in 7..=18 {
        let mut ask = |session, partitions| {
            answered(version, call(&mut stream, &fetch(version, id, session, partitions)))
        };
        let (error, session, len) = ask((0, 0), PARTITIONS);
        assert!(error == 0 && session > 0 && len > 30 * 100, "version {version}: {error} {session} {len}");
        for epoch in 1..5 {
            let (error, same, len) = ask((session, epoch), 0);
            assert!(error == 0 && same == session && len < 20, "version {version}: {error} {same} {len}");
        }
        assert_eq!(ask((session, 9), 0).0, 71, "version {version}");
        let (error, none, _) = ask((session, -1), 0);
        assert_eq!((error, none), (0, 0), "version {version}");
        assert_eq!(ask((session, 5), 0).0, 70, "version {version}");
    }
}
