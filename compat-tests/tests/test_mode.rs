//! The control API of test mode, seen by real clients: each fault family and each verb changes what they meet, and they come out of it
//! as their libraries promise. Only ever aimed at Onelog.

#[path = "test_mode/verbs.rs"]
mod verbs;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use compat_tests::broker::{Broker, BrokerKind, Identity};
use compat_tests::client::{Client, JAVA_4_3_1, KAFKA_PYTHON, LIBRDKAFKA};
use compat_tests::driver::Driver;
use compat_tests::record::{Delivery, Record};
use compat_tests::verbs::{Membership, ProduceOptions, group_poll};
use compat_tests::{clock, http};
use serde_json::{Value, json};

const SESSION: Membership = Membership::Classic { session: Duration::from_secs(10) };
const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A broker in test mode and one client of it.
struct Stage {
    broker: Broker,
    admin: SocketAddr,
    client: &'static Client,
    driver: Driver,
    topics: u32,
}

impl Stage {
    fn new(client: &'static Client) -> Result<Self> {
        Self::with(client, "")
    }

    fn with(client: &'static Client, properties: &str) -> Result<Self> {
        let properties = format!("onelog.test.mode=local\n{properties}");
        let broker = Broker::start_as(BrokerKind::Onelog, Identity { properties, ..Identity::default() })?;
        let (admin, driver) = (broker.admin()?, Driver::start(client, &broker.address())?);
        Ok(Self { broker, admin, client, driver, topics: 0 })
    }

    fn fresh_driver(&mut self) -> Result<()> {
        self.driver = Driver::start(self.client, &self.broker.address())?;
        Ok(())
    }

    fn new_topic(&mut self) -> Result<String> {
        self.topics += 1;
        let name = format!("topic-{}", self.topics);
        self.driver.create_topic(&name, 2, &[])?;
        Ok(name)
    }

    fn control(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let (status, json) = control(self.admin, method, path, body)?;
        ensure!(status == 200, "{method} {path} is answered with {status}: {json}");
        Ok(json)
    }

    fn fault(&self, rule: &Value) -> Result<u64> {
        let made = self.control("POST", "/test/faults", &rule.to_string())?;
        made["id"].as_u64().context("a rule has a number")
    }

    fn hits(&self, fault: u64) -> Result<u64> {
        let shown = self.control("GET", &format!("/test/faults/{fault}"), "")?;
        shown["hits"].as_u64().context("a rule has hits")
    }

    /// Produces one record to partition 0 of a new topic under `rule` with the topic put in; it has to be there once, and the rule
    /// to have fired `hits` times.
    fn produced_once(&mut self, hits: u64, mut rule: Value) -> Result<()> {
        let topic = self.new_topic()?;
        if rule["keys"] == json!(["Produce"]) {
            rule["topic"] = topic.as_str().into();
        }
        let fault = self.fault(&rule)?;
        let options = ProduceOptions {
            idempotent: true,
            request_timeout_ms: rule["drop_response"].is_boolean().then_some(1000),
            ..ProduceOptions::default()
        };
        let delivered = self.driver.produce(&[Record::new(&topic, 0, "v")], &options)?;
        ensure!(
            matches!(delivered[..], [Delivery::Acknowledged { offset: 0, .. }]),
            "under {rule} the producer was told {delivered:?}"
        );
        ensure!(self.driver.watermarks(&topic, 0)? == (0, 1), "under {rule} it is not there once");
        ensure!(self.hits(fault)? == hits, "{rule} fired {} times", self.hits(fault)?);
        Ok(())
    }

    fn group(&self, group: &str, state: &str, members: u32) -> Result<Value> {
        let path = format!("/test/groups/{group}/wait?state={state}&members={members}&timeout_ms=30000");
        self.control("GET", &path, "")
    }
}

