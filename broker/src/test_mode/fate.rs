//! Carries out what a request meets: late, refused, lost or broken.
//!
//! Made by `TestMode::handle` for requests that a rule wants and for those of a connection that is muted after a throttled
//! answer; the connection begins no other request before it is done, as Kafka begins none before the answer to the last has
//! left. Invariant: a hit is counted when it was done, never before.

use std::sync::Arc;

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::header::RequestHeader;
use protocol::messages::ApiKey;
use tokio::time::{Instant, sleep, sleep_until};

use super::TestMode;
use super::errors::{self, Refused, Target};
use super::faults::{Breakage, Met};
use super::in_flight::Kind;
use crate::api::{ConnectionInfo, Entry, Reply, RequestContext, Response};
use crate::broker::Broker;

/// One request on its way.
#[derive(Clone)]
pub(super) struct Fate {
    pub(super) broker: Arc<Broker>,
    pub(super) entry: &'static Entry,
    pub(super) header: RequestHeader,
    pub(super) connection: ConnectionInfo,
    pub(super) body: Bytes,
    pub(super) met: Option<Met>,
    pub(super) muted_until: Option<Instant>,
}

/// What came of it where there is no answer: `Reply::Nothing` or `Reply::Close`.
type NoAnswer = Reply;

impl Fate {
    /// Begins what comes to a request while the log is exchanged, at the broker that serves after it.
    pub(super) async fn when_open(mut self) -> Reply {
        let in_flight = Arc::clone(&self.test_mode().in_flight);
        let _inside = in_flight.enter_when_open().await;
        self.broker = self.broker.serving();
        self.begun()
    }

    /// Begins it. Whoever calls it is inside (`in_flight`).
    pub(super) fn begun(self) -> Reply {
        let reply = if self.met.is_none() && self.muted_until.is_none() {
            let reply = self.begin(self.body.clone());
            self.connection.append_submitted(&self.broker);
            reply
        } else {
            Reply::Ordered(Box::pin(self.clone().run()))
        };
        self.watched(reply)
    }

    /// The same reply, inside until it is there. One that is parked is given up when the log is exchanged, and begins again.
    pub(super) fn watched(self, reply: Reply) -> Reply {
        let in_flight = Arc::clone(&self.test_mode().in_flight);
        let parks = [ApiKey::Fetch, ApiKey::JoinGroup, ApiKey::SyncGroup].map(|key| key as i16);
        let kind = if parks.contains(&self.entry.key) { Kind::Parked } else { Kind::Busy };
        match reply {
            Reply::Later(later) => {
                let inside = in_flight.stay(kind);
                Reply::Later(Box::pin(async move {
                    if let Some(response) = in_flight.unless_sent_out(&inside, later).await {
                        return response;
                    }
                    drop(inside);
                    answered(self.when_open().await).await
                }))
            }
            Reply::Ordered(work) => {
                let inside = in_flight.stay(kind);
                Reply::Ordered(Box::pin(async move {
                    if let Some(reply) = in_flight.unless_sent_out(&inside, work).await {
                        // Counted anew before the old count ends.
                        return self.watched(reply);
                    }
                    drop(inside);
                    self.when_open().await
                }))
            }
            other => other,
        }
    }

    /// Does all of it.
    async fn run(self) -> Reply {
        if let Some(until) = self.muted_until {
            sleep_until(until).await;
        }
        let Some(met) = &self.met else { return self.begin(self.body.clone()) };
        if !met.after_apply {
            sleep(met.delay).await;
        }
        let name_of = |id| self.broker.store.topic_by_id(id).map(|topic| topic.name().to_string());
        let error = if let Breakage::Error(error) = met.breakage { error } else { ErrorCode::None };
        let target = Target { only: &met.only, name_of: &name_of, error };
        let (reply, is_done) = match met.breakage {
            Breakage::Disconnect if !met.after_apply => (Reply::Close, true),
            Breakage::Error(_) if !met.after_apply => (self.refused(&target).await, true),
            breakage => self.broken(breakage, met, &target).await,
        };
        let reply =
            if let Reply::Now(response) = reply { Reply::Now(self.throttled(response, met)) } else { reply };
        self.test_mode().told(met.id, is_done);
        reply
    }

    fn test_mode(&self) -> &TestMode {
        self.broker.test_mode.as_ref().expect("requests meet faults in test mode only")
    }

