//! Names of files and folders: a room is named after what it owns.

use super::Finding;
use super::source::SourceFile;

/// Names that say nothing; whatever lands there belongs somewhere else.
const NAMELESS: &[&str] =
    &["common", "util", "utils", "types", "helper", "helpers", "misc", "shared", "stuff", "prelude"];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    if !file.is_program() {
        return Vec::new();
    }
    let parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    parts
        .filter(|part| NAMELESS.contains(part))
        .map(|part| {
            let fix = format!(
                "`{part}` names nothing: name the room after what it owns, or move its parts to their users"
            );
            Finding::new(file, 0, fix)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameless_files_and_folders_are_found() {
        for path in ["broker/src/util.rs", "common/src/lib.rs", "compat-tests/drivers/python/helpers.py"] {
            assert_eq!(check(&SourceFile::new(path, "")).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_name_that_only_contains_the_word_is_fine() {
        assert_eq!(check(&SourceFile::new("broker/src/typestate.rs", "")), []);
    }
}
