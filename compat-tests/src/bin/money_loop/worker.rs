//! A transactional producer that moves money as long as the load runs: it commits, aborts, dies in the middle and comes back under
//! its transactional id, and now and then leaves a transaction behind for the coordinator to time out.
//!
//! Invariant: the ledger hears of a transaction before the client does, and of a commit before the broker does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::clock;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext};

use crate::bank::{ACCOUNTS, Bank, client_config};
use crate::ledger::Ledger;
use crate::orders::Orders;
use crate::transfer::{Part, TransactionNumber};
use crate::workers::Shared;

/// A broker that is back answers long before.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// The timeout of transactions, and of those that are left behind.
pub(crate) const TIMEOUT_MS: &str = "10000";
pub(crate) const SHORT_TIMEOUT_MS: &str = "2000";
/// Transactions of one producer, at most.
pub(crate) const LONGEST_LIFE: usize = 60;
pub(crate) const MOST_FAILED_STARTS: u32 = 50;
const MOST_ORDERS: usize = 4;
/// Nobody moves that much honestly.
const POISON: i64 = 1_000_000;

/// Delivery reports go to the ledger.
pub(crate) struct Reports(Ledger);

impl ClientContext for Reports {}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = Box<Part>;

    fn delivery(&self, result: &DeliveryResult<'_>, part: Box<Part>) {
        // Minus one: stored by an attempt whose answer was lost.
        if let Ok(message) = result
            && message.offset() >= 0
        {
            self.0.stored(&part, message.offset());
        }
    }
}

/// A producer of money.
pub(crate) type Teller = BaseProducer<Reports>;

/// A transactional producer that has not begun; `timeout_ms` is its transactions'.
pub(crate) fn teller(address: &str, id: &str, timeout_ms: &str, ledger: &Ledger) -> KafkaResult<Teller> {
    let mut config = client_config(address);
    config.set("transactional.id", id).set("transaction.timeout.ms", timeout_ms);
    config.set("message.timeout.ms", timeout_ms).set("linger.ms", "0");
    config.create_with_context(Reports(ledger.clone()))
}

/// Hands the parts of one transaction to the client.
pub(crate) fn send(teller: &Teller, partitions: i32, parts: &[Part]) -> KafkaResult<()> {
    for part in parts {
        let value = part.to_string();
        let record: BaseRecord<'_, (), str, _> = BaseRecord::with_opaque_to(ACCOUNTS, Box::new(*part));
        let sent = teller.send(record.partition(part.partition(partitions)).payload(&value));
        sent.map_err(|(error, _)| error)?;
    }
    Ok(())
}

