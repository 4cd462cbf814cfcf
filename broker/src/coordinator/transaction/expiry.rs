//! What time does: open transactions are aborted at their timeout, unused ids are forgotten (Kafka's
//! `abortTimedOutTransactions` and `removeExpiredTransactionalIds`).

use std::sync::Arc;
use std::time::Instant;

use super::TransactionCoordinator;
use super::effect::Pending;
use super::metadata::TransactionState;
use super::records;
use super::turn::Turn;

impl TransactionCoordinator {
    pub(super) fn timeout_due(&mut self, now: Instant, id: &Arc<str>, fresh: Option<i64>) {
        self.on(now, id, |turn| turn.timeout_due(fresh));
    }

    pub(super) fn expiration_due(&mut self, now: Instant, id: &Arc<str>) {
        let mut expired = false;
        self.on(now, id, |turn| expired = turn.expiration_due());
        if expired {
            self.forget(id);
        }
    }
}

impl Turn<'_> {
    fn timeout_due(&mut self, fresh: Option<i64>) {
        if self.transaction.metadata.state != TransactionState::Ongoing {
            return;
        }
        if self.wall_clock_ms < self.times_out_at_ms() {
            return self.arm_timers();
        }
        let id = Arc::clone(&self.transaction.id);
        if self.transaction.metadata.is_epoch_exhausted() && fresh.is_none() {
            return self.outbox.allocate(Pending::Timeout(id));
        }
        match self.fence(fresh) {
            Ok(()) => tracing::info!(%id, "a transaction is aborted: it was open longer than its timeout"),
            Err(error) => {
                tracing::error!(%id, %error, "a transaction past its timeout cannot be aborted");
                self.arm_timers();
            }
        }
    }

    /// Writes the tombstone when it is time; the caller then forgets the id.
    fn expiration_due(&mut self) -> bool {
        if !self.transaction.metadata.state.is_idle() {
            return false;
        }
        if self.wall_clock_ms < self.expires_at_ms() {
            self.arm_timers();
            return false;
        }
        let tombstone = records::transaction(&self.transaction.id, None);
        self.outbox.append(self.partition, vec![tombstone], None);
        true
    }

    /// The first millisecond at which the open transaction is past its timeout.
    pub(super) fn times_out_at_ms(&self) -> i64 {
        let current = &self.transaction.metadata;
        current.start_ms.saturating_add(i64::from(current.timeout_ms)).saturating_add(1)
    }

    /// The first millisecond at which the id may be forgotten.
    pub(super) fn expires_at_ms(&self) -> i64 {
        let expiration = i64::try_from(self.config.id_expiration.as_millis()).unwrap_or(i64::MAX);
        self.transaction.metadata.last_update_ms.saturating_add(expiration)
    }
}
