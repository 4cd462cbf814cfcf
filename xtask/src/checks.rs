//! What cargo's own tools check, and the generated coverage document. Called by `ci`.

use anyhow::Result;

use crate::{step, workspace};

/// # Errors
/// A file is not formatted.
pub(crate) fn format() -> Result<()> {
    step::run("format", workspace::cargo().args(["fmt", "--all", "--check"]))
}

/// # Errors
/// Clippy or rustc warns about anything, in tests too.
pub(crate) fn lints() -> Result<()> {
    let arguments =
        ["clippy", "--quiet", "--workspace", "--all-targets", "--keep-going", "--", "--deny", "warnings"];
    step::run("lints", workspace::cargo().args(arguments))
}

/// Private items too: most of this project's rooms are private, and their links must hold as well.
///
/// # Errors
/// A link in the documentation leads nowhere.
pub(crate) fn docs() -> Result<()> {
    // The binding has the name of the broker's binary, and so its pages: one after the other.
    for packages in [["--workspace", "--exclude=onelog"], ["--package", "onelog"]] {
        let arguments = ["doc", "--quiet", "--no-deps", "--document-private-items"];
        let mut command = workspace::cargo();
        step::run("docs", command.args(arguments).args(packages).env("RUSTDOCFLAGS", "--deny warnings"))?;
    }
    Ok(())
}

/// Lets the broker's test of `docs/PROTOCOL_COVERAGE.md` write the file instead of comparing it. That the file is
/// current is checked with all tests, so `ci` needs no step of its own for it.
///
/// # Errors
/// The broker does not build or the file cannot be written.
pub(crate) fn write_coverage() -> Result<()> {
    let arguments = ["test", "--package", "broker", "--lib", "coverage"];
    step::run("coverage", workspace::cargo().args(arguments).env("UPDATE_COVERAGE", "1"))
}
