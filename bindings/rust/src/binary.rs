//! Where the binary is: what `ONELOG_BIN` names, else `onelog` in `PATH`.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::StartError;

/// `named` and `path` are the two variables.
///
/// # Errors
/// There is none.
pub(crate) fn find(named: Option<&OsStr>, path: Option<&OsStr>) -> Result<PathBuf, StartError> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        return if is_program(&named) { Ok(named) } else { Err(StartError::NoProgram(named)) };
    }
    let folders = path.into_iter().flat_map(std::env::split_paths);
    folders.map(|folder| folder.join("onelog")).find(|file| is_program(file)).ok_or(StartError::NoBinary)
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn named_binary_wins_over_the_one_in_path() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["onelog", "other"].map(|name| folder.path().join(name));
        for file in [&first, &second] {
            fs::write(file, "").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
        }
        let path = Some(folder.path().as_os_str());
        assert_eq!(find(Some(second.as_os_str()), path).unwrap(), second);
        assert_eq!(find(Some(OsStr::new("")), path).unwrap(), first);
        assert_eq!(find(None, path).unwrap(), first);
    }

    #[test]
    fn missing_binary_is_an_error_that_says_where_it_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("onelog"), "not executable").unwrap();
        let text = find(None, Some(folder.path().as_os_str())).unwrap_err().to_string();
        assert!(text.contains("ONELOG_BIN") && text.contains("PATH"), "{text}");
        let text = find(Some(OsStr::new("/no/such")), None).unwrap_err().to_string();
        assert_eq!(text, "ONELOG_BIN is /no/such, which is no program");
    }
}
