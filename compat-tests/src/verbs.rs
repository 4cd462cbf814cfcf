//! The driver's verbs with their types: the whole vocabulary that the cases are written in.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::driver::Driver;
use crate::record::{Delivery, ReceivedRecord, Record};

/// How to produce; the defaults are a plain producer with acks=all.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProduceOptions {
    /// `gzip`, `snappy`, `lz4` or `zstd`.
    pub compression: Option<&'static str>,
    /// Idempotent, with five requests in flight.
    pub idempotent: bool,
    /// Close batches after about this many records, so that many requests are needed.
    pub batch_records: Option<usize>,
    /// The same in bytes, for clients that count bytes.
    pub batch_bytes: Option<usize>,
    /// Lifts the client's own limit, so that the broker's is what refuses.
    pub max_request_bytes: Option<usize>,
    /// How long an answer is waited for before the request is sent again, where the driver can say so.
    pub request_timeout_ms: Option<u64>,
}

/// A partition as Metadata shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// The leader's node id, below zero while there is none.
    pub leader: i32,
}

/// What a group member holds and what it received since it was last asked.
#[derive(Debug, Clone, Deserialize)]
pub struct MemberState {
    /// The partitions assigned to it now.
    pub assignment: Vec<i32>,
    /// New records.
    pub records: Vec<ReceivedRecord>,
}

/// What became of the records of a load.
#[derive(Debug, Clone, Deserialize)]
pub struct LoadReport {
    /// Partition, number in that partition, and the offset the broker acknowledged it at.
    pub acknowledged: Vec<(i32, i64, i64)>,
    /// What the client gave up on, in its words.
    pub failed: Vec<String>,
}

/// By which protocol a member is in its group.
#[derive(Debug, Clone, Copy)]
pub enum Membership {
    /// The members assign; each says how long it may be silent.
    Classic {
        /// Silence after which it is dead.
        session: Duration,
    },
    /// The broker assigns and says how long a member may be silent (KIP-848).
    Consumer,
}

impl Membership {
    /// The value of `group.protocol`.
    const fn name(self) -> &'static str {
        match self {
            Self::Classic { .. } => "classic",
            Self::Consumer => "consumer",
        }
    }

    /// Silence after which a member is dead.
    #[must_use]
    pub const fn session(self) -> Duration {
        match self {
            Self::Classic { session } => session,
            Self::Consumer => Duration::from_secs(45),
        }
    }
}

impl Driver {
    /// The library and its version.
    ///
    /// # Errors
    /// As [`Driver::call`], like all verbs below.
    pub fn library(&mut self) -> Result<String> {
        self.call("hello", json!({}))
    }

