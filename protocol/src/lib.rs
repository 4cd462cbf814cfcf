//! Kafka's wire format, sans-IO: no tokio, no files, no clock.
//!
//! A request goes through `frame` (its size), `header` (which API, which version), `guard` (can it be decoded safely) and
//! then the codec crate's `Decodable`, or that of `newer` for versions which the crate lacks. The order matters: the codec allocates by the counts it reads, so nothing may be
//! decoded that `guard::check` has not passed. Decode from `Bytes`: records, strings and bytes are then slices of the frame.
//! Record batches are never decoded by the codec: `record_batch`, `record_set`, `record_outline` and `record_lookup` read
//! them where they are.
//!
//! Invariant of the whole crate: bytes from outside never panic and never allocate more than a bound known beforehand.
#![forbid(unsafe_code)]

pub mod compression;
pub mod control_batch;
pub mod error_code;
pub mod fetch_response;
pub mod frame;
pub mod guard;
pub mod header;
pub mod layout;
pub mod layouts;
pub mod newer;
pub mod record_batch;
pub mod record_batch_builder;
pub mod record_batch_rebuild;
pub mod record_lookup;
pub mod record_outline;
pub mod record_set;
pub mod request_outline;
pub mod share_fetch_response;
mod wire;

pub use error_code::ErrorCode;
pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};
