//! The table of APIs and the way of a request through it: header, version, guard, decode, handler.
//!
//! Called by `net` once per frame ([`dispatch`]); everything it needs to know about an API is one row of [`APIS`], which
//! also feeds ApiVersions and `docs/PROTOCOL_COVERAGE.md`. Invariants: a body is decoded only after the guard let it pass;
//! a handler has finished everything order-sensitive when it returns, only waiting is left to [`Reply::Later`]; what
//! has to ask somebody first returns [`Reply::Ordered`], and no later request of the connection is begun before.

mod acls;
mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod alter_replica_log_dirs;
mod api_versions;
mod authorized_operations;
mod client_quotas;
mod cluster_members;
mod config_change;
mod consumer_groups;
mod create_partitions;
mod create_topics;
mod delegation_tokens;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod elect_leaders;
mod end_txn;
mod error_codes;
mod fetch;
mod find_coordinator;
mod group_admin;
mod group_membership;
mod incremental_alter_configs;
mod init_producer_id;
mod list_config_resources;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_for_leader_epoch;
mod offsets;
mod produce;
mod reassignments;
mod reply;
mod sasl;
mod scram_users;
mod share_acknowledge;
mod share_fetch;
mod share_groups;
mod share_offsets;
mod txn_offset_commit;
mod update_features;
mod write_txn_markers;

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use protocol::guard::{self, GuardError, GuardFault};
use protocol::header::{RequestHeader, put_response_header, response_header_len};
use protocol::layout::Layout;
use protocol::messages::ApiKey;
use protocol::{Decodable, Encodable, ErrorCode, Message, StrBytes};
use thiserror::Error;

use crate::broker::Broker;
use crate::config::HostPort;
use crate::share_session::ConnectionId;
use error_codes::ErrorCodes;
pub(crate) use reply::{Answer, Later, Ordered, Reply, Response};
pub(crate) use share_acknowledge::connection_closed;

