//! The log: every partition of the broker appends to one shared [`Store`] commitlog; everything else (consume queues,
//! producer state, topics, snapshots) is a projection of it that can be rebuilt.
//!
//! Synchronous, no tokio, knows no Kafka API. Called by `broker`. The on-disk format is `docs/STORAGE_FORMAT.md`.
#![deny(unsafe_code)]

mod admin;
mod append;
mod catalog;
mod checkpoint;
mod clock;
mod commit_log;
mod consume_queue;
mod data_dir;
mod decode;
pub mod disk;
mod engine;
mod error;
mod flush;
mod frame;
mod housekeeping;
mod leader_epochs;
mod mapped_file;
mod partition_log;
mod poison;
mod position;
mod producer_state;
mod read;
mod recovery;
mod restate;
mod snapshot;
mod store;
mod timestamp_search;
mod topic;

pub use append::{Append, Appended, ValidBatch};
pub use clock::{Clock, SystemClock};
pub use error::{AppendError, Error, OpenError, ReadError, TopicError};
pub use partition_log::PartitionLog;
pub use position::{Offset, Position};
pub use read::{Batches, ReadRequest};
pub use recovery::Recovered;
pub use store::{Event, FlushMode, Listener, Store, StoreConfig};
pub use timestamp_search::TimestampOffset;
pub use topic::{Configs, Topic};
