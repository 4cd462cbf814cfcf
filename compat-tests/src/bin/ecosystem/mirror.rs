//! MirrorMaker 2 between two brokers of the same kind: a topic with its configs, a group with its offsets.

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::broker::{Broker, BrokerKind};

use crate::program::{Folder, Program};
use crate::records::{self, Isolation, Record};

const LIMIT: Duration = Duration::from_secs(150);
const PARTITIONS: i32 = 3;
const RECORDS: usize = 3000;

/// What is there at the start is mirrored, and so is what comes later; the group's offsets on the other side name the same
/// records, which are at the same offsets, since nothing else was ever written to the mirror.
pub(crate) fn run(kind: BrokerKind) -> Result<String> {
    let (one, two) = (Broker::start(kind)?, Broker::start(kind)?);
    let (from, to) = (one.address(), two.address());
    let configs =
        [("retention.ms", "7200000"), ("cleanup.policy", "delete"), ("max.message.bytes", "200000")];
    records::create_topic(&from, "orders", PARTITIONS, &configs)?;
    fill(&from, "early")?;
    let group = [i64::try_from(RECORDS)?; 3];
    records::commit(&from, "readers", "orders", &group)?;

    let folder = Folder::new("mirror")?;
    let file = folder.file("mm2.properties", &properties(&from, &to))?;
    let mut mirror =
        Program::start("org.apache.kafka.connect.mirror.MirrorMaker", vec![file.into_os_string()])?;
    let at_two = |wanted: usize| -> Result<Option<Vec<Record>>> {
        if records::partition_count(&to, "one.orders")? != Some(PARTITIONS) {
            return Ok(None);
        }
        let read = records::read(&to, "one.orders", PARTITIONS, Isolation::Committed)?;
        Ok((read.len() >= wanted).then_some(read))
    };
    let total = RECORDS * usize::try_from(PARTITIONS)?;
    mirror.until("the first records at the mirror", LIMIT, || at_two(total))?;
    fill(&from, "late")?;
    let mirrored = mirror.until("the later records at the mirror", LIMIT, || at_two(2 * total))?;
    let original = records::read(&from, "orders", PARTITIONS, Isolation::Committed)?;
    for partition in 0..PARTITIONS {
        let values = |all: &[Record]| -> Vec<String> {
            all.iter()
                .filter(|record| record.partition == partition)
                .map(|record| record.value.clone())
                .collect()
        };
        let (is, wanted) = (values(&mirrored), values(&original));
        ensure!(
            is == wanted,
            "partition {partition} has {} records for {}, or others",
            is.len(),
            wanted.len()
        );
    }
    for (name, value) in configs {
        let is = records::topic_config(&to, "one.orders", name)?;
        ensure!(is.as_deref() == Some(value), "{name} of the mirror is {is:?} instead of {value}");
    }

    let end = i64::try_from(2 * RECORDS)?;
    records::commit(&from, "readers", "orders", &[end; 3])?;
    let wanted = vec![Some(end); usize::try_from(PARTITIONS)?];
    mirror.until("the group's offsets at the mirror", LIMIT, || {
        Ok((records::committed(&to, "readers", "one.orders", PARTITIONS)? == wanted).then_some(()))
    })?;
    let checkpoints = records::read(&to, "one.checkpoints.internal", 1, Isolation::Committed)?.len();
    let heartbeats = records::read(&to, "one.heartbeats", 1, Isolation::Committed)?.len();
    ensure!(checkpoints > 0 && heartbeats > 0, "{checkpoints} checkpoints and {heartbeats} heartbeats");
    Ok(format!("{} records and 3 configs mirrored, group at {end}; {checkpoints} checkpoints", 2 * total))
}

/// `RECORDS` records to each partition.
fn fill(address: &str, name: &str) -> Result<()> {
    for partition in 0..PARTITIONS {
        let values: Vec<String> = (0..RECORDS).map(|number| format!("{name} {partition} {number}")).collect();
        records::produce(address, "orders", Some(partition), &values)?;
    }
    Ok(())
}

/// One way, everything often; a group's offset is translated exactly when every record has its place noted (lag 0).
fn properties(from: &str, to: &str) -> String {
    format!(
        "clusters=one,two\none.bootstrap.servers={from}\ntwo.bootstrap.servers={to}\n\
         one->two.enabled=true\none->two.topics=orders\none->two.groups=readers\ntwo->one.enabled=false\n\
         one->two.sync.group.offsets.enabled=true\none->two.sync.group.offsets.interval.seconds=1\n\
         one->two.emit.checkpoints.interval.seconds=1\none->two.offset.lag.max=0\n\
         refresh.topics.interval.seconds=2\nrefresh.groups.interval.seconds=2\n\
         sync.topic.configs.interval.seconds=2\n\
         replication.factor=1\ncheckpoints.topic.replication.factor=1\nheartbeats.topic.replication.factor=1\n\
         offset-syncs.topic.replication.factor=1\noffset.storage.replication.factor=1\n\
         status.storage.replication.factor=1\nconfig.storage.replication.factor=1\n\
         offset.storage.partitions=2\nstatus.storage.partitions=1\n\
         offset.flush.interval.ms=1000\nplugin.discovery=service_load\ntasks.max=1\n"
    )
}
