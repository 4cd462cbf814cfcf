//! Share groups (KIP-932) as Kafka's own share consumer sees them. `COMPAT_BROKER=kafka` runs them on Apache Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::broker::{Broker, BrokerKind, Identity};
use compat_tests::client::SHARE_CONSUMER;
use compat_tests::clock;
use compat_tests::driver::Driver;
use serde_json::{Value, json};

/// Partition, offset, value, deliveries.
type Received = (i32, i64, String, i32);

const TOPIC: &str = "shared";
const GROUP: &str = "share-group";
/// A member gets what it can get.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing comes.
const QUIET: Duration = Duration::from_secs(3);

struct Scene {
    broker: Broker,
    admin: Driver,
}

impl Scene {
    /// A broker with a topic that the group reads from its beginning.
    fn new(partitions: i32, properties: &str) -> Result<Self> {
        let identity = Identity { properties: properties.to_owned(), ..Identity::default() };
        let broker = Broker::start_as(BrokerKind::from_environment()?, identity)?;
        let mut admin = Driver::start(&SHARE_CONSUMER, &broker.address())?;
        admin.call::<Value>("create_topic", json!({"topic": TOPIC, "partitions": partitions}))?;
        let set = json!({"share.auto.offset.reset": "earliest"});
        admin.call::<Value>("group_config", json!({"group": GROUP, "set": set}))?;
        Ok(Self { broker, admin })
    }

    fn send(&mut self, partition: i32, values: &[String]) -> Result<()> {
        let send = json!({"topic": TOPIC, "partition": partition, "values": values});
        self.admin.call::<Value>("send", send).map(drop)
    }

    fn member(&self, mode: &str) -> Result<Member> {
        let mut driver = Driver::start(&SHARE_CONSUMER, &self.broker.address())?;
        let open = json!({
            "group": GROUP, "topic": TOPIC, "mode": mode, "max_poll_records": 500, "acquire_mode": "batch_optimized",
        });
        driver.call::<Value>("share_open", open)?;
        Ok(Member(driver))
    }
}

struct Member(Driver);

impl Member {
    fn poll(&mut self, time: Duration) -> Result<Vec<Received>> {
        self.0.call("share_poll", json!({"timeout_ms": time.as_millis()}))
    }

    fn say(&mut self, records: &[Received], kind: &str) -> Result<()> {
        let said: Vec<_> = records.iter().map(|record| json!([record.0, record.1, kind])).collect();
        self.0.call::<Value>("share_acknowledge", json!({"said": said})).map(drop)
    }

    /// The errors of a commit.
    fn commit(&mut self) -> Result<Vec<String>> {
        self.0.call("share_commit", json!({}))
    }

    fn close(mut self) -> Result<()> {
        self.0.call::<Value>("share_close", json!({})).map(drop)
    }
}

fn values(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}

fn offsets(records: &[Received]) -> Vec<(i64, i32)> {
    records.iter().map(|(_, offset, _, deliveries)| (*offset, *deliveries)).collect()
}

#[test]
fn members_share_the_records_of_a_partition_and_each_comes_once() -> Result<()> {
    let mut scene = Scene::new(2, "")?;
    let mut members = vec![scene.member("implicit")?, scene.member("implicit")?];
    let mut came: BTreeMap<(i32, i64), usize> = BTreeMap::new();
    for round in 0..20 {
        for partition in 0..2 {
            scene.send(partition, &values(&format!("round-{round}"), 50))?;
        }
        for member in &mut members {
            for (partition, offset, ..) in member.poll(Duration::from_millis(300))? {
                *came.entry((partition, offset)).or_default() += 1;
            }
        }
    }
    let began = clock::now();
    while came.len() < 2000 && began.elapsed() < PATIENCE {
        for member in &mut members {
            for (partition, offset, ..) in member.poll(Duration::from_millis(300))? {
                *came.entry((partition, offset)).or_default() += 1;
            }
        }
    }
    ensure!(came.len() == 2000, "{} of 2000 records came", came.len());
    ensure!(came.values().all(|times| *times == 1), "a record came twice: {came:?}");
    for mut member in members {
        ensure!(member.commit()?.is_empty(), "a commit failed");
        member.close()?;
    }
    let mut later = scene.member("implicit")?;
    ensure!(later.poll(QUIET)?.is_empty(), "something was left");
    Ok(())
}

