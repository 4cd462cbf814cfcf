//! Log compaction: of each key of a compacted topic only the newest record still counts (Kafka's log cleaner).
//!
//! Pure pieces: `cleanable` says which offsets are worth it, `key_map` learns the newest offset of each key there,
//! `filter` says what is left of a batch. Who reads and writes the batches, and makes the result durable, is the runner.
//! Invariants: a batch keeps its first and last offset, its sequences and its producer; an unreadable batch is kept as it
//! is; nothing is decided by a record that is not acknowledged.

pub(crate) mod cleanable;
pub(crate) mod filter;
pub(crate) mod key_map;
mod runner;

pub(crate) use key_map::MAX_KEYS;
pub(crate) use runner::{COMMIT_BYTES, compact};

/// Records of a batch are looked at when they decompress to at most this. A batch beyond it counts as unreadable:
/// clients could send, but hardly fetch it.
const PAYLOAD_CAP: usize = 64 << 20;
