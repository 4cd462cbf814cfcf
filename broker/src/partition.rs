//! What a request asks of one partition before it reaches the log: is it there, is the client's leader epoch current.
//!
//! Called by the handlers that read or write partitions. Invariant: this process leads every partition it has, so an epoch
//! can only be stale or from the future; which of its nodes leads is `virtual_nodes`' business.

mod waits;

use protocol::ErrorCode;
use storage::{Offset, PartitionLog};

pub(crate) use waits::Waits;

/// The leader epoch that a client knows, checked against the partition's own; -1 means the client does not say
/// (Kafka `Partition.checkCurrentLeaderEpoch`).
///
/// # Errors
/// `FENCED_LEADER_EPOCH` for an older epoch, `UNKNOWN_LEADER_EPOCH` for a newer one.
pub(crate) fn check_leader_epoch(partition: &PartitionLog, client: i32) -> Result<(), ErrorCode> {
    match (client, client.cmp(&partition.leader_epoch())) {
        (-1, _) | (_, std::cmp::Ordering::Equal) => Ok(()),
        (_, std::cmp::Ordering::Less) => Err(ErrorCode::FencedLeaderEpoch),
        (_, std::cmp::Ordering::Greater) => Err(ErrorCode::UnknownLeaderEpoch),
    }
}

/// Leader epoch of the record at `offset`, -1 when no epoch reaches beyond it.
///
/// `PartitionLog` answers "where does epoch e end", which grows with e, so the first epoch that ends behind `offset` is
/// found by halving.
pub(crate) fn epoch_of(partition: &PartitionLog, offset: Offset) -> i32 {
    first_epoch_behind(partition.leader_epoch(), offset, |epoch| partition.end_offset_for_epoch(epoch).1)
}

fn first_epoch_behind(newest: i32, offset: Offset, end_of: impl Fn(i32) -> Offset) -> i32 {
    let (mut low, mut high) = (0, newest);
    // An empty newest epoch ends at the log end, where no record is: it is the epoch the next record will have.
    while low < high {
        let middle = low + (high - low) / 2;
        if end_of(middle) > offset {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if newest < 0 { -1 } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_of_an_offset_is_the_first_that_ends_behind_it() {
        // Epoch 0 holds 0..10, epoch 1 nothing, epoch 2 holds 10..15, epoch 3 is new and empty.
        let ends = [10, 10, 15, 15];
        let end_of = |epoch: i32| ends[usize::try_from(epoch).unwrap()];
        for (offset, epoch) in [(0, 0), (9, 0), (10, 2), (14, 2), (15, 3)] {
            assert_eq!(first_epoch_behind(3, offset, end_of), epoch, "offset {offset}");
        }
        assert_eq!(first_epoch_behind(-1, 0, |_| -1), -1);
    }
}