#[test]
fn a_released_record_comes_again_and_a_rejected_one_does_not() -> Result<()> {
    let mut scene = Scene::new(1, "")?;
    scene.send(0, &values("v", 6))?;
    let mut member = scene.member("explicit")?;
    let records = member.poll(PATIENCE)?;
    assert_eq!(offsets(&records), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    member.say(&records[..2], "ACCEPT")?;
    member.say(&records[2..3], "REJECT")?;
    member.say(&records[3..5], "RELEASE")?;
    member.say(&records[5..], "ACCEPT")?;
    assert_eq!(member.commit()?, [""; 0]);
    let again = member.poll(PATIENCE)?;
    assert_eq!(offsets(&again), [(3, 2), (4, 2)]);
    member.say(&again, "ACCEPT")?;
    assert_eq!(member.commit()?, [""; 0]);
    assert_eq!(member.poll(QUIET)?, []);
    member.close()
}

#[test]
fn records_of_a_slow_member_go_to_another_and_its_word_comes_too_late() -> Result<()> {
    let lock = "group.share.min.record.lock.duration.ms=1000\ngroup.share.record.lock.duration.ms=5000\n";
    let mut scene = Scene::new(1, lock)?;
    scene.send(0, &values("v", 3))?;
    let mut slow = scene.member("explicit")?;
    let records = slow.poll(PATIENCE)?;
    assert_eq!(offsets(&records), [(0, 1), (1, 1), (2, 1)]);
    let mut other = scene.member("explicit")?;
    let again = other.poll(PATIENCE)?;
    // A lock may have ended once more before the client handed its records out.
    ensure!(again.len() == 3 && again.iter().all(|record| record.3 >= 2), "{again:?}");
    slow.say(&records, "ACCEPT")?;
    assert_eq!(slow.commit()?, ["InvalidRecordStateException"]);
    other.say(&again, "ACCEPT")?;
    assert_eq!(other.commit()?, [""; 0]);
    Ok(())
}

#[test]
fn a_lock_that_is_renewed_holds() -> Result<()> {
    let lock = "group.share.min.record.lock.duration.ms=1000\ngroup.share.record.lock.duration.ms=8000\n";
    let mut scene = Scene::new(1, lock)?;
    // Both programs are there before the lock begins: they take seconds to start where there is little to run on.
    let (mut member, mut other) = (scene.member("explicit")?, scene.member("explicit")?);
    scene.send(0, &values("v", 1))?;
    let records = member.poll(PATIENCE)?;
    assert_eq!(offsets(&records), [(0, 1)]);
    let began = clock::now();
    while began.elapsed() < Duration::from_secs(12) {
        member.say(&records, "RENEW")?;
        assert_eq!(member.commit()?, [""; 0]);
        // What was renewed is handed out once more.
        assert_eq!(offsets(&member.poll(PATIENCE)?), [(0, 1)]);
        assert_eq!(other.poll(Duration::from_millis(1500))?, []);
    }
    member.say(&records, "ACCEPT")?;
    assert_eq!(member.commit()?, [""; 0]);
    assert_eq!(other.poll(QUIET)?, []);
    Ok(())
}

#[test]
fn records_of_a_member_that_is_killed_go_to_another_at_once() -> Result<()> {
    let mut scene = Scene::new(1, "")?;
    scene.send(0, &values("v", 3))?;
    let mut member = scene.member("explicit")?;
    let records = member.poll(PATIENCE)?;
    assert_eq!(offsets(&records), [(0, 1), (1, 1), (2, 1)]);
    let mut other = scene.member("explicit")?;
    assert_eq!(other.poll(QUIET)?, []);
    member.0.kill();
    let began = clock::now();
    assert_eq!(offsets(&other.poll(PATIENCE)?), [(0, 2), (1, 2), (2, 2)]);
    ensure!(began.elapsed() < Duration::from_secs(20), "the lock of 30 s was waited for");
    Ok(())
}

#[test]
fn what_was_acknowledged_stays_so_when_the_broker_is_killed() -> Result<()> {
    let mut scene = Scene::new(1, "")?;
    scene.send(0, &values("v", 9))?;
    let mut member = scene.member("explicit")?;
    let records = member.poll(PATIENCE)?;
    assert_eq!(records.len(), 9);
    member.say(&records[..3], "ACCEPT")?;
    member.say(&records[3..4], "RELEASE")?;
    member.say(&records[4..5], "REJECT")?;
    assert_eq!(member.commit()?, [""; 0]);
    scene.broker.restart()?;
    // The one that lives on, or another, whoever is faster: what was only held is had again.
    let mut other = scene.member("explicit")?;
    let mut again = Vec::new();
    let began = clock::now();
    while again.len() < 5 && began.elapsed() < PATIENCE {
        let more = other.poll(Duration::from_secs(2))?;
        other.say(&more, "ACCEPT")?;
        let errors = other.commit()?;
        ensure!(errors.is_empty(), "{errors:?}");
        again.extend(more);
    }
    again.sort();
    assert_eq!(offsets(&again), [(3, 2), (5, 1), (6, 1), (7, 1), (8, 1)]);
    assert_eq!(other.poll(QUIET)?, []);
    Ok(())
}

#[test]
fn nothing_that_was_acknowledged_comes_again_over_kills_of_the_broker() -> Result<()> {
    const PER_ROUND: usize = 40;
    let mut scene = Scene::new(2, "")?;
    let mut done: BTreeSet<(i32, i64)> = BTreeSet::new();
    let rounds = 2 * scene.broker.kind().kills();
    let mut member = scene.member("explicit")?;
    for round in 0..rounds {
        for partition in 0..2 {
            scene.send(partition, &values(&format!("round-{round}"), PER_ROUND / 2))?;
        }
        let records = member.poll(PATIENCE)?;
        ensure!(!records.is_empty(), "nothing came in round {round}");
        settle(&mut member, &records, &mut done)?;
        // Every other time with records in its hands.
        if round % 2 == 0 {
            let held = member.poll(Duration::from_millis(500))?;
            scene.broker.restart()?;
            settle(&mut member, &held, &mut done)?;
        } else {
            scene.broker.restart()?;
        }
        member.0.kill();
        member = scene.member("explicit")?;
    }
    let began = clock::now();
    while done.len() < rounds * PER_ROUND && began.elapsed() < PATIENCE * 2 {
        let records = member.poll(Duration::from_secs(2))?;
        settle(&mut member, &records, &mut done)?;
    }
    ensure!(done.len() == rounds * PER_ROUND, "{} records came", done.len());
    assert_eq!(member.poll(QUIET)?, []);
    Ok(())
}

/// Accepts the records; when nothing is wrong with that, none of them may come again.
fn settle(member: &mut Member, records: &[Received], done: &mut BTreeSet<(i32, i64)>) -> Result<()> {
    for (partition, offset, ..) in records {
        ensure!(!done.contains(&(*partition, *offset)), "{partition}:{offset} came again");
    }
    member.say(records, "ACCEPT")?;
    if member.commit().is_ok_and(|errors| errors.is_empty()) {
        done.extend(records.iter().map(|(partition, offset, ..)| (*partition, *offset)));
    }
    Ok(())
}