/// Every API that is served. Produce and Fetch come first because lookup is a scan.
pub(crate) static APIS: &[Entry] = &[
    // Older librdkafka looks at Produce version 0 to decide whether it may compress (KAFKA-18659); Kafka advertises it
    // and refuses it, so do we.
    entry::<produce::Produce>().advertised_from(0),
    entry::<fetch::Fetch>(),
    entry::<list_offsets::ListOffsets>(),
    entry::<metadata::Metadata>(),
    entry::<api_versions::ApiVersions>(),
    entry::<create_topics::CreateTopics>(),
    entry::<delete_topics::DeleteTopics>(),
    entry::<delete_records::DeleteRecords>(),
    entry::<init_producer_id::InitProducerId>(),
    entry::<add_partitions_to_txn::AddPartitionsToTxn>(),
    entry::<add_offsets_to_txn::AddOffsetsToTxn>(),
    entry::<end_txn::EndTxn>(),
    entry::<write_txn_markers::WriteTxnMarkers>(),
    entry::<describe_producers::DescribeProducers>(),
    entry::<describe_transactions::DescribeTransactions>(),
    entry::<list_transactions::ListTransactions>(),
    entry::<offset_for_leader_epoch::OffsetForLeaderEpoch>(),
    entry::<describe_configs::DescribeConfigs>(),
    entry::<alter_configs::AlterConfigs>(),
    entry::<describe_log_dirs::DescribeLogDirs>(),
    entry::<create_partitions::CreatePartitions>(),
    entry::<incremental_alter_configs::IncrementalAlterConfigs>(),
    entry::<list_config_resources::ListConfigResources>(),
    entry::<alter_replica_log_dirs::AlterReplicaLogDirs>(),
    entry::<elect_leaders::ElectLeaders>(),
    entry::<reassignments::AlterPartitionReassignments>(),
    entry::<reassignments::ListPartitionReassignments>(),
    entry::<client_quotas::DescribeClientQuotas>(),
    entry::<client_quotas::AlterClientQuotas>(),
    entry::<sasl::SaslHandshake>(),
    entry::<sasl::SaslAuthenticate>(),
    entry::<scram_users::DescribeUserScramCredentials>(),
    entry::<scram_users::AlterUserScramCredentials>(),
    entry::<acls::DescribeAcls>(),
    entry::<acls::CreateAcls>(),
    entry::<acls::DeleteAcls>(),
    entry::<delegation_tokens::CreateDelegationToken>(),
    entry::<delegation_tokens::RenewDelegationToken>(),
    entry::<delegation_tokens::ExpireDelegationToken>(),
    entry::<delegation_tokens::DescribeDelegationToken>(),
    entry::<describe_quorum::DescribeQuorum>(),
    entry::<update_features::UpdateFeatures>(),
    entry::<cluster_members::UnregisterBroker>(),
    entry::<cluster_members::AddRaftVoter>(),
    entry::<cluster_members::RemoveRaftVoter>(),
    entry::<describe_cluster::DescribeCluster>(),
    entry::<describe_topic_partitions::DescribeTopicPartitions>(),
    entry::<find_coordinator::FindCoordinator>(),
    entry::<group_membership::Heartbeat>(),
    entry::<group_membership::JoinGroup>(),
    entry::<group_membership::SyncGroup>(),
    entry::<group_membership::LeaveGroup>(),
    entry::<offsets::OffsetCommit>(),
    entry::<offsets::OffsetFetch>(),
    entry::<offsets::OffsetDelete>(),
    entry::<txn_offset_commit::TxnOffsetCommit>(),
    entry::<group_admin::ListGroups>(),
    entry::<group_admin::DescribeGroups>(),
    entry::<group_admin::DeleteGroups>(),
    entry::<consumer_groups::ConsumerGroupHeartbeat>(),
    entry::<consumer_groups::ConsumerGroupDescribe>(),
    entry::<share_fetch::ShareFetch>(),
    entry::<share_acknowledge::ShareAcknowledge>(),
    entry::<share_groups::ShareGroupHeartbeat>(),
    entry::<share_groups::ShareGroupDescribe>(),
    entry::<share_offsets::DescribeShareGroupOffsets>(),
    entry::<share_offsets::AlterShareGroupOffsets>(),
    entry::<share_offsets::DeleteShareGroupOffsets>(),
];

/// One API: its messages, its layout for the guard, what it does.
pub(crate) trait Api {
    /// What the client sends.
    type Request: Message + Decodable;
    /// What it gets; names the versions that can be encoded.
    type Response: Message + Encodable + ErrorCodes;
    /// Its number.
    const KEY: ApiKey;
    /// How a request is laid out.
    const LAYOUT: &'static Layout;

    /// Does it. Runs on the connection's core and must not block; what has to wait goes into [`Reply::Later`] or
    /// [`Reply::Ordered`].
    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: Self::Request) -> Reply;
}

/// A row of the table.
pub(crate) struct Entry {
    pub(crate) key: i16,
    pub(crate) layout: &'static Layout,
    /// First and last version that is served.
    pub(crate) versions: (i16, i16),
    /// First version that ApiVersions names; never above `versions.0`.
    pub(crate) advertised_min: i16,
    handle: fn(&Arc<Broker>, &RequestContext<'_>, Bytes) -> Result<Reply, Refused>,
}

impl Entry {
    pub(crate) fn name(&self) -> &'static str {
        self.layout.name
    }

    /// Decodes the body, which the guard let pass, and has it done.
    pub(crate) fn handle(
        &self,
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        body: Bytes,
    ) -> Result<Reply, Refused> {
        (self.handle)(broker, context, body)
    }

    fn serves(&self, version: i16) -> bool {
        (self.versions.0..=self.versions.1).contains(&version)
    }

