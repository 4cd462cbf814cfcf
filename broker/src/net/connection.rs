//! One client connection: bytes to frames, frames to answers, answers back in request order.
//!
//! Run by `net::cores`, one task per connection, never leaving its core. Knows sockets and `api::dispatch`, no message.
//! Invariants: reading stops while too much is unanswered or unsent, so a client cannot make the broker hold more than the
//! budgets below; nothing that a client sends or fails to send costs more than its own connection.

use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::company::Company;
use super::frame_reader::FrameReader;
use super::outgoing::Outgoing;
use super::reply_queue::{Finished, ReplyQueue, Request};
use crate::api::{Answer, Ordered, Refused, Reply, Response};
use crate::metrics::{ApiMetrics, Metrics};

/// Requests that may wait for their answer; more are left in the socket. A client that sends small ones has hundreds on
/// their way, and a sync of the log costs the same for all that wait for it.
const MOST_IN_FLIGHT: usize = 256;
/// Answer bytes that may wait to be sent; no request is taken above it.
const MOST_UNSENT: usize = 4 << 20;
/// A frame that has begun must go on within this time.
const STALL: Duration = Duration::from_secs(30);
/// After this time without traffic a connection gives its buffers back.
const QUIET: Duration = Duration::from_secs(1);
/// A connection that is being ended has this long to take its last answers.
const LINGER: Duration = Duration::from_secs(3);

/// APIs whose answer may wait for what never happens: Fetch, JoinGroup, SyncGroup, ShareFetch.
const PARKING_APIS: [i16; 4] = [1, 11, 14, 78];

/// What a connection may do, from the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// `socket.request.max.bytes`.
    pub(super) frame_bytes: usize,
    /// `connections.max.idle.ms`.
    pub(super) idle: Option<Duration>,
}

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client closed it.
    ByPeer,
    /// The broker is going down.
    Shutdown,
    /// Nothing happened for `connections.max.idle.ms`.
    Idle,
    /// An acks=0 produce failed; closing is the only way to say so. Or a fault of test mode wants it.
    OnPurpose,
    /// The client sent what is not a request, or stopped in the middle of one.
    Refused(String),
    /// The socket failed.
    Io(io::Error),
    /// A handler panicked.
    Panicked,
    /// A test took its node down.
    NodeDown,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPeer => f.write_str("closed by the client"),
            Self::Shutdown => f.write_str("the broker is shutting down"),
            Self::Idle => f.write_str("idle for connections.max.idle.ms"),
            Self::OnPurpose => f.write_str("a produce with acks=0 failed, or a fault of test mode"),
            Self::Refused(reason) => f.write_str(reason),
            Self::Io(error) => write!(f, "{error}"),
            Self::Panicked => f.write_str("its request made a handler panic"),
            Self::NodeDown => f.write_str("its node was taken down"),
        }
    }
}

/// See [`crate::api::ConnectionInfo`].
type Software = Arc<OnceLock<(String, String)>>;

/// A request whose handler is not done.
struct Held {
    header: Bytes,
    request: Request,
    work: Ordered,
}

/// The state of one connection over any byte stream.
pub(super) struct Connection<S, D> {
    stream: S,
    dispatch: D,
    limits: Limits,
    metrics: Arc<Metrics>,
    /// Name and version of the client's library, once it said so.
    software: Software,
    apis: Vec<((i16, i16), ApiMetrics)>,
    reader: FrameReader,
    replies: ReplyQueue,
    /// A request that has to be done before the next is begun.
    held: Option<Held>,
    outgoing: Outgoing,
    /// Set once no more requests are taken.
    ending: Option<(Ended, Instant)>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    timer: Pin<Box<Sleep>>,
    /// Time of the last byte read or written; starts with the connection.
    active: Instant,
    /// The connections of its core, and its number among them.
    company: (Rc<Company>, u64),
}

impl<S, D> Connection<S, D>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: Fn(Bytes) -> Result<Answer, Refused>,
{
    pub(super) fn new(
        stream: S,
        dispatch: D,
        limits: Limits,
        (metrics, software): (Arc<Metrics>, Software),
        stop: &CancellationToken,
        company: Rc<Company>,
    ) -> Self {
        Self {
            stream,
            dispatch,
            limits,
            metrics,
            software,
            apis: Vec::new(),
            reader: FrameReader::new(limits.frame_bytes),
            replies: ReplyQueue::default(),
            held: None,
            outgoing: Outgoing::default(),
            ending: None,
            // A child, so that the lock that is taken to look at it is this connection's own.
            stop: Box::pin(stop.child_token().cancelled_owned()),
            timer: Box::pin(sleep(QUIET)),
            active: Instant::now(),
            company: (Rc::clone(&company), company.join()),
        }
    }

