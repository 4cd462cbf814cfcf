//! Test mode: what a broker does for the tests of applications, on top of being one. Off unless `--test-mode` asks for it.
//!
//! Owns the control API (`http`: the road from a request to its verb, `verbs`: the table of verbs, `docs/TEST_MODE.md` for
//! people) and what it steers. `request_log`, `touched`, `faults` and `errors` are values without clock or socket; `fate` carries
//! out what `faults` decides. `api::dispatch` calls
//! [`TestMode::handle`] in the place of a handler, the admin endpoints call [`http::respond`]. Invariant: a broker without test
//! mode holds no [`TestMode`], pays one look at an `Option` for a request, and refuses every verb.

mod broker_verbs;
mod clock;
pub(crate) mod disk;
mod errors;
mod fate;
mod fault_verbs;
mod faults;
mod groups;
pub(crate) mod http;
mod in_flight;
mod inner_client;
mod nodes;
pub(crate) mod profiles;
mod request_log;
mod reset;
mod snapshots;
mod touched;
mod verbs;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, RwLock, RwLockReadGuard};
use tokio::time::Instant;

use crate::api::{Entry, Refused, Reply, RequestContext};
use crate::broker::Broker;
use disk::DiskFaults;
use fate::Fate;
use faults::{Facts, Faults};
use in_flight::InFlight;
use profiles::Profile;
use request_log::{Request, RequestLog};
use snapshots::Snapshots;
use touched::Touched;

/// What test mode knows and is told.
#[derive(Debug, Default)]
pub(crate) struct TestMode {
    requests: Mutex<RequestLog>,
    faults: Mutex<Faults>,
    /// Of all rules that there ever were.
    fault_hits: AtomicU64,
    /// Told after every hit of a fault.
    hit: Notify,
    /// Connections that are not heard before a time.
    muted: Mutex<HashMap<SocketAddr, Instant>>,
    /// The release whose versions are served, unless it is this one.
    profile: Mutex<Option<&'static Profile>>,
    pub(crate) disk: Arc<DiskFaults>,
    in_flight: Arc<InFlight>,
    snapshots: Snapshots,
    /// Held for reading by verbs and scrapes that ask the broker something, for writing while another takes its place.
    verbs: RwLock<()>,
    /// The broker that serves in the place of the one that was started.
    successor: Mutex<Option<Arc<Broker>>>,
}

impl TestMode {
    /// Does a request whose body the guard let pass.
    ///
    /// # Errors
    /// As the handler.
    pub(crate) fn handle(
        &self,
        broker: &Arc<Broker>,
        entry: &'static Entry,
        context: &RequestContext<'_>,
        body: Bytes,
    ) -> Result<Reply, Refused> {
        let name_of = |id| broker.store.topic_by_id(id).map(|topic| topic.name().to_string());
        let touched = Touched::of(entry.layout, context.version(), &body, name_of);
        let facts = Facts {
            api: entry.name(),
            touched: &touched,
            client_id: context.client_id(),
            node: context.node_id(broker),
        };
        let met = self.faults().meet(&facts);
        self.requests().record(Request {
            sequence: 0,
            time_ms: broker.clock.now_ms(),
            api: entry.name(),
            version: context.version(),
            client_id: context.client_id().to_owned(),
            connection: context.connection.peer.to_string(),
            fault: met.as_ref().map(|met| met.id),
            touched,
        });
        let muted_until = self.muted_until(context.connection.peer);
        let (header, connection) = (context.header.clone(), context.connection.clone());
        let is_plain = met.is_none() && muted_until.is_none();
        let fate = Fate {
            broker: Arc::clone(broker),
            entry,
            header,
            connection,
            body: body.clone(),
            met,
            muted_until,
        };
        let Some(_inside) = self.in_flight.enter() else {
            return Ok(Reply::Ordered(Box::pin(fate.when_open())));
        };
        if !is_plain {
            return Ok(fate.begun());
        }
        let reply = entry.handle(broker, context, body)?;
        // Some of the rest may hold the answer back.
        context.connection.append_submitted(broker);
        Ok(fate.watched(reply))
    }

    /// What a request met was done to it, or turned out to have no effect.
    fn told(&self, fault: u64, is_done: bool) {
        {
            let mut faults = self.faults();
            if is_done {
                faults.done(fault)
            } else {
                faults.give_back(fault)
            }
            self.fault_hits.fetch_add(u64::from(is_done), Ordering::Relaxed);
        }
        self.hit.notify_waiters();
    }

    /// How often any fault was done to a request.
    pub(crate) fn fault_hits(&self) -> u64 {
        self.fault_hits.load(Ordering::Relaxed)
    }

    fn mute(&self, peer: SocketAddr, ms: i32) {
        let until = Instant::now() + Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        self.muted().insert(peer, until);
    }

    fn muted_until(&self, peer: SocketAddr) -> Option<Instant> {
        let mut muted = self.muted();
        if muted.is_empty() {
            return None;
        }
        let now = Instant::now();
        muted.retain(|_, until| *until > now);
        muted.get(&peer).copied()
    }

    /// The release that clients are to take this broker for.
    pub(crate) fn profile(&self) -> Option<&'static Profile> {
        *self.profile.lock().expect("nothing panics under this lock")
    }

    fn imitate(&self, profile: Option<&'static Profile>) {
        *self.profile.lock().expect("nothing panics under this lock") = profile;
    }

    /// The broker that serves in the place of the one that was started.
    pub(crate) fn successor(&self) -> Option<Arc<Broker>> {
        self.successor.lock().expect("nothing panics under this lock").clone()
    }

    /// The same, and none from here on: the process ends.
    pub(crate) fn take_successor(&self) -> Option<Arc<Broker>> {
        self.successor.lock().expect("nothing panics under this lock").take()
    }

    /// No other broker takes the place of the one that serves as long as what this returns lives.
    pub(crate) async fn stays(&self) -> RwLockReadGuard<'_, ()> {
        self.verbs.read().await
    }

    fn is_succeeded_by(&self, broker: Arc<Broker>) {
        *self.successor.lock().expect("nothing panics under this lock") = Some(broker);
    }

    fn requests(&self) -> MutexGuard<'_, RequestLog> {
        self.requests.lock().expect("nothing panics under this lock")
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("nothing panics under this lock")
    }

    fn muted(&self) -> MutexGuard<'_, HashMap<SocketAddr, Instant>> {
        self.muted.lock().expect("nothing panics under this lock")
    }
}
