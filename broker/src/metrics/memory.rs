//! How much memory this process could still have: of the system, or of its control group where that has less.
//!
//! Read at a scrape. Free is what nobody uses; available is free and what the system would give up of its caches.

use std::fs;
use std::path::Path;

/// See the module. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemoryFacts {
    pub(super) free: u64,
    pub(super) available: u64,
}

impl MemoryFacts {
    /// As of now; `None` where the system does not say.
    pub(super) fn read() -> Option<Self> {
        let of_system = Self::of_system(&fs::read_to_string("/proc/meminfo").ok()?)?;
        let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Some(Self::of_group(&group).map_or(of_system, |of_group| of_system.min(of_group)))
    }

    fn of_system(meminfo: &str) -> Option<Self> {
        let kilobytes = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { free: kilobytes("MemFree")?, available: kilobytes("MemAvailable")? })
    }

    /// The limit of the process' own control group (version 2), if it has one.
    fn of_group(groups: &str) -> Option<Self> {
        let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let folder = Path::new("/sys/fs/cgroup").join(path);
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
        Self::of_limit(&read("memory.max")?, &read("memory.current")?, &read("memory.stat")?)
    }

    fn of_limit(max: &str, current: &str, stat: &str) -> Option<Self> {
        // "max" is no number: no limit.
        let (max, current): (u64, u64) = (max.trim().parse().ok()?, current.trim().parse().ok()?);
        let inactive = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok());
        let free = max.saturating_sub(current);
        Some(Self { free, available: free.saturating_add(inactive.unwrap_or(0)).min(max) })
    }

    fn min(self, other: Self) -> Self {
        Self { free: self.free.min(other.free), available: self.available.min(other.available) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_counts_where_it_has_less_than_the_system() {
        let meminfo = "MemTotal:  16000 kB\nMemFree:    4000 kB\nMemAvailable:    9000 kB\n";
        let system = MemoryFacts::of_system(meminfo).unwrap();
        assert_eq!(system, MemoryFacts { free: 4_096_000, available: 9_216_000 });
        let stat = "anon 1000\ninactive_file 500000\nactive_file 5\n";
        let group = MemoryFacts::of_limit("1000000\n", "900000\n", stat).unwrap();
        assert_eq!(system.min(group), MemoryFacts { free: 100_000, available: 600_000 });
        assert_eq!(MemoryFacts::of_limit("max\n", "900000\n", stat), None);
        assert_eq!(MemoryFacts::of_system("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn this_system_says_how_much_there_is() {
        let facts = MemoryFacts::read().unwrap();
        assert!(facts.available > 0);
    }
}
