//! What the workers know of their transactions: what each was to write, and what the broker said.
//!
//! Shared by the workers, their delivery reports and the reader. Invariants: a transaction is in the ledger before the
//! client has its first record, and counts as asked for before the client is asked to commit it. So nothing can be read that the
//! ledger does not know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::transfer::{Part, TransactionNumber};

/// What may be seen of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its commit was never asked for: nothing.
    NeverAsked,
    /// Its commit was asked for and never acknowledged: all of it or nothing.
    Unknown,
    /// Its commit was acknowledged, or a reader has seen it: all of it.
    Committed,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) parts: Vec<Part>,
    /// Where each part was acknowledged or seen.
    pub(crate) offsets: Vec<Option<i64>>,
    pub(crate) outcome: Outcome,
}

/// All transactions: by worker, by number.
pub(crate) type Transactions = Vec<Vec<Transaction>>;

/// Shared by everyone who writes to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Transactions>>);

impl Ledger {
    pub(crate) fn new(workers: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![Vec::new(); workers])))
    }

    fn lock(&self) -> MutexGuard<'_, Transactions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything as of now.
    pub(crate) fn snapshot(&self) -> Transactions {
        self.lock().clone()
    }

    /// A new transaction of `worker`; `parts` makes its records from its number.
    pub(crate) fn plan(
        &self,
        worker: usize,
        parts: impl FnOnce(TransactionNumber) -> Vec<Part>,
    ) -> Vec<Part> {
        let mut transactions = self.lock();
        let parts = parts(TransactionNumber { worker, number: transactions[worker].len() });
        let offsets = vec![None; parts.len()];
        transactions[worker].push(Transaction {
            parts: parts.clone(),
            offsets,
            outcome: Outcome::NeverAsked,
        });
        parts
    }

    /// The broker has the part at `offset`.
    pub(crate) fn stored(&self, part: &Part, offset: i64) {
        let TransactionNumber { worker, number } = part.transaction;
        self.lock()[worker][number].offsets[part.index] = Some(offset);
    }

    /// The commit is about to be asked for.
    pub(crate) fn ask(&self, TransactionNumber { worker, number }: TransactionNumber) {
        self.lock()[worker][number].outcome = Outcome::Unknown;
    }

    /// The commit is acknowledged.
    pub(crate) fn commit(&self, TransactionNumber { worker, number }: TransactionNumber) {
        self.lock()[worker][number].outcome = Outcome::Committed;
    }

    /// Readers have seen these parts: they must stay.
    pub(crate) fn shown(&self, parts: impl Iterator<Item = (i64, Part)>) {
        let mut transactions = self.lock();
        for (offset, part) in parts {
            let TransactionNumber { worker, number } = part.transaction;
            let found = transactions.get_mut(worker).and_then(|of_worker| of_worker.get_mut(number));
            if let Some(transaction) = found
                && transaction.outcome != Outcome::NeverAsked
                && let Some(known) = transaction.offsets.get_mut(part.index)
            {
                transaction.outcome = Outcome::Committed;
                known.get_or_insert(offset);
            }
        }
    }
}