fn control(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<(u16, Value)> {
    let (status, body) = http::request(address, method, path, body)?;
    Ok((status, serde_json::from_str(&body)?))
}

/// Errors, lost and late answers of Produce: the idempotent producer gets through, and the record is there once.
fn producers_get_through(stage: &mut Stage) -> Result<()> {
    stage.produced_once(
        2,
        json!({"keys": ["Produce"], "partition": 0, "error": "NOT_LEADER_OR_FOLLOWER", "count": 2}),
    )?;
    stage.produced_once(
        1,
        json!({"keys": ["Produce"], "error": "NOT_ENOUGH_REPLICAS", "after_apply": true, "count": 1}),
    )?;
    stage.produced_once(1, json!({"keys": ["Produce"], "disconnect": true, "count": 1}))?;
    stage.produced_once(
        1,
        json!({"keys": ["Produce"], "disconnect": true, "after_apply": true, "count": 1}),
    )?;
    stage.produced_once(1, json!({"keys": ["Produce"], "truncate": true, "count": 1}))?;
    stage.produced_once(1, json!({"keys": ["Produce"], "drop_response": true, "count": 1}))?;
    stage.produced_once(1, json!({"keys": ["Produce"], "throttle_ms": 200, "count": 1}))?;
    let begun = clock::now();
    stage.produced_once(1, json!({"keys": ["Produce"], "delay_ms": 700, "count": 1}))?;
    ensure!(begun.elapsed() >= Duration::from_millis(700), "it came after {:?}", begun.elapsed());
    // Whoever opened a producer before has its number already.
    stage.fresh_driver()?;
    stage.produced_once(
        1,
        json!({"keys": ["InitProducerId"], "error": "COORDINATOR_LOAD_IN_PROGRESS", "count": 1}),
    )?;
    let log = stage.control("GET", "/test/requests?key=produce", "")?;
    let met =
        log["requests"].as_array().context("a list")?.iter().filter(|request| request["fault"].is_u64());
    ensure!(met.count() == 9, "the log shows which requests met a fault: {log}");
    Ok(())
}

/// Errors and wrong checksums of Fetch: the record comes in the end.
fn consumers_get_through(stage: &mut Stage) -> Result<()> {
    let topic = stage.new_topic()?;
    stage.driver.produce(&[Record::new(&topic, 0, "v")], &ProduceOptions::default())?;
    for rule in [
        json!({"keys": ["Fetch"], "topic": topic, "partition": 0, "error": "NOT_LEADER_OR_FOLLOWER", "count": 2}),
        json!({"keys": ["Fetch"], "disconnect": true, "count": 1}),
        json!({"keys": ["ListOffsets"], "topic": topic, "error": "LEADER_NOT_AVAILABLE", "count": 1}),
    ] {
        let fault = stage.fault(&rule)?;
        // Some libraries hand an error up and go on when they are asked again.
        let received = clock::poll_until(LIMIT, PAUSE, || {
            let is_listed = stage.driver.watermarks(&topic, 0).is_ok_and(|marks| marks == (0, 1));
            Ok(stage.driver.consume(&topic, 0, 0, 1).ok().filter(|records| is_listed && !records.is_empty()))
        })?;
        let received = received.with_context(|| format!("under {rule} nothing came"))?;
        ensure!(received.len() == 1 && received[0].text() == "v", "under {rule} came {received:?}");
        ensure!(
            stage.hits(fault)? == rule["count"].as_u64().unwrap_or(0),
            "{rule} fired {}",
            stage.hits(fault)?
        );
    }
    let fault = stage.fault(&json!({"keys": ["Fetch"], "topic": topic, "corrupt_crc": true, "count": 1}))?;
    // Clients that look at checksums say so; librdkafka does not look unless it is told to.
    if let Ok(received) = stage.driver.consume(&topic, 0, 0, 1) {
        ensure!(received.iter().all(|record| record.text() == "v"), "came {received:?}");
    }
    ensure!(stage.hits(fault)? == 1, "no fetch met the wrong checksum");
    stage.fresh_driver()?;
    ensure!(stage.driver.consume(&topic, 0, 0, 1)?.len() == 1, "the record is sound");
    Ok(())
}

/// Errors on the way into a group and in it; a member that is taken out comes back.
fn groups_recover(stage: &mut Stage) -> Result<()> {
    let topic = stage.new_topic()?;
    stage.driver.produce(&[Record::new(&topic, 0, "v")], &ProduceOptions::default())?;
    let found = stage.fault(&json!({"keys": ["FindCoordinator"], "group": "g", "error": 15, "count": 1}))?;
    let joined = stage.fault(
        &json!({"keys": ["JoinGroup"], "group": "g", "error": "COORDINATOR_LOAD_IN_PROGRESS", "count": 1}),
    )?;
    let synced = stage
        .fault(&json!({"keys": ["SyncGroup"], "group": "g", "error": "REBALANCE_IN_PROGRESS", "count": 1}))?;
    let mut member = Driver::start(stage.client, &stage.broker.address())?;
    member.group_join("g", &topic, SESSION)?;
    let records = clock::poll_until(LIMIT, PAUSE, || {
        let states = group_poll(&mut [&mut member], Duration::from_millis(500))?;
        Ok(states.into_iter().flat_map(|state| state.records).next())
    })?;
    ensure!(records.is_some(), "the member never got its record");
    for fault in [found, joined, synced] {
        ensure!(stage.hits(fault)? == 1, "fault {fault} was not met");
    }
    let generation = |stage: &Stage, limit: Duration| -> Result<Option<i64>> {
        let path = format!("/test/groups/g/wait?state=Stable&members=1&timeout_ms={}", limit.as_millis());
        let (status, group) = control(stage.admin, "GET", &path, "")?;
        ensure!(status == 200 || status == 408, "{path} is answered with {status}: {group}");
        Ok(group["generation"].as_i64())
    };
    let first = generation(stage, LIMIT)?.context("the group is stable")?;
    let committed = stage.fault(&json!({"keys": ["OffsetCommit"], "topic": topic, "error": "COORDINATOR_LOAD_IN_PROGRESS", "count": 1}))?;
    member.group_commit()?;
    ensure!(stage.hits(committed)? == 1, "the commit met no error");
    let again = |stage: &Stage, member: &mut Driver, than: i64| {
        clock::poll_until(LIMIT, PAUSE, || {
            group_poll(&mut [&mut *member], Duration::from_millis(300))?;
            // Some members join anew only while they poll.
            Ok(generation(stage, PAUSE)?.filter(|now| *now > than))
        })
    };
    let heartbeat = stage
        .fault(&json!({"keys": ["Heartbeat"], "group": "g", "error": "ILLEGAL_GENERATION", "count": 1}))?;
    clock::poll_until(LIMIT, PAUSE, || {
        group_poll(&mut [&mut member], Duration::from_millis(300))?;
        Ok((stage.hits(heartbeat)? == 1).then_some(()))
    })?
    .context("no heartbeat met its error")?;
    let second = again(stage, &mut member, first)?.context("the member did not join anew")?;
    let (_, refused) = control(stage.admin, "POST", "/test/members/g/nobody/expire", "")?;
    let sentence = refused["error"].as_str().context("a sentence")?;
    let id = sentence.rsplit(' ').next().context("the member's id")?;
    stage.control("POST", &format!("/test/members/g/{id}/expire"), "")?;
    again(stage, &mut member, second)?.context("the member that was taken out did not come back")?;
    member.group_leave()?;
    stage.group("g", "Empty", 0)?;
    Ok(())
}

/// An older release is spoken to in its versions; a slow disk is waited for; a reset leaves nothing.
fn the_broker_is_another(stage: &mut Stage) -> Result<()> {
    const PRODUCE_OF_2_8: i64 = 9;
    stage.control("POST", "/test/max-versions", r#"{"profile": "kafka-2.8"}"#)?;
    stage.fresh_driver()?;
    let since = stage.control("GET", "/test/requests?key=produce", "")?["next"].clone();
    let topic = stage.new_topic()?;
    let options = ProduceOptions { idempotent: true, ..ProduceOptions::default() };
    stage.driver.produce(&[Record::new(&topic, 0, "v")], &options)?;
    let log = stage.control("GET", &format!("/test/requests?key=produce&since={since}"), "")?;
    let versions: Vec<i64> = log["requests"]
        .as_array()
        .context("a list")?
        .iter()
        .filter_map(|it| it["version"].as_i64())
        .collect();
    ensure!(!versions.is_empty() && versions.iter().all(|it| *it <= PRODUCE_OF_2_8), "{versions:?}");
    stage.control("POST", "/test/slow-disk", r#"{"fsync_ms": 600}"#)?;
    let begun = clock::now();
    stage.driver.produce(&[Record::new(&topic, 0, "v")], &options)?;
    ensure!(begun.elapsed() >= Duration::from_millis(600), "it came after {:?}", begun.elapsed());
    let never = stage.fault(&json!({"keys": ["EndTxn"], "disconnect": true}))?;
    let begun = clock::now();
    let done = stage.control("POST", "/test/reset", "")?;
    let took = begun.elapsed();
    ensure!(done["faults_never_fired"][0]["id"] == never, "{done}");
    ensure!(took < Duration::from_secs(5), "the reset took {took:?}");
    stage.fresh_driver()?;
    ensure!(stage.driver.list_topics()?.iter().all(|name| name.starts_with("__")), "topics are left");
    ensure!(stage.control("GET", "/test/faults", "")?["faults"] == json!([]), "faults are left");
    stage.topics = 0;
    let topic = stage.new_topic()?;
    ensure!(stage.driver.watermarks(&topic, 0)? == (0, 0), "records of before are back");
    Ok(())
}

/// Records, topics and committed offsets are what they were; clients that were connected go on.
fn snapshots_are_gone_back_to(stage: &mut Stage) -> Result<()> {
    let topic = stage.new_topic()?;
    let options = ProduceOptions { idempotent: true, ..ProduceOptions::default() };
    stage.driver.produce(&[Record::new(&topic, 0, "kept")], &options)?;
    let read_next = |stage: &Stage| -> Result<String> {
        let mut member = Driver::start(stage.client, &stage.broker.address())?;
        member.group_join("snapshots", &topic, SESSION)?;
        let record = clock::poll_until(LIMIT, PAUSE, || {
            let states = group_poll(&mut [&mut member], Duration::from_millis(300))?;
            Ok(states.into_iter().flat_map(|state| state.records).next())
        })?;
        member.group_commit()?;
        member.group_leave()?;
        Ok(record.context("the member got no record")?.text())
    };
    ensure!(read_next(stage)? == "kept", "the first record is another");
    stage.control("POST", "/test/snapshots", r#"{"name": "one record read"}"#)?;
    for _ in 0..2 {
        stage.driver.produce(&[Record::new(&topic, 0, "undone")], &options)?;
        ensure!(read_next(stage)? == "undone", "the committed offset did not go back");
        stage.driver.create_topic("later", 1, &[])?;
        stage.control("POST", "/test/snapshots/one%20record%20read/restore", "")?;
        ensure!(stage.driver.watermarks(&topic, 0)? == (0, 1), "the second record is there");
        ensure!(!stage.driver.list_topics()?.contains(&"later".to_owned()), "the later topic is there");
    }
    let delivered = stage.driver.produce(&[Record::new(&topic, 0, "new")], &options)?;
    ensure!(matches!(delivered[..], [Delivery::Acknowledged { offset: 1, .. }]), "told {delivered:?}");
    ensure!(read_next(stage)? == "new", "the group did not go on where it was");
    Ok(())
}

fn all_of_it(client: &'static Client) -> Result<()> {
    let mut stage = Stage::new(client)?;
    for (name, part) in [
        ("producers", producers_get_through as fn(&mut Stage) -> Result<()>),
        ("consumers", consumers_get_through),
        ("groups", groups_recover),
        ("snapshots", snapshots_are_gone_back_to),
        ("the broker", the_broker_is_another),
    ] {
        if let Err(error) = part(&mut stage) {
            bail!("{} with {name}: {error:#}", client.name);
        }
    }
    Ok(())
}

#[test]
fn librdkafka_meets_what_a_test_wants_and_comes_out_of_it() -> Result<()> {
    all_of_it(&LIBRDKAFKA)
}

#[test]
fn kafka_python_meets_what_a_test_wants_and_comes_out_of_it() -> Result<()> {
    all_of_it(&KAFKA_PYTHON)
}

#[test]
fn java_meets_what_a_test_wants_and_comes_out_of_it() -> Result<()> {
    all_of_it(&JAVA_4_3_1)
}

#[test]
fn a_control_call_without_test_mode_harms_no_data() -> Result<()> {
    let properties = "onelog.admin.listen=127.0.0.1:0\n".to_owned();
    let broker = Broker::start_as(BrokerKind::Onelog, Identity { properties, ..Identity::default() })?;
    let mut driver = Driver::start(&LIBRDKAFKA, &broker.address())?;
    driver.create_topic("kept", 1, &[])?;
    driver.produce(&[Record::new("kept", 0, "v")], &ProduceOptions::default())?;
    for (method, path, body) in [
        ("POST", "/test/reset", "{}"),
        ("POST", "/test/faults", r#"{"disconnect": true}"#),
        ("POST", "/test/disk-full", "{}"),
        ("POST", "/test/max-versions", r#"{"profile": "kafka-2.1"}"#),
        ("POST", "/test/clock", r#"{"advance_ms": 1000000000000}"#),
    ] {
        let (status, json) = control(broker.admin()?, method, path, body)?;
        ensure!(
            status == 403 && json["error"].as_str().is_some_and(|it| it.contains("--test-mode")),
            "{path}: {json}"
        );
    }
    ensure!(driver.consume("kept", 0, 0, 1)?.len() == 1, "the record is gone");
    Ok(())
}
