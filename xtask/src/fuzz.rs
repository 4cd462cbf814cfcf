//! libFuzzer on the targets of `fuzz/`: each from its seeds and what earlier runs found, for so many seconds.
//!
//! Not part of `test`: it needs a nightly compiler (`rustup toolchain install nightly`). Quick tests of `protocol`, `storage`
//! and `broker` run the same targets on mutants. `cargo-fuzz` is installed into `target/tools` when it is missing.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::{step, workspace};

const VERSION: &str = "0.13.2";
const TARGETS: &[&str] =
    &["request", "record_batch", "control_batch", "recovery", "properties", "group_records"];
/// Bytes that libFuzzer lets an input have, the whole process, and one allocation.
const LIMITS: &[&str] = &["-max_len=16384", "-rss_limit_mb=1024", "-malloc_limit_mb=256", "-timeout=20"];

/// Runs `targets`, or all of them, each for `seconds`.
///
/// # Errors
/// No such target, it does not build, or an input crashes it: libFuzzer keeps that in `fuzz/artifacts` and says how to run
/// it again.
pub(crate) fn run(targets: &[String], seconds: u64) -> Result<()> {
    let unknown: Vec<_> = targets.iter().filter(|target| !TARGETS.contains(&target.as_str())).collect();
    ensure!(unknown.is_empty(), "no such target: {unknown:?}; there are {TARGETS:?}");
    let tool = installed()?;
    let mut seeds = workspace::cargo();
    seeds.args(["run", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--example", "seeds"]);
    step::run("seeds", &mut seeds)?;
    for target in
        TARGETS.iter().filter(|target| targets.is_empty() || targets.iter().any(|one| one == *target))
    {
        let mut command = Command::new(&tool);
        // As `cargo +nightly fuzz`: not the cargo that runs this program.
        command.current_dir(workspace::root()).env("RUSTUP_TOOLCHAIN", "nightly").env_remove("CARGO");
        command.args(["fuzz", "run", target, "--", "-print_final_stats=1"]).args(LIMITS);
        // Freed memory that the sanitizer holds back counts for the limit of the process.
        command.env("ASAN_OPTIONS", "quarantine_size_mb=16");
        step::run(target, command.arg(format!("-max_total_time={seconds}")))?;
    }
    Ok(())
}

fn installed() -> Result<PathBuf> {
    let folder = workspace::target_dir()?.join("tools");
    let tool = folder.join("bin").join("cargo-fuzz");
    let version = Command::new(&tool).args(["fuzz", "--version"]).output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(VERSION)) {
        let mut install = workspace::cargo();
        install.args(["install", "--quiet", "--locked", "--force", "--debug", "--root"]).arg(&folder);
        step::run("install cargo-fuzz", install.args(["cargo-fuzz", "--version", VERSION]))?;
    }
    Ok(tool)
}
