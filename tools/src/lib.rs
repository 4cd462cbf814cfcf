//! Kafka's command line tools under their own names, for scripts that know them: the `onelog` binary asks here first whether it
//! was called as one of them.
//!
//! `registry` is the list of tools. Each tool is a room that reads its arguments (clap), talks through `client` and writes to the
//! `Write` it is given. Flags, columns and exit codes are those of Apache Kafka 4.3.1 where scripts rely on them; where not, the
//! room's header says so.
//!
//! Invariants: a tool talks to a broker through its socket only and knows nothing of this project's storage; what goes to stdout
//! is what scripts read, everything said to people goes to stderr.
#![forbid(unsafe_code)]

mod api_versions;
mod client;
mod clock;
mod configs;
mod consumer;
mod cub;
mod delete_records;
mod failure;
mod get_offsets;
mod group_offsets;
mod groups;
mod options;
mod partitions;
mod producer;
mod registry;
mod storage_tool;
mod table;
mod text;
mod time;
mod topics;

pub use registry::{by_name, commands, names};
