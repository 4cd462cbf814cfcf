//! One random change to one file of a directory.

use std::fmt;
use std::io::IoSlice;
use std::ops::Range;
use std::path::{Path, PathBuf};

use storage::disk::Disk;

use super::support::Random;
use super::support::simulated_disk::SimulatedDisk;

/// What was done, and which bytes are no longer what they were.
#[derive(Debug, Clone, Default)]
pub struct Mutation {
    what: String,
    /// Files and ranges that the mutation was aimed at.
    aimed: Vec<(PathBuf, Range<u64>)>,
    /// Bytes that differ from before, in order.
    changed: Vec<(PathBuf, Vec<u64>)>,
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Mutation {
    /// Whether the range overlaps what the mutation was aimed at.
    pub fn touches(&self, file: &Path, bytes: Range<u64>) -> bool {
        let overlaps = |aimed: &Range<u64>| aimed.start < bytes.end && bytes.start < aimed.end;
        self.aimed.iter().any(|(path, aimed)| path == file && overlaps(aimed))
    }

    /// Whether a byte of the range is not what it was.
    pub fn changes(&self, file: &Path, bytes: Range<u64>) -> bool {
        let changed = self.changed.iter().filter(|(path, _)| path == file);
        changed.map(|(_, changed)| changed).any(|changed| {
            let next = changed.partition_point(|at| *at < bytes.start);
            changed.get(next).is_some_and(|at| *at < bytes.end)
        })
    }

    /// The end of what it was aimed at in this file.
    pub fn end_in(&self, file: &Path) -> Option<u64> {
        self.aimed.iter().filter(|(path, _)| path == file).map(|(_, aimed)| aimed.end).max()
    }
}

fn one_of<'a>(paths: &[&'a PathBuf], random: &mut Random) -> &'a PathBuf {
    paths[usize::try_from(random.below(paths.len() as u64)).unwrap()]
}

/// A commitlog file, often the last one, or as often one of the others.
fn pick(paths: &[PathBuf], random: &mut Random) -> PathBuf {
    let in_log = |path: &&PathBuf| path.parent().unwrap().ends_with("commitlog");
    let (logs, others): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(in_log);
    match random.below(8) {
        0..4 => one_of(&others, random).clone(),
        4 => logs[logs.len() - 1].clone(),
        _ => one_of(&logs, random).clone(),
    }
}

fn write(disk: &SimulatedDisk, path: &Path, contents: &[u8]) {
    let file = disk.create(path, contents.len() as u64).unwrap();
    file.write_all_at(&mut [IoSlice::new(contents)], 0).unwrap();
}

/// Mutates one file below `dir`.
pub fn mutate(disk: &SimulatedDisk, dir: &Path, random: &mut Random) -> Mutation {
    let mut paths = disk.paths();
    paths.retain(|path| path.starts_with(dir) && !path.ends_with("lock") && !path.ends_with("abort"));
    let path = pick(&paths, random);
    let before = disk.contents(&path);
    let len = before.len() as u64;
    // Most files are mostly empty: aim below the last byte that is not.
    let used = before.iter().rposition(|byte| *byte != 0).map_or(1, |at| at as u64 + 1);
    let at = if random.below(4) == 0 { used - 1 - random.below(used.min(5000)) } else { random.below(used) };
    let name = path.display();
    let mut after = before.clone();
    let mut aimed = at..at + 1;
    let slot = |at: u64| usize::try_from(at).unwrap();
    let what = match random.below(6) {
        0 => {
            after[slot(at)] ^= 1 << random.below(8);
            format!("a flipped bit in byte {at} of {name}")
        }
        1 => {
            aimed = at / 4096 * 4096..(at / 4096 * 4096 + 4096).min(len);
            after[slot(aimed.start)..slot(aimed.end)].fill(0);
            format!("a zeroed page at {} of {name}", aimed.start)
        }
        2 => {
            aimed = at..len;
            after.truncate(slot(at));
            format!("{name} cut to {at} bytes")
        }
        3 => {
            aimed = at..(at + 1 + random.below(3000)).min(len);
            for byte in &mut after[slot(aimed.start)..slot(aimed.end)] {
                *byte = u8::try_from(random.below(256)).unwrap();
            }
            format!("garbage over {aimed:?} of {name}")
        }
        4 => {
            let beside = |other: &&PathBuf| **other != path && other.parent() == path.parent();
            let others: Vec<&PathBuf> = paths.iter().filter(beside).collect();
            if !others.is_empty() {
                return swap(disk, &path, one_of(&others, random));
            }
            after[slot(at)] ^= 0x80;
            format!("a flipped bit in byte {at} of {name}, which has nothing to be swapped with")
        }
        _ => {
            disk.remove(&path).unwrap();
            let changed = vec![(path.clone(), (0..len).collect())];
            return Mutation { what: format!("{name} removed"), aimed: vec![(path, 0..len)], changed };
        }
    };
    write(disk, &path, &after);
    let changed = vec![(path.clone(), difference(&before, &after))];
    Mutation { what, aimed: vec![(path, aimed)], changed }
}

fn swap(disk: &SimulatedDisk, one: &Path, other: &Path) -> Mutation {
    let (first, second) = (disk.contents(one), disk.contents(other));
    write(disk, one, &second);
    write(disk, other, &first);
    let aimed = [(one, &first), (other, &second)];
    Mutation {
        what: format!("{} and {} swapped", one.display(), other.display()),
        aimed: aimed.iter().map(|(path, bytes)| (path.to_path_buf(), 0..bytes.len() as u64)).collect(),
        changed: vec![
            (one.to_owned(), difference(&first, &second)),
            (other.to_owned(), difference(&second, &first)),
        ],
    }
}

/// Bytes of `before` that `after` does not have.
fn difference(before: &[u8], after: &[u8]) -> Vec<u64> {
    let differs = |(at, byte): (usize, &u8)| (after.get(at) != Some(byte)).then_some(at as u64);
    before.iter().enumerate().filter_map(differs).collect()
}
