//! Verbs about time: what the broker's clock shows, and moving it forward (`virtual_clock`).

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::http::{Call, Failure, Outcome, answer};
use crate::virtual_clock;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

/// `GET /test/clock`.
#[expect(clippy::needless_pass_by_value, reason = "what a verb takes")]
pub(super) fn show(call: Call) -> Outcome {
    shown(&call)
}

/// `POST /test/clock`.
pub(super) async fn advance(call: Call) -> Outcome {
    let Advance { advance_ms } = call.body()?;
    let moved = virtual_clock::advance(&call.broker, Duration::from_millis(advance_ms)).await;
    moved.map_err(|error| Failure::bad(format!("advance_ms is {advance_ms}: {error}")))?;
    shown(&call)
}

fn shown(call: &Call) -> Outcome {
    let clock = call.broker.virtual_clock.as_ref().expect("a broker in test mode has one");
    let ahead = u64::try_from(clock.ahead().as_millis()).unwrap_or(u64::MAX);
    answer(&json!({ "now_ms": call.broker.clock.now_ms(), "ahead_ms": ahead }))
}
