//! How each API says an error: in which fields of its answer, for a whole request or for a part of it.
//!
//! Asked by the faults of test mode and by nobody else: handlers say their own errors. Works on bytes in and out, so that no
//! handler knows of it. Invariants: an answer made here decodes as what the API answers in that version; of a request that
//! changes something, the part that is refused is not done and the rest is.

mod groups;
mod records;
mod topics;
mod transactions;

use bytes::{Bytes, BytesMut};
use protocol::{Decodable, Encodable, ErrorCode, messages, newer};
use uuid::Uuid;

use super::faults::Only;

/// What an error is about.
pub(super) struct Target<'a> {
    pub(super) only: &'a Only,
    /// Topics by their id.
    pub(super) name_of: &'a dyn Fn(Uuid) -> Option<String>,
    pub(super) error: ErrorCode,
}

impl Target<'_> {
    fn code(&self) -> i16 {
        self.error.code()
    }

    /// Whether it is about all of a request.
    fn is_all(&self) -> bool {
        self.only.topic.is_none() && self.only.partition.is_none()
    }

    /// Whether a topic is meant, which is named by `id` where it has no name.
    fn has_topic(&self, name: &str, id: Uuid) -> bool {
        let Some(wanted) = &self.only.topic else { return true };
        if !name.is_empty() { name == wanted } else { (self.name_of)(id).is_some_and(|name| name == *wanted) }
    }

    fn has_partition(&self, index: i32) -> bool {
        self.only.partition.is_none_or(|wanted| wanted == index)
    }

    fn has_group(&self, group: &str) -> bool {
        self.only.group.as_ref().is_none_or(|wanted| wanted == group)
    }
}

/// What is left of a request.
enum Rest {
    /// All was refused.
    Nothing,
    /// Nothing was taken out: the API only reads, its answer is changed instead.
    All,
    /// What was not refused.
    Some(Bytes),
}

/// How one API says an error.
trait Erring {
    type Request: Decodable;
    type Response: Decodable + Encodable;

