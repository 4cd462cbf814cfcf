//! File sizes. The aim is 300 lines; what is above 800 needs an entry below, and entries only shrink.

use super::Finding;
use super::source::SourceFile;

const LIMIT: usize = 800;

/// Files above the limit with their current number of lines. A file that became shorter fails until its entry is lowered
/// or, at the limit, removed.
pub(super) const OVERSIZED: &[(&str, usize)] = &[];

pub(super) fn check(file: &SourceFile, oversized: &[(&str, usize)]) -> Vec<Finding> {
    if !file.is_program() {
        return Vec::new();
    }
    let lines = file.text.lines().count();
    let entry = oversized.iter().find(|(path, _)| *path == file.path).map(|(_, lines)| *lines);
    let message = match entry {
        None if lines > LIMIT => {
            format!("{lines} lines, the limit is {LIMIT}: split the file by what its parts own")
        }
        Some(_) if lines <= LIMIT => {
            format!("{lines} lines, below the limit: remove its entry from xtask/src/tidy/size.rs")
        }
        Some(listed) if lines > listed => {
            format!(
                "{lines} lines, but only {listed} are tolerated: split the file instead of letting it grow"
            )
        }
        Some(listed) if lines < listed => {
            format!("only {lines} lines: lower its entry in xtask/src/tidy/size.rs")
        }
        _ => return Vec::new(),
    };
    vec![Finding::new(file, lines, message)]
}

/// Entries whose file is gone.
pub(super) fn check_list(files: &[SourceFile], oversized: &[(&str, usize)]) -> Vec<Finding> {
    oversized
        .iter()
        .filter(|(path, _)| !files.iter().any(|file| file.path == *path))
        .map(|(path, _)| Finding {
            path: (*path).to_owned(),
            line: 0,
            message: "the file is gone: remove its entry from xtask/src/tidy/size.rs".to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lines: usize, oversized: &[(&str, usize)]) -> Option<String> {
        let found = check(&SourceFile::new("broker/src/a.rs", &"\n".repeat(lines)), oversized);
        found.into_iter().next().map(|finding| finding.message)
    }

    #[test]
    fn file_above_the_limit_is_found() {
        assert_eq!(message(LIMIT, &[]), None);
        assert!(message(LIMIT + 1, &[]).is_some_and(|text| text.contains("split")));
    }

    #[test]
    fn listed_file_may_neither_grow_nor_shrink_unnoticed() {
        let listed = [("broker/src/a.rs", 900)];
        assert_eq!(message(900, &listed), None);
        assert!(message(901, &listed).is_some_and(|text| text.contains("grow")));
        assert!(message(899, &listed).is_some_and(|text| text.contains("lower")));
        assert!(message(LIMIT, &listed).is_some_and(|text| text.contains("remove")));
        assert_eq!(check_list(&[], &listed).len(), 1);
    }
}
