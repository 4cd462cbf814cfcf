//! Verbs about the broker itself: which release it looks like, how its disk does, what it cleans now, and transactions that run
//! out of time.
#![expect(clippy::needless_pass_by_value, reason = "what a verb takes")]

use std::time::Duration;

use hyper::StatusCode;
use protocol::messages::{
    ApiKey, DescribeTransactionsRequest, DescribeTransactionsResponse, InitProducerIdRequest,
    InitProducerIdResponse, TransactionalId,
};
use protocol::{ErrorCode, StrBytes};
use serde::Deserialize;
use serde_json::json;
use storage::FlushMode;

use super::http::{Call, Failure, Outcome, answer};
use super::inner_client::ask;
use super::profiles::Profile;

/// Between two attempts while the end of a transaction is being written.
const AGAIN: Duration = Duration::from_millis(2);
const ONGOING: &str = "Ongoing";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxVersions {
    /// Null: what this broker serves.
    profile: Option<String>,
}

/// `POST /test/max-versions`.
pub(super) fn max_versions(call: Call) -> Outcome {
    let MaxVersions { profile } = call.body()?;
    let profile = match &profile {
        None => None,
        Some(name) => Some(Profile::named(name).ok_or_else(|| {
            Failure::bad(format!("there is no profile \"{name}\"; give one of {}, or null", Profile::names()))
        })?),
    };
    call.test_mode().imitate(profile);
    answer(&json!({ "profile": profile.map(|profile| profile.name) }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowDisk {
    fsync_ms: u64,
}

/// Longer, nobody means it.
const LONGEST_SYNC_MS: u64 = 60_000;

/// `POST /test/slow-disk`.
pub(super) fn slow_disk(call: Call) -> Outcome {
    let SlowDisk { fsync_ms } = call.body()?;
    if fsync_ms > LONGEST_SYNC_MS {
        return Err(Failure::bad(format!(
            "fsync_ms is {fsync_ms}; give at most {LONGEST_SYNC_MS}, 0 for as it is"
        )));
    }
    if call.broker.config.flush == FlushMode::Os && fsync_ms > 0 {
        let sentence = "with flush=os nothing waits for a sync, so a slow one would show nowhere; start with --flush sync";
        return Err(Failure::new(StatusCode::CONFLICT, sentence));
    }
    call.test_mode().disk.slow_down(fsync_ms);
    answer(&json!({ "fsync_ms": fsync_ms }))
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DiskFull {
    full: bool,
}

impl Default for DiskFull {
    fn default() -> Self {
        Self { full: true }
    }
}

/// `POST /test/disk-full`.
pub(super) fn disk_full(call: Call) -> Outcome {
    let DiskFull { full } = call.body()?;
    fill_disk(&call, full);
    answer(&json!({ "full": full }))
}

/// Has the disk be full, for records and for new files, or as it is.
pub(super) fn fill_disk(call: &Call, full: bool) {
    call.test_mode().disk.fill(full);
    call.broker.store.refuse_records(full);
}

/// `POST /test/retention` and `POST /test/compact`: one duty looks after both.
pub(super) fn clean(call: Call) -> Outcome {
    call.broker.store.clock_moved();
    answer(&json!({}))
}

/// `POST /test/quiesce`.
pub(super) async fn quiesce(call: Call) -> Outcome {
    let in_flight = &call.test_mode().in_flight;
    match tokio::time::timeout(call.timeout()?, in_flight.quiet()).await {
        Ok(()) => {
            // Answered behind everything that the coordinator was asked before.
            super::groups::observed(&call).await;
            answer(&json!({}))
        }
        Err(_) => Err(Failure::timeout(format!("{} requests are under way", in_flight.busy()))),
    }
}

/// `POST /test/txn/{id}/expire`.
pub(super) async fn expire_transaction(call: Call) -> Outcome {
    let name = call.segment(0);
    let id = TransactionalId(StrBytes::from_string(name.to_owned()));
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id.clone()]);
    let described: DescribeTransactionsResponse =
        ask(&call.broker, ApiKey::DescribeTransactions, 0, &request).await?;
    let state = described.transaction_states.into_iter().next();
    let state = state.filter(|state| state.error_code == ErrorCode::None.code());
    let state = state.ok_or_else(|| Failure::missing(format!("there is no transactional id {name}")))?;
    if state.transaction_state.as_str() != ONGOING {
        let sentence = format!("{name} has no open transaction: it is {}", state.transaction_state.as_str());
        return Err(Failure::new(StatusCode::CONFLICT, sentence));
    }
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id))
        .with_transaction_timeout_ms(state.transaction_timeout_ms)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let fence = async {
        loop {
            let fenced: InitProducerIdResponse =
                ask(&call.broker, ApiKey::InitProducerId, 4, &request).await?;
            match ErrorCode::from_code(fenced.error_code) {
                Some(ErrorCode::None) => return answer(&json!({ "transactional_id": name })),
                Some(ErrorCode::ConcurrentTransactions) => tokio::time::sleep(AGAIN).await,
                error => {
                    let error = error.map_or("an unknown error", ErrorCode::name);
                    return Err(Failure::new(StatusCode::CONFLICT, format!("{name} was not ended: {error}")));
                }
            }
        }
    };
    tokio::time::timeout(super::http::WAIT, fence).await.unwrap_or_else(|_| {
        Err(Failure::timeout(format!("the end of {name}'s transaction is not written yet")))
    })
}
