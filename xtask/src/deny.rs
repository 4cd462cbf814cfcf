//! `cargo deny`: licences, sources, versions and known advisories of all dependencies. The tool is installed into
//! `target/tools` when it is missing, in a fixed version.
//!
//! Invariant: what is not checked is said in a line of its own, never passed over.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::{step, workspace};

const VERSION: &str = "0.20.2";
/// A machine without the network answers at once; one that swallows packets must not hold up the rest.
const FETCH_LIMIT: Duration = Duration::from_secs(60);

/// Installs the tool if need be and checks what `deny.toml` asks for. Advisories need a database that is fetched from
/// GitHub; where that cannot be reached, a line says that they were not checked.
///
/// # Errors
/// A check fails, or the tool cannot be installed.
pub(crate) fn check() -> Result<()> {
    let tool = installed()?;
    step::run("deny", deny(&tool).args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    if step::succeeds(deny(&tool).args(["fetch", "db"]), FETCH_LIMIT) {
        return step::run("advisories", deny(&tool).args(["check", "--hide-inclusion-graph", "advisories"]));
    }
    step::say("==> advisories: NOT CHECKED, the advisory database cannot be fetched from here");
    Ok(())
}

fn deny(tool: &Path) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(workspace::root());
    command
}

fn installed() -> Result<PathBuf> {
    let folder = workspace::target_dir()?.join("tools");
    let tool = folder.join("bin").join("cargo-deny");
    let version = Command::new(&tool).arg("--version").output();
    let current =
        version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(VERSION));
    if !current {
        let mut install = workspace::cargo();
        // A debug build: it runs for seconds, an optimised one takes minutes to build.
        install.args(["install", "--quiet", "--locked", "--force", "--debug", "--root"]).arg(&folder);
        install.args(["cargo-deny", "--version", VERSION]);
        step::run("install cargo-deny", &mut install)?;
    }
    Ok(tool)
}