    /// Produces and waits for every delivery; answers in the order of `records`.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn produce(&mut self, records: &[Record], options: &ProduceOptions) -> Result<Vec<Delivery>> {
        self.call("produce", json!({ "records": records, "options": options }))
    }

    /// Reads one partition from `offset` without a group until `count` records came or ten seconds passed.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn consume(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        count: usize,
    ) -> Result<Vec<ReceivedRecord>> {
        let limit = 10_000 + count / 2;
        self.call(
            "consume",
            json!({ "topic": topic, "partition": partition, "offset": offset, "count": count, "timeout_ms": limit }),
        )
    }

    /// The offset of the first record stamped at or after `timestamp`; `None` when there is none.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn offset_for_time(&mut self, topic: &str, partition: i32, timestamp: i64) -> Result<Option<i64>> {
        self.call(
            "offset_for_time",
            json!({ "topic": topic, "partition": partition, "timestamp": timestamp }),
        )
    }

    /// The partition's first offset and the one after its last.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn watermarks(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.call("watermarks", json!({ "topic": topic, "partition": partition }))
    }

    /// Joins `group` as a member that starts at the earliest offset and commits only when told.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn group_join(&mut self, group: &str, topic: &str, membership: Membership) -> Result<()> {
        let mut arguments = json!({ "group": group, "topic": topic, "protocol": membership.name() });
        if let Membership::Classic { session } = membership {
            arguments["session_timeout_ms"] = json!(u64::try_from(session.as_millis())?);
        }
        self.call::<Value>("group_join", arguments)?;
        Ok(())
    }

    /// Commits the position after every record that was handed out, and waits.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn group_commit(&mut self) -> Result<()> {
        self.call::<Value>("group_commit", json!({}))?;
        Ok(())
    }

    /// Leaves the group without a commit.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn group_leave(&mut self) -> Result<()> {
        self.call::<Value>("group_leave", json!({}))?;
        Ok(())
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn create_topic(&mut self, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<()> {
        let configs: BTreeMap<_, _> = configs.iter().copied().collect();
        self.call::<Value>(
            "create_topic",
            json!({ "topic": topic, "partitions": partitions, "configs": configs }),
        )?;
        Ok(())
    }

    /// A topic's partitions, by number.
    ///
    /// # Errors
    /// As [`Driver::call`]; code 3 when there is no such topic.
    pub fn describe_topic(&mut self, topic: &str) -> Result<Vec<PartitionDescription>> {
        let mut partitions: Vec<PartitionDescription> =
            self.call("describe_topic", json!({ "topic": topic }))?;
        partitions.sort_by_key(|partition| partition.partition);
        Ok(partitions)
    }

    /// All topics.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn list_topics(&mut self) -> Result<Vec<String>> {
        self.call("list_topics", json!({}))
    }

    /// Names of all groups; a verb of the Java driver alone.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn list_groups(&mut self) -> Result<Vec<String>> {
        self.call("list_groups", json!({}))
    }

    /// Grows a topic to `total` partitions.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn create_partitions(&mut self, topic: &str, total: i32) -> Result<()> {
        self.call::<Value>("create_partitions", json!({ "topic": topic, "total": total }))?;
        Ok(())
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn delete_topic(&mut self, topic: &str) -> Result<()> {
        self.call::<Value>("delete_topic", json!({ "topic": topic }))?;
        Ok(())
    }

    /// A topic's configs, defaults included.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn describe_configs(&mut self, topic: &str) -> Result<BTreeMap<String, Option<String>>> {
        self.call("describe_configs", json!({ "topic": topic }))
    }

    /// By node, the bytes of each partition of the topic in its log directories; a verb of the Go drivers alone.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn describe_log_dirs(&mut self, topic: &str) -> Result<BTreeMap<i32, BTreeMap<i32, i64>>> {
        self.call("describe_log_dirs", json!({ "topic": topic }))
    }

    /// IncrementalAlterConfigs: SET for each of `set`, DELETE for each of `delete`.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn alter_configs_incrementally(
        &mut self,
        topic: &str,
        set: &[(&str, &str)],
        delete: &[&str],
    ) -> Result<()> {
        let set: BTreeMap<_, _> = set.iter().copied().collect();
        self.call::<Value>(
            "incremental_alter_configs",
            json!({ "topic": topic, "set": set, "delete": delete }),
        )?;
        Ok(())
    }

    /// AlterConfigs: `set` replaces all dynamic configs of the topic.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn replace_configs(&mut self, topic: &str, set: &[(&str, &str)]) -> Result<()> {
        let set: BTreeMap<_, _> = set.iter().copied().collect();
        self.call::<Value>("alter_configs", json!({ "topic": topic, "set": set }))?;
        Ok(())
    }

    /// For each round: while a fetch of five seconds waits at the end of the partition, one record is produced.
    /// Milliseconds from its acknowledgement to its receipt in the same process.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn long_poll(&mut self, topic: &str, rounds: usize) -> Result<Vec<f64>> {
        self.call(
            "long_poll",
            json!({ "topic": topic, "partition": 0, "rounds": rounds, "max_wait_ms": 5000 }),
        )
    }

    /// Starts an idempotent producer that writes 0, 1, 2, ... to each partition until [`Self::load_stop`].
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn load_start(&mut self, topic: &str, partitions: i32) -> Result<()> {
        self.call::<Value>("load_start", json!({ "topic": topic, "partitions": partitions }))?;
        Ok(())
    }

    /// How many records of the load are acknowledged so far.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn load_acknowledged(&mut self) -> Result<usize> {
        self.call("load_status", json!({}))
    }

    /// Stops sending, waits for what is in flight, and reports.
    ///
    /// # Errors
    /// As [`Driver::call`].
    pub fn load_stop(&mut self) -> Result<LoadReport> {
        self.call("load_stop", json!({}))
    }
}

/// Polls all `members` for `limit` at the same time.
///
/// # Errors
/// The first member's error.
pub fn group_poll(members: &mut [&mut Driver], limit: Duration) -> Result<Vec<MemberState>> {
    let timeout_ms = u64::try_from(limit.as_millis())?;
    for member in &mut *members {
        member.send("group_poll", json!({ "timeout_ms": timeout_ms }))?;
    }
    members.iter_mut().map(|member| member.receive()).collect()
}
