//! The verbs that read: by hand from a place, by time, waiting at the end, and as a member of a group.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use compat_tests::clock;
use compat_tests::record::{Bytes, ReceivedRecord};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Headers as _, Message as _};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Place;

const CALL_LIMIT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
pub(crate) struct ConsumeArguments {
    #[serde(flatten)]
    place: Place,
    offset: i64,
    count: usize,
    timeout_ms: u64,
}

#[derive(Deserialize)]
pub(crate) struct TimeArguments {
    #[serde(flatten)]
    place: Place,
    timestamp: i64,
}

#[derive(Deserialize)]
pub(crate) struct LongPollArguments {
    #[serde(flatten)]
    place: Place,
    rounds: usize,
    max_wait_ms: u64,
}

#[derive(Deserialize)]
pub(crate) struct JoinArguments {
    group: String,
    topic: String,
    protocol: String,
    session_timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
pub(crate) struct PollArguments {
    timeout_ms: u64,
}

pub(crate) fn consume(config: ClientConfig, arguments: &ConsumeArguments) -> Result<Value> {
    let consumer = assigned(config, &arguments.place, Offset::Offset(arguments.offset))?;
    let deadline = clock::now() + Duration::from_millis(arguments.timeout_ms);
    let mut records = Vec::new();
    while records.len() < arguments.count && clock::now() < deadline {
        records.extend(poll(&consumer, Duration::from_millis(100))?);
    }
    Ok(serde_json::to_value(records)?)
}

pub(crate) fn offset_for_time(config: &ClientConfig, arguments: &TimeArguments) -> Result<Value> {
    let consumer: BaseConsumer = config.create()?;
    let mut asked = TopicPartitionList::new();
    let place = &arguments.place;
    asked.add_partition_offset(&place.topic, place.partition, Offset::Offset(arguments.timestamp))?;
    let found = consumer.offsets_for_times(asked, CALL_LIMIT)?;
    let found =
        found.find_partition(&place.topic, place.partition).context("the partition is not answered")?;
    found.error()?;
    match found.offset() {
        Offset::Offset(offset) => Ok(json!(offset)),
        Offset::End => Ok(Value::Null),
        other => bail!("an offset of another kind: {other:?}"),
    }
}

pub(crate) fn watermarks(config: &ClientConfig, place: &Place) -> Result<Value> {
    let consumer: BaseConsumer = config.create()?;
    Ok(json!(consumer.fetch_watermarks(&place.topic, place.partition, CALL_LIMIT)?))
}

/// Sends the time at which each record was acknowledged.
struct Acknowledgements(std::sync::mpsc::SyncSender<Result<Instant, KafkaError>>);

impl ClientContext for Acknowledgements {}

impl ProducerContext<NoCustomPartitioner> for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let time = result.as_ref().map(|_| clock::now()).map_err(|(error, _)| error.clone());
        self.0.send(time).ok();
    }
}

pub(crate) fn long_poll(config: &ClientConfig, arguments: &LongPollArguments) -> Result<Value> {
    let place = &arguments.place;
    let (sender, acknowledgements) = sync_channel(1);
    let producer: ThreadedProducer<Acknowledgements> = config
        .clone()
        .set("linger.ms", "0")
        .set("acks", "all")
        .create_with_context(Acknowledgements(sender))?;
    let mut config = config.clone();
    config.set("fetch.wait.max.ms", arguments.max_wait_ms.to_string()).set("fetch.min.bytes", "1");
    let consumer = assigned(config, place, Offset::End)?;
    let (sender, receipts) = sync_channel(1);
    std::thread::spawn(move || {
        loop {
            let got = consumer.poll(Duration::from_millis(500)).map(|message| message.map(|_| clock::now()));
            if got.is_some_and(|time| sender.send(time).is_err()) {
                return;
            }
        }
    });
    // Offset::End is looked up in the background: only what comes after that is received.
    std::thread::sleep(Duration::from_millis(1500));
    let mut latencies = Vec::new();
    for _ in 0..arguments.rounds {
        std::thread::sleep(Duration::from_millis(150));
        let record: BaseRecord<'_, (), str> = BaseRecord::to(&place.topic);
        producer.send(record.partition(place.partition).payload("ping")).map_err(|(error, _)| error)?;
        let acknowledged = next(&acknowledgements)?;
        let received = next(&receipts)?;
        latencies.push(received.saturating_duration_since(acknowledged).as_secs_f64() * 1000.0);
    }
    Ok(json!(latencies))
}

fn next(times: &Receiver<Result<Instant, KafkaError>>) -> Result<Instant> {
    Ok(times.recv_timeout(CALL_LIMIT).context("nothing came")??)
}

/// The one group member of this process. Dropping it leaves the group.
pub(crate) struct Member {
    consumer: BaseConsumer,
    topic: String,
    positions: TopicPartitionList,
}

impl Member {
    pub(crate) fn join(mut config: ClientConfig, arguments: &JoinArguments) -> Result<Self> {
        config
            .set("group.id", &arguments.group)
            .set("group.protocol", &arguments.protocol)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        if let Some(session_timeout_ms) = arguments.session_timeout_ms {
            config
                .set("session.timeout.ms", session_timeout_ms.to_string())
                .set("heartbeat.interval.ms", "500");
        }
        let consumer: BaseConsumer = config.create()?;
        consumer.subscribe(&[&arguments.topic])?;
        Ok(Self { consumer, topic: arguments.topic.clone(), positions: TopicPartitionList::new() })
    }

    pub(crate) fn poll(&mut self, arguments: &PollArguments) -> Result<Value> {
        let deadline = clock::now() + Duration::from_millis(arguments.timeout_ms);
        let mut records = Vec::new();
        while clock::now() < deadline {
            records.extend(poll(&self.consumer, Duration::from_millis(50))?);
        }
        for record in &records {
            let position = Offset::Offset(record.offset + 1);
            match self.positions.find_partition(&self.topic, record.partition) {
                Some(mut known) => known.set_offset(position)?,
                None => self.positions.add_partition_offset(&self.topic, record.partition, position)?,
            }
        }
        let assignment: Vec<i32> =
            self.consumer.assignment()?.elements().iter().map(|element| element.partition()).collect();
        Ok(json!({ "assignment": assignment, "records": records }))
    }

    pub(crate) fn commit(&mut self) -> Result<Value> {
        if self.positions.count() > 0 {
            self.consumer.commit(&self.positions, CommitMode::Sync)?;
            self.positions = TopicPartitionList::new();
        }
        Ok(json!({}))
    }
}

/// A consumer of one partition, without commits.
fn assigned(mut config: ClientConfig, place: &Place, offset: Offset) -> Result<BaseConsumer> {
    config.set("group.id", "assigned-by-hand").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "error");
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&place.topic, place.partition, offset)?;
    consumer.assign(&assignment)?;
    Ok(consumer)
}

fn poll(consumer: &BaseConsumer, limit: Duration) -> Result<Option<ReceivedRecord>> {
    match consumer.poll(limit) {
        None => Ok(None),
        Some(Ok(message)) => Ok(Some(received(&message))),
        Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::BrokerTransportFailure))) => Ok(None),
        Some(Err(error)) => Err(error.into()),
    }
}

fn received(message: &BorrowedMessage<'_>) -> ReceivedRecord {
    let bytes = |slice: &[u8]| Bytes(slice.to_vec());
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(bytes))).collect()
    });
    ReceivedRecord {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(bytes),
        value: message.payload().map(bytes),
        headers: headers.unwrap_or_default(),
    }
}