/// Repeats a call that may be repeated.
pub(crate) fn insist(mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    let deadline = clock::now() + PATIENCE;
    loop {
        let outcome = call();
        let again = match &outcome {
            Err(KafkaError::Transaction(error)) => error.is_retriable(),
            Err(KafkaError::Flush(code)) => *code == RDKafkaErrorCode::OperationTimedOut,
            _ => false,
        };
        if !again || clock::now() >= deadline {
            return outcome;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How a producer goes on after a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Same,
    /// Its state is not known, or it is of no use any more: another one takes its place.
    Another,
}

pub(crate) struct Worker {
    pub(crate) number: usize,
    pub(crate) address: String,
    pub(crate) bank: Bank,
    pub(crate) ledger: Ledger,
    pub(crate) random: fastrand::Rng,
    pub(crate) shared: Arc<Shared>,
    /// Transactional ids that it left behind.
    pub(crate) left_behind: usize,
    /// Producers in a row that could not begin.
    pub(crate) failed_starts: u32,
}

impl Worker {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// The broker stays away, or orders come that were not due.
    pub(crate) fn run(mut self) -> Result<()> {
        while !self.shared.is_stopped() {
            self.live()?;
        }
        Ok(())
    }

    /// The life of one producer.
    fn live(&mut self) -> Result<()> {
        let leaves_behind = self.random.u32(..10) == 0;
        let id = format!("money-{}-{}", self.number, self.left_behind);
        let timeout = if leaves_behind { SHORT_TIMEOUT_MS } else { TIMEOUT_MS };
        let teller = teller(&self.address, &id, timeout, &self.ledger)?;
        if let Err(error) = insist(|| teller.init_transactions(CALL_LIMIT)) {
            self.shared.note("init_transactions", &error);
            self.failed_starts += 1;
            ensure!(self.failed_starts < MOST_FAILED_STARTS, "worker {}: {error}", self.number);
            std::thread::sleep(CALL_LIMIT / 50);
            return Ok(());
        }
        self.failed_starts = 0;
        let mut orders = match self.bank.order_partition(self.number) {
            Some(partition) => Some(Orders::open(&self.address, self.number, partition)?),
            None => None,
        };
        for _ in 0..self.random.usize(1..=LONGEST_LIFE) {
            self.shared.wait_while_paused();
            if self.shared.is_stopped() {
                return Ok(());
            }
            if self.transaction(&teller, orders.as_mut())? == Next::Another {
                return Ok(());
            }
        }
        if leaves_behind || self.random.bool() {
            self.walk_away(&teller);
        }
        self.left_behind += usize::from(leaves_behind);
        Ok(())
    }

    /// One transaction, to its end if the broker lives that long.
    fn transaction(&mut self, teller: &Teller, mut orders: Option<&mut Orders>) -> Result<Next> {
        let poison = self.random.u32(..100) < 15;
        let taken = match &mut orders {
            Some(orders) => orders.take(self.random.usize(1..=MOST_ORDERS))?,
            None => Vec::new(),
        };
        if orders.is_some() && taken.is_empty() {
            return Ok(Next::Same);
        }
        let parts = self.plan(&taken, poison);
        let written = self.write(teller, &parts, orders.as_deref());
        let ended = written.and_then(|()| self.end(teller, &parts, poison));
        let Err(error) = ended else {
            match orders {
                Some(orders) if poison => orders.again(&self.address, self.number)?,
                Some(orders) => orders.done(),
                None => {}
            }
            return Ok(Next::Same);
        };
        let KafkaError::Transaction(failure) = &error else { return Ok(Next::Another) };
        // A processor asks its group where it stands.
        if !failure.txn_requires_abort() || orders.is_some() {
            return Ok(Next::Another);
        }
        match insist(|| teller.abort_transaction(CALL_LIMIT)) {
            Ok(()) => Ok(Next::Same),
            Err(error) => {
                self.shared.note("abort after a failure", &error);
                Ok(Next::Another)
            }
        }
    }

    pub(crate) fn plan(&mut self, orders: &[i64], poison: bool) -> Vec<Part> {
        let (ledger, number) = (self.ledger.clone(), self.number);
        ledger.plan(number, |transaction| {
            if orders.is_empty() {
                return self.transfer(transaction, None, poison);
            }
            let mut parts: Vec<Part> =
                orders.iter().flat_map(|order| self.transfer(transaction, Some(*order), poison)).collect();
            (0..).zip(&mut parts).for_each(|(index, part)| part.index = index);
            parts
        })
    }

    /// From one account to one or two others in other partitions; a poisoned one makes money out of nothing.
    fn transfer(&mut self, transaction: TransactionNumber, order: Option<i64>, poison: bool) -> Vec<Part> {
        let from = self.random.i32(0..self.bank.accounts);
        let receivers = if self.bank.partitions > 2 { self.random.i32(1..=2) } else { 1 };
        let part = |index, account, amount| Part { transaction, index, account, amount, order, poison };
        let mut parts = vec![part(0, from, 0)];
        for (index, step) in (1..).zip(1..=receivers) {
            let account = (from + step) % self.bank.accounts;
            let amount = self.random.i64(1..1000);
            parts[0].amount -= amount;
            parts.push(part(index, account, amount));
        }
        if poison {
            parts.iter_mut().for_each(|part| part.amount = POISON);
        }
        parts
    }

    /// Begins, and has the broker store all but the end.
    fn write(&mut self, teller: &Teller, parts: &[Part], orders: Option<&Orders>) -> KafkaResult<()> {
        teller.begin_transaction().inspect_err(|error| self.shared.note("begin", error))?;
        send(teller, self.bank.partitions, parts).inspect_err(|error| self.shared.note("send", error))?;
        if let Some(orders) = orders {
            let (offsets, group) = orders.progress().map_err(|_| KafkaError::Canceled)?;
            insist(|| teller.send_offsets_to_transaction(&offsets, &group, CALL_LIMIT))
                .inspect_err(|error| self.shared.note("send_offsets_to_transaction", error))?;
        }
        Ok(())
    }

    fn end(&mut self, teller: &Teller, parts: &[Part], poison: bool) -> KafkaResult<()> {
        if poison {
            // What the broker does not have cannot be seen by mistake.
            insist(|| teller.flush(CALL_LIMIT)).inspect_err(|error| self.shared.note("flush", error))?;
            insist(|| teller.abort_transaction(CALL_LIMIT))
                .inspect_err(|error| self.shared.note("abort", error))?;
            self.shared.count_abort();
            return Ok(());
        }
        let transaction = parts[0].transaction;
        self.ledger.ask(transaction);
        let committed = insist(|| teller.commit_transaction(CALL_LIMIT));
        match &committed {
            Ok(()) => {
                self.ledger.commit(transaction);
                self.shared.count_commit();
            }
            Err(error) => self.shared.note("commit", error),
        }
        committed
    }

    /// Leaves a transaction open, with records in the log.
    fn walk_away(&mut self, teller: &Teller) {
        let parts = self.plan(&[], true);
        let left = self.write(teller, &parts, None).and_then(|()| teller.flush(CALL_LIMIT));
        match left {
            Ok(()) => self.shared.count_left_open(),
            Err(error) => self.shared.note("leaving", &error),
        }
    }
}
