//! Which processors broker and load generator run on. For rows that count CPU time they are kept apart: the broker gets the
//! first half, the load the second, so that neither evicts the other; latency rows leave everything to the kernel.
//!
//! On a machine with one processor nothing is pinned.

use std::fs;
use std::num::NonZeroU64;
use std::ops::Range;

use anyhow::{Context as _, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How many processors this process may use, read before anything is pinned.
pub(crate) fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Binds all threads of the process to the broker's processors; threads that it starts later inherit that.
///
/// # Errors
/// The process is gone.
pub(crate) fn pin_broker(pid: u32) -> Result<()> {
    let all = total();
    if all > 1 { pin_process(pid, 0..all / 2) } else { Ok(()) }
}

/// Gives all threads of the process all processors again.
///
/// # Errors
/// The process is gone.
pub(crate) fn unpin_broker(pid: u32) -> Result<()> {
    pin_process(pid, 0..total())
}

/// Binds the calling thread to the load's processors.
///
/// # Errors
/// The system refuses.
pub(crate) fn pin_this_thread_to_load() -> Result<()> {
    let all = total();
    if all > 1 {
        sched_setaffinity(None, &set(all / 2..all)).context("cannot bind a thread to its processors")?;
    }
    Ok(())
}

/// Runs `body` on a thread of the load's processors.
///
/// # Errors
/// Those of `body`.
pub(crate) fn on_load<T: Send>(body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pinned = || {
        pin_this_thread_to_load()?;
        body()
    };
    std::thread::scope(|scope| scope.spawn(pinned).join().expect("a measuring thread panicked"))
}

/// Runs `body` on a thread of one processor, the last; threads that it starts stay there.
///
/// # Errors
/// Those of `body`.
pub(crate) fn on_one<T: Send>(body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pinned = || {
        let all = total();
        sched_setaffinity(None, &set(all - 1..all)).context("cannot bind a thread to its processor")?;
        body()
    };
    std::thread::scope(|scope| scope.spawn(pinned).join().expect("a measuring thread panicked"))
}

/// Asks the kernel not to let sleeps of this thread run over by its usual 50 us.
pub(crate) fn wake_exactly() {
    // A kernel that refuses only makes latencies look worse.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).ok();
}

/// The processors of the machine that the first thread may use, before any pinning of others.
fn total() -> usize {
    let main = Pid::from_raw(i32::try_from(std::process::id()).unwrap_or(0));
    sched_getaffinity(main).map_or(1, |set| usize::try_from(set.count()).unwrap_or(1))
}

fn pin_process(pid: u32, processors: Range<usize>) -> Result<()> {
    let set = set(processors);
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
        let name = task?.file_name();
        let task = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        // A thread that has ended meanwhile needs no place.
        sched_setaffinity(Some(task.context("a thread without a number")?), &set).ok();
    }
    Ok(())
}

fn set(processors: Range<usize>) -> CpuSet {
    let mut set = CpuSet::new();
    processors.for_each(|processor| set.set(processor));
    set
}
