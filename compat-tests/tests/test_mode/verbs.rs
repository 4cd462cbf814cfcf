//! Verbs that change what the broker does, each seen by a real client (librdkafka).

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::*;

type TransactionalProducer = ThreadedProducer<DefaultProducerContext>;

/// As on Kafka, transactions past their timeout are looked for this often.
const EXPIRY_INTERVAL_MS: u64 = 10_000;

impl Stage {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.address()).set("log_level", "0");
        config
    }

    fn transactional(&self, id: &str) -> Result<TransactionalProducer> {
        let mut config = self.config();
        config.set("transactional.id", id).set("transaction.timeout.ms", "60000");
        let producer: TransactionalProducer = config.create()?;
        producer.init_transactions(LIMIT)?;
        Ok(producer)
    }

    /// The values in partition 0 that a read_committed consumer has seen when it comes to the end.
    fn committed(&self, topic: &str) -> Result<Vec<String>> {
        let mut config = self.config();
        config.set("group.id", "nobody").set("isolation.level", "read_committed");
        config.set("enable.partition.eof", "true").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create()?;
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, 0, Offset::Beginning)?;
        consumer.assign(&from)?;
        let mut values = Vec::new();
        loop {
            match consumer.poll(LIMIT).context("neither a record nor the end came")? {
                Ok(message) => {
                    values.push(String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned());
                }
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => return Ok(values),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn texts(&mut self, topic: &str, count: usize) -> Result<Vec<String>> {
        Ok(self
            .driver
            .consume(topic, 0, 0, count)?
            .iter()
            .map(compat_tests::record::ReceivedRecord::text)
            .collect())
    }

    fn low_watermark_becomes(&mut self, topic: &str, low: i64) -> Result<()> {
        let seen = clock::poll_until(LIMIT, PAUSE, || {
            Ok((self.driver.watermarks(topic, 0)?.0 == low).then_some(()))
        })?;
        seen.with_context(|| format!("the first offset of {topic} did not become {low}"))
    }
}

fn send(producer: &TransactionalProducer, topic: &str, value: &str) -> Result<()> {
    producer.begin_transaction()?;
    let record = BaseRecord::<str, str>::to(topic).partition(0).payload(value);
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(LIMIT)?;
    Ok(())
}

/// The producer of an aborted transaction hears it, nobody reads its record, and the next of its id goes on.
fn is_fenced_and_aborted(stage: &mut Stage, topic: &str, producer: &TransactionalProducer) -> Result<()> {
    let refused = producer.commit_transaction(LIMIT).err().context("an aborted transaction was committed")?;
    ensure!(
        matches!(
            refused.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch
            )
        ),
        "the producer was told {refused:?}"
    );
    ensure!(stage.committed(topic)?.is_empty(), "what was aborted is read");
    let next = stage.transactional("payments")?;
    send(&next, topic, "committed")?;
    next.commit_transaction(LIMIT)?;
    ensure!(stage.committed(topic)? == ["committed"], "the next transaction is not there");
    Ok(())
}

#[test]
fn a_transaction_that_is_expired_is_aborted_and_its_producer_fenced() -> Result<()> {
    let mut stage = Stage::new(&LIBRDKAFKA)?;
    let topic = stage.new_topic()?;
    let producer = stage.transactional("payments")?;
    send(&producer, &topic, "aborted")?;
    stage.control("POST", "/test/txn/payments/expire", "")?;
    is_fenced_and_aborted(&mut stage, &topic, &producer)
}

#[test]
fn a_transaction_times_out_when_the_clock_is_moved() -> Result<()> {
    let mut stage = Stage::new(&LIBRDKAFKA)?;
    let topic = stage.new_topic()?;
    let producer = stage.transactional("payments")?;
    send(&producer, &topic, "aborted")?;
    let by = 60_000 + 2 * EXPIRY_INTERVAL_MS;
    stage.control("POST", "/test/clock", &json!({ "advance_ms": by }).to_string())?;
    is_fenced_and_aborted(&mut stage, &topic, &producer)
}

