//! The broker on file systems of its own that lose power, fail to write back, or fill up; afterwards every acknowledged
//! record is looked for. `cargo xtask power-cut`, `sync-failure` and `disk-full` run it; `--help` says the rest.
//!
//! `image` makes, breaks and mends the file systems, `cut`, `sync_failure` and `disk_full` are the three tests, `topics`
//! creates and deletes topics meanwhile. The load and its checker are `compat_tests::load`.

mod cut;
mod disk_full;
mod image;
mod sync_failure;
mod topics;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Breaks a file system under the broker and checks that nothing acknowledged is lost. Needs root: each test mounts
/// a file system in a file of its own. Exits 1 when something is lost, or when a negative control loses nothing.
#[derive(Debug, Parser)]
#[command(name = "power_loop")]
struct Arguments {
    #[command(subcommand)]
    test: Test,
}

#[derive(Debug, Subcommand)]
enum Test {
    /// Cuts the power of the file system at random moments under load: what is not synced is gone
    Cut(cut::Arguments),
    /// The device below the file system runs out of room, so that writing back and syncing fail
    SyncFailure(sync_failure::Arguments),
    /// Fills the file system, deletes on the full disk, and waits until producing goes on by itself
    DiskFull(disk_full::Arguments),
}

/// How a test ended.
struct Verdict {
    passed: bool,
    /// The figures, one a line.
    report: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(missing) = image::prerequisites() {
        say(&format!("SKIPPED: {missing}. NOTHING WAS TESTED."));
        return ExitCode::SUCCESS;
    }
    match run(&arguments.test) {
        Ok(Verdict { passed, report }) => {
            say(&report);
            say(if passed { "passed" } else { "FAILED" });
            if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("FAILED, power_loop did not finish: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(test: &Test) -> Result<Verdict> {
    match test {
        Test::Cut(arguments) => cut::run(arguments),
        Test::SyncFailure(arguments) => sync_failure::run(arguments),
        Test::DiskFull(arguments) => disk_full::run(arguments),
    }
}

/// Properties of a broker whose log rolls and is checkpointed several times in each test.
fn properties(file_bytes: u64, without_sync: bool) -> String {
    let flush = if without_sync { "os" } else { "sync" };
    let checkpoint_bytes = 2 * file_bytes;
    format!(
        "onelog.commitlog.file.bytes={file_bytes}\nonelog.checkpoint.bytes={checkpoint_bytes}\nonelog.flush={flush}\n"
    )
}

/// A reader that is gone is no reason to stop.
fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}
