//! Puts files out of the page cache, to read them from the device again.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::{Advice, fadvise};

/// Syncs every file below `folder` and drops its pages. Pages that a process has mapped and touched stay.
///
/// # Errors
/// A file cannot be opened or synced.
pub(crate) fn evict(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        // What was removed meanwhile has no pages.
        if path.is_dir() {
            evict(&path).or_else(|error| if path.exists() { Err(error) } else { Ok(()) })?;
        } else if let Ok(file) = File::open(&path) {
            file.sync_data()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
