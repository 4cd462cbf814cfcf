//! Partitions join a transaction, or are asked whether they did (Kafka's `handleAddPartitionsToTransaction` and
//! `handleVerifyPartitionsInTransaction`).

use std::sync::Arc;

use protocol::ErrorCode;

use super::event::{AddPartitions, ProducerIdAndEpoch, Request, VerifyPartitions};
use super::metadata::{Metadata, Partitions, TransactionState};
use super::response::Response;
use super::timers::Timer;
use super::turn::Turn;
use crate::coordinator::effect::WaiterId;

impl Turn<'_> {
    pub(super) fn add_partitions(&mut self, waiter: WaiterId, add: AddPartitions) {
        let current = &self.transaction.metadata;
        let outcome = match self.check_producer(add.producer) {
            // Who asks is looked at when the transaction is complete: it may get another producer id by that.
            _ if current.state.is_prepared() && add.patient => {
                return self.wait_for_completion(waiter, Request::AddPartitions(add));
            }
            _ if current.state.is_prepared() => Err(ErrorCode::ConcurrentTransactions),
            Err(error) => Err(error),
            Ok(()) if current.state == TransactionState::Ongoing && current.covers(&add.partitions) => Ok(()),
            Ok(()) => self.transit(self.with_partitions(add)),
        };
        let response = Response::AddPartitions(outcome);
        match outcome {
            Ok(()) => self.respond_when_durable(waiter, response),
            Err(_) => self.respond(waiter, response),
        }
    }

    /// Answered when durable: a batch that is let in on this word must not outlive the record that covers it.
    pub(super) fn verify_partitions(&mut self, waiter: WaiterId, verify: &VerifyPartitions) {
        match self.check_producer(verify.producer) {
            Err(error) => self.respond(waiter, Response::VerifyPartitions(Err(error))),
            Ok(()) => {
                let missing = missing(&verify.partitions, &self.transaction.metadata.partitions);
                self.respond_when_durable(waiter, Response::VerifyPartitions(Ok(missing)));
            }
        }
    }

    fn check_producer(&self, producer: ProducerIdAndEpoch) -> Result<(), ErrorCode> {
        let current = &self.transaction.metadata;
        if current.producer.producer_id != producer.producer_id {
            Err(ErrorCode::InvalidProducerIdMapping)
        } else if current.producer.epoch != producer.epoch {
            Err(ErrorCode::ProducerFenced)
        } else if current.state.is_prepared() {
            Err(ErrorCode::ConcurrentTransactions)
        } else {
            Ok(())
        }
    }

    fn with_partitions(&self, add: AddPartitions) -> Metadata {
        let begins = self.transaction.metadata.state != TransactionState::Ongoing;
        let mut next = Metadata { version: add.version, ..self.next(TransactionState::Ongoing) };
        if begins {
            next.start_ms = self.wall_clock_ms;
        }
        for (topic, numbers) in add.partitions {
            next.partitions.entry(topic).or_default().extend(numbers);
        }
        next
    }

    fn wait_for_completion(&mut self, waiter: WaiterId, request: Request) {
        self.transaction.waiting.push((waiter, request));
        let timer = Timer::Patience { id: Arc::clone(&self.transaction.id) };
        self.timers.set_earlier(timer, self.now + self.config.completion_patience);
    }

    /// The transaction takes too long to complete: who waits for it is told to come again.
    pub(super) fn patience_ends(&mut self) {
        for (waiter, request) in std::mem::take(&mut self.transaction.waiting) {
            self.respond(waiter, Response::failed(&request, ErrorCode::ConcurrentTransactions));
        }
    }
}

/// Those of `asked` that are not in `covered`.
fn missing(asked: &Partitions, covered: &Partitions) -> Partitions {
    let missing = asked.iter().filter_map(|(topic, numbers)| {
        let uncovered = match covered.get(topic) {
            Some(covered) => numbers.difference(covered).copied().collect(),
            None => numbers.clone(),
        };
        (!uncovered.is_empty()).then(|| (topic.clone(), uncovered))
    });
    missing.collect()
}
