//! Requests under way, for `POST /test/quiesce`.
//!
//! Fed by `TestMode::handle`. A request counts from its handler's beginning to its answer; those that wait for what may never happen
//! (Fetch, JoinGroup, SyncGroup) do not. Invariant: whatever ends a request, its answer, an error or its connection, ends its count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use protocol::messages::ApiKey;
use tokio::sync::Notify;

use crate::api::Reply;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    count: AtomicUsize,
    ended: Notify,
}

/// One request that counts; dropping it ends that.
struct Counted(Arc<InFlight>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}

impl InFlight {
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns when none is under way.
    pub(super) async fn none(&self) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            // Before the look, so that no end is missed in between.
            ended.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// The same reply, counted until it is there.
    pub(super) fn watched(self: &Arc<Self>, key: i16, reply: Reply) -> Reply {
        let parks = [ApiKey::Fetch, ApiKey::JoinGroup, ApiKey::SyncGroup].map(|key| key as i16);
        if parks.contains(&key) {
            return reply;
        }
        match reply {
            Reply::Later(later) => {
                let counted = self.counted();
                Reply::Later(Box::pin(async move {
                    let _counted = counted;
                    later.await
                }))
            }
            Reply::Ordered(work) => {
                let (counted, in_flight) = (self.counted(), Arc::clone(self));
                Reply::Ordered(Box::pin(async move {
                    // Counted anew before the old count ends.
                    let reply = in_flight.watched(key, work.await);
                    drop(counted);
                    reply
                }))
            }
            other => other,
        }
    }

    fn counted(self: &Arc<Self>) -> Counted {
        self.count.fetch_add(1, Ordering::AcqRel);
        Counted(Arc::clone(self))
    }
}
