//! Test mode: what a broker does for the tests of applications, on top of being one. Off unless `--test-mode` asks for it.
//!
//! Owns the control API (`http`: the road from a request to its verb, `verbs`: the table of verbs, `docs/TEST_MODE.md` for
//! people) and what it steers; `request_log` and `touched` are values without clock or socket. `api::dispatch` calls
//! [`TestMode::handle`] in the place of a handler, the admin endpoints call [`http::respond`]. Invariant: a broker without test
//! mode holds no [`TestMode`], pays one look at an `Option` for a request, and refuses every verb.

mod clock;
mod groups;
pub(crate) mod http;
mod inner_client;
mod request_log;
mod reset;
mod touched;
mod verbs;

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::api::{Entry, Refused, Reply, RequestContext};
use crate::broker::Broker;
use request_log::{Request, RequestLog};
use touched::Touched;

/// What test mode knows and is told.
#[derive(Debug, Default)]
pub(crate) struct TestMode {
    requests: Mutex<RequestLog>,
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
        self.requests().record(Request {
            sequence: 0,
            time_ms: broker.clock.now_ms(),
            api: entry.name(),
            version: context.version(),
            client_id: context.client_id().to_owned(),
            connection: context.connection.peer.to_string(),
            touched,
        });
        entry.handle(broker, context, body)
    }

    fn requests(&self) -> MutexGuard<'_, RequestLog> {
        self.requests.lock().expect("nothing panics under this lock")
    }
}
