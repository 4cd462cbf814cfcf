//! Why there is no broker, in sentences that say what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Neither `ONELOG_BIN` nor `PATH` leads to a binary.
    #[error(
        "no onelog binary: set ONELOG_BIN to its path, or put `onelog` in a folder of PATH (build it with `cargo build \
         --release --bin onelog`)"
    )]
    NoBinary,
    /// What `ONELOG_BIN` names is not there.
    #[error("ONELOG_BIN is {}, which is no program", .0.display())]
    NoProgram(PathBuf),
    /// The system does not start it.
    #[error("{} cannot be started", .binary.display())]
    NotStarted {
        /// Which one.
        binary: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The broker refused its settings, or died.
    #[error("{} ended at its start with {status}:\n{log}", .binary.display())]
    Ended {
        /// Which one.
        binary: PathBuf,
        /// How.
        status: ExitStatus,
        /// The broker's own words.
        log: String,
    },
    /// It neither serves nor ends.
    #[error("{} does not serve after {limit:?}:\n{log}", .binary.display())]
    Late {
        /// Which one.
        binary: PathBuf,
        /// How long it was waited for.
        limit: Duration,
        /// The broker's own words.
        log: String,
    },
    /// The temporary folder for its first words.
    #[error("no temporary folder")]
    Folder(#[from] io::Error),
}
