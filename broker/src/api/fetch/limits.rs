//! How many bytes a fetch may take from the partition that comes next (Kafka `ReplicaManager.readFromLog`).
//!
//! Pure. Partitions are served in request order; each gets the lesser of its own limit and what is left of the request's.
//! The first partition that has anything gives at least one batch, however large, so that a consumer always gets on.

/// What is left of a fetch's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    left: usize,
    nothing_yet: bool,
    counted: usize,
}

/// What one partition may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) max_bytes: usize,
    pub(super) at_least_one: bool,
}

impl Budget {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { left: max_bytes, nothing_yet: true, counted: 0 }
    }

    pub(super) fn share(&self, partition_max_bytes: usize) -> Share {
        Share { max_bytes: partition_max_bytes.min(self.left), at_least_one: self.nothing_yet }
    }

    /// A partition gave `bytes` of its `share`; `cut` when it has more than the share could hold.
    ///
    /// Kafka cuts the last batch at the limit and counts the piece. Only whole batches leave here, but a partition that
    /// was cut counts as full towards `min_bytes`, or a fetch could wait for bytes that its own limits keep out.
    pub(super) fn took(&mut self, share: Share, bytes: usize, cut: bool) {
        self.left = self.left.saturating_sub(bytes);
        self.nothing_yet &= bytes == 0;
        self.counted = self.counted.saturating_add(if cut { bytes.max(share.max_bytes) } else { bytes });
    }

    /// Bytes that count towards `min_bytes`.
    pub(super) fn counted(&self) -> usize {
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Share};

    #[test]
    fn only_the_first_partition_with_data_may_exceed_the_limits() {
        let mut budget = Budget::new(100);
        let empty = budget.share(50);
        assert_eq!(empty, Share { max_bytes: 50, at_least_one: true });
        budget.took(empty, 0, false);
        let first = budget.share(50);
        assert_eq!(first, Share { max_bytes: 50, at_least_one: true });
        budget.took(first, 80, false);
        assert_eq!(budget.share(50), Share { max_bytes: 20, at_least_one: false });
    }

    #[test]
    fn a_batch_over_the_whole_limit_leaves_nothing_for_the_others() {
        let mut budget = Budget::new(100);
        budget.took(budget.share(1000), 500, false);
        assert_eq!(budget.share(1000), Share { max_bytes: 0, at_least_one: false });
        assert_eq!(budget.counted(), 500);
    }

    #[test]
    fn a_partition_that_was_cut_counts_as_full() {
        let mut budget = Budget::new(100);
        budget.took(budget.share(1000), 60, true);
        assert_eq!(budget.counted(), 100);
        let mut budget = Budget::new(1000);
        budget.took(budget.share(100), 60, true);
        budget.took(budget.share(100), 30, false);
        assert_eq!(budget.counted(), 130);
    }
}
