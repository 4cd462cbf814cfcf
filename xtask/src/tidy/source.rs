//! The files that tidy looks at: what git tracks or would add, as text.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// One text file.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// From the workspace's root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl SourceFile {
    #[cfg(test)]
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.has_extension(&["rs"])
    }

    /// Written by a person in any of the project's languages, so of a size that a person reads.
    pub(super) fn is_program(&self) -> bool {
        self.has_extension(&["rs", "py", "java", "go", "js", "sh"])
    }

    /// Written by a package manager.
    pub(super) fn is_lock_file(&self) -> bool {
        ["Cargo.lock", "go.sum", "package-lock.json"].iter().any(|name| self.path.ends_with(name))
    }

    fn has_extension(&self, extensions: &[&str]) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
    }
}

/// All text files below `root`, in git's order.
///
/// # Errors
/// `root` is no git repository, or a file cannot be read.
pub(super) fn all(root: &Path) -> Result<Vec<SourceFile>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().context("cannot run git")?;
    ensure!(
        output.status.success(),
        "git cannot list the files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut files = Vec::new();
    for path in String::from_utf8(output.stdout)?.split_terminator('\0') {
        let absolute = root.join(path);
        // A file that is deleted but still in git's index has nothing to look at.
        if !absolute.is_file() {
            continue;
        }
        let bytes = fs::read(&absolute).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes)
            && !text.contains('\0')
        {
            files.push(SourceFile { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
