//! Negative controls: what the checks are there for is brought about on purpose, and must be found.
//!
//! Nothing is switched off in the broker. A marker that contradicts the coordinator is written to one partition by
//! WriteTxnMarkers; the log then holds what it would hold had a marker been lost and the next one of the producer taken its
//! place.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use compat_tests::broker::Broker;
use compat_tests::wire::{self, Marker};
use rdkafka::producer::Producer as _;

use crate::bank::{ACCOUNTS, Bank};
use crate::checker::Violation;
use crate::ledger::Ledger;
use crate::transfer::Part;
use crate::worker::{Teller, insist, send, teller};
use std::time::Duration;

const ID: &str = "money-control";
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// What is brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Control {
    /// A transaction is committed; one of its partitions has an abort marker
    Torn,
    /// A transaction is aborted; one of its partitions has a commit marker
    Exposed,
    /// A transaction stays open beyond all timeouts
    Hanging,
    /// The broker itself withholds markers from one partition: it must be built for that, see the README
    Withheld,
}

impl Control {
    /// Any of these proves the control; none of them is a transaction that stays open.
    pub(crate) fn expected(self) -> &'static [Violation] {
        match self {
            Self::Torn => &[Violation::Torn],
            Self::Exposed => &[Violation::Exposed],
            Self::Hanging | Self::Withheld => &[],
        }
    }

    /// Brings it about, in a transaction of the worker that the ledger keeps for this.
    ///
    /// # Errors
    /// The broker or the client refuses.
    pub(crate) fn act(self, broker: &Broker, bank: &Bank, ledger: &Ledger) -> Result<()> {
        if self == Self::Withheld {
            return Ok(());
        }
        let parts = ledger.plan(bank.workers, |transaction| {
            let part = |index, account, amount| {
                let poison = self != Self::Torn;
                Part { transaction, index, account, amount, order: None, poison }
            };
            vec![part(0, 0, -500), part(1, 1, 500)]
        });
        let timeout_ms = if self == Self::Hanging { "600000" } else { "60000" };
        let teller = teller(&broker.address(), ID, timeout_ms, ledger)?;
        insist(|| teller.init_transactions(CALL_LIMIT)).context("init_transactions")?;
        teller.begin_transaction()?;
        send(&teller, bank.partitions, &parts)?;
        insist(|| teller.flush(CALL_LIMIT)).context("flush")?;
        match self {
            Self::Torn => {
                contradict(broker, false)?;
                ledger.ask(parts[0].transaction);
                insist(|| teller.commit_transaction(CALL_LIMIT)).context("commit")?;
                ledger.commit(parts[0].transaction);
            }
            Self::Exposed => {
                contradict(broker, true)?;
                abort(&teller)?;
            }
            Self::Hanging | Self::Withheld => {}
        }
        Ok(())
    }
}

fn abort(teller: &Teller) -> Result<()> {
    insist(|| teller.abort_transaction(CALL_LIMIT)).context("abort")
}

/// Ends the open transaction in partition 1, and only there.
fn contradict(broker: &Broker, committed: bool) -> Result<()> {
    let socket = broker.socket();
    let known = wire::transactions(socket)?.into_iter().find(|known| known.id == ID);
    let known = known.context("the coordinator does not know the transaction")?;
    let producers = wire::active_producers(socket, ACCOUNTS, 1)?;
    let producer = producers.into_iter().find(|producer| producer.id == known.producer_id);
    let producer = producer.context("the partition does not know the producer")?;
    let marker = Marker {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        committed,
        coordinator_epoch: producer.coordinator_epoch.max(0),
    };
    wire::write_marker(socket, ACCOUNTS, 1, marker)
}
