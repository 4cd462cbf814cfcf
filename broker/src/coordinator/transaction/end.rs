//! The end of a transaction is decided: EndTxn, fencing, timeout (Kafka's `endTransaction`, `endTransactionWithTV1`,
//! `prepareAbortOrCommit` and `prepareFenceProducerEpoch`).
//!
//! What EndTxn answers when no transaction is open, for clients of `TransactionVersion::V2`. "Retry" is a request whose epoch
//! is one behind ours: its transaction was ended before, and the answer got lost.
//!
//! ```text
//!                  abort, retry   abort, current epoch     commit, retry   commit, current epoch
//!  Empty           fenced         epoch bump, aborted      fenced          INVALID_TXN_STATE
//!  CompleteAbort   success        epoch bump, aborted      INVALID_TXN_STATE  INVALID_TXN_STATE
//!  CompleteCommit  INVALID_TXN_STATE  epoch bump, aborted  success         INVALID_TXN_STATE
//! ```

use protocol::ErrorCode;

use super::effect::Pending;
use super::event::{EndTransaction, ProducerIdAndEpoch, Request, TransactionVersion};
use super::metadata::{Metadata, NONE, TransactionState};
use super::response::Response;
use super::turn::Turn;
use crate::coordinator::effect::WaiterId;

/// What an EndTxn comes to.
enum Verdict {
    /// It was ended just so before.
    Done,
    /// The transaction, or none at all, is ended now.
    End,
    Refused(ErrorCode),
}

impl Turn<'_> {
    pub(super) fn end_transaction(&mut self, waiter: WaiterId, end: EndTransaction, fresh: Option<i64>) {
        let verdict = match end.version {
            TransactionVersion::V2 => self.judge(&end),
            TransactionVersion::V0 | TransactionVersion::V1 => self.judge_classic(&end),
        };
        let bumps = end.version == TransactionVersion::V2;
        let outcome = match verdict {
            Verdict::Refused(error) => Err(error),
            Verdict::Done => Ok(()),
            Verdict::End if bumps && self.transaction.metadata.is_epoch_exhausted() && fresh.is_none() => {
                let request = Request::EndTransaction(end);
                return self.outbox.allocate(Pending::Request(waiter, request));
            }
            Verdict::End => {
                let state = if end.committed {
                    TransactionState::PrepareCommit
                } else {
                    TransactionState::PrepareAbort
                };
                self.transit(self.prepared(state, end.version, fresh))
            }
        };
        match outcome {
            Ok(()) => {
                let producer = self.producer_from_now_on();
                self.respond_when_durable(waiter, Response::EndTransaction(Ok(producer)));
            }
            Err(error) => self.respond(waiter, Response::EndTransaction(Err(error))),
        }
    }

    /// Fences the producer of the open transaction and aborts it. Its epoch is never given to anybody: the next
    /// InitProducerId takes the one after it.
    pub(super) fn fence(&mut self, fresh: Option<i64>) -> Result<(), ErrorCode> {
        self.transit(self.prepared(TransactionState::PrepareAbort, TransactionVersion::V2, fresh))
    }

    fn prepared(&self, state: TransactionState, version: TransactionVersion, fresh: Option<i64>) -> Metadata {
        let current = &self.transaction.metadata;
        let mut next = Metadata { version, next_producer_id: NONE, ..self.next(state) };
        if current.state.is_idle() {
            // Ended without ever being begun: when, is all that is known of it.
            next.start_ms = self.wall_clock_ms;
        }
        if version == TransactionVersion::V2 {
            next.last_epoch = current.producer.epoch;
            next.producer.epoch = current.producer.epoch.saturating_add(1);
            if current.is_epoch_exhausted() {
                next.next_producer_id = fresh.unwrap_or(NONE);
            }
        }
        next
    }

    /// What the client has once the transaction is complete.
    fn producer_from_now_on(&self) -> ProducerIdAndEpoch {
        let current = &self.transaction.metadata;
        match current.next_producer_id {
            NONE => current.producer,
            producer_id => ProducerIdAndEpoch { producer_id, epoch: 0 },
        }
    }

    fn judge_classic(&self, end: &EndTransaction) -> Verdict {
        let current = &self.transaction.metadata;
        if current.producer.producer_id != end.producer.producer_id {
            return Verdict::Refused(ErrorCode::InvalidProducerIdMapping);
        }
        if current.producer.epoch != end.producer.epoch {
            return Verdict::Refused(ErrorCode::ProducerFenced);
        }
        match (current.state, end.committed) {
            (TransactionState::Ongoing, _) => Verdict::End,
            (TransactionState::PrepareCommit | TransactionState::PrepareAbort, _) => {
                Verdict::Refused(ErrorCode::ConcurrentTransactions)
            }
            (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false) => {
                Verdict::Done
            }
            _ => Verdict::Refused(ErrorCode::InvalidTxnState),
        }
    }

    fn judge(&self, end: &EndTransaction) -> Verdict {
        let current = &self.transaction.metadata;
        let (ours, theirs) = (current.producer, end.producer);
        // Before anything else: a client may abort its next transaction, in which it wrote nothing, while this one completes.
        if current.state.is_prepared() {
            return Verdict::Refused(ErrorCode::ConcurrentTransactions);
        }
        // The epochs ran out with the retried transaction: the client still has the old producer id.
        let retry_with_old_id = current.previous_producer_id == theirs.producer_id
            && theirs.epoch == i16::MAX - 1
            && ours.epoch == 0;
        let retry_with_old_epoch = theirs.epoch.checked_add(1) == Some(ours.epoch);
        let is_retry = retry_with_old_id || retry_with_old_epoch;
        if ours.producer_id != theirs.producer_id && !retry_with_old_id {
            return Verdict::Refused(ErrorCode::InvalidProducerIdMapping);
        }
        let is_current = ours.epoch == theirs.epoch;
        let is_valid = match current.state {
            TransactionState::CompleteCommit | TransactionState::CompleteAbort => is_retry || is_current,
            _ => is_current,
        };
        if !is_valid {
            return Verdict::Refused(ErrorCode::ProducerFenced);
        }
        match (current.state, end.committed) {
            (TransactionState::Ongoing, _) | (TransactionState::Empty, false) => Verdict::End,
            (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false)
                if is_retry =>
            {
                Verdict::Done
            }
            (TransactionState::CompleteCommit | TransactionState::CompleteAbort, false) if !is_retry => {
                Verdict::End
            }
            _ => Verdict::Refused(ErrorCode::InvalidTxnState),
        }
    }
}
