//! Copy on write between a checkpoint and the appends beside it.
//!
//! A checkpoint is the state at one position, but encoding many partitions takes longer than appends should wait. So only
//! the moment is taken under the append lock; whoever changes a partition first afterwards, appender or checkpoint,
//! encodes it as it was. Called by `append` and by the snapshot.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::partition::encode;
use crate::consume_queue::Extents;
use crate::partition_log::{PartitionLog, PartitionState};

/// Which checkpoint is being taken, and what appends had to encode for it.
#[derive(Debug, Default)]
pub(crate) struct Freeze {
    /// Number of the newest checkpoint begun. A partition whose own number differs is still to be encoded for it.
    current: AtomicU32,
    /// A checkpoint is being taken: between them appends need put nothing aside.
    taking: AtomicBool,
    aside: Mutex<HashMap<(u32, u32), Vec<u8>>>,
}

impl Freeze {
    /// Takes the moment. The caller holds the append lock.
    pub(crate) fn begin(&self) {
        self.current.fetch_add(1, Ordering::AcqRel);
        self.taking.store(true, Ordering::Release);
    }

    /// All partitions are encoded.
    pub(super) fn end(&self) {
        self.taking.store(false, Ordering::Release);
        // What is left is of partitions that the checkpoint does not know.
        *self.aside.lock().expect("no panic under this lock") = HashMap::new();
    }

    /// Before an append changes `state`: encodes it when the checkpoint has not come to it yet.
    pub(crate) fn before_change(
        &self,
        partition: &PartitionLog,
        state: &mut PartitionState,
        extents: &Extents,
    ) {
        if self.taking.load(Ordering::Acquire) && state.frozen != self.current.load(Ordering::Acquire) {
            let mut bytes = Vec::new();
            self.encode(&mut bytes, partition, state, extents);
            let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
            self.aside.lock().expect("no panic under this lock").insert(numbers, bytes);
        }
    }

    /// The partition as it was at the moment.
    pub(super) fn take(&self, out: &mut Vec<u8>, partition: &PartitionLog, extents: &Extents) {
        let mut state = partition.state();
        if state.frozen != self.current.load(Ordering::Acquire) {
            self.encode(out, partition, &mut state, extents);
            state.queue.release_idle_tail();
            return;
        }
        let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
        let aside = self.aside.lock().expect("no panic under this lock").remove(&numbers);
        out.extend_from_slice(&aside.expect("the append that changed it put it aside"));
    }

    fn encode(
        &self,
        out: &mut Vec<u8>,
        partition: &PartitionLog,
        state: &mut PartitionState,
        extents: &Extents,
    ) {
        let index = partition.partition().unsigned_abs();
        state.queue.save_tail(partition.topic_number(), index, extents);
        state.frozen = self.current.load(Ordering::Acquire);
        encode(out, partition, state);
    }
}
