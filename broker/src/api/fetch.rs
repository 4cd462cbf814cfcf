//! Fetch (1), versions 4 to 18: batches from partitions, now or when there are enough.
//!
//! The request becomes a [`plan::Plan`]; a look at it finds batches, which go out as slices of the mapped log, uncopied.
//! Where they are not in memory a thread that may wait for the device copies them. Checking many gives way to the other
//! connections of the core again and again. A fetch is answered
//! at once when it has enough bytes, any partition has an error or a diverging epoch, or the client does not wait; else it
//! subscribes to its partitions, looks again, and sleeps until one of them changes or `max_wait_ms` is over. Version 5
//! brings the log start, 7 a top-level error and sessions, 9 the client's leader epoch, 10 zstd (which goes out
//! in every version all the same, as from Kafka 4.3.1), 12 the diverging epoch, 13 topic ids. Sessions are kept by
//! `fetch_session`.
//!
//! Isolation level 1 (read_committed) reads up to the last stable offset and gets the list of aborted transactions among
//! its records, by first offset; for level 0 the list is null, which old clients rely on.
//!
//! Deliberate gaps: no preferred replica (11), no `current_leader` (12) or `node_endpoints` (16): this broker leads
//! everything. Nobody else has a replica, so whoever asks as one gets NOT_LEADER_OR_FOLLOWER.

mod limits;
mod looked;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use protocol::fetch_response::{FetchResponse, FetchedPartition, FetchedTopic};
use protocol::layout::Layout;
use protocol::messages::{ApiKey, FetchRequest, FetchResponse as FetchMessage};
use protocol::{ErrorCode, layouts};

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::cold_reads::Memory;
use crate::fetch_session::Begun;
use crate::virtual_nodes::{AtNode, NodeAddress};
use looked::CHECKED_AT_ONCE;
use plan::{Patience, Plan};

/// From this version on Kafka tells who leads a partition that was asked for in the wrong place (KIP-951).
const FIRST_VERSION_WITH_LEADERS: i16 = 16;

pub(super) struct Fetch;

impl Api for Fetch {
    type Request = FetchRequest;
    type Response = FetchMessage;
    const KEY: ApiKey = ApiKey::Fetch;
    const LAYOUT: &'static Layout = &layouts::data::FETCH;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: FetchRequest) -> Reply {
        let version = context.version();
        if !matches!(request.isolation_level, 0 | 1) {
            let response = refused(version, &request, ErrorCode::UnknownServerError);
            return Reply::Now(Response::fetched(version, &response));
        }
        let by_id = version >= plan::FIRST_VERSION_WITH_IDS;
        let session = match broker.fetch_sessions.begin(broker.clock.now_ms(), by_id, &request) {
            Ok(session) => session,
            Err(error_code) => {
                let response = FetchResponse { error_code, ..FetchResponse::default() };
                return Reply::Now(Response::fetched(version, &response));
            }
        };
        let max_wait = u64::try_from(request.max_wait_ms).unwrap_or_default();
        let max_bytes = broker.config.fetch_max_bytes;
        let at = (context.at(broker), leaders_told(broker, context));
        let plan = Arc::new(Plan::new((at, &broker.store), version, max_bytes, &request, session));
        let looked = plan.look(&broker.store, Patience::None);
        let at_once = looked.cold_bytes().is_none() && looked.bytes() <= CHECKED_AT_ONCE;
        if (looked.is_enough || max_wait == 0) && at_once {
            return Reply::Now(answer(broker, &plan, looked.read(broker)));
        }
        drop(looked);
        Reply::Later(Box::pin(long_poll(Arc::clone(broker), plan, Duration::from_millis(max_wait))))
    }
}

