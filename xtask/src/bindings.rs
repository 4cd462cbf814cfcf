//! The bindings and the examples that use them, each from its package manager's layout: a wheel in a new virtual environment, an
//! npm tarball in a new folder, an artifact in Maven's repository, a Go module, a crate.
//!
//! Invariant: a language is set up from nothing on each run, but for what its package manager keeps of its downloads.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::{step, suite, workspace};

/// One language: its name and what is run in the empty folder that it is given.
type Language = (&'static str, fn(&Path) -> Result<Vec<Command>>);

const ALL: &[Language] =
    &[("python", python), ("go", go), ("node", node), ("java", java), (RUST, |_| Ok(vec![rust()]))];
const RUST: &str = "rust";

/// Runs those that `wanted` names, or all, and says how long each took.
///
/// # Errors
/// There is no such language, or a step fails.
pub(crate) fn run(wanted: &[String]) -> Result<()> {
    let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    for name in wanted {
        ensure!(known.contains(&name.as_str()), "there is no {name}; there are: {}", known.join(", "));
    }
    each(|name| wanted.is_empty() || wanted.iter().any(|each| each == name))
}

/// All but the crate, whose tests are tests of the workspace.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_beside_the_workspace() -> Result<()> {
    each(|name| name != RUST)
}

#[expect(clippy::disallowed_methods, reason = "commands take the time of this machine's clock")]
fn each(wanted: impl Fn(&str) -> bool) -> Result<()> {
    let broker = broker()?;
    let mut times = Vec::new();
    for (name, commands) in ALL.iter().filter(|(name, _)| wanted(name)) {
        let folder = workspace::target_dir()?.join("bindings").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let began = Instant::now();
        for mut command in commands(&folder).with_context(|| format!("preparing {name}"))? {
            step::run(name, command.env("ONELOG_BIN", &broker))?;
        }
        times.push(format!("{name} {:.1} s", began.elapsed().as_secs_f64()));
    }
    step::say(&format!("\nbindings, each from nothing: {}", times.join(", ")));
    Ok(())
}

/// The one that `ONELOG_BIN` names, else the one that users run.
fn broker() -> Result<OsString> {
    match std::env::var_os("ONELOG_BIN") {
        Some(named) => Ok(std::path::absolute(named)?.into_os_string()),
        None => suite::build_broker(),
    }
}

fn binding(language: &str) -> PathBuf {
    workspace::root().join("bindings").join(language)
}

fn example(language: &str) -> PathBuf {
    workspace::root().join("examples").join(language)
}

fn command(line: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).current_dir(folder);
    command
}

fn python(folder: &Path) -> Result<Vec<Command>> {
    let venv = command(&["python3", "-m", "venv", "."], folder);
    let python = |arguments: &[&str]| {
        let mut python = Command::new(folder.join("bin/python"));
        python.current_dir(folder).arg("-B").args(arguments);
        python
    };
    let mut install = python(&["-m", "pip", "install", "--quiet", "--requirement"]);
    install.arg(example("python").join("requirements.txt")).arg(binding("python"));
    let mut test = python(&["-m", "pytest", "--quiet", "-p", "no:cacheprovider"]);
    test.arg(binding("python").join("tests")).arg(example("python"));
    Ok(vec![venv, install, test])
}

fn go(_: &Path) -> Result<Vec<Command>> {
    let line = ["go", "test", "-count=1", "-mod=readonly", "./..."];
    Ok(vec![command(&line, &binding("go")), command(&line, &example("go"))])
}

fn node(folder: &Path) -> Result<Vec<Command>> {
    for entry in fs::read_dir(example("node"))? {
        let file = entry?.path();
        if file.is_file() {
            fs::copy(&file, folder.join(file.file_name().context("a file has a name")?))?;
        }
    }
    let mut pack = command(&["npm", "pack", "--silent", "--pack-destination"], &binding("node"));
    pack.arg(folder);
    let version = include_str!("../../bindings/node/package.json")
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"version\": \"")?.split('"').next())
        .context("the package has no version")?;
    let tarball = format!("devDependencies.onelog=file:onelog-{version}.tgz");
    Ok(vec![
        command(&["npm", "test", "--silent"], &binding("node")),
        pack,
        command(&["npm", "pkg", "set", &tarball], folder),
        command(&["npm", "install", "--silent", "--no-audit", "--no-fund"], folder),
        command(&["npm", "test", "--silent"], folder),
    ])
}

fn java(_: &Path) -> Result<Vec<Command>> {
    let maven = |goal, folder: &Path| command(&["mvn", "--batch-mode", "--quiet", "clean", goal], folder);
    Ok(vec![maven("install", &binding("java")), maven("test", &example("java"))])
}

fn rust() -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--package", "onelog", "--package", "orders"]);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_binding_has_its_tests_and_its_example_run() {
        for folder in ["bindings", "examples"] {
            let entries = fs::read_dir(workspace::root().join(folder)).unwrap().map(|entry| entry.unwrap());
            let folders = entries.filter(|entry| entry.path().is_dir());
            let mut found: Vec<_> =
                folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            found.sort();
            let mut known: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
            known.sort_unstable();
            assert_eq!(found, known, "{folder}");
        }
    }
}
