//! Which files are worth rewriting: cost and benefit, as a log-structured file system's cleaner weighs them.
//!
//! Pure. Called by `relocate`. The aim is a bound on space: files that nothing is appended to take at most
//! [`KEPT_PERCENT`] of what lives in them, plus half a file.

use std::sync::Arc;

use crate::mapped_file::MappedFile;
use crate::position::Position;

/// Sealed files take at most this much of their live bytes, percent, before rewriting begins.
const KEPT_PERCENT: u64 = 115;
/// A file fuller than this, percent, gives too little back for the copying.
const FULL_PERCENT: u64 = 92;

/// One sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileUse {
    pub(crate) base: Position,
    /// Bytes on disk.
    pub(crate) len: u64,
    /// Bytes of frames that some partition still has.
    pub(crate) live: u64,
    /// Grows with every file made: small is old.
    pub(crate) incarnation: u32,
    /// It may be rewritten: the last checkpoint covers it.
    pub(crate) covered: bool,
}

/// What is known of each sealed file. `checkpoint` is the position of the last durable one.
pub(crate) fn uses(sealed: &[Arc<MappedFile>], checkpoint: Position) -> Vec<FileUse> {
    let of = |file: &Arc<MappedFile>| FileUse {
        base: file.base(),
        len: file.len(),
        live: file.live(),
        incarnation: file.incarnation(),
        covered: file.base().is_rewritten() || file.end() <= checkpoint,
    };
    sealed.iter().map(of).collect()
}

/// The files to rewrite in one go: the best first by (1 - u) * age / (1 + u), until the bound holds again or what lives in
/// them fills a file. Empty while the bound holds, or when no file gives enough back.
pub(crate) fn choose(files: &[FileUse], file_size: u64) -> Vec<Position> {
    let total: u64 = files.iter().map(|file| file.len).sum();
    let live: u64 = files.iter().map(|file| file.live).sum();
    // Files without a live byte are given up, not rewritten.
    let dead: u64 = files.iter().filter(|file| file.live == 0).map(|file| file.len).sum();
    let bound = live / 100 * KEPT_PERCENT + file_size / 2;
    let mut excess = (total - dead).saturating_sub(bound);
    let newest = files.iter().map(|file| file.incarnation).max().unwrap_or_default();
    let worth_it =
        |file: &&FileUse| file.covered && file.live > 0 && file.live * 100 <= file.len * FULL_PERCENT;
    let mut candidates: Vec<&FileUse> = files.iter().filter(worth_it).collect();
    candidates.sort_by(|a, b| score(b, newest).total_cmp(&score(a, newest)).then(a.base.cmp(&b.base)));
    let mut chosen = Vec::new();
    let mut copied = 0;
    for file in candidates {
        if excess == 0 || (!chosen.is_empty() && copied + file.live > file_size) {
            break;
        }
        chosen.push(file.base);
        copied += file.live;
        excess = excess.saturating_sub(file.len.saturating_sub(file.live));
    }
    chosen
}

#[expect(clippy::cast_precision_loss, reason = "a score needs no more than a float's precision")]
fn score(file: &FileUse, newest: u32) -> f64 {
    let full = file.live as f64 / file.len as f64;
    let age = f64::from(newest - file.incarnation + 1);
    (1.0 - full) * age / (1.0 + full)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1000;

    fn file(index: u32, live: u64) -> FileUse {
        let base = Position(u64::from(index) * SIZE);
        FileUse { base, len: SIZE, live, incarnation: index, covered: true }
    }

    #[test]
    fn nothing_is_copied_while_the_bound_holds() {
        let files: Vec<_> = (0..10).map(|index| file(index, 900)).collect();
        assert_eq!(choose(&files, SIZE), []);
    }

    #[test]
    fn the_emptiest_go_first_and_no_more_than_a_file_is_copied_at_once() {
        let mut files: Vec<_> = (0..10).map(|index| file(index, 950)).collect();
        files[3].live = 400;
        files[4].live = 100;
        files[5].live = 300;
        files[6].live = 500;
        files[7].live = 500;
        let chosen = choose(&files, SIZE);
        assert_eq!(chosen, [Position(4000), Position(3000), Position(5000)]);
    }

    #[test]
    fn dead_full_and_uncovered_files_are_left_alone() {
        let mut files: Vec<_> = (0..6).map(|index| file(index, 500)).collect();
        files[0].live = 0;
        files[1].live = 990;
        files[2].covered = false;
        let chosen = choose(&files, SIZE);
        assert!(!chosen.is_empty());
        assert!(chosen.iter().all(|base| base.0 >= 3000), "{chosen:?}");
    }

    #[test]
    fn of_two_equally_empty_the_older_goes_first() {
        let files = [file(0, 1000), file(1, 500), file(2, 500), file(3, 1000), file(4, 100)];
        assert_eq!(choose(&files, SIZE), [Position(1000), Position(2000)]);
    }
}
