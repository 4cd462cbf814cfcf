//! Real clients against three virtual nodes: librdkafka while a leader is moved, a node taken down and the broker killed, franz-go
//! and sarama on what each node has.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use compat_tests::broker::{Broker, BrokerKind, Identity};
use compat_tests::client::{Client, FRANZ_GO, SARAMA};
use compat_tests::driver::Driver;
use compat_tests::record::{Delivery, Record};
use compat_tests::verbs::ProduceOptions;
use compat_tests::{clock, http, layout};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 6;
const RECORDS: usize = 6000;
const LIMIT: Duration = Duration::from_secs(60);

const PROPERTIES: &str = "onelog.brokers=3\nonelog.test.mode=local\ngroup.initial.rebalance.delay.ms=0\n";

/// A broker of three nodes and its control API.
struct Nodes {
    broker: Broker,
    admin: SocketAddr,
}

impl Nodes {
    fn start() -> Self {
        let identity = Identity { properties: PROPERTIES.to_owned(), node_id: 1, ..Identity::default() };
        Self::of(Broker::start_as(BrokerKind::Onelog, identity).unwrap())
    }

    /// With its data in `data`, which stays when this is dropped and killed.
    fn start_on(data: &Path) -> Self {
        Self::of(Broker::start_on(data.to_owned(), &format!("node.id=1\n{PROPERTIES}")).unwrap())
    }

    fn of(broker: Broker) -> Self {
        let admin = broker.admin().unwrap();
        Self { broker, admin }
    }

    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let (status, answer) = http::request(self.admin, method, path, &body).unwrap();
        assert_eq!(status, 200, "{method} {path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.address());
        config.set("reconnect.backoff.max.ms", "200").set("log_level", "2");
        config
    }

    fn create(&self) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(3));
        let created = admin.create_topics([&topic], &AdminOptions::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(created).unwrap().pop().unwrap().unwrap();
    }

    /// Leader of each partition, and the replicas of the first.
    fn leaders(&self) -> (Vec<i32>, Vec<i32>) {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let metadata = consumer.fetch_metadata(Some(TOPIC), LIMIT).unwrap();
        let partitions = metadata.topics()[0].partitions();
        (partitions.iter().map(|it| it.leader()).collect(), partitions[0].replicas().to_vec())
    }
}

/// What became of each record.
#[derive(Default)]
struct Deliveries {
    acknowledged: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        match delivered {
            Ok(_) => drop(self.acknowledged.fetch_add(1, Ordering::Relaxed)),
            Err((error, _)) => self.failed.lock().unwrap().push(error.to_string()),
        }
    }
}

/// Sends record `i` to partition `i % PARTITIONS`, slowly enough that all that happens meanwhile meets some of it.
fn produce(producer: &ThreadedProducer<Deliveries>) {
    for number in 0..RECORDS {
        let partition = i32::try_from(number).unwrap() % PARTITIONS;
        let value = number.to_string();
        let record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        if number % 20 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    producer.flush(LIMIT).unwrap();
}

/// What a member of a group gets, as often as it gets it, until it has everything or time is over.
fn consume(nodes: &Nodes, give_up: &AtomicBool) -> BTreeMap<usize, usize> {
    let mut config = nodes.client();
    config.set("group.id", "app").set("auto.offset.reset", "earliest");
    config.set("auto.commit.interval.ms", "100");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    let mut seen = BTreeMap::new();
    let began = clock::now();
    while seen.len() < RECORDS && began.elapsed() < 2 * LIMIT && !give_up.load(Ordering::Relaxed) {
        // Errors are those of connections that were cut: the client goes on by itself.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            *seen.entry(number(message.payload())).or_insert(0) += 1;
        }
    }
    seen
}

fn number(value: Option<&[u8]>) -> usize {
    std::str::from_utf8(value.unwrap()).unwrap().parse().unwrap()
}

