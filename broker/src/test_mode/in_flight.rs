//! Requests under way: what `POST /test/quiesce` waits for, and what is kept out while the log is changed under the broker.
//!
//! Fed by `TestMode::handle` and `fate`. A request is inside from its handler's beginning to its answer; those that wait for what may
//! never happen (Fetch, JoinGroup, SyncGroup) are parked then, all others busy. Invariants: whatever ends a request, its answer, an
//! error or its connection, takes it out; while it is shut nobody comes in, and who is parked goes out.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, watch};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    counts: Mutex<Counts>,
    left: Notify,
    /// Changed under the lock of `counts`, so that nobody comes in behind the change.
    shut: watch::Sender<bool>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    busy: usize,
    parked: usize,
}

/// How a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It ends by itself.
    Busy,
    /// It may never end.
    Parked,
}

/// One request that is inside; dropping it takes it out.
pub(super) struct Inside {
    in_flight: Arc<InFlight>,
    kind: Kind,
}

impl Drop for Inside {
    fn drop(&mut self) {
        *self.in_flight.counts().of(self.kind) -= 1;
        self.in_flight.left.notify_waiters();
    }
}

/// Nobody comes in as long as it lives.
pub(super) struct Shut<'a>(&'a InFlight);

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.shut.send_replace(false);
    }
}

impl Counts {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Busy => &mut self.busy,
            Kind::Parked => &mut self.parked,
        }
    }
}

impl InFlight {
    /// Requests that will end by themselves.
    pub(super) fn busy(&self) -> usize {
        self.counts().busy
    }

    /// Returns when none is busy.
    pub(super) async fn quiet(&self) {
        self.until(|counts| counts.busy == 0).await;
    }

    /// Returns when none is inside.
    pub(super) async fn empty(&self) {
        self.until(|counts| counts.busy + counts.parked == 0).await;
    }

    /// Keeps everybody out who is not inside, and sends out who is parked.
    pub(super) fn shut(&self) -> Shut<'_> {
        let _nobody_comes_in = self.counts();
        self.shut.send_replace(true);
        Shut(self)
    }

    /// A request comes in, busy; `None` while it is shut.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Inside> {
        let mut counts = self.counts();
        if *self.shut.borrow() {
            return None;
        }
        counts.busy += 1;
        Some(Inside { in_flight: Arc::clone(self), kind: Kind::Busy })
    }

    /// The same, as soon as it is open.
    pub(super) async fn enter_when_open(self: &Arc<Self>) -> Inside {
        let mut shut = self.shut.subscribe();
        loop {
            if let Some(inside) = self.enter() {
                return inside;
            }
            shut.wait_for(|shut| !shut).await.expect("the sender is this value's own");
        }
    }

    /// What a request does next, counted before the caller, who is inside, goes out.
    pub(super) fn stay(self: &Arc<Self>, kind: Kind) -> Inside {
        *self.counts().of(kind) += 1;
        Inside { in_flight: Arc::clone(self), kind }
    }

    /// What `work` ends with; `None` when it was parked and sent out before: the work is given up then.
    pub(super) async fn unless_sent_out<T>(
        &self,
        inside: &Inside,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut shut = self.shut.subscribe();
        tokio::select! {
            // What is done is done.
            biased;
            done = work => Some(done),
            _ = shut.wait_for(|shut| *shut), if inside.kind == Kind::Parked => None,
        }
    }

    async fn until(&self, is_it: impl Fn(Counts) -> bool) {
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            // Before the look, so that nobody who leaves is missed in between.
            left.as_mut().enable();
            if is_it(*self.counts()) {
                return;
            }
            left.await;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_parked_goes_out_when_it_is_shut_and_who_is_busy_is_waited_for() {
        let in_flight = Arc::new(InFlight::default());
        let busy = in_flight.enter().unwrap();
        let parked = in_flight.stay(Kind::Parked);
        in_flight.stay(Kind::Busy);
        assert_eq!(in_flight.busy(), 1);
        let waits = async {
            let given_up = in_flight.unless_sent_out(&parked, std::future::pending::<()>()).await;
            drop(parked);
            given_up
        };
        let changes = async {
            let shut = in_flight.shut();
            assert!(in_flight.enter().is_none());
            tokio::join!(in_flight.empty(), async { drop(busy) });
            drop(shut);
        };
        let (given_up, ()) = tokio::join!(waits, changes);
        assert_eq!(given_up, None);
        drop(in_flight.enter_when_open().await);
        let inside = in_flight.stay(Kind::Parked);
        in_flight.quiet().await;
        assert_eq!(in_flight.unless_sent_out(&inside, async { 7 }).await, Some(7));
        drop(inside);
        in_flight.empty().await;
    }
}
