//! What the system says of this process: memory, descriptors, processor time, bytes to and from devices.
//!
//! Read from `/proc/self` at every scrape. A value that cannot be read is left out.

use std::fs;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ProcessFacts {
    pub(crate) open_files: Option<u64>,
    /// How many of them the system allows.
    pub(crate) most_open_files: Option<u64>,
    /// Resident bytes, with those of mapped files.
    pub(crate) resident: Option<u64>,
    /// Resident bytes of no file.
    pub(crate) anonymous: Option<u64>,
    /// Virtual bytes.
    pub(crate) virtual_memory: Option<u64>,
    /// User and system time of all threads, seconds.
    pub(crate) cpu_seconds: Option<f64>,
    /// Since the Unix epoch, seconds.
    pub(crate) start_seconds: Option<f64>,
    pub(crate) major_faults: Option<u64>,
    pub(crate) threads: Option<u64>,
    /// From devices, bytes.
    pub(crate) read_bytes: Option<u64>,
    /// To devices, bytes.
    pub(crate) written_bytes: Option<u64>,
}

impl ProcessFacts {
    /// As of now.
    pub(crate) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut facts = Self {
            open_files: open_files(),
            most_open_files: soft_limit(&limits, "Max open files"),
            anonymous: kilobytes(&status, "RssAnon:"),
            read_bytes: labelled(&io, "read_bytes:"),
            written_bytes: labelled(&io, "write_bytes:"),
            ..Self::default()
        };
        facts.take_stat(&stat);
        facts
    }

    /// `/proc/self/stat`: fields are counted from the end of the name, which may hold spaces (proc_pid_stat(5)).
    fn take_stat(&mut self, stat: &str) {
        let Some((_, rest)) = stat.rsplit_once(')') else { return };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The first of them is field 3 of the manual page.
        let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
        let ticks = rustix::param::clock_ticks_per_second();
        let seconds = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / per_second(ticks);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        self.major_faults = field(12);
        self.cpu_seconds = field(14).zip(field(15)).map(|(user, system)| seconds(user + system));
        self.threads = field(20);
        self.virtual_memory = field(23);
        self.resident = field(24).map(|pages| pages * page);
        self.start_seconds = field(22).zip(boot_seconds()).map(|(since, boot)| boot + seconds(since));
    }
}

fn open_files() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(count).ok()
}

/// A line of `/proc/self/status` such as `RssAnon:     1234 kB`, in bytes.
fn kilobytes(status: &str, label: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(label))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The first number of a line of `/proc/self/limits`; `None` when it is unlimited.
fn soft_limit(limits: &str, label: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

fn per_second(ticks: u64) -> f64 {
    f64::from(u32::try_from(ticks.max(1)).unwrap_or(100))
}

/// When the system started, seconds since the Unix epoch.
fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = labelled(&stat, "btime")?;
    u32::try_from(seconds).ok().map(f64::from)
}

/// The number after `label` at the beginning of a line.
fn labelled(text: &str, label: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(label)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_a_past() {
        let facts = ProcessFacts::read();
        assert!(facts.resident.is_some_and(|bytes| bytes > 1 << 20));
        assert!(facts.open_files.is_some_and(|count| count >= 3));
        assert!(facts.most_open_files > facts.open_files);
        assert!(facts.anonymous > Some(0) && facts.anonymous < facts.resident);
        assert!(facts.start_seconds.is_some_and(|seconds| seconds > 1.6e9));
        assert!(facts.threads.is_some_and(|count| count >= 1));
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "1 (a ) b) S 1 1 1 0 -1 0 5 0 6 0 150 50 0 0 20 0 3 0 100 4096 2 18446744073709551615";
        let mut facts = ProcessFacts::default();
        facts.take_stat(stat);
        assert_eq!((facts.major_faults, facts.threads, facts.virtual_memory), (Some(6), Some(3), Some(4096)));
        assert!(facts.cpu_seconds.is_some_and(|seconds| seconds > 0.0));
    }
}