#[test]
fn a_silent_member_is_gone_when_the_clock_is_moved_and_comes_back() -> Result<()> {
    let mut stage = Stage::new(&LIBRDKAFKA)?;
    let topic = stage.new_topic()?;
    let mut member = Driver::start(stage.client, &stage.broker.address())?;
    member.group_join("g", &topic, SESSION)?;
    let poll = |member: &mut Driver| group_poll(&mut [member], Duration::from_millis(200));
    let assigned = clock::poll_until(LIMIT, PAUSE, || {
        Ok(poll(&mut member)?.iter().any(|state| state.assignment.len() == 2).then_some(()))
    })?;
    assigned.context("the member got no partitions")?;
    let first = stage.group("g", "Stable", 1)?["generation"].as_i64().context("a generation")?;
    let advance = json!({ "advance_ms": u64::try_from(SESSION.session().as_millis())? });
    stage.control("POST", "/test/clock", &advance.to_string())?;
    let back = clock::poll_until(LIMIT, PAUSE, || {
        // It joins anew only while it polls.
        poll(&mut member)?;
        let path = "/test/groups/g/wait?state=Stable&members=1&timeout_ms=500";
        let (_, group) = control(stage.admin, "GET", path, "")?;
        Ok(group["generation"].as_i64().filter(|now| *now > first))
    })?;
    back.context("the member was not evicted, or did not come back")?;
    member.group_leave()
}

