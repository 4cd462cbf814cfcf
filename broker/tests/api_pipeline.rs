//! Requests over a socket, many before the first answer: answers come in request order with the right offsets, and what
//! was acknowledged is there after a restart.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use broker::config::Config;
use broker::server::Server;
use bytes::{BufMut as _, Bytes, BytesMut};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::{
    ApiKey, BrokerId, FetchRequest, FetchResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse, TopicName,
};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::{Decodable, Encodable, StrBytes};

const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
const METADATA_VERSION: i16 = 9;

/// One connection; all versions used here have flexible headers.
struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    fn open(server: &Server) -> Self {
        let address = server.client_address();
        let stream = TcpStream::connect((address.host.as_str(), address.port)).expect("the broker listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        Self { stream, correlation_id: 0 }
    }

    fn send<Q: Encodable>(&mut self, key: ApiKey, version: i16, request: &Q) -> i32 {
        self.correlation_id += 1;
        let mut frame = BytesMut::new();
        frame.put_i16(key as i16);
        frame.put_i16(version);
        frame.put_i32(self.correlation_id);
        frame.put_i16(-1);
        frame.put_u8(0);
        request.encode(&mut frame, version).expect("the request fits its version");
        let size = u32::try_from(frame.len()).expect("small").to_be_bytes();
        self.stream.write_all(&size).expect("the broker reads");
        self.stream.write_all(&frame).expect("the broker reads");
        self.correlation_id
    }

    fn receive<R: Decodable>(&mut self, version: i16) -> (i32, R) {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).expect("an answer");
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(size)).expect("small")];
        self.stream.read_exact(&mut body).expect("a whole answer");
        let mut body = Bytes::from(body);
        let correlation_id = i32::from_be_bytes(body.split_to(5)[..4].try_into().expect("four bytes"));
        (correlation_id, R::decode(&mut body, version).expect("an answer in its version"))
    }
}

fn produce(producer_id: i64, sequence: i32) -> ProduceRequest {
    let mut builder = RecordBatchBuilder::new(0).producer(producer_id, 0, sequence);
    builder.append(-1, None, Some(format!("{sequence}").as_bytes()));
    let data = PartitionProduceData::default().with_records(Some(builder.build()));
    let topic = TopicProduceData::default().with_name(topic()).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic])
}

fn fetch(from: i64) -> FetchRequest {
    let partition = FetchPartition::default().with_fetch_offset(from).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic()).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(1 << 20)
        .with_min_bytes(1)
        .with_max_wait_ms(20_000)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("pipelined"))
}

/// As clients do: asking for a topic creates it.
fn create_topic(server: &Server) {
    let mut connection = Connection::open(server);
    let asked = MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(topic()))]))
        .with_allow_auto_topic_creation(true);
    connection.send(ApiKey::Metadata, METADATA_VERSION, &asked);
    let (_, made): (i32, MetadataResponse) = connection.receive(METADATA_VERSION);
    assert_eq!(made.topics[0].error_code, 0);
}

fn config(dir: &tempfile::TempDir) -> Config {
    let data = dir.path().join("data").display().to_string();
    let pairs = [
        ("log.dirs", data.as_str()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("onelog.commitlog.file.bytes", "4194304"),
    ];
    Config::from_properties(pairs).expect("a good configuration")
}

#[test]
fn answers_come_in_request_order_whatever_each_has_to_wait_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(config(&dir)).expect("it starts");
    create_topic(&server);
    let mut connection = Connection::open(&server);
    for sequence in 0..50 {
        connection.send(ApiKey::Produce, PRODUCE_VERSION, &produce(1, sequence));
    }
    // At the end of the log: has to wait for the produce of the other connection.
    let parked = connection.send(ApiKey::Fetch, FETCH_VERSION, &fetch(50));
    let behind =
        connection.send(ApiKey::Metadata, METADATA_VERSION, &MetadataRequest::default().with_topics(None));
    for sequence in 0..50 {
        let (correlation_id, response): (i32, ProduceResponse) = connection.receive(PRODUCE_VERSION);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((correlation_id, partition.error_code), (sequence + 1, 0));
        assert_eq!(partition.base_offset, i64::from(sequence));
    }
    let mut other = Connection::open(&server);
    other.send(ApiKey::Produce, PRODUCE_VERSION, &produce(2, 0));
    let (_, response): (i32, ProduceResponse) = other.receive(PRODUCE_VERSION);
    assert_eq!(response.responses[0].partition_responses[0].base_offset, 50);
    let (correlation_id, fetched): (i32, FetchResponse) = connection.receive(FETCH_VERSION);
    assert_eq!((correlation_id, fetched.responses[0].partitions[0].high_watermark), (parked, 51));
    let (correlation_id, metadata): (i32, MetadataResponse) = connection.receive(METADATA_VERSION);
    assert_eq!((correlation_id, metadata.topics.len()), (behind, 1));
    server.stop().expect("it stops cleanly");
}

#[test]
fn an_acknowledged_batch_is_a_duplicate_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(config(&dir)).expect("it starts");
    create_topic(&server);
    let mut connection = Connection::open(&server);
    for sequence in 0..3 {
        connection.send(ApiKey::Produce, PRODUCE_VERSION, &produce(7, sequence));
        let (_, response): (i32, ProduceResponse) = connection.receive(PRODUCE_VERSION);
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    drop(connection);
    server.stop().expect("it stops cleanly");
    let server = start_again(&dir);
    let mut connection = Connection::open(&server);
    connection.send(ApiKey::Produce, PRODUCE_VERSION, &produce(7, 2));
    let (_, again): (i32, ProduceResponse) = connection.receive(PRODUCE_VERSION);
    assert_eq!(again.responses[0].partition_responses[0].base_offset, 2);
    connection.send(ApiKey::Fetch, FETCH_VERSION, &fetch(0));
    let (_, fetched): (i32, FetchResponse) = connection.receive(FETCH_VERSION);
    assert_eq!(fetched.responses[0].partitions[0].high_watermark, 3);
    server.stop().expect("it stops cleanly");
}

/// Within one process the coordinator's thread lets go of the directory a moment after the stop.
fn start_again(dir: &tempfile::TempDir) -> Server {
    for _ in 0..1000 {
        match Server::start(config(dir)) {
            Err(broker::server::StartError::Store(storage::OpenError::InUse { .. })) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            started => return started.expect("it starts again"),
        }
    }
    panic!("the directory stays in use");
}
