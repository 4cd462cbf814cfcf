//! Fetch (1), versions 4 to 18: batches from partitions, now or when there are enough.
//!
//! The request becomes a [`plan::Plan`]; reading it gives slices of the mapped log, which go out uncopied. It is answered
//! at once when it has enough bytes, any partition has an error or a diverging epoch, or the client does not wait; else it
//! subscribes to its partitions, looks again, and sleeps until one of them changes or `max_wait_ms` is over. Version 5
//! brings the log start, 7 a top-level error and sessions, 9 the client's leader epoch, 10 zstd (below it a topic whose
//! `compression.type` is zstd is UNSUPPORTED_COMPRESSION_TYPE), 12 the diverging epoch, 13 topic ids.
//!
//! Deliberate gaps: no fetch sessions, every answer has session id 0 and all partitions (KIP-227 allows that), so a
//! session id from elsewhere is FETCH_SESSION_ID_NOT_FOUND; aborted transactions are an empty list while there are no
//! transactions; no preferred replica (11), no `current_leader` (12) or `node_endpoints` (16): this broker leads
//! everything. Requests of followers are served as a consumer's.

mod limits;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use protocol::fetch_response::{FetchResponse, encode};
use protocol::layout::Layout;
use protocol::messages::{ApiKey, FetchRequest, FetchResponse as FetchMessage};
use protocol::{ErrorCode, layouts};

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use plan::Plan;

pub(super) struct Fetch;

impl Api for Fetch {
    type Request = FetchRequest;
    type Response = FetchMessage;
    const KEY: ApiKey = ApiKey::Fetch;
    const LAYOUT: &'static Layout = &layouts::data::FETCH;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: FetchRequest) -> Reply {
        let version = context.version();
        if !starts_afresh(&request) {
            let error_code = ErrorCode::FetchSessionIdNotFound;
            return Reply::Now(encoded(version, &FetchResponse { error_code, ..FetchResponse::default() }));
        }
        let max_wait = u64::try_from(request.max_wait_ms).unwrap_or_default();
        let plan = Plan::new(&broker.store, version, broker.config.fetch_max_bytes, request);
        let fetched = plan.read(&broker.store);
        if fetched.is_enough || max_wait == 0 {
            return Reply::Now(encoded(version, &fetched.response));
        }
        drop(fetched);
        Reply::Later(Box::pin(long_poll(Arc::clone(broker), plan, Duration::from_millis(max_wait))))
    }
}

/// Without sessions here only requests that open one or want none can be served: epoch 0 or -1
/// (`FetchManager.newContext`).
fn starts_afresh(request: &FetchRequest) -> bool {
    matches!(request.session_epoch, -1 | 0)
}

async fn long_poll(broker: Arc<Broker>, plan: Plan, max_wait: Duration) -> Response {
    let subscription = broker.waits.subscribe(plan.partitions());
    let deadline = tokio::time::sleep(max_wait);
    tokio::pin!(deadline);
    loop {
        let fetched = plan.read(&broker.store);
        if fetched.is_enough {
            return encoded(plan.version(), &fetched.response);
        }
        // What was read so far keeps files of the log mapped: let go of it while waiting.
        drop(fetched);
        tokio::select! {
            biased;
            () = subscription.changed() => {}
            () = &mut deadline => return encoded(plan.version(), &plan.read(&broker.store).response),
        }
    }
}

fn encoded(version: i16, response: &FetchResponse) -> Response {
    Response { chunks: encode(version, response) }
}