    /// What ApiVersions names: first and last version. `None` when the release that test mode imitates has none in
    /// common with this one.
    fn advertised(&self, broker: &Broker) -> Option<(i16, i16)> {
        let (first, last) = (self.advertised_min, self.versions.1);
        let Some(profile) = broker.test_mode.as_ref().and_then(|test_mode| test_mode.profile()) else {
            return Some((first, last));
        };
        let (oldest, newest) = profile.versions(self.key)?;
        Some((first.max(oldest), last.min(newest))).filter(|(first, last)| first <= last)
    }

    fn shown_by(&self, broker: &Broker, version: i16) -> bool {
        broker.test_mode.is_none()
            || self.advertised(broker).is_some_and(|(first, last)| first <= version && version <= last)
    }

    const fn advertised_from(mut self, version: i16) -> Self {
        self.advertised_min = version;
        self
    }
}

/// The versions are those that can be both decoded and encoded: the crate's own table promises more. Newer ones come with
/// the types of `protocol::newer`.
const fn entry<A: Api>() -> Entry {
    let (request, response) = (A::Request::VERSIONS, A::Response::VERSIONS);
    let first = if request.min > response.min { request.min } else { response.min };
    let last = if request.max < response.max { request.max } else { response.max };
    assert!(first <= last, "an API has a version that can be decoded and encoded");
    Entry {
        key: A::KEY as i16,
        layout: A::LAYOUT,
        versions: (first, last),
        advertised_min: first,
        handle: decode_and_handle::<A>,
    }
}

/// What a handler knows about the connection a request came in on.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionInfo {
    /// Which connection.
    pub(crate) id: ConnectionId,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// Name of the listener it came in by.
    pub(crate) listener: Arc<str>,
    /// Which of the nodes that this process plays; `None` for the broker's own questions.
    pub(crate) node: Option<usize>,
    /// Host and port that this listener tells clients to connect to, unless that was changed since the start.
    advertised: (StrBytes, u16),
    /// Name and version of the client's library, once it said so in ApiVersions (KIP-511).
    pub(crate) software: Arc<OnceLock<(String, String)>>,
    /// Batches of its requests may wait to be appended.
    submits: Arc<AtomicBool>,
}

impl ConnectionInfo {
    pub(crate) fn new(peer: SocketAddr, listener: Arc<str>, advertised: &HostPort) -> Self {
        let host = StrBytes::from_string(advertised.host.clone());
        let (advertised, software) = ((host, advertised.port), Arc::default());
        let id = ConnectionId::new();
        Self { id, peer, listener, node: None, advertised, software, submits: Arc::default() }
    }

    /// Batches of a request may wait to be appended from here on. Whatever comes behind them finds them in the log.
    pub(crate) fn submits(&self) {
        self.submits.store(true, Ordering::Relaxed);
    }

    /// Appends what of its requests waits for that.
    pub(crate) fn append_submitted(&self, broker: &Broker) {
        if self.submits.swap(false, Ordering::Relaxed) {
            broker.store.append_submitted();
        }
    }

    /// Host and port that this client is told to connect to.
    pub(crate) fn advertised(&self, broker: &Broker) -> (StrBytes, u16) {
        match broker.dynamic_advertised(&self.listener) {
            Some(HostPort { host, port }) => (StrBytes::from_string(host), port),
            None => self.advertised.clone(),
        }
    }
}

/// One request besides its body.
#[derive(Debug)]
pub(crate) struct RequestContext<'a> {
    pub(crate) header: RequestHeader,
    pub(crate) connection: &'a ConnectionInfo,
}

impl RequestContext<'_> {
    /// Version of the request, and of its response.
    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }

    /// The client's name for itself, empty when it gave none.
    pub(crate) fn client_id(&self) -> &str {
        self.header.client_id.as_deref().unwrap_or_default()
    }

    /// The answer, now.
    pub(crate) fn reply<M: Encodable + ErrorCodes>(&self, message: &M) -> Reply {
        Reply::Now(Response::encode(message, self.version()))
    }
}

/// A request that gets no answer: the connection is closed, because there is no schema to answer in or the client is not
/// what it says (Kafka `SocketServer.parseRequestHeader`).
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub(crate) struct Refused {
    /// For one log line, with the peer.
    pub(crate) reason: String,
}

