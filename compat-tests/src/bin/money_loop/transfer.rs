//! One part of a transfer of money as a record: which transaction it belongs to, whose balance changes by how much. It says all of
//! it in words, so that a read record can be compared with what was sent.

use std::fmt;
use std::str::FromStr;

/// Names a transaction: the worker that ran it, and its place among that worker's transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TransactionNumber {
    pub(crate) worker: usize,
    pub(crate) number: usize,
}

impl fmt::Display for TransactionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.worker, self.number)
    }
}

/// One record of a transaction. The amounts of all parts of one transaction are zero together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) transaction: TransactionNumber,
    /// Its place among the parts of the transaction.
    pub(crate) index: usize,
    /// The account whose balance changes; partition `account % partitions` holds it.
    pub(crate) account: i32,
    pub(crate) amount: i64,
    /// The order that it carries out, an offset of the worker's partition of orders.
    pub(crate) order: Option<i64>,
    /// Its transaction is aborted on purpose: nobody may ever see it.
    pub(crate) poison: bool,
}

impl Part {
    /// The partition that holds it.
    pub(crate) fn partition(&self, partitions: i32) -> i32 {
        self.account % partitions
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TransactionNumber { worker, number } = self.transaction;
        let (order, poison) = (self.order.unwrap_or(-1), u8::from(self.poison));
        write!(f, "{worker} {number} {} {} {} {order} {poison}", self.index, self.account, self.amount)
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<i64> = text.split(' ').map_while(|word| word.parse().ok()).collect();
        let strange = || format!("no part of a transfer: {text:?}");
        let [worker, number, index, account, amount, order, poison] = words[..] else {
            return Err(strange());
        };
        let place = |number: i64| usize::try_from(number).map_err(|_| strange());
        let part = Self {
            transaction: TransactionNumber { worker: place(worker)?, number: place(number)? },
            index: place(index)?,
            account: i32::try_from(account).map_err(|_| strange())?,
            amount,
            order: Some(order).filter(|order| *order >= 0),
            poison: poison == 1,
        };
        if part.to_string() == text { Ok(part) } else { Err(strange()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_reads_back_as_it_was_written() {
        let transaction = TransactionNumber { worker: 3, number: 120 };
        let part = Part { transaction, index: 1, account: 14, amount: -950, order: Some(77), poison: true };
        assert_eq!(part.to_string().parse(), Ok(part));
        let part = Part { order: None, poison: false, ..part };
        assert_eq!(part.to_string().parse(), Ok(part));
        assert_eq!(part.partition(8), 6);
    }

    #[test]
    fn other_text_is_no_part() {
        for text in [
            "",
            "1 2 3",
            "1 2 3 4 5 6 7 8",
            "1 2 3 4 5 -1 2",
            "-1 2 3 4 5 6 0",
            "1 2 3 4 x 6 0",
            "01 2 3 4 5 6 0",
        ] {
            assert!(text.parse::<Part>().is_err(), "{text:?}");
        }
    }
}
