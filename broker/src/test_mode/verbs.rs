//! The table of verbs of the control API, and the small ones.
//!
//! Read by `http`; a verb with rules of its own has a room of its own and one row here.

use hyper::Method;

use super::http::{Call, Failure, Outcome, Run, Verb, answer};
use super::{broker_verbs, clock, fault_verbs, groups, nodes, reset, snapshots};
use crate::api::APIS;

/// Every verb.
#[rustfmt::skip]
pub(super) static VERBS: &[Verb] = &[
    Verb { method: Method::GET, path: "/test/requests", query: &["key", "since"], run: Run::Now(requests) },
    Verb { method: Method::POST, path: "/test/faults", query: &[], run: Run::Now(fault_verbs::add) },
    Verb { method: Method::GET, path: "/test/faults", query: &[], run: Run::Now(fault_verbs::all) },
    Verb { method: Method::DELETE, path: "/test/faults", query: &[], run: Run::Now(fault_verbs::remove_all) },
    Verb { method: Method::GET, path: "/test/faults/{id}", query: &[], run: Run::Now(fault_verbs::one) },
    Verb { method: Method::DELETE, path: "/test/faults/{id}", query: &[], run: Run::Now(fault_verbs::remove) },
    Verb { method: Method::GET, path: "/test/faults/{id}/wait", query: &["hits", "timeout_ms"], run: Run::Waiting(|call| Box::pin(fault_verbs::wait(call))) },
    Verb { method: Method::POST, path: "/test/reset", query: &[], run: Run::Later(|call| Box::pin(reset::reset(call))) },
    Verb { method: Method::GET, path: "/test/snapshots", query: &[], run: Run::Now(snapshots::all) },
    Verb { method: Method::POST, path: "/test/snapshots", query: &["timeout_ms"], run: Run::Waiting(|call| Box::pin(snapshots::take(call))) },
    Verb { method: Method::DELETE, path: "/test/snapshots/{name}", query: &[], run: Run::Now(snapshots::remove) },
    Verb { method: Method::POST, path: "/test/snapshots/{name}/restore", query: &["timeout_ms"], run: Run::Waiting(|call| Box::pin(snapshots::restore(call))) },
    Verb { method: Method::GET, path: "/test/clock", query: &[], run: Run::Now(clock::show) },
    Verb { method: Method::POST, path: "/test/clock", query: &[], run: Run::Later(|call| Box::pin(clock::advance(call))) },
    Verb { method: Method::GET, path: "/test/nodes", query: &[], run: Run::Now(nodes::show) },
    Verb { method: Method::POST, path: "/test/nodes/{id}/down", query: &[], run: Run::Now(nodes::down) },
    Verb { method: Method::POST, path: "/test/nodes/{id}/up", query: &[], run: Run::Now(nodes::up) },
    Verb { method: Method::POST, path: "/test/partitions/{topic}/{partition}/leader", query: &[], run: Run::Now(nodes::move_leader) },
    Verb { method: Method::GET, path: "/test/groups/{group}/wait", query: &["state", "members", "timeout_ms"], run: Run::Waiting(|call| Box::pin(groups::wait(call))) },
    Verb { method: Method::POST, path: "/test/members/{group}/{member}/expire", query: &[], run: Run::Later(|call| Box::pin(groups::expire(call))) },
    Verb { method: Method::POST, path: "/test/txn/{id}/expire", query: &[], run: Run::Later(|call| Box::pin(broker_verbs::expire_transaction(call))) },
    Verb { method: Method::POST, path: "/test/max-versions", query: &[], run: Run::Now(broker_verbs::max_versions) },
    Verb { method: Method::POST, path: "/test/slow-disk", query: &[], run: Run::Now(broker_verbs::slow_disk) },
    Verb { method: Method::POST, path: "/test/disk-full", query: &[], run: Run::Now(broker_verbs::disk_full) },
    Verb { method: Method::POST, path: "/test/quiesce", query: &["timeout_ms"], run: Run::Waiting(|call| Box::pin(broker_verbs::quiesce(call))) },
    Verb { method: Method::POST, path: "/test/retention", query: &[], run: Run::Now(broker_verbs::clean) },
    Verb { method: Method::POST, path: "/test/compact", query: &[], run: Run::Now(broker_verbs::clean) },
];

#[expect(clippy::needless_pass_by_value, reason = "what a verb takes")]
fn requests(call: Call) -> Outcome {
    let since = call.number("since")?.unwrap_or(0);
    let api = call.text("key").map(api_named).transpose().map_err(Failure::bad)?;
    answer(&call.test_mode().requests().page(since, api))
}

/// Kafka's spelling of an API's name, in whatever case it was written.
///
/// # Errors
/// A sentence with the nearest name that there is.
pub(super) fn api_named(name: &str) -> Result<&'static str, String> {
    let names = || APIS.iter().map(crate::api::Entry::name);
    if let Some(known) = names().find(|known| known.eq_ignore_ascii_case(name)) {
        return Ok(known);
    }
    let distance = |known: &&str| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    let nearest = names().min_by_key(distance).expect("APIs are served");
    Err(format!("there is no API \"{name}\"; the nearest is {nearest}"))
}
