//! Who waits for what in the log: replies for a position to be acknowledged, fetches for a partition to move.
//!
//! Fed by the log's listener on storage threads, waited on by handlers on any core. Invariants: a waiter registers before
//! it looks again, so no wake-up is lost; a waiter that is dropped leaves nothing behind; nothing here costs anything
//! while nothing happens.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

use dashmap::DashMap;
use storage::{PartitionLog, Position, Store};
use thiserror::Error;
use tokio::sync::Notify;

/// A partition as the log numbers it: topic number, partition.
type PartitionKey = (u32, i32);

/// The log stopped after a failed write or sync: what is not acknowledged yet never will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the log stopped before the write was acknowledged")]
pub(crate) struct LogStopped;

/// All waiters of one broker.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    store: OnceLock<Weak<Store>>,
    durable: Mutex<Durable>,
    parked: DashMap<PartitionKey, Vec<Arc<Notify>>>,
}

#[derive(Debug, Default)]
struct Durable {
    acknowledged: Position,
    stopped: bool,
    waiting: BTreeMap<(Position, u64), Waker>,
    tickets: u64,
}

impl Waits {
    /// Tells the waits which store they are about. Once, before anybody waits.
    pub(crate) fn attach(&self, store: &Arc<Store>) {
        let position = store.acknowledged();
        assert!(self.store.set(Arc::downgrade(store)).is_ok(), "waits belong to one store");
        self.on_acknowledged(position, &[]);
    }

    /// The log acknowledged everything below `position`; the high watermarks of `partitions` moved.
    pub(crate) fn on_acknowledged(&self, position: Position, partitions: &[Arc<PartitionLog>]) {
        let ready = {
            let mut durable = self.durable();
            durable.acknowledged = durable.acknowledged.max(position);
            let later = durable.waiting.split_off(&(position.plus(1), 0));
            std::mem::replace(&mut durable.waiting, later)
        };
        for waker in ready.into_values() {
            waker.wake();
        }
        for partition in partitions {
            self.partition_changed(partition);
        }
    }

    /// The log will acknowledge nothing more.
    pub(crate) fn on_stopped(&self) {
        let waiting = {
            let mut durable = self.durable();
            durable.stopped = true;
            std::mem::take(&mut durable.waiting)
        };
        for waker in waiting.into_values() {
            waker.wake();
        }
    }

    /// Something a fetch may wait for happened in `partition`: records, its log start, its end.
    pub(crate) fn partition_changed(&self, partition: &PartitionLog) {
        if let Some(parked) = self.parked.get(&key(partition)) {
            for fetch in parked.value() {
                fetch.notify_one();
            }
        }
    }

    /// Resolves once `Store::acknowledged()` has reached `position`.
    pub(crate) fn acknowledged(self: &Arc<Self>, position: Position) -> Acknowledged {
        Acknowledged { waits: Arc::clone(self), position, ticket: None }
    }

    /// From now on until it is dropped, the subscription notices every change of `partitions`. Read the partitions again
    /// after subscribing and before waiting.
    pub(crate) fn subscribe<'a>(
        self: &Arc<Self>,
        partitions: impl Iterator<Item = &'a Arc<PartitionLog>>,
    ) -> Subscription {
        let notify = Arc::new(Notify::new());
        let keys: Vec<PartitionKey> = partitions.map(|partition| key(partition)).collect();
        for key in &keys {
            self.parked.entry(*key).or_default().push(Arc::clone(&notify));
        }
        Subscription { waits: Arc::clone(self), keys, notify }
    }

    fn durable(&self) -> MutexGuard<'_, Durable> {
        self.durable.lock().expect("nothing panics under this lock")
    }

    fn log_acknowledged(&self) -> Position {
        self.store.get().and_then(Weak::upgrade).map_or_else(Position::default, |store| store.acknowledged())
    }

    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.durable().waiting.len(), self.parked.iter().map(|parked| parked.value().len()).sum())
    }
}

fn key(partition: &PartitionLog) -> PartitionKey {
    (partition.topic_number(), partition.partition())
}

