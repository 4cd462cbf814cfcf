//! What the kernel says of a broker process, from `/proc/PID`. The parsers are pure; one function each reads the file.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// User and system CPU time of the process with all its threads, past and present; the kernel counts in 10 ms.
///
/// # Errors
/// The process is gone.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let text = read(pid, "stat")?;
    let ticks = ticks(&text).with_context(|| format!("unreadable stat of process {pid}"))?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Runs `body` and says how much CPU time the process used meanwhile.
///
/// # Errors
/// Those of `body`, or the process is gone.
pub(crate) fn cpu_time_of<T>(pid: u32, body: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let before = cpu_time(pid)?;
    let value = body()?;
    Ok((value, cpu_time(pid)?.saturating_sub(before)))
}

/// Memory, descriptors and maps at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Footprint {
    /// `RssAnon` of `status`: what is not a file's page.
    pub(crate) anonymous: u64,
    /// `VmRSS`, files' pages included.
    pub(crate) resident: u64,
    /// `Pss` of `smaps_rollup`.
    pub(crate) proportional: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Memory maps.
    pub(crate) maps: u64,
}

/// The footprint of the process now, in bytes and counts.
///
/// # Errors
/// The process is gone.
pub(crate) fn footprint(pid: u32) -> Result<Footprint> {
    let status = read(pid, "status")?;
    let rollup = read(pid, "smaps_rollup")?;
    let kibibytes = |text: &str, name| number_after(text, name).map(|value| value * 1024);
    Ok(Footprint {
        anonymous: kibibytes(&status, "RssAnon:").context("no RssAnon")?,
        resident: kibibytes(&status, "VmRSS:").context("no VmRSS")?,
        proportional: kibibytes(&rollup, "Pss:").context("no Pss")?,
        descriptors: crate::batches::count(fs::read_dir(format!("/proc/{pid}/fd"))?.count()),
        maps: crate::batches::count(read(pid, "maps")?.lines().count()),
    })
}

/// Bytes that the process had read from devices.
///
/// # Errors
/// The process is gone.
pub(crate) fn device_bytes_read(pid: u32) -> Result<u64> {
    number_after(&read(pid, "io")?, "read_bytes:").context("no read_bytes")
}

/// How often each thread went to sleep by itself, by thread id: each is a wake-up later.
pub(crate) type Switches = BTreeMap<u32, u64>;

/// The threads of the process as they are now.
///
/// # Errors
/// The process is gone.
pub(crate) fn voluntary_switches(pid: u32) -> Result<Switches> {
    let mut switches = Switches::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
        let task = task?;
        // A thread that has ended meanwhile no longer wakes.
        let Ok(text) = fs::read_to_string(task.path().join("status")) else { continue };
        let thread = task.file_name().to_string_lossy().parse().context("a thread id is a number")?;
        switches.insert(thread, number_after(&text, "voluntary_ctxt_switches:").unwrap_or(0));
    }
    Ok(switches)
}

/// How often threads went to sleep between two looks; those that ended in between are not known of.
pub(crate) fn switches_between(before: &Switches, after: &Switches) -> u64 {
    after.iter().map(|(thread, count)| count - before.get(thread).unwrap_or(&0)).sum()
}

fn read(pid: u32, name: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{name}")).with_context(|| format!("process {pid} is gone"))
}

/// utime + stime; the command before them may hold blanks and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The number in the line that begins with `name`.
pub(crate) fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_those_behind_the_last_parenthesis() {
        let stat = "12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 30 0 0 20 0 5";
        assert_eq!(ticks(stat), Some(280));
        assert_eq!(ticks("12 (a"), None);
    }

    #[test]
    fn number_is_taken_from_the_line_of_that_name_only() {
        let text = "nonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t42\nRssAnon:\t  128 kB\n";
        assert_eq!(number_after(text, "voluntary_ctxt_switches:"), Some(42));
        assert_eq!(number_after(text, "RssAnon:"), Some(128));
        assert_eq!(number_after(text, "Pss:"), None);
    }

    #[test]
    fn threads_that_begin_count_and_those_that_end_take_nothing_away() {
        let before = Switches::from([(1, 10), (2, 1000)]);
        let after = Switches::from([(1, 13), (3, 4)]);
        assert_eq!(switches_between(&before, &after), 7);
        assert_eq!(switches_between(&before, &before), 0);
    }

    #[test]
    fn this_process_has_a_footprint() {
        let pid = std::process::id();
        let footprint = footprint(pid).unwrap();
        assert!(footprint.anonymous > 0 && footprint.resident >= footprint.anonymous);
        assert!(footprint.descriptors > 2 && footprint.maps > 5);
        assert!(voluntary_switches(pid).is_ok() && device_bytes_read(pid).is_ok());
        let burn = || Ok((0..3_000_000u64).map(std::hint::black_box).sum::<u64>());
        assert!(cpu_time_of(pid, burn).is_ok());
    }
}
