//! Verbs about snapshots: the whole broker as it is, kept in memory under a name, and going back to it.
//!
//! Everything but the log can be rebuilt from it, so a snapshot is the closed data directory, and going back is putting it where it
//! was and opening it. Both exchange the broker for its successor between two requests: nobody is inside (`in_flight`), the old one is
//! closed, the new one opened. Invariants: connections stay, and what was parked begins again at the successor; what clients were
//! given and might come back with, producer ids and leader epochs, does not go back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;
use storage::DirectoryImage;
use storage::disk::Disk;

use super::http::{Call, Failure, Outcome, answer};
use crate::broker::Broker;
use crate::virtual_nodes;

/// Of all snapshots together: they are for tests with little data.
const MOST_BYTES: u64 = 1 << 30;

/// By their names.
#[derive(Debug, Default)]
pub(super) struct Snapshots(Mutex<BTreeMap<String, Arc<DirectoryImage>>>);

impl Snapshots {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<DirectoryImage>>> {
        self.0.lock().expect("nothing panics under this lock")
    }

    /// What is left of the memory for a snapshot `name`, which replaces one that has it.
    fn room_for(&self, name: &str) -> u64 {
        let all = self.all();
        let others = all.iter().filter(|(other, _)| *other != name).map(|(_, image)| image.bytes());
        MOST_BYTES.saturating_sub(others.sum())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
}

/// `POST /test/snapshots`.
pub(super) async fn take(call: Call) -> Outcome {
    let Wish { name } = call.body()?;
    if name.is_empty() || name.contains('/') {
        return Err(Failure::bad(format!("name is \"{name}\"; give a text without / that is not empty")));
    }
    let room = call.test_mode().snapshots.room_for(&name);
    let image = exchanged(&call, |disk, dir| DirectoryImage::take(disk, dir, room)).await?;
    let image = image.ok_or_else(|| {
        let sentence = format!(
            "the log has more than {room} bytes; all snapshots together have at most {MOST_BYTES}: delete one or records"
        );
        Failure::new(StatusCode::CONFLICT, sentence)
    })?;
    let bytes = image.bytes();
    call.test_mode().snapshots.all().insert(name.clone(), Arc::new(image));
    answer(&json!({ "name": name, "bytes": bytes }))
}

/// `GET /test/snapshots`.
#[expect(clippy::needless_pass_by_value, reason = "what a verb takes")]
pub(super) fn all(call: Call) -> Outcome {
    let snapshots = call.test_mode().snapshots.all();
    let shown: Vec<_> =
        snapshots.iter().map(|(name, image)| json!({ "name": name, "bytes": image.bytes() })).collect();
    answer(&json!({ "snapshots": shown }))
}

/// `DELETE /test/snapshots/{name}`.
#[expect(clippy::needless_pass_by_value, reason = "what a verb takes")]
pub(super) fn remove(call: Call) -> Outcome {
    let name = call.segment(0);
    let removed = call.test_mode().snapshots.all().remove(name);
    let image = removed.ok_or_else(|| missing(&call, name))?;
    answer(&json!({ "name": name, "bytes": image.bytes() }))
}

/// `POST /test/snapshots/{name}/restore`.
pub(super) async fn restore(call: Call) -> Outcome {
    let name = call.segment(0);
    let image = call.test_mode().snapshots.all().get(name).cloned();
    let image = image.ok_or_else(|| missing(&call, name))?;
    exchanged(&call, |disk, dir| image.put_back(disk, dir)).await?;
    answer(&json!({ "name": name, "bytes": image.bytes() }))
}

fn missing(call: &Call, name: &str) -> Failure {
    let known: Vec<String> = call.test_mode().snapshots.all().keys().cloned().collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Failure::missing(format!("there is no snapshot {name}; there are {known}"))
}

/// Has `work` done with the data directory closed, and the broker's successor serve after it.
async fn exchanged<T: Send>(
    call: &Call,
    work: impl FnOnce(&dyn Disk, &Path) -> Result<T, storage::Error> + Send,
) -> Result<T, Failure> {
    let test_mode = call.test_mode();
    if test_mode.disk.is_full() {
        let sentence = "the disk is full; lift that with POST /test/disk-full {\"full\": false} first";
        return Err(Failure::new(StatusCode::CONFLICT, sentence));
    }
    let timeout = call.timeout()?;
    let _alone = test_mode.verbs.write().await;
    let _shut = test_mode.in_flight.shut();
    if tokio::time::timeout(timeout, test_mode.in_flight.empty()).await.is_err() {
        let busy = test_mode.in_flight.busy();
        return Err(Failure::timeout(format!("{busy} requests are under way; nothing was changed")));
    }
    let broker = call.broker.serving();
    // This thread waits: a verb that came in between would ask a broker that is closed.
    let done = std::thread::scope(|scope| scope.spawn(|| exchange(&broker, work)).join());
    done.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
}

/// Closes the broker, has `work` done, opens its successor.
fn exchange<T>(
    broker: &Arc<Broker>,
    work: impl FnOnce(&dyn Disk, &Path) -> Result<T, storage::Error>,
) -> Result<T, Failure> {
    let next_producer_id = broker.store.next_producer_id();
    let stopped = |error: &dyn std::fmt::Display| {
        let reason = format!("the broker cannot go on: {error}");
        (broker.on_stopped)(&reason);
        Failure::internal(reason)
    };
    virtual_nodes::keep(broker);
    broker.close().map_err(|error| stopped(&error))?;
    let outcome = work(&*broker.disk, &broker.config.data_dir);
    let successor = broker.reopened().map_err(|error| stopped(&error))?;
    successor.store.skip_producer_ids(next_producer_id);
    for topic in broker.store.topics() {
        let Some(again) = successor.store.topic_by_id(topic.id()) else { continue };
        for (before, now) in topic.partitions().iter().zip(again.partitions().iter()) {
            now.raise_leader_epoch(before.leader_epoch());
        }
    }
    if let Some(nodes) = &successor.virtual_nodes {
        nodes.forget_all_but(&successor.store.topics());
    }
    virtual_nodes::place(&successor);
    broker.test_mode.as_ref().expect("verbs run in test mode").is_succeeded_by(successor);
    outcome.map_err(|error| Failure::internal(error.to_string()))
}