/// All that the log has, partition by partition.
fn stored(nodes: &Nodes) -> Vec<Vec<usize>> {
    let consumer: BaseConsumer = nodes.client().set("group.id", "reader").create().unwrap();
    let read = |partition| {
        let (_, end) = consumer.fetch_watermarks(TOPIC, partition, LIMIT).unwrap();
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
        consumer.assign(&assignment).unwrap();
        let mut values = Vec::new();
        let began = clock::now();
        while i64::try_from(values.len()).unwrap() < end {
            assert!(began.elapsed() < LIMIT, "partition {partition} stops after {} of {end}", values.len());
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                values.push(number(message.unwrap().payload()));
            }
        }
        values
    };
    (0..PARTITIONS).map(read).collect()
}

/// Moves a leader, takes the node down that leads partition 1, and takes it up again, while records flow.
fn disturb(nodes: &Nodes, acknowledged: &AtomicUsize) {
    let wait_for = |count: usize| {
        let began = clock::now();
        while acknowledged.load(Ordering::Relaxed) < count {
            assert!(began.elapsed() < LIMIT, "only {acknowledged:?} of {count} are acknowledged");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for(RECORDS / 6);
    let (before, _) = nodes.leaders();
    let next = before[0] % 3 + 1;
    let moved =
        nodes.control("POST", &format!("/test/partitions/{TOPIC}/0/leader"), &json!({ "node": next }));
    assert_eq!((&moved["leader"], &moved["leader_epoch"]), (&json!(next), &json!(1)));
    wait_for(RECORDS / 3);
    let down = before[1];
    nodes.control("POST", &format!("/test/nodes/{down}/down"), &json!({}));
    // Some of them were on their way there.
    wait_for(RECORDS / 3 * 2);
    let shown = nodes.control("GET", "/test/nodes", &Value::Null);
    let of_down = shown["nodes"].as_array().unwrap().iter().find(|node| node["id"] == down).unwrap();
    assert_eq!((&of_down["up"], &of_down["leads"]), (&json!(false), &json!(0)));
    nodes.control("POST", &format!("/test/nodes/{down}/up"), &json!({}));
}

#[test]
fn nothing_is_lost_and_nothing_doubled_while_leaders_move_and_a_node_is_down() {
    let nodes = Nodes::start();
    nodes.create();
    let (mut leaders, mut replicas) = nodes.leaders();
    leaders.sort_unstable();
    replicas.sort_unstable();
    assert_eq!((leaders, replicas), (vec![1, 1, 2, 2, 3, 3], vec![1, 2, 3]));
    let mut config = nodes.client();
    config.set("enable.idempotence", "true").set("linger.ms", "2").set("message.timeout.ms", "60000");
    let producer: ThreadedProducer<Deliveries> = config.create_with_context(Deliveries::default()).unwrap();
    let give_up = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let consumer = scope.spawn(|| consume(&nodes, &give_up));
        let disturber = scope.spawn(|| disturb(&nodes, &producer.context().acknowledged));
        produce(&producer);
        if disturber.join().is_err() {
            give_up.store(true, Ordering::Relaxed);
        }
        consumer.join().unwrap()
    });
    assert!(!give_up.load(Ordering::Relaxed), "nothing was disturbed");
    let deliveries = producer.context();
    assert_eq!(*deliveries.failed.lock().unwrap(), Vec::<String>::new());
    assert_eq!(deliveries.acknowledged.load(Ordering::Relaxed), RECORDS);
    for (partition, values) in stored(&nodes).into_iter().enumerate() {
        let sent: Vec<usize> = (partition..RECORDS).step_by(usize::try_from(PARTITIONS).unwrap()).collect();
        assert!(values == sent, "partition {partition} has {} records of {}", values.len(), sent.len());
    }
    assert_eq!(seen.len(), RECORDS, "the group missed some");
    assert_eq!(seen.values().filter(|times| **times > 1).count(), 0, "the group got some twice");
}

/// Length of a value for this partition: no two have the same.
fn value_length(partition: i32) -> usize {
    1000 + 100 * usize::try_from(partition).unwrap()
}

