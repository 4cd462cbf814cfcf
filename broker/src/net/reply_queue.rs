//! Answers of one connection, in the order of their requests.
//!
//! Called by `net::connection`. Every waiting answer makes progress; only the order in which they leave is fixed.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::time::Instant;

use crate::api::{Later, Response};
use crate::metrics::ApiMetrics;

/// An answer whose turn has come.
pub(super) struct Finished {
    pub(super) header: Bytes,
    pub(super) body: Response,
    pub(super) request: Request,
}

/// What is remembered of a request until it is answered.
pub(super) struct Request {
    pub(super) started: Instant,
    pub(super) metrics: ApiMetrics,
    /// The client waits for something that may never happen (Fetch, JoinGroup, SyncGroup): shutdown does not wait for it.
    pub(super) parked: bool,
}

#[derive(Default)]
pub(super) struct ReplyQueue {
    waiting: FuturesOrdered<Waiting>,
    /// Bytes of answers that are ready behind one that is not.
    ready_bytes: Rc<Cell<usize>>,
    /// Waiting answers that shutdown waits for.
    owed: usize,
}

impl ReplyQueue {
    pub(super) fn push_now(&mut self, header: Bytes, body: Response, request: Request) {
        self.push(header, Body::Now(Some(body)), request);
    }

    pub(super) fn push_later(&mut self, header: Bytes, body: Later, request: Request) {
        self.push(header, Body::Later(body), request);
    }

    fn push(&mut self, header: Bytes, body: Body, request: Request) {
        self.owed += usize::from(!request.parked);
        let rest = Some((header, request));
        self.waiting.push_back(Waiting { rest, body, ready_bytes: Rc::clone(&self.ready_bytes) });
    }

    /// The oldest answer, if it is ready. `Pending` also when there is none.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Finished> {
        if self.waiting.is_empty() {
            return Poll::Pending;
        }
        let Poll::Ready(Some(finished)) = self.waiting.poll_next_unpin(context) else { return Poll::Pending };
        self.ready_bytes.set(self.ready_bytes.get() - finished.body.len());
        self.owed -= usize::from(!finished.request.parked);
        Poll::Ready(finished)
    }

    /// Requests that are not answered yet.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes.get()
    }

    /// True while there are answers that shutdown waits for.
    pub(super) fn owes(&self) -> bool {
        self.owed > 0
    }
}

enum Body {
    Now(Option<Response>),
    Later(Later),
}

struct Waiting {
    rest: Option<(Bytes, Request)>,
    body: Body,
    ready_bytes: Rc<Cell<usize>>,
}

impl Future for Waiting {
    type Output = Finished;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Finished> {
        let body = match &mut self.body {
            Body::Now(response) => response.take().expect("not polled after it was ready"),
            Body::Later(later) => std::task::ready!(later.as_mut().poll(context)),
        };
        self.ready_bytes.set(self.ready_bytes.get() + body.len());
        let (header, request) = self.rest.take().expect("not polled after it was ready");
        Poll::Ready(Finished { header, body, request })
    }
}
