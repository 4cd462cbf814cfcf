//! Load generator, checker and side-by-side harness, started by `cargo xtask bench`.
//!
//! `rows` says what is measured; `session` holds what a run of the benchmark has; `closed_loop` and `open_loop` make load
//! out of `load`, `produce_request` and `batches`; `readback` with `checker` proves that what was acknowledged is there;
//! `samples` and `table` turn runs into figures. Brokers are reached through their process boundary only.
//!
//! Invariant: a row that fails is named in the table, the others run on, and the program fails in the end.
#![forbid(unsafe_code)]

mod batches;
mod broker_process;
mod canary;
mod checker;
mod clock;
mod closed_loop;
mod cpus;
mod fetch;
mod kafka;
mod kfake;
mod load;
mod loop_device;
mod machine;
mod onelog;
mod open_loop;
mod options;
mod page_cache;
mod process_facts;
mod produce_request;
mod produce_run;
mod produced;
mod readback;
mod report;
mod rows;
mod samples;
mod session;
mod table;
mod topics;
mod warm_up;
mod wire;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser as _;

use options::Options;
use rows::ROWS;
use session::Session;
use table::Figure;

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    for wanted in &options.row {
        ensure!(
            names.contains(&wanted.as_str()),
            "there is no row {wanted}; there are: {}",
            names.join(", ")
        );
    }
    let chosen: Vec<_> = ROWS
        .iter()
        .filter(|row| match &options.row[..] {
            [] => !row.alone,
            wanted => wanted.iter().any(|name| name == row.name),
        })
        .collect();
    let mut session = Session::new(options)?;
    let mut figures = Vec::new();
    let mut failed = Vec::new();
    for row in &chosen {
        say(&format!("\n==> {}", row.name));
        let began = clock::now();
        match (row.run)(&mut session) {
            Ok(found) => figures.extend(found),
            Err(error) => {
                say(&format!("row {} failed: {error:#}", row.name));
                let note = format!("failed: {}", error.to_string().lines().next().unwrap_or_default());
                figures.push(Figure { what: row.name.to_owned(), note, ..Figure::default() });
                failed.push(row.name);
            }
        }
        say(&format!("==> {} took {:.0} s", row.name, (clock::now() - began).as_secs_f64()));
    }
    report::write(&session, &chosen, figures)?;
    ensure!(failed.is_empty(), "failed rows: {}", failed.join(", "));
    Ok(())
}

/// Prints one line.
#[expect(clippy::print_stdout, reason = "a command talks to whoever started it")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