    fn version(&self) -> i16 {
        self.header.api_version
    }

    /// Has the handler begin; what it refuses closes the connection, as it does without faults.
    fn begin(&self, body: Bytes) -> Reply {
        let context = RequestContext { header: self.header.clone(), connection: &self.connection };
        self.entry.handle(&self.broker, &context, body).unwrap_or_else(|refused| {
            tracing::warn!(peer = %self.connection.peer, reason = %refused, "connection closed");
            Reply::Close
        })
    }

    /// The handler's answer.
    async fn answer(&self, body: Bytes) -> Result<Response, NoAnswer> {
        let mut reply = self.begin(body);
        loop {
            reply = match reply {
                Reply::Now(response) => return Ok(response),
                Reply::Later(later) => return Ok(later.await),
                Reply::Ordered(work) => work.await,
                none => return Err(none),
            };
        }
    }

    /// The request with the part that the rule means refused, and the rest done.
    async fn refused(&self, target: &Target<'_>) -> Reply {
        let shape = errors::shape(self.entry.name()).expect("looked at when the rule was made");
        let version = self.version();
        let Some(Refused { rest, answer, is_silent }) = (shape.refuse)(&self.body, version, target) else {
            return self.begin(self.body.clone());
        };
        let Some(rest) = rest else {
            return if is_silent { Reply::Close } else { Reply::Now(whole(answer.unwrap_or_default())) };
        };
        let done = match self.answer(errors::without_waiting(self.entry.name(), version, rest)).await {
            Ok(response) => Bytes::from(response.chunks.concat()),
            Err(_) => return Reply::Close,
        };
        let joined = match answer {
            Some(refused) => (shape.join)(&done, &refused, version),
            None => (shape.patch)(&done, version, target),
        };
        Reply::Now(whole(joined.unwrap_or(done)))
    }

    /// The request done, and what becomes of its answer; whether anything could be broken.
    async fn broken(&self, breakage: Breakage, met: &Met, target: &Target<'_>) -> (Reply, bool) {
        let response = match self.answer(self.body.clone()).await {
            Ok(response) => response,
            // Where no answer is wanted, only the connection can be lost.
            Err(Reply::Nothing) if matches!(breakage, Breakage::Disconnect | Breakage::Error(_)) => {
                return (Reply::Close, true);
            }
            Err(none) => return (none, breakage == Breakage::DropResponse),
        };
        if met.after_apply {
            sleep(met.delay).await;
        }
        let bytes = |response: &Response| Bytes::from(response.chunks.concat());
        match breakage {
            Breakage::None => (Reply::Now(response), true),
            Breakage::Disconnect => (Reply::Close, true),
            Breakage::DropResponse => (Reply::Nothing, true),
            Breakage::Truncate => (Reply::Now(Response { breaks_off: true, ..response }), true),
            Breakage::Error(_) => {
                let shape = errors::shape(self.entry.name()).expect("looked at when the rule was made");
                let patched = (shape.patch)(&bytes(&response), self.version(), target);
                let is_done = patched.is_some();
                (Reply::Now(patched.map_or(response, whole)), is_done)
            }
            Breakage::CorruptCrc => {
                let broken = errors::with_wrong_checksums(&bytes(&response), self.version(), target);
                let is_done = broken.is_some();
                (Reply::Now(broken.map_or(response, whole)), is_done)
            }
        }
    }

    /// Says how long the client is to be quiet, and keeps the connection from being heard for that time (KIP-219).
    fn throttled(&self, response: Response, met: &Met) -> Response {
        let Some(ms) = met.throttle_ms else { return response };
        let shape = errors::shape(self.entry.name()).expect("looked at when the rule was made");
        self.test_mode().mute(self.connection.peer, ms);
        let said = (shape.throttle)(&response.chunks.concat().into(), self.version(), ms);
        said.map_or(response, whole)
    }
}

/// What a request that parks is answered when it has begun again.
async fn answered(mut reply: Reply) -> Response {
    loop {
        reply = match reply {
            Reply::Now(response) => return response,
            Reply::Later(later) => return later.await,
            Reply::Ordered(work) => work.await,
            Reply::Nothing | Reply::Close => unreachable!("Fetch, JoinGroup and SyncGroup are answered"),
        };
    }
}

fn whole(answer: Bytes) -> Response {
    Response::of(vec![answer])
}
