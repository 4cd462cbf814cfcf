//! Which leader epoch began at which offset, per partition (Kafka `LeaderEpochFileCache`).
//!
//! A value inside `PartitionLog`; rebuilt from frames. Invariant: epochs and start offsets both increase.

use crate::position::Offset;

/// No epoch.
const UNDEFINED: i32 = -1;

/// The epochs of a partition; one word until the first begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs(Option<Box<Starts>>);

/// In increasing order. Most partitions that were written to have one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Starts(Vec<(i32, Offset)>);

impl LeaderEpochs {
    pub(crate) fn from_entries(entries: Vec<(i32, Offset)>) -> Self {
        Self((!entries.is_empty()).then(|| Box::new(Starts(entries))))
    }

    pub(crate) fn entries(&self) -> &[(i32, Offset)] {
        self.0.as_ref().map_or(&[], |starts| &starts.0)
    }

    /// The epoch of the last batch, 0 before the first.
    pub(crate) fn latest(&self) -> i32 {
        self.entries().last().map_or(0, |(epoch, _)| *epoch)
    }

    /// Notes that `epoch` writes at `offset`; the first such offset counts. Epochs that nothing was written in are forgotten
    /// (`LeaderEpochFileCache.assign`).
    pub(crate) fn assign(&mut self, epoch: i32, offset: Offset) {
        if self.entries().last().is_none_or(|(last, _)| *last < epoch) {
            let Starts(starts) = &mut **self.0.get_or_insert_default();
            while starts.pop_if(|(_, start)| *start >= offset).is_some() {}
            starts.push((epoch, offset));
        }
    }

    /// The largest epoch <= `requested` and where it ends: the next epoch's start, or `log_end` for the current one.
    /// (-1, -1) for a future epoch, an empty log or no epoch; below all epochs, `requested` and the first start
    /// (`LeaderEpochFileCache.endOffsetFor`).
    pub(crate) fn end_offset_for(&self, requested: i32, current: i32, log_end: Offset) -> (i32, Offset) {
        if requested == UNDEFINED {
            return (UNDEFINED, -1);
        }
        if requested == current {
            return (current, log_end);
        }
        let entries = self.entries();
        let after = entries.partition_point(|(epoch, _)| *epoch <= requested);
        match (after.checked_sub(1).map(|at| entries[at]), entries.get(after)) {
            (_, None) => (-1, -1),
            (None, Some((_, start))) => (requested, *start),
            (Some((epoch, _)), Some((_, next_start))) => (epoch, *next_start),
        }
    }

    /// Forgets epochs that ended at or below `log_start`; the one that covers it begins there now.
    pub(crate) fn truncate_front(&mut self, log_start: Offset) {
        let Some(Starts(starts)) = self.0.as_deref_mut() else { return };
        let covering = starts.partition_point(|(_, start)| *start <= log_start);
        if covering > 0 {
            starts.drain(..covering - 1);
            starts[0].1 = log_start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_offset_follows_kafkas_rules() {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in [(2, 10), (2, 15), (4, 20), (7, 50)] {
            epochs.assign(epoch, start);
        }
        assert_eq!(epochs.end_offset_for(7, 7, 90), (7, 90));
        assert_eq!(epochs.end_offset_for(8, 7, 90), (-1, -1));
        assert_eq!(epochs.end_offset_for(5, 7, 90), (4, 50));
        assert_eq!(epochs.end_offset_for(2, 7, 90), (2, 20));
        assert_eq!(epochs.end_offset_for(1, 7, 90), (1, 10));
        assert_eq!(epochs.end_offset_for(-1, 7, 90), (-1, -1));
        assert_eq!(LeaderEpochs::default().end_offset_for(0, 0, 0), (0, 0));
    }

    #[test]
    fn epoch_without_a_batch_is_forgotten_when_the_next_one_begins() {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in [(0, 0), (1, 10), (2, 10), (3, 12)] {
            epochs.assign(epoch, start);
        }
        assert_eq!(epochs.entries(), [(0, 0), (2, 10), (3, 12)]);
        assert_eq!(epochs.end_offset_for(0, 3, 20), (0, 10));
        assert_eq!(epochs.end_offset_for(1, 3, 20), (0, 10));
    }

    #[test]
    fn the_covering_epoch_begins_at_the_log_start_after_trimming() {
        let mut epochs = LeaderEpochs::from_entries(vec![(0, 0), (1, 10), (2, 20)]);
        epochs.truncate_front(15);
        assert_eq!(epochs.entries(), [(1, 15), (2, 20)]);
    }
}
