//! Where things are: the workspace, cargo and its target folder. Read by every other room.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Cargo's target folder: the running program lies in `target/<profile>/`, wherever cargo was told to put that.
///
/// # Errors
/// The program was started from somewhere else.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("the path of the running program is unknown")?;
    let target = program.parent().and_then(Path::parent);
    Ok(target.context("run this as `cargo xtask`: the program does not lie in a target folder")?.to_owned())
}

/// The cargo that runs this program, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
