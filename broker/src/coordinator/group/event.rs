//! What can happen to the group coordinator. Built by the API handlers and by the runtime, consumed by
//! `GroupCoordinator::handle`.
//!
//! Plain owned values: nothing here keeps a request frame alive once the coordinator has stored what it needs. Where a rule
//! depends on the request's version, the event names the rule, so the coordinator knows no version numbers.

use std::time::Duration;

use bytes::Bytes;
use protocol::ErrorCode;
use uuid::Uuid;

use super::config::ConsumerSettings;
use super::consumer::member::Assignment;
use super::consumer::topics::TopicInfo;
use super::effect::Ticket;
use super::share::ShareRequest;
use crate::coordinator::event;

/// One thing that happened.
pub type Event = event::Event<Request, GroupEvent>;

/// What happens to this coordinator only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// A topic is gone: offsets committed for it are removed.
    TopicDeleted {
        /// Its name.
        topic: String,
    },
    /// A topic came, changed or went. Every topic is told once before its first group is loaded.
    TopicChanged {
        /// Its name.
        topic: String,
        /// What it is now; `None`: gone.
        info: Option<TopicInfo>,
    },
    /// As `Event::LoadRecord`, one record of a batch that belongs to a producer's transaction.
    LoadTransactionalRecord {
        /// The partition it was read from.
        partition: i32,
        /// From the batch's header.
        producer_id: i64,
        /// Record key, in Kafka's format.
        key: Bytes,
        /// Record value, `None` for a tombstone.
        value: Option<Bytes>,
    },
    /// The marker that ends a producer's transaction.
    LoadMarker {
        /// The partition it was read from.
        partition: i32,
        /// From the batch's header.
        producer_id: i64,
        /// Commit or abort.
        committed: bool,
    },
    /// Whether the log took a `TransactionalAppend`. Sent before any other event; of what it took, `AppendOutcome` follows.
    AppendTried {
        /// The ticket of the append.
        ticket: Ticket,
        /// `Ok` when it is in the log, durable or not.
        result: Result<(), ErrorCode>,
    },
}

/// A client's request about one group (ListGroups: about all).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// API key 11.
    JoinGroup(JoinGroup),
    /// API key 14.
    SyncGroup(SyncGroup),
    /// API key 12.
    Heartbeat(Heartbeat),
    /// API key 13.
    LeaveGroup(LeaveGroup),
    /// API key 8.
    OffsetCommit(OffsetCommit),
    /// API key 28.
    TxnOffsetCommit(TxnOffsetCommit),
    /// From the transaction coordinator: end a transaction in a partition of `__consumer_offsets`.
    CompleteTransaction(CompleteTransaction),
    /// API key 9, one group of it.
    OffsetFetch(OffsetFetch),
    /// API key 47.
    OffsetDelete(OffsetDelete),
    /// API key 15, one group of it.
    DescribeGroup(DescribeGroup),
    /// API key 16.
    ListGroups(ListGroups),
    /// Not from a client: metrics ask for all groups.
    Observe,
    /// API key 68.
    ConsumerGroupHeartbeat(Box<ConsumerGroupHeartbeat>),
    /// API key 69, one group of it.
    ConsumerGroupDescribe {
        /// The group to describe.
        group_id: String,
    },
    /// About a share group.
    Share(ShareRequest),
    /// API key 42, one group of it.
    DeleteGroup {
        /// The group to delete.
        group_id: String,
    },
}

/// A member wants into the next generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroup {
    /// The group.
    pub group_id: String,
    /// Empty for a client that has no member id yet.
    pub member_id: String,
    /// Set by static members (KIP-345).
    pub group_instance_id: Option<String>,
    /// From the request header.
    pub client_id: String,
    /// Peer address as DescribeGroups shows it; Kafka writes `/` and the IP address.
    pub client_host: String,
    /// Milliseconds of silence after which the member is dead.
    pub session_timeout_ms: i32,
    /// Milliseconds the group waits for the member to rejoin. Version 0 has none: pass the session timeout.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// Assignors, best first.
    pub protocols: Vec<Protocol>,
    /// Versions 4 and later: a dynamic member must first be given an id (MEMBER_ID_REQUIRED, KIP-394).
    pub requires_known_member_id: bool,
    /// Versions 9 and later: a returning static leader may be told to skip the assignment (KIP-814).
    pub supports_skip_assignment: bool,
    /// A fresh random UUID, used when the member needs a new id.
    pub fresh_uuid: Uuid,
}

/// One assignor that a member supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// Name of the assignor.
    pub name: String,
    /// The member's subscription, opaque to the coordinator (but see `subscription.rs`).
    pub metadata: Bytes,
}