    /// Says the error for everything of the answer that the target means.
    fn patch(answer: &mut Self::Response, version: i16, target: &Target<'_>);

    /// The field of KIP-219.
    fn throttle(answer: &mut Self::Response) -> &mut i32;

    /// Takes what the target means out of a request that changes something; the answer to that part.
    fn refuse(_request: Self::Request, _version: i16, _target: &Target<'_>) -> (Rest, Self::Response)
    where
        Self::Response: Default,
    {
        (Rest::All, Self::Response::default())
    }

    /// Puts the answer to the refused part into the answer to the rest.
    fn join(_answer: &mut Self::Response, _refused: Self::Response) {}

    /// Whether the client takes no answer, so that closing the connection is the only way to say an error.
    fn is_silent(_request: &Self::Request) -> bool {
        false
    }
}

/// A request after a part of it was refused.
pub(super) struct Refused {
    /// What is still to be done.
    pub(super) rest: Option<Bytes>,
    /// The answer to what was refused; `None` when the whole answer is to be patched.
    pub(super) answer: Option<Bytes>,
    /// The client takes no answer.
    pub(super) is_silent: bool,
}

/// See [`Erring`], on bytes. A body that cannot be decoded gives `None`: what belongs to it is the handler's.
pub(super) struct Shape {
    api: &'static str,
    pub(super) refuse: fn(&Bytes, i16, &Target<'_>) -> Option<Refused>,
    pub(super) patch: fn(&Bytes, i16, &Target<'_>) -> Option<Bytes>,
    pub(super) join: fn(&Bytes, &Bytes, i16) -> Option<Bytes>,
    pub(super) throttle: fn(&Bytes, i16, i32) -> Option<Bytes>,
}

/// The shape of an API, for those that can be answered with an error of choice.
pub(super) fn shape(api: &str) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.api == api)
}

/// All of them, for a sentence.
pub(super) fn names() -> String {
    SHAPES.iter().map(|shape| shape.api).collect::<Vec<_>>().join(", ")
}

static SHAPES: &[Shape] = &[
    shape_of::<records::Produce>("Produce"),
    shape_of::<records::Fetch>("Fetch"),
    shape_of::<records::ListOffsets>("ListOffsets"),
    shape_of::<topics::Metadata>("Metadata"),
    shape_of::<topics::CreateTopics>("CreateTopics"),
    shape_of::<topics::DeleteTopics>("DeleteTopics"),
    shape_of::<groups::FindCoordinator>("FindCoordinator"),
    shape_of::<groups::OffsetCommit>("OffsetCommit"),
    shape_of::<groups::OffsetFetch>("OffsetFetch"),
    shape_of::<Whole<messages::JoinGroupRequest, messages::JoinGroupResponse>>("JoinGroup"),
    shape_of::<Whole<messages::SyncGroupRequest, messages::SyncGroupResponse>>("SyncGroup"),
    shape_of::<Whole<messages::HeartbeatRequest, messages::HeartbeatResponse>>("Heartbeat"),
    shape_of::<Whole<messages::LeaveGroupRequest, messages::LeaveGroupResponse>>("LeaveGroup"),
    shape_of::<Whole<messages::ConsumerGroupHeartbeatRequest, messages::ConsumerGroupHeartbeatResponse>>(
        "ConsumerGroupHeartbeat",
    ),
    shape_of::<Whole<messages::ShareGroupHeartbeatRequest, messages::ShareGroupHeartbeatResponse>>(
        "ShareGroupHeartbeat",
    ),
    shape_of::<Whole<messages::InitProducerIdRequest, messages::InitProducerIdResponse>>("InitProducerId"),
    shape_of::<Whole<messages::AddOffsetsToTxnRequest, messages::AddOffsetsToTxnResponse>>("AddOffsetsToTxn"),
    shape_of::<Whole<messages::EndTxnRequest, messages::EndTxnResponse>>("EndTxn"),
    shape_of::<transactions::AddPartitionsToTxn>("AddPartitionsToTxn"),
    shape_of::<transactions::TxnOffsetCommit>("TxnOffsetCommit"),
];

const fn shape_of<E: Erring>(api: &'static str) -> Shape
where
    E::Response: Default,
{
    Shape { api, refuse: refuse::<E>, patch: patch::<E>, join: join::<E>, throttle: throttle::<E> }
}

fn refuse<E: Erring>(body: &Bytes, version: i16, target: &Target<'_>) -> Option<Refused>
where
    E::Response: Default,
{
    let request = E::Request::decode(&mut body.clone(), version).ok()?;
    let is_silent = E::is_silent(&request);
    let (rest, answer) = E::refuse(request, version, target);
    let (rest, answer) = match rest {
        Rest::All => (Some(body.clone()), None),
        Rest::Some(rest) => (Some(rest), Some(encoded(&answer, version))),
        Rest::Nothing => (None, Some(encoded(&answer, version))),
    };
    Some(Refused { rest, answer, is_silent })
}

fn patch<E: Erring>(answer: &Bytes, version: i16, target: &Target<'_>) -> Option<Bytes> {
    changed::<E>(answer, version, |answer| E::patch(answer, version, target))
}

fn join<E: Erring>(answer: &Bytes, refused: &Bytes, version: i16) -> Option<Bytes> {
    let refused = E::Response::decode(&mut refused.clone(), version).ok()?;
    changed::<E>(answer, version, |answer| E::join(answer, refused))
}

fn throttle<E: Erring>(answer: &Bytes, version: i16, ms: i32) -> Option<Bytes> {
    changed::<E>(answer, version, |answer| *E::throttle(answer) = ms)
}

fn changed<E: Erring>(answer: &Bytes, version: i16, change: impl FnOnce(&mut E::Response)) -> Option<Bytes> {
    let mut answer = E::Response::decode(&mut answer.clone(), version).ok()?;
    change(&mut answer);
    Some(encoded(&answer, version))
}

fn encoded<M: Encodable>(message: &M, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).expect("made of what was decoded in this version");
    out.freeze()
}

/// The same request without a wait for what may come: a fetch that is to fail does so at once.
pub(super) fn without_waiting(api: &str, version: i16, body: Bytes) -> Bytes {
    // The replica id comes first up to version 14.
    let max_wait_ms = if version < 15 { 4..8 } else { 0..4 };
    if api != "Fetch" || body.len() < max_wait_ms.end {
        return body;
    }
    let mut hurried = BytesMut::from(&body[..]);
    hurried[max_wait_ms].fill(0);
    hurried.freeze()
}

/// The records of a fetch's answer that the target means, with a wrong checksum; `None` when there are none.
pub(super) fn with_wrong_checksums(answer: &Bytes, version: i16, target: &Target<'_>) -> Option<Bytes> {
    let mut any = false;
    let changed = changed::<records::Fetch>(answer, version, |answer| {
        any = records::break_checksums(answer, target);
    });
    changed.filter(|_| any)
}

/// An API whose answer has one error for the whole request.
struct Whole<Q, R>(std::marker::PhantomData<(Q, R)>);

/// The two fields that every such answer has.
trait OneError: Decodable + Encodable + Default {
    fn error(&mut self) -> &mut i16;
    fn throttle(&mut self) -> &mut i32;
}

impl<Q: Decodable, R: OneError> Erring for Whole<Q, R> {
    type Request = Q;
    type Response = R;

    fn patch(answer: &mut R, _version: i16, target: &Target<'_>) {
        *answer = R::default();
        *answer.error() = target.code();
    }

    fn throttle(answer: &mut R) -> &mut i32 {
        answer.throttle()
    }

    fn refuse(_request: Q, _version: i16, target: &Target<'_>) -> (Rest, R) {
        let mut answer = R::default();
        *answer.error() = target.code();
        (Rest::Nothing, answer)
    }
}

macro_rules! one_error {
    ($($response:ident),* $(,)?) => {
        $(impl OneError for messages::$response {
            fn error(&mut self) -> &mut i16 {
                &mut self.error_code
            }

            fn throttle(&mut self) -> &mut i32 {
                &mut self.throttle_time_ms
            }
        })*
    };
}

one_error!(
    JoinGroupResponse,
    SyncGroupResponse,
    HeartbeatResponse,
    LeaveGroupResponse,
    ConsumerGroupHeartbeatResponse,
    ShareGroupHeartbeatResponse,
    InitProducerIdResponse,
    AddOffsetsToTxnResponse,
    EndTxnResponse,
);

#[cfg(test)]
mod tests;