    /// Serves until the connection is over. A panic, whoever's, loses this connection only.
    pub(super) async fn run(mut self) -> Ended {
        let serve = std::future::poll_fn(|context| self.poll(context));
        AssertUnwindSafe(serve).catch_unwind().await.unwrap_or(Ended::Panicked)
    }

    /// Does what can be done now, within one turn. When it returns pending, every source of further work will wake it.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        if self.ending.is_none() && self.stop.as_mut().poll(context).is_ready() {
            self.end(Ended::Shutdown);
        }
        let (company, number) = &self.company;
        let mut turn = company.turn(*number, Instant::now());
        loop {
            let mut moved = self.take_requests();
            moved |= self.poll_held(context);
            moved |= self.take_replies(context);
            match self.write(&mut turn, context) {
                Ok(wrote) => moved |= wrote,
                Err(error) => return Poll::Ready(Ended::Io(error)),
            }
            if self.is_finished() {
                let (ended, _) = self.ending.take().expect("only an ending connection is finished");
                return Poll::Ready(ended);
            }
            if turn == 0 {
                give_way(context);
                return Poll::Pending;
            }
            moved |= self.read(context);
            if !moved {
                return self.poll_timer(context);
            }
        }
    }

    fn end(&mut self, why: Ended) {
        self.ending.get_or_insert_with(|| (why, Instant::now()));
    }

    /// A client that is gone gets nothing more; any other gets what it is owed.
    fn is_finished(&self) -> bool {
        match &self.ending {
            None => false,
            Some((Ended::ByPeer | Ended::Io(_), _)) => true,
            Some(_) => self.outgoing.is_empty() && !self.replies.owes() && self.held.is_none(),
        }
    }

    fn takes_requests(&self) -> bool {
        self.ending.is_none()
            && self.held.is_none()
            && self.replies.len() < MOST_IN_FLIGHT
            && self.outgoing.len() + self.replies.ready_bytes() < MOST_UNSENT
    }

    fn read(&mut self, context: &mut Context<'_>) -> bool {
        if !self.takes_requests() {
            return false;
        }
        match self.poll_read(context) {
            Poll::Pending => return false,
            Poll::Ready(Ok(0)) => self.end(Ended::ByPeer),
            Poll::Ready(Ok(count)) => {
                self.active = Instant::now();
                self.reader.on_read(count);
                self.metrics.received_bytes.inc_by(u64::try_from(count).expect("a count of bytes fits"));
            }
            Poll::Ready(Err(error)) => self.end(Ended::Io(error)),
        }
        true
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = self.reader.room().map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        pin!(self.stream.read_buf(&mut room)).poll(context)
    }

    fn take_requests(&mut self) -> bool {
        let mut moved = false;
        while self.takes_requests() {
            match self.reader.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => self.handle(frame),
                Err(error) => self.refuse(&error.to_string()),
            }
            moved = true;
        }
        moved
    }

    fn refuse(&mut self, reason: &str) {
        self.metrics.requests_refused.inc();
        let guess = guess(self.reader.head());
        self.end(Ended::Refused(format!("{reason}{guess}")));
    }

    fn handle(&mut self, frame: Bytes) {
        let (key, version) = key_and_version(&frame);
        let Answer { header, reply } = match (self.dispatch)(frame) {
            Ok(answer) => answer,
            Err(refused) => {
                self.metrics.requests_refused.inc();
                return self.end(Ended::Refused(refused.reason));
            }
        };
        let metrics = self.api_metrics(key, version);
        metrics.requests.inc();
        let request = Request { started: self.active, metrics, parked: PARKING_APIS.contains(&key) };
        self.answer(header, reply, request);
    }

    fn answer(&mut self, header: Bytes, reply: Reply, request: Request) {
        match reply {
            Reply::Now(body) if self.replies.is_empty() => self.send(&header, body, &request),
            Reply::Now(body) => self.replies.push_now(header, body, request),
            Reply::Later(body) => self.replies.push_later(header, body, request),
            Reply::Ordered(work) => self.held = Some(Held { header, request, work }),
            Reply::Nothing => {}
            Reply::Close => self.end(Ended::OnPurpose),
        }
    }

    fn poll_held(&mut self, context: &mut Context<'_>) -> bool {
        let Some(held) = &mut self.held else { return false };
        let Poll::Ready(reply) = held.work.as_mut().poll(context) else { return false };
        let Held { header, request, .. } = self.held.take().expect("it was there a moment ago");
        self.answer(header, reply, request);
        true
    }

    fn api_metrics(&mut self, key: i16, version: i16) -> ApiMetrics {
        let known = self.apis.iter().find(|(id, _)| *id == (key, version));
        if let Some((_, metrics)) = known {
            return metrics.clone();
        }
        let metrics = self.metrics.api(key, version, self.software.get());
        self.apis.push(((key, version), metrics.clone()));
        metrics
    }

    fn take_replies(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Poll::Ready(Finished { header, body, request }) = self.replies.poll_next(context) {
            self.send(&header, body, &request);
            moved = true;
        }
        moved
    }

    fn send(&mut self, header: &[u8], body: Response, request: &Request) {
        request.metrics.seconds.observe(request.started.elapsed().as_secs_f64());
        for (code, count) in &body.errors {
            self.metrics.error(&request.metrics, *code, *count);
        }
        let breaks_off = body.breaks_off;
        let pushed = if breaks_off {
            self.outgoing.push_half(header, &body)
        } else {
            self.outgoing.push(header, body)
        };
        if let Err(error) = pushed {
            self.end(Ended::Refused(error.to_string()));
        } else if breaks_off {
            // Nothing may follow the half.
            (self.replies, self.held) = (ReplyQueue::default(), None);
            self.end(Ended::OnPurpose);
        }
    }

    fn write(&mut self, turn: &mut usize, context: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while !self.outgoing.is_empty() && *turn > 0 {
            let Poll::Ready(count) = self.outgoing.poll_write(&mut self.stream, *turn, context) else {
                break;
            };
            let count = count?;
            *turn -= count;
            self.metrics.sent_bytes.inc_by(u64::try_from(count).expect("a count of bytes fits"));
            self.active = Instant::now();
            moved = true;
        }
        Ok(moved)
    }

    /// Waits for the nearest deadline. The timer is only ever moved forward when it fires, so traffic does not touch it.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        while let Some((at, due)) = self.next_deadline() {
            if at < self.timer.deadline() {
                self.timer.as_mut().reset(at);
            }
            ready!(self.timer.as_mut().poll(context));
            if Instant::now() < at {
                self.timer.as_mut().reset(at);
                continue;
            }
            match due {
                Due::Release => {
                    self.reader.release();
                    self.outgoing.release();
                }
                Due::Stalled => {
                    return Poll::Ready(Ended::Refused("the rest of a request did not arrive".to_owned()));
                }
                Due::Idle => return Poll::Ready(Ended::Idle),
                Due::Linger => {
                    let (ended, _) = self.ending.take().expect("only an ending connection lingers");
                    return Poll::Ready(ended);
                }
            }
        }
        Poll::Pending
    }

    fn next_deadline(&self) -> Option<(Instant, Due)> {
        if let Some((_, since)) = &self.ending {
            return Some((*since + LINGER, Due::Linger));
        }
        let holds_memory = self.reader.holds_memory() || self.outgoing.holds_memory();
        let release = holds_memory.then(|| (self.active + QUIET, Due::Release));
        let waits_for_rest = self.reader.is_inside_frame() && self.takes_requests();
        let stalled = waits_for_rest.then(|| (self.active + STALL, Due::Stalled));
        let idle = self.limits.idle.filter(|_| self.replies.is_empty() && self.held.is_none());
        let idle = idle.and_then(|idle| Some((self.active.checked_add(idle)?, Due::Idle)));
        [release, stalled, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// Has the task polled again after the others of its core that are ready, those whose sockets are first looked at now
/// among them: a waker that is called at once would come before those. Another core's thread may wait for the processor too.
fn give_way(context: &mut Context<'_>) {
    std::thread::yield_now();
    let first_poll = pin!(tokio::task::yield_now()).poll(context);
    debug_assert!(first_poll.is_pending(), "it is ready when it is polled again");
}

/// What a deadline is about.
#[derive(Debug, Clone, Copy)]
enum Due {
    Release,
    Stalled,
    Idle,
    Linger,
}

/// The first four bytes of a request; frames have at least eight.
fn key_and_version(frame: &[u8]) -> (i16, i16) {
    let int = |at: usize| frame.get(at..at + 2).map_or(-1, |bytes| i16::from_be_bytes([bytes[0], bytes[1]]));
    (int(0), int(2))
}

/// What the first bytes look like when they are no size prefix.
fn guess(head: &[u8]) -> &'static str {
    match head {
        [0x16, 0x03, ..] => "; it looks like TLS, and this listener is plaintext",
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" => {
            "; it looks like HTTP, and this listener speaks the Kafka protocol"
        }
        _ => "",
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
