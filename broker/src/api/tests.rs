//! Requests as a client encodes them, through `dispatch`, against a broker on a directory of its own.

mod admin;
mod cluster_admin;
mod config_shown;
mod config_verdicts;
mod configs;
mod connect;
mod consume;
mod consumer_groups;
mod every_version;
mod fetch_sessions;
mod group_transactions;
mod hostile;
mod metrics;
mod newer;
mod produce;
mod read_committed;
mod recompress;
mod scram_users;
mod share;
mod share_groups;
mod transactions;
mod virtual_clock;
mod virtual_nodes;

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::produce_response::PartitionProduceResponse;
use protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    ProduceRequest, ProduceResponse, TopicName,
};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::{Decodable, Encodable, StrBytes};
use tempfile::TempDir;
use uuid::Uuid;

use super::{Answer, ConnectionInfo, Refused, Reply, Response, dispatch, find};
use crate::broker::Broker;
use crate::config::Config;

const CORRELATION_ID: i32 = 4711;

/// A broker with one connection to it.
struct Client {
    broker: Arc<Broker>,
    connection: ConnectionInfo,
    client_id: &'static str,
    _dir: TempDir,
}

impl Client {
    fn new() -> Self {
        Self::with_config(&[])
    }

    fn with_config(pairs: &[(&str, &str)]) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), pairs)
    }

    /// Beside the program: the directory for temporary files may be memory, where nothing is ever cold.
    fn on_device() -> Self {
        let program = std::env::current_exe().unwrap();
        Self::in_dir(tempfile::tempdir_in(program.parent().unwrap()).unwrap(), &[])
    }

    fn in_dir(dir: TempDir, pairs: &[(&str, &str)]) -> Self {
        let config = config(&dir, pairs);
        let peer = (Ipv4Addr::LOCALHOST, 50_000).into();
        let connection =
            ConnectionInfo::new(peer, "PLAINTEXT".into(), &"broker.example:9092".parse().unwrap());
        Self { broker: Broker::open(config).unwrap(), connection, client_id: "tester", _dir: dir }
    }

    /// The same directory, opened by another broker.
    fn reopened(self) -> Self {
        let config = self.broker.config.as_ref().clone();
        self.reopened_as(config)
    }

    /// As [`Self::reopened`], by a broker with these configs of its own.
    fn reopened_with(self, pairs: &[(&str, &str)]) -> Self {
        let config = config(&self._dir, pairs);
        self.reopened_as(config)
    }

    fn reopened_as(self, config: Config) -> Self {
        self.broker.close().unwrap();
        let Self { broker, connection, client_id, _dir } = self;
        drop(broker);
        Self { broker: reopened(&config), connection, client_id, _dir }
    }

    /// A body as it is, behind a header.
    fn frame(&self, key: ApiKey, version: i16, body: &[u8]) -> Bytes {
        let flexible = find(key as i16).is_some_and(|entry| entry.layout.is_flexible(version));
        let mut frame = BytesMut::new();
        frame.put_i16(key as i16);
        frame.put_i16(version);
        frame.put_i32(CORRELATION_ID);
        frame.put_i16(i16::try_from(self.client_id.len()).unwrap());
        frame.put_slice(self.client_id.as_bytes());
        if flexible {
            frame.put_u8(0);
        }
        frame.put_slice(body);
        frame.freeze()
    }

    fn send(&self, key: ApiKey, version: i16, body: &[u8]) -> Result<Answer, Refused> {
        dispatch(&self.broker, &self.connection, self.frame(key, version, body))
    }

    fn reply<Q: Encodable>(&self, key: ApiKey, version: i16, request: &Q) -> Reply {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        self.send(key, version, &body).unwrap().reply
    }

    fn call<Q: Encodable, R: Decodable>(&self, key: ApiKey, version: i16, request: &Q) -> R {
        decoded(finished(self.reply(key, version, request)), version)
    }

    fn create(&self, name: &str, partitions: i32, configs: &[(&'static str, &str)]) -> Uuid {
        let configs = configs.iter().map(|(name, value)| {
            let value = StrBytes::from_string((*value).to_owned());
            CreatableTopicConfig::default().with_name((*name).into()).with_value(Some(value))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let response: CreateTopicsResponse = self.call(ApiKey::CreateTopics, 7, &request);
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
        response.topics[0].topic_id
    }

    fn produce(&self, topic: &str, partition: i32, records: Bytes) -> PartitionProduceResponse {
        let response: ProduceResponse =
            self.call(ApiKey::Produce, 9, &produce_request(-1, topic, partition, records));
        response.responses[0].partition_responses[0].clone()
    }

    /// Appends one batch for each of `values`.
    fn fill(&self, topic: &str, partition: i32, values: &[&str]) {
        for value in values {
            assert_eq!(self.produce(topic, partition, batch(&[value])).error_code, 0);
        }
    }

    fn now(&self) -> i64 {
        self.broker.clock.now_ms()
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// One batch with a record for each value, key "k", without timestamps.
fn batch(values: &[&str]) -> Bytes {
    let mut builder = RecordBatchBuilder::new(0);
    for value in values {
        builder.append(-1, Some(b"k"), Some(value.as_bytes()));
    }
    builder.build()
}

fn produce_request(acks: i16, topic: &str, partition: i32, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1000).with_topic_data(vec![topic])
}

/// The answer, waited for if need be.
fn finished(reply: Reply) -> Response {
    match reply {
        Reply::Now(response) => response,
        Reply::Later(later) => block_on(later),
        Reply::Ordered(work) => finished(block_on(work)),
        other => panic!("no answer but {other:?}"),
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn decoded<R: Decodable>(response: Response, version: i16) -> R {
    let mut body: Bytes = response.chunks.concat().into();
    let message = R::decode(&mut body, version).unwrap();
    assert!(body.is_empty(), "{} bytes follow the last field", body.len());
    message
}

#[test]
fn a_row_of_the_table_serves_what_can_be_decoded_and_encoded() {
    let mut keys = std::collections::BTreeSet::new();
    for entry in super::APIS {
        assert!(keys.insert(entry.key), "{} twice", entry.name());
        assert_eq!(entry.key, entry.layout.api_key, "{}", entry.name());
        assert!(entry.advertised_min <= entry.versions.0, "{}", entry.name());
        assert!(entry.layout.has_version(entry.versions.0) && entry.layout.has_version(entry.versions.1));
    }
}

#[test]
fn a_broker_that_is_opened_again_has_its_topics_and_records() {
    let mut client = Client::with_config(&[("onelog.flush", "sync")]);
    let id = client.create("t.x", 2, &[("retention.ms", "77")]);
    client.fill("t.x", 1, &["a", "b"]);
    let cluster_id = client.broker.cluster_id.clone();
    client = client.reopened();
    assert_eq!(client.broker.cluster_id, cluster_id);
    let topic = client.broker.store.topic("t.x").unwrap();
    assert_eq!((topic.id(), topic.configs().get("retention.ms").map(String::as_str)), (id, Some("77")));
    assert_eq!(topic.partition(1).unwrap().high_watermark(), 2);
    assert_eq!(client.broker.topics.collision("t_x").as_deref(), Some("t.x"));
}

fn config(dir: &TempDir, pairs: &[(&str, &str)]) -> Config {
    let data = dir.path().join("data").display().to_string();
    let own = [
        ("log.dirs", data.as_str()),
        ("onelog.commitlog.file.bytes", "4194304"),
        ("onelog.flush", "os"),
        ("offsets.topic.num.partitions", "3"),
    ];
    Config::from_properties(own.into_iter().chain(pairs.iter().copied())).unwrap()
}

/// Opens the directory of a broker that was just dropped: its coordinator's thread lets go of it a moment later.
fn reopened(config: &Config) -> Arc<Broker> {
    for _ in 0..1000 {
        match Broker::open(config.clone()) {
            Err(storage::OpenError::InUse { .. }) => std::thread::sleep(std::time::Duration::from_millis(5)),
            opened => return opened.unwrap(),
        }
    }
    panic!("the directory stays in use");
}

#[test]
fn answers_carry_the_correlation_id_and_a_tag_byte_in_flexible_versions() {
    let client = Client::new();
    let answer = client.send(ApiKey::Metadata, 1, &[0, 0, 0, 0]).unwrap();
    assert_eq!(answer.header, CORRELATION_ID.to_be_bytes()[..]);
    let answer = client.send(ApiKey::Metadata, 12, &[1, 0, 0, 0]).unwrap();
    assert_eq!(answer.header, [&CORRELATION_ID.to_be_bytes()[..], &[0]].concat());
    let request = ApiVersionsRequest::default()
        .with_client_software_name("a".into())
        .with_client_software_version("1".into());
    let mut body = BytesMut::new();
    request.encode(&mut body, 3).unwrap();
    let answer = client.send(ApiKey::ApiVersions, 3, &body).unwrap();
    assert_eq!(answer.header, CORRELATION_ID.to_be_bytes()[..], "ApiVersions has header version 0 always");
    let response: ApiVersionsResponse = decoded(finished(answer.reply), 3);
    assert_eq!(response.error_code, 0);
}
