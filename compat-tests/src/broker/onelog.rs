//! This workspace's binary: `ONELOG_BIN`, or built here by cargo so that the tests never meet a stale one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::layout;
use crate::process::run_to_end;

/// Cargo may have to build everything first.
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// `properties` are lines that follow the common ones.
pub(super) fn prepare(folder: &Path, properties: &str) -> Result<()> {
    fs::write(folder.join("server.properties"), format!("{}{properties}", super::COMMON_CONFIG))?;
    Ok(())
}

/// Port 0 lets the system choose; a restart names the port it had.
pub(super) fn command(folder: &Path, data: &Path, host: &str, port: u16) -> Result<Command> {
    let ready = folder.join("ready");
    if ready.exists() {
        fs::remove_file(&ready)?;
    }
    let mut command = super::new_command(binary()?);
    command.arg("--listen").arg(format!("127.0.0.1:{port}"));
    // Without a port of its own it tells clients the address that it listens on.
    if port != 0 {
        command.arg("--advertise").arg(format!("{host}:{port}"));
    }
    command.arg("--data-dir").arg(data);
    command.arg("--config").arg(folder.join("server.properties"));
    command.arg("--ready-file").arg(ready);
    Ok(command)
}

/// The port in the first line of the ready file, once it is written.
pub(super) fn reported_port(folder: &Path) -> Result<Option<u16>> {
    let Ok(text) = fs::read_to_string(folder.join("ready")) else { return Ok(None) };
    let Some((address, _)) = text.split_once('\n') else { return Ok(None) };
    let (_, port) = address.rsplit_once(':').with_context(|| format!("the ready file says {text:?}"))?;
    Ok(Some(port.trim().parse().with_context(|| format!("the ready file says {text:?}"))?))
}

pub(super) fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow!("{error}"))
}

fn find() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("ONELOG_BIN") {
        let named = PathBuf::from(named);
        ensure!(named.is_file(), "ONELOG_BIN is {}, which is no file", named.display());
        return Ok(named);
    }
    let profile = layout::profile_dir()?;
    let target = profile.parent().context("the profile folder has no parent")?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    build.current_dir(layout::crate_dir()).args([
        "build",
        "--quiet",
        "--package",
        "broker",
        "--bin",
        "onelog",
    ]);
    build.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    run_to_end(&mut build, BUILD_LIMIT).context("cargo cannot build the broker")?;
    Ok(profile.join("onelog"))
}
