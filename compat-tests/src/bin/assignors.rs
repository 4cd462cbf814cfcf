//! Prints what Apache Kafka's own assignors answer for groups made at random, in the form that the broker's test of its
//! assignors reads: `cargo run -p compat-tests --bin assignors [SEED [GROUPS]] > FILE`, then
//! `ASSIGNOR_ANSWERS=FILE cargo test -p broker assignor`.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use compat_tests::setup;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (seed, groups) = (arguments.next(), arguments.next());
    let status = Command::new("java")
        .arg("-cp")
        .arg(setup::program_class_path("assignors")?)
        .arg("Assignors")
        .args([seed.as_deref().unwrap_or("1"), groups.as_deref().unwrap_or("2000")])
        .status()
        .context("java does not start")?;
    ensure!(status.success(), "Kafka's assignors failed: {status}");
    Ok(())
}
