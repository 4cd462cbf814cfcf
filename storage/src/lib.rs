//! The log: every partition of the broker appends to one shared [`Store`] commitlog; everything else (consume queues,
//! producer state, topics, snapshots) is a projection of it that can be rebuilt.
//!
//! Synchronous, no tokio, knows no Kafka API. Called by `broker`. The on-disk format is `docs/STORAGE_FORMAT.md`.
#![deny(unsafe_code)]

mod admin;
mod append;
mod catalog;
mod checkpoint;
mod cleaner;
mod clock;
mod commit_log;
mod compaction;
mod consume_queue;
mod data_dir;
mod decode;
mod directory_image;
pub mod disk;
mod engine;
mod error;
mod facts;
mod find;
mod flush;
mod frame;
mod frame_walk;
mod housekeeping;
mod index_file;
pub mod inspect;
mod leader_epochs;
mod log_policy;
mod manifest;
mod mapped_file;
mod partition_log;
mod poison;
mod position;
mod producer_state;
mod read;
mod recovery;
mod restate;
mod retention;
mod retried;
mod rewrite;
mod segments;
mod snapshot;
mod space;
mod store;
mod timestamp_search;
mod timings;
mod topic;
mod transactions;
mod verification;

pub use append::{Append, Appended, Submitted, ValidBatch};
pub use clock::{Clock, SystemClock};
pub use directory_image::DirectoryImage;
pub use error::{AppendError, Error, OpenError, ReadError, TopicError};
pub use facts::{IndexFacts, LogFacts, PartitionFacts};
pub use find::{FindError, FindQuery, FoundRecord, FoundRecords};
pub use log_policy::{LogPolicy, Policies};
pub use partition_log::PartitionLog;
pub use position::{Offset, Position};
pub use producer_state::ActiveProducer;
pub use read::{Batches, Located, ReadRequest, Reading};
pub use recovery::Recovered;
pub use space::{Space, SpaceState};
pub use store::{CompactionLimits, Event, FlushMode, Listener, ProducerExpiration, Store, StoreConfig};
pub use timestamp_search::TimestampOffset;
pub use timings::{BOUNDS_US, TimingCounts};
pub use topic::{Configs, Topic, UNRELATED_TO_TOPICS};
pub use transactions::AbortedTransaction;
pub use verification::VerificationGuard;
