//! A Kafka-protocol broker for tests: a thin driver of the `onelog` binary.
//!
//! ```no_run
//! # async fn example() -> Result<(), onelog::StartError> {
//! let broker = onelog::TestBroker::builder().topics(["orders:3", "invoices"]).start().await?;
//! println!("{}", broker.bootstrap_servers());
//! # Ok(())
//! # }
//! ```
//!
//! `binary` finds the program, `test_broker` runs it, `control` asks it in test mode. Invariant: a broker ends with its [`TestBroker`] and with the process that
//! started it, whatever ends that, and leaves nothing behind.
#![forbid(unsafe_code)]

mod binary;
mod control;
mod error;
mod test_broker;

pub use control::ControlError;
pub use error::StartError;
pub use test_broker::{Builder, TestBroker};