/// A member asks for its assignment; the leader brings everybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncGroup {
    /// The group.
    pub group_id: String,
    /// Generation the member joined.
    pub generation_id: i32,
    /// The member.
    pub member_id: String,
    /// Set by static members.
    pub group_instance_id: Option<String>,
    /// Versions 5 and later: checked against the group.
    pub protocol_type: Option<String>,
    /// Versions 5 and later: checked against the group.
    pub protocol_name: Option<String>,
    /// Member id and assignment; from the leader only.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member of a consumer group (KIP-848) joins, stays or leaves. What is `None` has not changed since the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupHeartbeat {
    /// The group.
    pub group_id: String,
    /// Version 1: made up by the member; before, empty for a member that has none yet.
    pub member_id: String,
    /// 0 to join, -1 to leave, -2 for a static member that will be back.
    pub member_epoch: i32,
    /// Set by static members.
    pub instance_id: Option<String>,
    /// The member's rack.
    pub rack_id: Option<String>,
    /// Milliseconds that the member has to give up partitions; -1 for unchanged.
    pub rebalance_timeout_ms: i32,
    /// Topics by name.
    pub topics: Option<Vec<String>>,
    /// Topics by pattern (version 1).
    pub regex: Option<String>,
    /// The assignor it would like.
    pub server_assignor: Option<String>,
    /// What it owns.
    pub owned: Option<Assignment>,
    /// From the request header.
    pub client_id: String,
    /// As in `JoinGroup`.
    pub client_host: String,
    /// What counts for this group now.
    pub settings: ConsumerSettings,
    /// Version 1 and later.
    pub requires_member_id: bool,
    /// A fresh random id in Kafka's form, used when the member has none.
    pub fresh_member_id: String,
}

impl ConsumerGroupHeartbeat {
    /// Whether the member told everything about itself, so that it wants to hear everything.
    pub(super) const fn is_full(&self) -> bool {
        let subscribes = self.topics.is_some() || self.regex.is_some();
        self.rebalance_timeout_ms != -1 && subscribes && self.owned.is_some()
    }
}

/// A member is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The group.
    pub group_id: String,
    /// Generation the member believes in.
    pub generation_id: i32,
    /// The member.
    pub member_id: String,
    /// Set by static members.
    pub group_instance_id: Option<String>,
}

/// Members go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveGroup {
    /// The group.
    pub group_id: String,
    /// Versions before 3 name exactly one.
    pub members: Vec<MemberIdentity>,
}

/// A member as LeaveGroup names it: a static member may be named by its instance id alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberIdentity {
    /// May be empty if an instance id is given.
    pub member_id: String,
    /// Set for static members.
    pub group_instance_id: Option<String>,
}

/// Offsets to remember. The handler has already refused topics that do not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommit {
    /// The group; empty is legal.
    pub group_id: String,
    /// -1 from clients that assign partitions themselves.
    pub generation_id: i32,
    /// Empty from clients that assign partitions themselves.
    pub member_id: String,
    /// Set by static members.
    pub group_instance_id: Option<String>,
    /// Versions 2 to 4: keep these offsets for this long, whatever the configuration says.
    pub retention: Option<Duration>,
    /// Versions 9 and later: an unknown group is GROUP_ID_NOT_FOUND, before it was ILLEGAL_GENERATION; members of consumer
    /// groups can commit.
    pub supports_group_id_not_found: bool,
    /// What to commit, by topic name.
    pub topics: Vec<(String, Vec<PartitionCommit>)>,
}

/// The committed offset of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionCommit {
    /// Partition index.
    pub partition: i32,
    /// Next record to read.
    pub offset: i64,
    /// Epoch of the last record read, -1 if unknown.
    pub leader_epoch: i32,
    /// Whatever the client wants back.
    pub metadata: Option<String>,
}

/// Which offsets were committed?
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetFetch {
    /// The group; empty is legal.
    pub group_id: String,
    /// Topic names and partitions; `None` asks for everything.
    pub topics: Option<Vec<(String, Vec<i32>)>>,
    /// Version 9: the member and its epoch, if a member asks.
    pub member: Option<(String, i32)>,
    /// An offset that a transaction may yet change is UNSTABLE_OFFSET_COMMIT (KIP-447).
    pub require_stable: bool,
}

/// Offsets that count when their transaction is committed. The handler has already refused topics that do not exist, and
/// the transaction coordinator knows of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnOffsetCommit {
    /// The group.
    pub group_id: String,
    /// Who commits.
    pub producer_id: i64,
    /// Of the transaction.
    pub producer_epoch: i16,
    /// -1 from clients that do not say whose offsets they are (before version 3, KIP-447).
    pub generation_id: i32,
    /// Empty from clients that do not say.
    pub member_id: String,
    /// Set by static members.
    pub group_instance_id: Option<String>,
    /// What to commit, by topic name.
    pub topics: Vec<(String, Vec<PartitionCommit>)>,
}

/// The end of a transaction in one partition of `__consumer_offsets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompleteTransaction {
    /// The partition.
    pub partition: i32,
    /// Whose transaction.
    pub producer_id: i64,
    /// As the marker says it.
    pub producer_epoch: i16,
    /// Epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
    /// Commit or abort.
    pub committed: bool,
}

/// Forget committed offsets (KIP-496). The handler has already refused topics that do not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetDelete {
    /// The group.
    pub group_id: String,
    /// Topic names and partitions.
    pub topics: Vec<(String, Vec<i32>)>,
}

/// Show a group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeGroup {
    /// The group.
    pub group_id: String,
    /// Versions 6 and later: an unknown group is GROUP_ID_NOT_FOUND; before, it is a dead group without an error.
    pub supports_group_id_not_found: bool,
}

/// Name the groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListGroups {
    /// Only groups in one of these states (KIP-518), in any case; empty for all.
    pub states: Vec<String>,
    /// Only groups of one of these types (KIP-848), in any case; empty for all.
    pub types: Vec<String>,
}
