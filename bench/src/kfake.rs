//! How franz-go's in-memory Kafka is obtained and started: a main of a few lines around it, built by Go into the benchmark's
//! folder.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::broker_process::Launch;

/// Builds the module and returns how its broker is started.
///
/// # Errors
/// Go is missing, or it does not build.
pub(crate) fn launch(module: &Path, folder: &Path) -> Result<Launch> {
    let binary = folder.join("kfake-broker");
    let built = Command::new("go")
        .current_dir(module)
        .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o"])
        .arg(&binary)
        .output()
        .context("kfake is built with Go 1.26 or newer")?;
    ensure!(built.status.success(), "kfake does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    Ok(Box::new(move |_, port| {
        let mut command = Command::new(&binary);
        command.arg(port.to_string());
        Ok(command)
    }))
}
