//! ShareAcknowledge (79), versions 1 and 2: a member of a share group answers for records that it has.
//!
//! Answered when what it says is durable. Version 2 renews locks (KIP-1222). What a ShareFetch acknowledges on its way goes
//! through here, too. Behaviour is Kafka's `KafkaApis.handleAcknowledgements`: what is said of one partition counts as a whole
//! or not at all, and its error does not touch the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use protocol::layout::Layout;
use protocol::messages::share_acknowledge_request::AcknowledgementBatch;
use protocol::messages::share_acknowledge_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareAcknowledgeTopicResponse,
};
use protocol::messages::{ApiKey, ShareAcknowledgeResponse};
use protocol::newer::{self, ShareAcknowledgeRequest};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::PartitionLog;

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::share::{Acknowledge, AcknowledgeBatch, AcknowledgeKind, Key, Limits, Refusal};
use crate::share_session::{ConnectionId, FINAL_EPOCH, SessionKey, TopicPartition};
use crate::share_settings::ShareSettings;
use crate::virtual_nodes::{AtNode, NodeAddress, check_leader};

/// Kafka's `KafkaApis.isMemberIdValid`.
const MAX_MEMBER_ID_LEN: usize = 36;
/// From this version on locks can be renewed.
const FIRST_VERSION_WITH_RENEW: i16 = 2;

pub(super) struct ShareAcknowledge;

impl Api for ShareAcknowledge {
    type Request = ShareAcknowledgeRequest;
    type Response = newer::ShareAcknowledgeResponse;
    const KEY: ApiKey = ApiKey::ShareAcknowledge;
    const LAYOUT: &'static Layout = &layouts::share::SHARE_ACKNOWLEDGE;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        ShareAcknowledgeRequest { common: request, is_renew }: ShareAcknowledgeRequest,
    ) -> Reply {
        let refused = |error: ErrorCode| {
            let common = ShareAcknowledgeResponse::default().with_error_code(error.code());
            context.reply(&newer::ShareAcknowledgeResponse { common, acquisition_lock_timeout_ms: 0 })
        };
        let group = request.group_id.as_ref().map(|group| &group.0);
        let Some(session) = session_key(context, group, request.member_id.as_ref()) else {
            return refused(ErrorCode::InvalidRequest);
        };
        let epoch = request.share_session_epoch;
        if let Err(error) = broker.share_sessions.acknowledge(&session, epoch) {
            return refused(error);
        }
        let settings = ShareSettings::of(broker, &session.group);
        let sayings = request.topics.into_iter().flat_map(|topic| {
            let id = topic.topic_id;
            topic.partitions.into_iter().map(move |said| {
                (
                    (id, said.partition_index),
                    said.acknowledgement_batches.into_iter().map(Said::from).collect(),
                )
            })
        });
        let (version, nodes) = (context.version(), nodes(broker, context));
        let renews = Renews { version, named: is_renew };
        let work =
            acknowledge(broker, context.at(broker), (&session, settings.limits), renews, sayings.collect());
        let broker = Arc::clone(broker);
        Reply::Later(Box::pin(async move {
            let outcomes = work.await;
            if epoch == FINAL_EPOCH {
                release(&broker, &session, settings.limits).await;
            }
            Response::encode(&answer(&broker, settings, &nodes, outcomes), version)
        }))
    }
}

/// How a request says that it renews locks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renews {
    pub(super) version: i16,
    /// It says so as a whole.
    pub(super) named: bool,
}

/// What a request says of a run of offsets.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) kinds: Vec<i8>,
}

impl From<AcknowledgementBatch> for Said {
    fn from(batch: AcknowledgementBatch) -> Self {
        Self { first: batch.first_offset, last: batch.last_offset, kinds: batch.acknowledge_types }
    }
}

/// What became of it, by partition.
pub(super) type Outcomes = BTreeMap<TopicPartition, Result<(), Refusal>>;

/// Whose session it is; `None` when the group or the member has no name that one can have.
pub(super) fn session_key(
    context: &RequestContext<'_>,
    group: Option<&StrBytes>,
    member: Option<&StrBytes>,
) -> Option<SessionKey> {
    let (group, member) = (group?.as_str(), member?.as_str());
    let valid = !member.is_empty() && member.encode_utf16().count() <= MAX_MEMBER_ID_LEN;
    let node = context.connection.node;
    valid.then(|| SessionKey { node, group: group.into(), member: member.into() })
}

/// The nodes that a client can be sent to.
pub(super) fn nodes(broker: &Broker, context: &RequestContext<'_>) -> Vec<NodeAddress> {
    if broker.virtual_nodes.is_some() { context.connection.nodes(broker) } else { Vec::new() }
}

/// Tells the share partitions what was said of them. Partitions of which nothing was said are left out, as is everything
/// else when nothing is wrong with anything.
pub(super) fn acknowledge(
    broker: &Arc<Broker>,
    at: Option<AtNode>,
    (session, limits): (&SessionKey, Limits),
    renews: Renews,
    sayings: Vec<(TopicPartition, Vec<Said>)>,
) -> impl Future<Output = Outcomes> + use<> {
    let (mut outcomes, mut told) = (Outcomes::new(), Vec::new());
    let by_partition: BTreeMap<TopicPartition, Vec<Said>> = sayings.into_iter().collect();
    for ((topic, partition), said) in by_partition {
        let batches = find(broker, at.as_ref(), (topic, partition)).and_then(|_| checked(&said, renews));
        match batches {
            Err(error) => {
                outcomes.insert((topic, partition), Err(error.into()));
            }
            Ok(batches) if batches.is_empty() => {
                outcomes.insert((topic, partition), Ok(()));
            }
            Ok(batches) => {
                let key = Key { group: Arc::clone(&session.group), topic, partition };
                let member = Arc::clone(&session.member);
                told.push(Acknowledge { key, member, limits, batches });
            }
        }
    }
    let shares = broker.share_partitions.clone();
    async move {
        let done = told.into_iter().map(|acknowledge| {
            let (shares, place) = (&shares, (acknowledge.key.topic, acknowledge.key.partition));
            async move { (place, shares.acknowledge(acknowledge).await) }
        });
        outcomes.extend(join_all(done).await);
        outcomes
    }
}