/// What a batch of one record of such a value takes: its header of 61 bytes; of the record two lengths of two bytes, its own and
/// the value's, one byte each for attributes, timestamp, offset, no key and no headers, and the value.
fn batch_bytes(partition: i32) -> i64 {
    i64::try_from(61 + 2 + 2 + 5 + value_length(partition)).unwrap()
}

/// Bytes by partition of those that `node` leads.
fn led(driver: &mut Driver, topic: &str, node: i32) -> BTreeMap<i32, i64> {
    let described = driver.describe_topic(topic).unwrap();
    let led = described.into_iter().filter(|shown| shown.leader == node);
    led.map(|shown| (shown.partition, batch_bytes(shown.partition))).collect()
}

fn assert_each_tells_of_what_it_leads(driver: &mut Driver, topic: &str) {
    let shown = driver.describe_log_dirs(topic).unwrap();
    let expected: BTreeMap<_, _> = (1..=3).map(|node| (node, led(driver, topic, node))).collect();
    assert_eq!(shown, expected, "{topic}");
    let sum: i64 = shown.values().flat_map(BTreeMap::values).sum();
    assert_eq!(sum, (0..PARTITIONS).map(batch_bytes).sum::<i64>(), "{topic}");
}

fn log_dirs_follow_the_leader(nodes: &Nodes, client: &'static Client) {
    let topic = client.name;
    let mut driver = Driver::start(client, &nodes.broker.address()).unwrap();
    driver.create_topic(topic, PARTITIONS, &[]).unwrap();
    let records: Vec<Record> = (0..PARTITIONS)
        .map(|partition| Record::new(topic, partition, &"v".repeat(value_length(partition))))
        .collect();
    let sent = driver.produce(&records, &ProduceOptions::default()).unwrap();
    assert!(sent.iter().all(|one| matches!(one, Delivery::Acknowledged { offset: 0, .. })), "{sent:?}");
    assert_each_tells_of_what_it_leads(&mut driver, topic);
    let old = driver.describe_topic(topic).unwrap()[0].leader;
    let new = old % 3 + 1;
    nodes.control("POST", &format!("/test/partitions/{topic}/0/leader"), &json!({ "node": new }));
    assert_each_tells_of_what_it_leads(&mut driver, topic);
    let shown = driver.describe_log_dirs(topic).unwrap();
    let with_it: Vec<i32> =
        shown.iter().filter(|(_, has)| has.contains_key(&0)).map(|(node, _)| *node).collect();
    assert_eq!(with_it, [new], "{topic} was on {old}");
}

#[test]
fn log_dirs_of_a_node_have_what_it_leads_and_a_leader_that_moves_takes_its_partition_along() {
    let nodes = Nodes::start();
    for client in [&FRANZ_GO, &SARAMA] {
        log_dirs_follow_the_leader(&nodes, client);
    }
}

#[test]
fn leaders_that_were_moved_are_found_where_they_were_after_kill_9() {
    let folder = layout::scratch_dir("moved-leaders").unwrap();
    let data = folder.join("data");
    let nodes = Nodes::start_on(&data);
    nodes.create();
    let (mut leaders, _) = nodes.leaders();
    for (partition, leader) in leaders.iter_mut().enumerate().take(3) {
        *leader = *leader % 3 + 1;
        let body = json!({ "node": *leader });
        nodes.control("POST", &format!("/test/partitions/{TOPIC}/{partition}/leader"), &body);
    }
    assert_eq!(nodes.leaders().0, leaders);
    // Killed, not stopped; the next one has other ports.
    drop(nodes);
    let nodes = Nodes::start_on(&data);
    assert_eq!(nodes.leaders().0, leaders);
    let producer: ThreadedProducer<Deliveries> =
        nodes.client().create_with_context(Deliveries::default()).unwrap();
    for partition in 0..PARTITIONS {
        let record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload("1");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let acknowledged = producer.context().acknowledged.load(Ordering::Relaxed);
    assert_eq!(acknowledged, usize::try_from(PARTITIONS).unwrap());
    drop(nodes);
    std::fs::remove_dir_all(folder).unwrap();
}