/// See [`Waits::acknowledged`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Acknowledged {
    waits: Arc<Waits>,
    position: Position,
    ticket: Option<u64>,
}

impl Acknowledged {
    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.waits.durable().waiting.remove(&(self.position, ticket));
        }
    }
}

impl Future for Acknowledged {
    type Output = Result<(), LogStopped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        {
            let mut durable = this.waits.durable();
            if durable.acknowledged >= this.position {
                this.ticket = None;
                return Poll::Ready(Ok(()));
            }
            if durable.stopped {
                this.ticket = None;
                return Poll::Ready(Err(LogStopped));
            }
            let ticket = *this.ticket.get_or_insert_with(|| {
                durable.tickets += 1;
                durable.tickets
            });
            durable.waiting.insert((this.position, ticket), context.waker().clone());
        }
        // The log may have moved between its own publication and the event: look again now that we are registered.
        if this.waits.log_acknowledged() >= this.position {
            this.leave();
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

impl Drop for Acknowledged {
    fn drop(&mut self) {
        self.leave();
    }
}

/// See [`Waits::subscribe`].
#[derive(Debug)]
pub(crate) struct Subscription {
    waits: Arc<Waits>,
    keys: Vec<PartitionKey>,
    notify: Arc<Notify>,
}

impl Subscription {
    /// Resolves when one of the partitions changed since the last call, or since the subscription was made.
    pub(crate) async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for key in &self.keys {
            if let Some(mut parked) = self.waits.parked.get_mut(key) {
                parked.retain(|notify| !Arc::ptr_eq(notify, &self.notify));
            }
            self.waits.parked.remove_if(key, |_, parked| parked.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl Wake for CountingWaker {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(future: &mut Acknowledged, waker: &Arc<CountingWaker>) -> Poll<Result<(), LogStopped>> {
        Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(waker))))
    }

    #[test]
    fn a_wait_ends_when_its_position_is_acknowledged_and_not_before() {
        let waits = Arc::new(Waits::default());
        let waker = Arc::new(CountingWaker::default());
        let (mut first, mut second) = (waits.acknowledged(Position(10)), waits.acknowledged(Position(20)));
        assert!(poll(&mut first, &waker).is_pending());
        assert!(poll(&mut second, &waker).is_pending());
        waits.on_acknowledged(Position(9), &[]);
        assert_eq!(waker.0.load(Ordering::SeqCst), 0);
        waits.on_acknowledged(Position(10), &[]);
        assert_eq!(waker.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&mut first, &waker), Poll::Ready(Ok(())));
        assert!(poll(&mut second, &waker).is_pending());
        waits.on_acknowledged(Position(30), &[]);
        assert_eq!(poll(&mut second, &waker), Poll::Ready(Ok(())));
        assert_eq!(waits.counts(), (0, 0));
    }

    #[test]
    fn a_position_that_is_acknowledged_already_does_not_wait() {
        let waits = Arc::new(Waits::default());
        waits.on_acknowledged(Position(10), &[]);
        let waker = Arc::new(CountingWaker::default());
        assert_eq!(poll(&mut waits.acknowledged(Position(10)), &waker), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_stopped_log_fails_every_wait_that_is_not_over() {
        let waits = Arc::new(Waits::default());
        let waker = Arc::new(CountingWaker::default());
        let mut wait = waits.acknowledged(Position(10));
        assert!(poll(&mut wait, &waker).is_pending());
        waits.on_stopped();
        assert_eq!(waker.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&mut wait, &waker), Poll::Ready(Err(LogStopped)));
        assert_eq!(poll(&mut waits.acknowledged(Position(0)), &waker), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_behind() {
        let waits = Arc::new(Waits::default());
        let waker = Arc::new(CountingWaker::default());
        let mut wait = waits.acknowledged(Position(10));
        assert!(poll(&mut wait, &waker).is_pending());
        assert_eq!(waits.counts(), (1, 0));
        drop(wait);
        assert_eq!(waits.counts(), (0, 0));
    }
}
