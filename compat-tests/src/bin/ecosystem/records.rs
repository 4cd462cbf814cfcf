//! Topics from the outside: created, written and read with librdkafka, so that what a Java program did is judged by a client
//! that shares no code with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clock;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

const CALL_LIMIT: Duration = Duration::from_secs(60);
const ENOUGH: usize = 1000;

/// A record as far as the scenarios look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Creates `topic` and waits until it has leaders.
pub(crate) fn create_topic(
    address: &str,
    topic: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Result<()> {
    let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in configs {
        wanted = wanted.set(name, value);
    }
    for result in block_on(admin(address)?.create_topics([&wanted], &AdminOptions::new()))?? {
        result.map_err(|(topic, code)| anyhow::anyhow!("{topic} is not created: {code}"))?;
    }
    let shown = clock::poll_until(CALL_LIMIT, Duration::from_millis(100), || {
        Ok(partition_count(address, topic)?.filter(|count| *count == partitions))
    })?;
    shown.map(|_| ()).with_context(|| format!("{topic} does not show"))
}

/// How many partitions `topic` has; `None` while there is none or one of them has no leader.
pub(crate) fn partition_count(address: &str, topic: &str) -> Result<Option<i32>> {
    let consumer: BaseConsumer = config(address).create()?;
    // All topics, since asking for one by its name may create it.
    let metadata = consumer.fetch_metadata(None, CALL_LIMIT)?;
    let found = metadata.topics().iter().find(|one| one.name() == topic);
    let led = found.filter(|one| one.partitions().iter().all(|partition| partition.leader() >= 0));
    Ok(led.map(|one| i32::try_from(one.partitions().len())).transpose()?)
}

/// The value of one config of a topic.
pub(crate) fn topic_config(address: &str, topic: &str, name: &str) -> Result<Option<String>> {
    let options = AdminOptions::new();
    let asked = block_on(admin(address)?.describe_configs([&ResourceSpecifier::Topic(topic)], &options))??;
    let resource = asked.into_iter().next().context("no answer for the topic")?;
    let resource = resource.map_err(|code| anyhow::anyhow!("configs of {topic}: {code}"))?;
    Ok(resource.get(name).and_then(|entry| entry.value.clone()))
}

/// Writes `values` in order, idempotently, to `partition` or spread by librdkafka; returns when all are acknowledged.
pub(crate) fn produce(address: &str, topic: &str, partition: Option<i32>, values: &[String]) -> Result<()> {
    let counts = Deliveries::default();
    let mut config = config(address);
    config.set("enable.idempotence", "true").set("linger.ms", "5");
    let producer: ThreadedProducer<Deliveries> = config.create_with_context(counts.clone())?;
    for value in values {
        let send = || {
            let mut record = BaseRecord::<str, _>::to(topic).payload(value);
            record.partition = partition;
            match producer.send(record) {
                Ok(()) => Ok(Some(())),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(None),
                Err((error, _)) => Err(error.into()),
            }
        };
        clock::poll_until(CALL_LIMIT, Duration::from_millis(5), send)?
            .context("the broker takes no more records")?;
    }
    producer.flush(CALL_LIMIT)?;
    let acknowledged = counts.acknowledged.load(Ordering::SeqCst);
    ensure!(
        acknowledged == u64::try_from(values.len())?,
        "{acknowledged} of {} records are acknowledged",
        values.len()
    );
    Ok(())
}

/// Where the partitions of `topic` end.
pub(crate) fn end_offsets(address: &str, topic: &str, partitions: i32) -> Result<Vec<i64>> {
    let consumer: BaseConsumer = config(address).create()?;
    (0..partitions).map(|number| Ok(consumer.fetch_watermarks(topic, number, CALL_LIMIT)?.1)).collect()
}

/// The offsets that `group` committed for `topic`, one per partition, `None` where there is none.
pub(crate) fn committed(
    address: &str,
    group: &str,
    topic: &str,
    partitions: i32,
) -> Result<Vec<Option<i64>>> {
    let consumer: BaseConsumer = config(address).set("group.id", group).create()?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, partitions - 1);
    let answer = consumer.committed_offsets(asked, CALL_LIMIT)?;
    Ok(answer
        .elements()
        .iter()
        .map(|element| element.offset().to_raw().filter(|offset| *offset >= 0))
        .collect())
}

/// Commits offsets for a group without members.
pub(crate) fn commit(address: &str, group: &str, topic: &str, offsets: &[i64]) -> Result<()> {
    let consumer: BaseConsumer = config(address).set("group.id", group).create()?;
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0_i32..).zip(offsets) {
        list.add_partition_offset(topic, partition, Offset::Offset(*offset))?;
    }
    // Kafka makes the topic of offsets now, and it has no leader for a moment.
    let committed = clock::poll_until(CALL_LIMIT, Duration::from_millis(100), || {
        match consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => Ok(Some(())),
            Err(KafkaError::ConsumerCommit(
                RDKafkaErrorCode::NotCoordinator | RDKafkaErrorCode::CoordinatorLoadInProgress,
            )) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })?;
    committed.context("the group's coordinator never came")
}

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Up to the high watermark.
    Uncommitted,
    /// Up to the last stable offset, without what was aborted.
    Committed,
}

/// Reads all partitions of a topic from the beginning, as far as they go, again and again.
pub(crate) struct Reader {
    consumer: BaseConsumer,
    partitions: i32,
    at_end: BTreeSet<i32>,
}

impl Reader {
    pub(crate) fn new(address: &str, topic: &str, partitions: i32, isolation: Isolation) -> Result<Self> {
        let mut config = config(address);
        config
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true");
        config.set("check.crcs", "true").set("auto.offset.reset", "error").set("fetch.wait.max.ms", "100");
        config.set(
            "isolation.level",
            match isolation {
                Isolation::Uncommitted => "read_uncommitted",
                Isolation::Committed => "read_committed",
            },
        );
        let consumer: BaseConsumer = config.create()?;
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer, partitions, at_end: BTreeSet::new() })
    }

    /// What comes until nothing comes for a moment or enough came: never waits for a writer to pause.
    pub(crate) fn some(&mut self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        while records.len() < ENOUGH {
            match self.consumer.poll(Duration::from_millis(100)) {
                None => break,
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.at_end.insert(partition);
                }
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(message)) => {
                    let text = |bytes: Option<&[u8]>| {
                        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
                    };
                    self.at_end.remove(&message.partition());
                    records.push(Record {
                        partition: message.partition(),
                        key: text(message.key()),
                        value: text(message.payload()),
                    });
                }
            }
        }
        Ok(records)
    }

    /// What came since the last call, up to the ends of all partitions; for topics that nobody writes to any more.
    pub(crate) fn drain(&mut self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let deadline = clock::now() + CALL_LIMIT;
        loop {
            let more = self.some()?;
            if more.is_empty() && self.at_end.len() == usize::try_from(self.partitions)? {
                return Ok(records);
            }
            records.extend(more);
            ensure!(clock::now() < deadline, "no end of the topic is in sight after {CALL_LIMIT:?}");
        }
    }
}

/// All records of a topic as a new reader finds them.
pub(crate) fn read(address: &str, topic: &str, partitions: i32, isolation: Isolation) -> Result<Vec<Record>> {
    Reader::new(address, topic, partitions, isolation)?.drain()
}

#[derive(Debug, Clone, Default)]
struct Deliveries {
    acknowledged: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

fn admin(address: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(config(address).create()?)
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}
