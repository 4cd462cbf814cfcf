//! The house rules that no other tool knows: who may import whom, where `unsafe` may stand, how long a file may be, which
//! words and names are not used. Run by `cargo xtask tidy` and as a test of this crate.
//!
//! A rule is a function from a file to findings; a finding says where, what, and how to mend it. Rules look at every file
//! that git knows or would add. Rust is looked at as tokens, so comments and strings never trip a rule about code.

mod imports;
mod names;
mod rust;
mod size;
mod source;
mod text;

use anyhow::{Result, bail};

use crate::{step, workspace};
use source::SourceFile;

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// From 1; 0 when the file as a whole is meant.
    line: usize,
    /// What is wrong, and what to do instead.
    message: String,
}

impl Finding {
    fn new(file: &SourceFile, line: usize, message: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, message: message.into() }
    }
}

/// Checks every rule on every file.
///
/// # Errors
/// Any finding, all of them in the message; or a file cannot be read.
pub(crate) fn check() -> Result<()> {
    step::announce("tidy", "imports, unsafe, sizes, names, words");
    step::timed("tidy", || {
        let findings = findings(&source::all(workspace::root())?);
        if findings.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> =
            findings.iter().map(|one| format!("{}:{}: {}", one.path, one.line, one.message)).collect();
        bail!("{} findings:\n{}", lines.len(), lines.join("\n"))
    })
}

fn findings(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        findings.extend(names::check(file));
        findings.extend(text::check(file));
        findings.extend(size::check(file, size::OVERSIZED));
        findings.extend(imports::check_manifest(file));
        if let Some(code) = rust::Code::parse(file) {
            findings.extend(rust::check(file, &code));
            findings.extend(imports::check(file, &code));
        }
    }
    findings.extend(size::check_list(files, size::OVERSIZED));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_is_tidy() {
        if let Err(error) = check() {
            panic!("{error:#}");
        }
    }

    #[test]
    fn one_file_can_break_several_rules() {
        let code = "fn main() { tokio::spawn(async {}); unsafe { go() } } \n";
        let found = findings(&[SourceFile::new("storage/src/util.rs", code)]);
        let has = |part: &str| found.iter().any(|finding| finding.message.contains(part));
        assert!(
            has("`tokio`") && has("`unsafe`") && has("`util`") && has("`//!`") && has("blank"),
            "{found:?}"
        );
    }
}
