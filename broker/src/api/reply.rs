//! What becomes of a request: an answer now, an answer later, none.
//!
//! Made by handlers, carried out by `net`. Invariant: a [`Response`] is complete and encoded; nobody outside this module
//! knows versions or messages.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use protocol::fetch_response::{self, FetchResponse};
use protocol::share_fetch_response::{self, ShareFetchResponse};
use protocol::{Encodable, ErrorCode};
use storage::{PartitionLog, Position};

use super::error_codes::{ErrorCodes, ErrorCounts};
use crate::broker::Broker;

/// The body of a response as chunks to be written one after the other; record bytes are shared with the log, not copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) chunks: Vec<Bytes>,
    /// Which errors it says.
    pub(crate) errors: ErrorCounts,
    /// Only its first half is sent, then the connection is closed: a fault of test mode.
    pub(crate) breaks_off: bool,
}

impl Response {
    /// Encodes `message`.
    ///
    /// # Panics
    /// When a field is set that `version` does not have: the handler built the message for another version.
    pub(crate) fn encode<M: Encodable + ErrorCodes>(message: &M, version: i16) -> Self {
        let size =
            message.compute_size(version).expect("handlers build responses for the version of the request");
        let mut out = BytesMut::with_capacity(size);
        message.encode(&mut out, version).expect("what has a size can be encoded");
        Self { errors: message.errors(), ..Self::of(vec![out.freeze()]) }
    }

    /// Records of the log among chunks of what is said of them.
    pub(crate) fn fetched(version: i16, response: &FetchResponse) -> Self {
        Self { errors: response.errors(), ..Self::of(fetch_response::encode(version, response)) }
    }

    /// The same for a member of a share group.
    pub(crate) fn share_fetched(response: &ShareFetchResponse) -> Self {
        Self { errors: response.errors(), ..Self::of(share_fetch_response::encode(response)) }
    }

    /// A body that is encoded already, with errors that nobody counts: test mode's, which counts its faults itself.
    pub(crate) fn of(chunks: Vec<Bytes>) -> Self {
        Self { chunks, errors: ErrorCounts::new(), breaks_off: false }
    }

    /// Bytes in all chunks.
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }
}

/// An answer that is not ready yet. Runs on the connection's core; dropping it gives the answer up.
pub(crate) type Later = Pin<Box<dyn Future<Output = Response>>>;

/// Work that is not done yet, and the reply that it ends with.
pub(crate) type Ordered = Pin<Box<dyn Future<Output = Reply>>>;

/// What a handler returns.
pub(crate) enum Reply {
    /// The answer.
    Now(Response),
    /// The answer comes when something else has happened.
    Later(Later),
    /// The handler has to ask somebody before it can do its work: the connection begins no other request before this is
    /// done, as Kafka begins none before the answer to the last has left.
    Ordered(Ordered),
    /// The client wants no answer (Produce with acks=0), or a fault of test mode lost it.
    Nothing,
    /// The client wants no answer but has to learn that something is wrong, or a fault of test mode wants it: the connection is
    /// closed.
    Close,
}

impl Reply {
    /// Answers once the log has acknowledged everything below `position`, at once when it has already or there is nothing
    /// to wait for. `build` is told whether it was; when not, nothing may be reported as done.
    pub(crate) fn when_acknowledged(
        broker: &Arc<Broker>,
        position: Option<Position>,
        build: impl FnOnce(Result<(), ErrorCode>) -> Response + 'static,
    ) -> Self {
        let Some(position) = position.filter(|position| *position > broker.store.acknowledged()) else {
            return Self::Now(build(Ok(())));
        };
        let wait = broker.waits.acknowledged(position);
        Self::Later(Box::pin(async move { build(wait.await.map_err(|_| ErrorCode::KafkaStorageError)) }))
    }
}

/// Waits until the log has acknowledged everything below `position`.
///
/// # Errors
/// `KafkaStorageError` when it stopped before: nothing may be reported as done.
pub(crate) async fn acknowledged(broker: &Broker, position: Position) -> Result<(), ErrorCode> {
    if position <= broker.store.acknowledged() {
        return Ok(());
    }
    broker.waits.acknowledged(position).await.map_err(|_| ErrorCode::KafkaStorageError)
}

/// What has to be acknowledged before the high watermark of `partition` says what Kafka's would: there it follows each append at
/// once where no other replica has to have it, and a client that was answered with `acks=1` counts on that. `None` when it does.
pub(crate) fn behind(broker: &Broker, partition: &PartitionLog) -> Option<Position> {
    (partition.high_watermark() < partition.log_end_offset()).then(|| broker.store.written())
}

/// Waits for what [`behind`] told. A log that stopped acknowledges nothing more: its high watermarks are what holds.
pub(crate) async fn caught_up(broker: &Broker, position: Position) {
    if acknowledged(broker, position).await.is_err() {
        tracing::debug!(?position, "the log stopped before its high watermarks had come to its end");
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(response) => f.debug_tuple("Now").field(response).finish(),
            Self::Later(_) => f.write_str("Later"),
            Self::Ordered(_) => f.write_str("Ordered"),
            Self::Nothing => f.write_str("Nothing"),
            Self::Close => f.write_str("Close"),
        }
    }
}

/// A reply with the header that goes in front of it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Correlation id and, in flexible versions, an empty tag section.
    pub(crate) header: Bytes,
    pub(crate) reply: Reply,
}
