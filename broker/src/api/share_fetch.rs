//! ShareFetch (78), versions 1 and 2: a member of a share group gets records that nobody else has.
//!
//! The session says which partitions (`share_session`); what the request acknowledges on its way is told first
//! (`share_acknowledge`), then records are read and acquired ([`fetching`]). The answer waits for both. Behaviour is Kafka's
//! `KafkaApis.handleShareFetchRequest`: a request that ends its session fetches nothing, one that renews locks (2) neither.

mod fetching;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::layout::Layout;
use protocol::messages::{ApiKey, ShareFetchRequest as Common};
use protocol::newer::{self, ShareFetchRequest};
use protocol::share_fetch_response::{ShareFetchResponse, ShareFetchedPartition, ShareFetchedTopic};
use protocol::{ErrorCode, StrBytes, layouts};

use super::share_acknowledge::{self, Outcomes, Renews, Said};
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::share::{AcquireMode, Refusal};
use crate::share_session::{Asked, Begun, FINAL_EPOCH, SessionKey, TopicPartition};
use crate::share_settings::ShareSettings;
use fetching::{Fetched, Fetching};

/// `ShareAcquireMode.RECORD_LIMIT`.
const RECORD_LIMIT: i8 = 1;

pub(super) struct ShareFetch;

impl Api for ShareFetch {
    type Request = ShareFetchRequest;
    type Response = newer::ShareFetchResponse;
    const KEY: ApiKey = ApiKey::ShareFetch;
    const LAYOUT: &'static Layout = &layouts::share::SHARE_FETCH;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: ShareFetchRequest) -> Reply {
        let ShareFetchRequest { common: request, acquire_mode, is_renew } = request;
        let group = request.group_id.as_ref().map(|group| &group.0);
        let key = share_acknowledge::session_key(context, group, request.member_id.as_ref());
        let Some(session) = key.filter(|_| !is_renew || fetches_nothing(&request)) else {
            return Reply::Now(refused(ErrorCode::InvalidRequest));
        };
        let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or_default());
        let Begun { partitions, fresh } = match begin(broker, context, &session, &request) {
            Ok(begun) => begun,
            Err(error @ ErrorCode::ShareSessionLimitReached) => {
                // A client without a session would ask again at once.
                let broker = Arc::clone(broker);
                return Reply::Later(Box::pin(async move {
                    broker.sleep(max_wait).await;
                    refused(error)
                }));
            }
            Err(error) => return Reply::Now(refused(error)),
        };
        let settings = ShareSettings::of(broker, &session.group);
        let renews = Renews { version: context.version(), named: is_renew };
        let at = context.at(broker);
        let sayings = sayings(&request);
        let acknowledged = (!sayings.is_empty()).then(|| {
            let whose = (&session, settings.limits);
            share_acknowledge::acknowledge(broker, at.clone(), whose, renews, sayings)
        });
        let fetching = Fetching {
            broker: Arc::clone(broker),
            group: Arc::clone(&session.group),
            member: Arc::clone(&session.member),
            settings,
            at,
            nodes: share_acknowledge::nodes(broker, context),
            partitions: rotated(partitions, request.share_session_epoch),
            fresh,
            mode: if acquire_mode == RECORD_LIMIT {
                AcquireMode::RecordLimit
            } else {
                AcquireMode::BatchOptimized
            },
            batch_size: i64::from(request.batch_size),
            max_records: i64::from(request.max_records),
            min_bytes: request.min_bytes,
            max_bytes: request.max_bytes,
            max_wait,
        };
        let (broker, epoch) = (Arc::clone(broker), request.share_session_epoch);
        Reply::Later(Box::pin(async move {
            let fetches = !is_renew && epoch != FINAL_EPOCH && fetching.wants_anything();
            let acknowledged = async {
                match acknowledged {
                    Some(acknowledged) => acknowledged.await,
                    None => Outcomes::new(),
                }
            };
            // Acknowledgements are on their way before the first look.
            let fetched = async { if fetches { fetching.run().await } else { Fetched::default() } };
            let (outcomes, fetched) = futures_util::join!(acknowledged, fetched);
            if epoch == FINAL_EPOCH {
                share_acknowledge::release(&broker, &session, settings.limits).await;
            }
            respond(&answer(settings, fetched, outcomes))
        }))
    }
}

fn refused(error_code: ErrorCode) -> Response {
    respond(&ShareFetchResponse { error_code, ..ShareFetchResponse::default() })
}

fn respond(response: &ShareFetchResponse) -> Response {
    Response::share_fetched(response)
}

/// What a request that renews locks has to say.
fn fetches_nothing(request: &Common) -> bool {
    (request.max_bytes, request.min_bytes, request.max_records, request.max_wait_ms) == (0, 0, 0, 0)
}

fn begin(
    broker: &Broker,
    context: &RequestContext<'_>,
    session: &SessionKey,
    request: &Common,
) -> Result<Begun, ErrorCode> {
    let named = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (topic.topic_id, partition.partition_index))
    });
    let forgotten = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition)));
    let (partitions, forgotten): (Vec<_>, Vec<_>) = (named.collect(), forgotten.collect());
    let mut asked = request.topics.iter().flat_map(|topic| &topic.partitions);
    let acknowledges = asked.any(|partition| !partition.acknowledgement_batches.is_empty());
    let epoch = request.share_session_epoch;
    let asked = Asked { epoch, partitions: &partitions, forgotten: &forgotten, acknowledges };
    broker.share_sessions.begin(session, context.connection.id, asked)
}

/// What the request acknowledges.
fn sayings(request: &Common) -> Vec<(TopicPartition, Vec<Said>)> {
    let sayings = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let said = partition.acknowledgement_batches.iter().map(|batch| Said {
                first: batch.first_offset,
                last: batch.last_offset,
                kinds: batch.acknowledge_types.clone(),
            });
            ((topic.topic_id, partition.partition_index), said.collect::<Vec<_>>())
        })
    });
    sayings.filter(|(_, said)| !said.is_empty()).collect()
}

/// Each request begins with another partition, so that none starves the others (Kafka `PartitionRotateStrategy`).
fn rotated(mut partitions: Vec<TopicPartition>, epoch: i32) -> Vec<TopicPartition> {
    if let Some(by) = usize::try_from(epoch).ok().and_then(|epoch| epoch.checked_rem(partitions.len())) {
        partitions.rotate_left(by);
    }
    partitions
}

fn answer(settings: ShareSettings, fetched: Fetched, outcomes: Outcomes) -> ShareFetchResponse {
    let mut partitions: BTreeMap<TopicPartition, ShareFetchedPartition> = fetched.partitions;
    let node_endpoints = fetched.node_endpoints;
    for (place, outcome) in outcomes {
        let partition_index = place.1;
        let partition = partitions
            .entry(place)
            .or_insert_with(|| ShareFetchedPartition { partition_index, ..ShareFetchedPartition::default() });
        if let Err(Refusal { error, sentence }) = outcome {
            partition.acknowledge_error_code = error;
            partition.acknowledge_error_message = sentence.map(StrBytes::from_static_str);
        }
    }
    let mut topics: Vec<ShareFetchedTopic> = Vec::new();
    for ((topic_id, _), partition) in partitions {
        match topics.last_mut().filter(|last| last.topic_id == topic_id) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(ShareFetchedTopic { topic_id, partitions: vec![partition] }),
        }
    }
    let acquisition_lock_timeout_ms = settings.lock_timeout_ms();
    ShareFetchResponse {
        acquisition_lock_timeout_ms,
        topics,
        node_endpoints,
        ..ShareFetchResponse::default()
    }
}