/// The partition, if it is led here.
pub(super) fn find(
    broker: &Broker,
    at: Option<&AtNode>,
    (topic, partition): TopicPartition,
) -> Result<Arc<PartitionLog>, ErrorCode> {
    let topic = broker.store.topic_by_id(topic).ok_or(ErrorCode::UnknownTopicId)?;
    let log = topic.partition(partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check_leader(at, &log)?;
    Ok(log)
}

/// Kafka's `KafkaApis.validateAcknowledgementBatches`.
fn checked(said: &[Said], renews: Renews) -> Result<Vec<AcknowledgeBatch>, ErrorCode> {
    let mut end = -1;
    let batches = said.iter().map(|Said { first, last, kinds }| {
        let count = i64::try_from(kinds.len()).unwrap_or(i64::MAX);
        let wrong = first > last
            || *first < end
            || *last == i64::MAX
            || kinds.is_empty()
            || (count > 1 && last.checked_sub(*first) != Some(count - 1));
        if wrong {
            return Err(ErrorCode::InvalidRequest);
        }
        end = *last;
        let kinds = kinds.iter().map(|kind| self::kind(*kind, renews).ok_or(ErrorCode::InvalidRequest));
        Ok(AcknowledgeBatch { first: *first, last: *last, kinds: kinds.collect::<Result<_, _>>()? })
    });
    batches.collect()
}

fn kind(number: i8, renews: Renews) -> Option<AcknowledgeKind> {
    Some(match number {
        0 => AcknowledgeKind::Gap,
        1 => AcknowledgeKind::Accept,
        2 => AcknowledgeKind::Release,
        3 => AcknowledgeKind::Reject,
        4 if renews.version >= FIRST_VERSION_WITH_RENEW && renews.named => AcknowledgeKind::Renew,
        _ => return None,
    })
}

/// Ends the session: its member holds nothing any more.
pub(super) async fn release(broker: &Broker, session: &SessionKey, limits: Limits) {
    let partitions = broker.share_sessions.end(session);
    release_partitions(broker, session, limits, partitions).await;
}

/// Ends the sessions of a connection that is over: their members hold nothing any more.
pub(crate) async fn connection_closed(broker: &Broker, connection: ConnectionId) {
    for (session, partitions) in broker.share_sessions.connection_closed(connection) {
        let limits = ShareSettings::of(broker, &session.group).limits;
        release_partitions(broker, &session, limits, partitions).await;
    }
}

/// A member holds nothing of these partitions any more.
async fn release_partitions(
    broker: &Broker,
    session: &SessionKey,
    limits: Limits,
    partitions: Vec<TopicPartition>,
) {
    let released = partitions.into_iter().map(|(topic, partition)| {
        let key = Key { group: Arc::clone(&session.group), topic, partition };
        broker.share_partitions.release(key, Arc::clone(&session.member), limits)
    });
    for error in join_all(released).await.into_iter().filter_map(Result::err) {
        tracing::warn!(%error, group = %session.group, "records of a member that left stay locked for a while");
    }
}

/// Who leads a partition that was asked for in the wrong place.
pub(super) fn leader_of(broker: &Broker, (topic, partition): TopicPartition) -> Option<(i32, i32)> {
    let log = broker.store.topic_by_id(topic)?.partition(partition)?;
    let placement = broker.placement(&log);
    Some((placement.leader, placement.leader_epoch))
}

fn answer(
    broker: &Broker,
    settings: ShareSettings,
    nodes: &[NodeAddress],
    outcomes: Outcomes,
) -> newer::ShareAcknowledgeResponse {
    let (mut topics, mut leaders): (Vec<ShareAcknowledgeTopicResponse>, Vec<i32>) = Default::default();
    for ((topic, partition), outcome) in outcomes {
        let mut data = PartitionData::default().with_partition_index(partition);
        if let Err(Refusal { error, sentence }) = outcome {
            data.error_code = error.code();
            data.error_message = sentence.map(StrBytes::from_static_str);
            if error == ErrorCode::NotLeaderOrFollower
                && let Some((leader, epoch)) = leader_of(broker, (topic, partition))
            {
                data.current_leader =
                    LeaderIdAndEpoch::default().with_leader_id(leader).with_leader_epoch(epoch);
                leaders.push(leader);
            }
        }
        match topics.last_mut().filter(|last| last.topic_id == topic) {
            Some(last) => last.partitions.push(data),
            None => topics.push(
                ShareAcknowledgeTopicResponse::default().with_topic_id(topic).with_partitions(vec![data]),
            ),
        }
    }
    let named = nodes.iter().filter(|node| leaders.contains(&node.id)).map(|node| {
        NodeEndpoint::default()
            .with_node_id(node.id.into())
            .with_host(node.host.clone())
            .with_port(i32::from(node.port))
    });
    let common =
        ShareAcknowledgeResponse::default().with_responses(topics).with_node_endpoints(named.collect());
    newer::ShareAcknowledgeResponse { common, acquisition_lock_timeout_ms: settings.lock_timeout_ms() }
}