#[test]
fn records_age_when_the_clock_is_moved() -> Result<()> {
    let mut stage = Stage::new(&LIBRDKAFKA)?;
    stage.driver.create_topic("aging", 1, &[("retention.ms", "3600000")])?;
    stage.driver.produce(&[Record::new("aging", 0, "v")], &ProduceOptions::default())?;
    stage.control("POST", "/test/clock", r#"{"advance_ms": 3000000}"#)?;
    ensure!(stage.texts("aging", 1)? == ["v"], "it is not an hour old");
    stage.control("POST", "/test/clock", r#"{"advance_ms": 3000000}"#)?;
    stage.low_watermark_becomes("aging", 1)
}

/// By itself the broker looks for records that are too old half a minute after its start, then every five minutes.
#[test]
fn records_that_are_too_old_go_when_retention_is_asked_for() -> Result<()> {
    let mut stage = Stage::new(&LIBRDKAFKA)?;
    stage.driver.create_topic("old", 1, &[("retention.ms", "3600000")])?;
    let hours_old = clock::unix_millis() - 7_200_000;
    let record = Record { timestamp: Some(hours_old), ..Record::new("old", 0, "v") };
    stage.driver.produce(&[record], &ProduceOptions::default())?;
    ensure!(stage.texts("old", 1)? == ["v"], "it went by itself");
    stage.control("POST", "/test/retention", "")?;
    stage.low_watermark_becomes("old", 1)
}

/// Compaction leaves records alone until they have their `min.compaction.lag.ms`; when that is over, nobody looks by himself.
#[test]
fn replaced_records_go_when_compaction_is_asked_for() -> Result<()> {
    const LAG: Duration = Duration::from_millis(1500);
    let mut stage = Stage::new(&LIBRDKAFKA)?;
    let lag = LAG.as_millis().to_string();
    let configs = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0"),
        ("min.compaction.lag.ms", lag.as_str()),
        ("segment.ms", "1000"),
    ];
    stage.driver.create_topic("table", 1, &configs)?;
    let keyed = |value: &str| Record {
        key: Some(compat_tests::record::Bytes::text("k")),
        ..Record::new("table", 0, value)
    };
    for value in ["1", "2", "3"] {
        stage.driver.produce(&[keyed(value)], &ProduceOptions::default())?;
    }
    std::thread::sleep(LAG);
    // Closes the segment of the others.
    stage.driver.produce(&[keyed("4")], &ProduceOptions::default())?;
    stage.control("POST", "/test/compact", "")?;
    let compacted =
        clock::poll_until(LIMIT, PAUSE, || Ok((stage.texts("table", 4)?.len() < 4).then_some(())))?;
    compacted.context("nothing was compacted")?;
    let left = stage.texts("table", 4)?;
    ensure!(left.last().is_some_and(|last| last == "4"), "the newest record is gone: {left:?}");
    Ok(())
}

#[test]
fn a_full_disk_holds_a_producer_up_until_there_is_room() -> Result<()> {
    let mut stage = Stage::new(&LIBRDKAFKA)?;
    let topic = stage.new_topic()?;
    stage.driver.produce(&[Record::new(&topic, 0, "before")], &ProduceOptions::default())?;
    stage.control("POST", "/test/disk-full", "")?;
    let since = stage.control("GET", "/test/requests", "")?["next"].clone();
    let mut producer = Driver::start(stage.client, &stage.broker.address())?;
    let options = ProduceOptions { idempotent: true, ..ProduceOptions::default() };
    producer.send("produce", json!({ "records": [Record::new(&topic, 0, "after")], "options": options }))?;
    let tried_twice = clock::poll_until(LIMIT, PAUSE, || {
        let log = stage.control("GET", &format!("/test/requests?key=produce&since={since}"), "")?;
        Ok(log["requests"].as_array().is_some_and(|tries| tries.len() >= 2).then_some(()))
    })?;
    tried_twice.context("the producer was not refused, or did not try again")?;
    ensure!(stage.driver.watermarks(&topic, 0)? == (0, 1), "a record went onto a full disk");
    stage.control("POST", "/test/disk-full", r#"{"full": false}"#)?;
    let delivered: Vec<Delivery> = producer.receive()?;
    ensure!(matches!(delivered[..], [Delivery::Acknowledged { offset: 1, .. }]), "it was told {delivered:?}");
    ensure!(stage.texts(&topic, 2)? == ["before", "after"], "the records are not there once each");
    Ok(())
}

#[test]
fn quiet_is_when_a_producer_has_its_late_answer() -> Result<()> {
    let mut stage = Stage::new(&LIBRDKAFKA)?;
    let topic = stage.new_topic()?;
    let rule = json!({"keys": ["Produce"], "topic": topic, "delay_ms": 700, "count": 1});
    let fault = stage.fault(&rule)?;
    let mut producer = Driver::start(stage.client, &stage.broker.address())?;
    let records = [Record::new(&topic, 0, "v")];
    producer.send("produce", json!({ "records": records, "options": ProduceOptions::default() }))?;
    let came = clock::poll_until(LIMIT, PAUSE, || {
        let log = stage.control("GET", "/test/requests?key=produce", "")?;
        Ok(log["requests"].as_array().is_some_and(|came| !came.is_empty()).then_some(()))
    })?;
    came.context("the producer sent nothing")?;
    let (status, busy) = control(stage.admin, "POST", "/test/quiesce?timeout_ms=1", "")?;
    ensure!(status == 408 && busy["error"].as_str().is_some_and(|it| it.contains("1 requests")), "{busy}");
    stage.control("POST", "/test/quiesce", "")?;
    ensure!(stage.hits(fault)? == 1, "quiet before the delayed request was done");
    ensure!(stage.driver.watermarks(&topic, 0)? == (0, 1), "quiet before the record was there");
    let delivered: Vec<Delivery> = producer.receive()?;
    ensure!(matches!(delivered[..], [Delivery::Acknowledged { .. }]), "it was told {delivered:?}");
    Ok(())
}

#[test]
fn a_transaction_is_open_again_after_going_back() -> Result<()> {
    let mut stage = Stage::new(&LIBRDKAFKA)?;
    let topic = stage.new_topic()?;
    let producer = stage.transactional("payments")?;
    send(&producer, &topic, "undecided")?;
    stage.control("POST", "/test/snapshots", r#"{"name": "open"}"#)?;
    producer.commit_transaction(LIMIT)?;
    ensure!(stage.committed(&topic)? == ["undecided"], "what was committed is not read");
    stage.control("POST", "/test/snapshots/open/restore", "")?;
    ensure!(stage.committed(&topic)?.is_empty(), "it is still committed");
    stage.control("POST", "/test/txn/payments/expire", "")?;
    drop(producer);
    let next = stage.transactional("payments")?;
    send(&next, &topic, "committed")?;
    next.commit_transaction(LIMIT)?;
    ensure!(stage.committed(&topic)? == ["committed"], "the next transaction is not there alone");
    Ok(())
}
