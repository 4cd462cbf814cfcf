//! The verbs about faults: make a rule, look at it, wait until it fired, take it out.
#![expect(clippy::needless_pass_by_value, reason = "what a verb takes")]

use std::pin::pin;

use serde_json::json;

use super::faults::{Shown, Spec};
use super::http::{Call, Failure, Outcome, answer};

/// `POST /test/faults`.
pub(super) fn add(call: Call) -> Outcome {
    let spec: Spec = call.body()?;
    let id = call.test_mode().faults().add(spec).map_err(Failure::bad)?;
    answer(&json!({ "id": id }))
}

/// `GET /test/faults`.
pub(super) fn all(call: Call) -> Outcome {
    answer(&json!({ "faults": call.test_mode().faults().all() }))
}

/// `DELETE /test/faults`.
pub(super) fn remove_all(call: Call) -> Outcome {
    answer(&json!({ "faults": call.test_mode().faults().remove_all() }))
}

/// `GET /test/faults/{id}`.
pub(super) fn one(call: Call) -> Outcome {
    answer(&shown(&call, id(&call)?)?)
}

/// `DELETE /test/faults/{id}`.
pub(super) fn remove(call: Call) -> Outcome {
    let id = id(&call)?;
    let removed = call.test_mode().faults().remove(id);
    answer(&removed.ok_or_else(|| missing(&call, id))?)
}

/// `GET /test/faults/{id}/wait`.
pub(super) async fn wait(call: Call) -> Outcome {
    let (id, hits) = (id(&call)?, call.number("hits")?.unwrap_or(1_u64));
    let look = async {
        loop {
            let mut told = pin!(call.test_mode().hit.notified());
            // Before the look, so that no hit is missed in between.
            told.as_mut().enable();
            let shown = shown(&call, id)?;
            if shown.hits >= hits {
                return answer(&shown);
            }
            told.await;
        }
    };
    match tokio::time::timeout(call.timeout()?, look).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let Shown { hits: fired, seen, .. } = shown(&call, id)?;
            Err(Failure::timeout(format!(
                "fault {id} fired {fired} times, not {hits}; {seen} requests matched its rule"
            )))
        }
    }
}

fn id(call: &Call) -> Result<u64, Failure> {
    let text = call.segment(0);
    text.parse()
        .map_err(|_| Failure::bad(format!("\"{text}\" is no number of a fault; POST /test/faults gives one")))
}

fn shown(call: &Call, id: u64) -> Result<Shown, Failure> {
    let shown = call.test_mode().faults().shown(id);
    shown.ok_or_else(|| missing(call, id))
}

fn missing(call: &Call, id: u64) -> Failure {
    let known: Vec<String> =
        call.test_mode().faults().all().iter().map(|fault| fault.id.to_string()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Failure::missing(format!("there is no fault {id}; there are {known}"))
}
