//! InitProducerId with a transactional id (Kafka's `prepareInitProducerIdTransit`): every producer gets an epoch of its own,
//! older ones are fenced.

use protocol::ErrorCode;

use super::effect::Pending;
use super::event::{InitProducerId, ProducerIdAndEpoch, Request};
use super::metadata::{Metadata, NO_EPOCH, NONE, Partitions, TransactionState, is_exhausted};
use super::response::Response;
use super::turn::Turn;
use crate::coordinator::effect::WaiterId;

impl Turn<'_> {
    pub(super) fn init_producer_id(&mut self, waiter: WaiterId, init: InitProducerId, fresh: Option<i64>) {
        let state = self.transaction.metadata.state;
        let outcome = match init.expected {
            // The client comes again when the transaction is complete; who it is, is looked at then.
            _ if state.is_prepared() => Err(ErrorCode::ConcurrentTransactions),
            Some(expected) if !self.knows(expected) => Err(ErrorCode::ProducerFenced),
            _ if state == TransactionState::Ongoing => {
                if self.transaction.metadata.is_epoch_exhausted() && fresh.is_none() {
                    let request = Request::InitProducerId(init);
                    return self.outbox.allocate(Pending::Request(waiter, request));
                }
                match self.fence(fresh) {
                    Ok(()) => {
                        let again = Response::InitProducerId(Err(ErrorCode::ConcurrentTransactions));
                        return self.respond_when_durable(waiter, again);
                    }
                    Err(error) => Err(error),
                }
            }
            expected if self.needs_producer_id(expected) => match fresh {
                None => {
                    let request = Request::InitProducerId(init);
                    return self.outbox.allocate(Pending::Request(waiter, request));
                }
                Some(producer_id) => self.rotated(&init, producer_id).and_then(|next| self.transit(next)),
            },
            _ => self.bumped(&init).and_then(|next| self.transit(next)),
        };
        let response = Response::InitProducerId(outcome.map(|()| self.transaction.metadata.producer));
        match outcome {
            Ok(()) => self.respond_when_durable(waiter, response),
            Err(_) => self.respond(waiter, response),
        }
    }

    /// Whether a producer that has `expected` may go on: its id is the current one (the epoch is looked at later), nobody had
    /// the transactional id yet, or its epochs ran out and it did not hear of its new id.
    fn knows(&self, expected: ProducerIdAndEpoch) -> bool {
        let current = &self.transaction.metadata;
        current.producer.epoch == NO_EPOCH
            || expected.producer_id == current.producer.producer_id
            || (expected.producer_id == current.previous_producer_id && is_exhausted(expected.epoch))
    }

    fn needs_producer_id(&self, expected: Option<ProducerIdAndEpoch>) -> bool {
        let current = &self.transaction.metadata;
        current.is_epoch_exhausted()
            && expected.is_none_or(|expected| expected.epoch == current.producer.epoch)
    }

    /// The next epoch of the same producer id; the same again for a producer that did not hear its answer.
    fn bumped(&self, init: &InitProducerId) -> Result<Metadata, ErrorCode> {
        let current = &self.transaction.metadata;
        let epoch = current.producer.epoch;
        let (next, last) = match init.expected {
            None => (epoch.checked_add(1), NO_EPOCH),
            Some(expected) if epoch == NO_EPOCH || expected.epoch == epoch => (epoch.checked_add(1), epoch),
            Some(expected) if expected.epoch == current.last_epoch => (Some(epoch), current.last_epoch),
            Some(_) => return Err(ErrorCode::ProducerFenced),
        };
        let epoch = next.ok_or(ErrorCode::ProducerFenced)?;
        let producer = ProducerIdAndEpoch { epoch, ..current.producer };
        Ok(Metadata { producer, last_epoch: last, ..self.fresh_start(init) })
    }

    /// The first epoch of another producer id.
    fn rotated(&self, init: &InitProducerId, producer_id: i64) -> Result<Metadata, ErrorCode> {
        let last = init.expected.map_or(NO_EPOCH, |_| self.transaction.metadata.producer.epoch);
        let producer = ProducerIdAndEpoch { producer_id, epoch: 0 };
        Ok(Metadata { producer, last_epoch: last, ..self.fresh_start(init) })
    }

    fn fresh_start(&self, init: &InitProducerId) -> Metadata {
        Metadata {
            timeout_ms: init.timeout_ms,
            partitions: Partitions::new(),
            start_ms: NONE,
            ..self.next(TransactionState::Empty)
        }
    }
}
