//! How this workspace's broker is started: the release binary, with the flags and keys that users have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::broker_process::Launch;

/// When acks=all answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flush {
    /// After `fdatasync`: the default.
    Sync,
    /// Once written; the kernel writes to the disk when it likes, as Kafka does by default.
    Os,
}

impl Flush {
    /// As the flag takes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Os => "os",
        }
    }
}

/// Starts `binary` with its data in the broker's folder and `keys` in its properties file.
///
/// # Errors
/// There is no such binary.
pub(crate) fn launch(binary: &Path, flush: Flush, keys: &[(&str, &str)]) -> Result<Launch> {
    let binary = there(binary)?;
    let properties: String = keys.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    Ok(Box::new(move |folder, port| {
        let file = folder.join("server.properties");
        fs::write(&file, &properties)?;
        let mut command = Command::new(&binary);
        command.arg("--listen").arg(format!("127.0.0.1:{port}")).arg("--data-dir").arg(folder.join("data"));
        command.args(["--flush", flush.word(), "--auto-create", "false"]).arg("--config").arg(file);
        Ok(command)
    }))
}

/// Starts `binary` as `onelog dev`, with the control API on the port `admin` if one is given. Its data is where `dev` keeps it.
///
/// # Errors
/// There is no such binary.
pub(crate) fn launch_dev(binary: &Path, admin: Option<u16>) -> Result<Launch> {
    let binary = there(binary)?;
    Ok(Box::new(move |_, port| {
        let mut command = Command::new(&binary);
        command.arg("dev").arg("--listen").arg(format!("127.0.0.1:{port}"));
        if let Some(admin) = admin {
            command.arg("--test-mode").arg("--admin").arg(format!("127.0.0.1:{admin}"));
        }
        Ok(command)
    }))
}

fn there(binary: &Path) -> Result<PathBuf> {
    ensure!(
        binary.is_file(),
        "{} is missing: build it, or start this as `cargo xtask bench`",
        binary.display()
    );
    Ok(binary.to_owned())
}