impl Refused {
    fn new(reason: impl ToString) -> Self {
        Self { reason: reason.to_string() }
    }
}

/// Takes one request, without its size prefix, to its handler.
///
/// # Errors
/// Anything that Kafka answers by closing the connection: bytes that are no request, an unknown API, a version that is not
/// served. ApiVersions in an unknown version is answered in version 0, which is how newer clients find out.
pub(crate) fn dispatch(
    broker: &Arc<Broker>,
    connection: &ConnectionInfo,
    mut frame: Bytes,
) -> Result<Answer, Refused> {
    let served =
        |key, version| find(key).filter(|entry| entry.serves(version) && entry.shown_by(broker, version));
    let flexible = |key, version| served(key, version).map(|entry| entry.layout.is_flexible(version));
    let header = RequestHeader::parse(&mut frame, flexible).map_err(Refused::new)?;
    let (key, version) = (header.api_key, header.api_version);
    let Some(entry) = served(key, version) else {
        return unserved(broker, &header);
    };
    match guard::check(entry.layout, version, &frame) {
        Ok(()) => {}
        // As Kafka, which does not look behind the last field: librdkafka 2.16 writes the empty list of Metadata 13 in four
        // bytes where one belongs.
        Err(GuardError { fault: GuardFault::TrailingBytes(ignored), .. }) => {
            frame.truncate(frame.len() - ignored);
        }
        Err(error) => return Err(Refused::new(error)),
    }
    tracing::debug!(
        peer = %connection.peer,
        api = entry.name(),
        version,
        correlation_id = header.correlation_id,
        client_id = header.client_id.as_deref(),
        "request"
    );
    let response_header = response_header(&header, entry.layout.is_flexible(version));
    if key != ApiKey::Produce as i16 {
        connection.append_submitted(broker);
    }
    let context = RequestContext { header, connection };
    let reply = match &broker.test_mode {
        None => entry.handle(broker, &context, frame)?,
        Some(test_mode) => test_mode.handle(broker, entry, &context, frame)?,
    };
    Ok(Answer { header: response_header, reply })
}

fn unserved(broker: &Broker, header: &RequestHeader) -> Result<Answer, Refused> {
    let (key, version) = (header.api_key, header.api_version);
    match find(key) {
        Some(entry) if key == ApiKey::ApiVersions as i16 => {
            let reply = Reply::Now(api_versions::unsupported_version(broker, entry));
            Ok(Answer { header: response_header(header, false), reply })
        }
        Some(entry) => {
            let (first, last) = entry.versions;
            let name = entry.name();
            Err(Refused::new(format!("{name} version {version} is not served, only {first} to {last}")))
        }
        None => Err(Refused::new(format!("api key {key} (version {version}) is not served"))),
    }
}

/// Versions before `first` do not know PRODUCER_FENCED and are told INVALID_PRODUCER_EPOCH (KIP-588).
fn fenced_before(first: i16, version: i16, error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if version < first => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}

/// The row of an API.
pub(crate) fn find(key: i16) -> Option<&'static Entry> {
    APIS.iter().find(|entry| entry.key == key)
}

fn response_header(header: &RequestHeader, flexible: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(response_header_len(header.api_key, flexible));
    put_response_header(&mut out, header.api_key, flexible, header.correlation_id);
    out.freeze()
}

fn decode_and_handle<A: Api>(
    broker: &Arc<Broker>,
    context: &RequestContext<'_>,
    mut body: Bytes,
) -> Result<Reply, Refused> {
    let name = A::LAYOUT.name;
    let request = A::Request::decode(&mut body, context.version())
        .map_err(|error| Refused::new(format!("{name} version {}: {error}", context.version())))?;
    if !body.is_empty() {
        return Err(Refused::new(format!("{name}: {} bytes follow the last field", body.len())));
    }
    Ok(A::handle(broker, context, request))
}
