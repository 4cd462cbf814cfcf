//! What can be asked of the share coordinator. Built by the API handlers, consumed by `ShareCoordinator::handle`.
//!
//! What writes names one share partition, so that each has an answer of its own; what only reads, or acquires, names many.
//! Configs of the group come with each request: the coordinator knows none.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::coordinator::event;

/// One thing that happened.
pub type Event = event::Event<Request, ShareEvent>;

/// What happens to this coordinator only: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareEvent {}

/// A share partition: what one share group has of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The share group.
    pub group: Arc<str>,
    /// The topic.
    pub topic: Uuid,
    /// The partition's number.
    pub partition: i32,
}

/// What a group's configs say about records in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a member may keep a record (`share.record.lock.duration.ms`).
    pub lock: Duration,
    /// Deliveries after which a record is given up (`share.delivery.count.limit`).
    pub deliveries: i16,
    /// Offsets of a partition that may be in flight (`share.partition.max.record.locks`).
    pub in_flight: i64,
    /// Whether a lock may be renewed (`share.renew.acknowledge.enable`).
    pub renew: bool,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The group reads the partition from here on, and nothing of it is in flight.
    Initialize {
        /// Which.
        key: Key,
        /// Of the group; what is older is fenced.
        state_epoch: i32,
        /// First offset to deliver, -1 to choose at the first fetch.
        start_offset: i64,
    },
    /// What the log says of the share partition.
    Summary {
        /// Which.
        key: Key,
    },
    /// The group has nothing of the partition any more.
    Delete {
        /// Which.
        key: Key,
    },
    /// A topic is gone.
    DeleteTopic {
        /// Its id.
        topic: Uuid,
    },
    /// Where is the next record to deliver?
    Positions(Positions),
    /// The first fetch chose the start offset; ignored when one is there.
    Start {
        /// Which.
        key: Key,
        /// First offset to deliver.
        offset: i64,
    },
    /// A member takes records.
    Acquire(Acquire),
    /// A member is done with records, or not.
    Acknowledge(Acknowledge),
    /// A member has nothing of the partition any more.
    Release {
        /// Which.
        key: Key,
        /// Whose.
        member: Arc<str>,
        /// Of the group.
        limits: Limits,
    },
}

/// Where the next records are in several partitions of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// The group.
    pub group: Arc<str>,
    /// Its configs.
    pub limits: Limits,
    /// Which, and what their logs say.
    pub partitions: Vec<LogState>,
}

/// What a partition's log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// The topic.
    pub topic: Uuid,
    /// The partition's number.
    pub partition: i32,
    /// First offset that is left in it.
    pub log_start: i64,
    /// Its leader epoch.
    pub leader_epoch: i32,
}

/// How many records a member gets (KIP-1206).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcquireMode {
    /// Whole batches: a little more than was asked for.
    BatchOptimized,
    /// Never more than was asked for.
    RecordLimit,
}

/// A member takes what is available of the batches that were read for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquire {
    /// The group.
    pub group: Arc<str>,
    /// The member.
    pub member: Arc<str>,
    /// The group's configs.
    pub limits: Limits,
    /// How many.
    pub mode: AcquireMode,
    /// Records that are best acquired, and acknowledged, together.
    pub batch_size: i64,
    /// Most records over all partitions.
    pub max_records: i64,
    /// What was read.
    pub partitions: Vec<Fetched>,
}

/// Batches of one partition, without their records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The topic.
    pub topic: Uuid,
    /// The partition's number.
    pub partition: i32,
    /// From where it was read.
    pub from: i64,
    /// First and last offset of each batch, in order.
    pub batches: Vec<(i64, i64)>,
    /// Those that belong to aborted transactions, for who reads what is committed.
    pub aborted: Vec<(i64, i64)>,
}

/// A member answers for records that it had acquired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledge {
    /// Which share partition.
    pub key: Key,
    /// Who.
    pub member: Arc<str>,
    /// The group's configs.
    pub limits: Limits,
    /// All or none of these count.
    pub batches: Vec<AcknowledgeBatch>,
}

/// What is said of a run of offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcknowledgeBatch {
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
    /// One for all, or one for each offset; the handler has checked the count.
    pub kinds: Vec<AcknowledgeKind>,
}

/// What is said of a record (Kafka's `AcknowledgeType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcknowledgeKind {
    /// There is no record at the offset.
    Gap,
    /// It was processed.
    Accept,
    /// Somebody may have it again.
    Release,
    /// Nobody can process it.
    Reject,
    /// The member needs more time (KIP-1222).
    Renew,
}