/// The answer to a request that is wrong as a whole. Clients below version 13 may not look at its own error (Kafka
/// `FetchRequest.getErrorResponse`).
fn refused(version: i16, request: &FetchRequest, error_code: ErrorCode) -> FetchResponse {
    let named = if version < plan::FIRST_VERSION_WITH_IDS { &request.topics[..] } else { &[] };
    let topics = named.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| FetchedPartition {
            partition_index: asked.partition,
            error_code,
            aborted_transactions: Some(Vec::new()),
            ..FetchedPartition::default()
        });
        FetchedTopic {
            name: topic.topic.0.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    });
    let (topics, session_id) = (topics.collect(), request.session_id);
    FetchResponse { error_code, session_id, topics, ..FetchResponse::default() }
}

/// Reads what `request` names, by topic id, for a member of a share group: no more than about `window` offsets of a
/// partition. `None` when there is not enough and that will not do; every error is enough.
pub(super) async fn read_for_share(
    broker: &Arc<Broker>,
    at: (Option<AtNode>, Vec<NodeAddress>),
    (request, window): (&FetchRequest, i64),
    anything: bool,
) -> Option<FetchResponse> {
    let max_bytes = broker.config.fetch_max_bytes;
    let (version, session) = (plan::FIRST_VERSION_WITH_IDS, (Begun::Sessionless, Vec::new()));
    let plan = Plan::new((at, &broker.store), version, max_bytes, request, session).within(window);
    let plan = Arc::new(plan);
    let mut response = read(broker, &plan, anything).await?;
    plan.tell_leaders(broker, &mut response);
    Some(response)
}

async fn long_poll(broker: Arc<Broker>, plan: Arc<Plan>, max_wait: Duration) -> Response {
    let began = broker.clock.elapsed();
    let response = wait_and_read(&broker, &plan, max_wait).await;
    let waited = broker.clock.elapsed().saturating_sub(began);
    broker.fetch_wait_seconds.observe(waited.as_secs_f64());
    answer(&broker, &plan, response)
}

async fn wait_and_read(broker: &Arc<Broker>, plan: &Arc<Plan>, max_wait: Duration) -> FetchResponse {
    let subscription = broker.waits.subscribe(plan.partitions());
    let deadline = broker.sleep(max_wait);
    tokio::pin!(deadline);
    loop {
        if let Some(response) = read(broker, plan, false).await {
            return response;
        }
        tokio::select! {
            biased;
            () = subscription.changed() => {}
            () = &mut deadline => {
                return read(broker, plan, true).await.expect("asked for whatever there is");
            }
        }
    }
}

/// What there is, if it is enough or `anything` will do. What was found is let go of when it is not: it keeps files of the
/// log mapped.
async fn read(broker: &Arc<Broker>, plan: &Arc<Plan>, anything: bool) -> Option<FetchResponse> {
    let looked = plan.look(&broker.store, Patience::None);
    if !looked.is_enough && !anything {
        return None;
    }
    let Some(bytes) = looked.cold_bytes() else { return Some(looked.read_in_turns(broker).await) };
    drop(looked);
    let (of_thread, plan) = (Arc::clone(broker), Arc::clone(plan));
    let read = move |memory: &mut Memory| {
        let looked = plan.look(&of_thread.store, Patience::Waits);
        (looked.is_enough || anything).then(|| looked.read_cold(&of_thread, memory))
    };
    let of_log = Arc::clone(broker);
    broker.cold_reads.run(bytes, move || of_log.store.acknowledged(), read).await
}

/// The nodes that a client can be sent to, where there are several and its version can be told.
fn leaders_told(broker: &Broker, context: &RequestContext<'_>) -> Vec<NodeAddress> {
    let told = broker.virtual_nodes.is_some() && context.version() >= FIRST_VERSION_WITH_LEADERS;
    if told { context.connection.nodes(broker) } else { Vec::new() }
}

fn answer(broker: &Broker, plan: &Plan, mut response: FetchResponse) -> Response {
    plan.tell_leaders(broker, &mut response);
    let (now_ms, sessions) = (broker.clock.now_ms(), &broker.fetch_sessions);
    let response = sessions.finish(now_ms, plan.session(), response, plan.asked(), plan.places());
    Response::fetched(plan.version(), &response)
}
