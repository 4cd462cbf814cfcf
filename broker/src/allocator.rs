//! Makes the C library give memory back after a burst.
//!
//! Called first by `main`. glibc raises the size from which it maps memory by itself, up to 32 MiB, whenever a larger
//! piece is freed; from then on a few large frames leave tens of MiB in its heaps for good. Its thresholds stay put when
//! they are set, and they can be set without unsafe code only in the environment that a program starts with.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

const VARIABLE: &str = "GLIBC_TUNABLES";
/// Pieces from 1 MiB on are mapped and given back at once; heaps are trimmed when 1 MiB is free at their end.
const TUNABLES: &str = "glibc.malloc.mmap_threshold=1048576:glibc.malloc.trim_threshold=1048576";

/// Replaces this process by itself with fixed thresholds, unless its environment sets some already. Returns when there
/// is nothing to do or it cannot be done, which costs memory and nothing else.
pub(crate) fn fix_thresholds() {
    if !cfg!(target_env = "gnu") || std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsStr::new("onelog").to_owned());
    // `exec` returns only when it failed.
    let _costs_only_memory = Command::new(program).arg0(name).args(arguments).env(VARIABLE, TUNABLES).exec();
}
