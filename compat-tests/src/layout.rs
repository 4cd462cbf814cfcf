//! Where things are: the workspace, the drivers' sources, and the cache that setup, logs and results share
//! (`compat` in cargo's target folder, so `cargo clean` removes it all).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

/// This crate's folder.
#[must_use]
pub fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of a driver's sources and lock files.
#[must_use]
pub fn driver_dir(name: &str) -> PathBuf {
    crate_dir().join("drivers").join(name)
}

/// `target/debug` or `target/release`: where cargo put the program that asks, whatever target folder it used.
///
/// # Errors
/// The running program does not lie below a cargo target folder.
pub fn profile_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("the path of the running program is unknown")?;
    let folder = program.parent().context("the running program has no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_owned())
}

/// `target/compat`, made if it is missing.
///
/// # Errors
/// It cannot be made.
pub fn cache_dir() -> Result<PathBuf> {
    let profile = profile_dir()?;
    let cache = profile.parent().context("the profile folder has no parent")?.join("compat");
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    Ok(cache)
}

/// A new empty folder below the cache, for one broker's data.
///
/// # Errors
/// It cannot be made.
pub fn scratch_dir(name: &str) -> Result<PathBuf> {
    let folder = cache_dir()?.join("run").join(unique(name));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A new log file below the cache.
///
/// # Errors
/// It cannot be made.
pub fn log_file(name: &str) -> Result<PathBuf> {
    let folder = cache_dir()?.join("logs");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{}.log", unique(name))))
}

/// `name` with a suffix that no other test of this or another process uses.
#[must_use]
pub fn unique(name: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}
