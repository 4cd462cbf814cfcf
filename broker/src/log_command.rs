//! `onelog log`: looking into a data directory that no broker has open.
//!
//! Called by `main`. Prints what `storage::inspect` finds, for people or as one JSON object per line. Exit code: 0 nothing is
//! wrong, 1 something is, 2 it could not look.

mod json;
mod text;

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use storage::disk::LocalDisk;
use storage::inspect::{DumpLine, Filter, Finding, InspectError, Inspection, Salvaged, Severity, Verified};
use storage::{Position, SystemClock};

/// Nothing is wrong.
const WHOLE: u8 = 0;
/// Something is.
const DAMAGED: u8 = 1;
/// It could not look.
pub(crate) const FAILED: u8 = 2;

/// `onelog log ...`
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    #[command(subcommand)]
    command: LogCommand,
}

/// Look into the log of a stopped broker. Exit code 0: nothing is wrong, 1: something is, 2: it could not look
#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Check every byte that matters and say what is wrong, where, and what it means; changes nothing
    Verify {
        /// The data directory
        dir: PathBuf,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show the log frame by frame; changes nothing
    Dump(DumpArguments),
    /// Write everything that is whole into a new directory, and say what is lost
    Salvage {
        /// The damaged data directory
        dir: PathBuf,
        /// The directory to write; must not exist or be empty
        new_dir: PathBuf,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct DumpArguments {
    /// The data directory
    dir: PathBuf,
    /// Only this file of `commitlog`
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Only this topic, by name or number
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Only from this log position on
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    from_position: u64,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    /// The records of batches too
    #[arg(long)]
    records: bool,
}

/// Why a command ends early.
enum Stop {
    /// Who read the output has enough.
    Closed,
    Output(io::Error),
    Inspect(InspectError),
}

impl From<InspectError> for Stop {
    fn from(error: InspectError) -> Self {
        Self::Inspect(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Output(error) }
    }
}

/// Runs the command; errors are told on standard error.
pub(crate) fn run(arguments: LogArguments) -> ExitCode {
    let outcome = match arguments.command {
        LogCommand::Verify { dir, json } => verify(dir, json),
        LogCommand::Dump(arguments) => dump(arguments),
        LogCommand::Salvage { dir, new_dir, json } => salvage(dir, new_dir, json),
    };
    let told = |error: &dyn std::fmt::Display| drop(writeln!(io::stderr(), "error: {error}"));
    ExitCode::from(match outcome {
        Ok(code) => code,
        Err(Stop::Closed) => WHOLE,
        Err(Stop::Output(error)) => {
            told(&error);
            FAILED
        }
        Err(Stop::Inspect(error)) => {
            told(&error);
            FAILED
        }
    })
}

fn open(dir: &std::path::Path) -> Result<Inspection, InspectError> {
    Inspection::open(dir, Arc::new(LocalDisk))
}

/// Standard output, for people or for programs.
struct Output {
    to: BufWriter<io::Stdout>,
    json: bool,
    /// The first line that could not be written.
    failed: Option<io::Error>,
}

impl Output {
    fn new(json: bool) -> Self {
        Self { to: BufWriter::new(io::stdout()), json, failed: None }
    }

    fn line(&mut self, line: impl std::fmt::Display) {
        if self.failed.is_none() {
            self.failed = writeln!(self.to, "{line}").err();
        }
    }

    fn finding(&mut self, finding: &Finding) {
        if self.json { self.line(json::finding(finding)) } else { self.line(finding) }
    }

    fn finish(mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.to.flush(),
        }
    }
}

/// A bar on a terminal; nothing elsewhere.
fn bar(bytes: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} ({eta})");
    bar.set_style(style.expect("the template is right"));
    bar.set_message(what);
    bar
}

fn verify(dir: PathBuf, json: bool) -> Result<u8, Stop> {
    let inspection = open(&dir)?;
    let mut output = Output::new(json);
    let bar = bar(inspection.bytes(), "verifying");
    let verified = inspection
        .verify(&mut |finding| bar.suspend(|| output.finding(&finding)), &mut |done| bar.set_position(done));
    bar.finish_and_clear();
    let verified = verified?;
    if json {
        output.line(json::verified(&verified));
    } else {
        output.line(text::verified(&verified));
    }
    output.finish()?;
    Ok(code(&verified))
}

fn code(verified: &Verified) -> u8 {
    if verified.bad > 0 { DAMAGED } else { WHOLE }
}

fn dump(arguments: DumpArguments) -> Result<u8, Stop> {
    let inspection = open(&arguments.dir)?;
    let filter = Filter {
        file: arguments.file,
        topic: arguments.topic,
        partition: arguments.partition,
        from_position: Position(arguments.from_position),
        records: arguments.records,
    };
    let mut output = Output::new(arguments.json);
    let mut bad = false;
    inspection.dump(&filter, &mut |line| {
        bad |= matches!(&line, DumpLine::Bad { .. });
        if output.json {
            output.line(json::dump_line(&line));
        } else {
            text::dump_line(&line).into_iter().for_each(|line| output.line(line));
        }
        if output.failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    output.finish()?;
    Ok(if bad { DAMAGED } else { WHOLE })
}

fn salvage(dir: PathBuf, new_dir: PathBuf, json: bool) -> Result<u8, Stop> {
    let inspection = open(&dir)?;
    let mut output = Output::new(json);
    let bar = bar(inspection.bytes(), "reading");
    let mut lost = false;
    let salvaged = inspection.salvage(
        &new_dir,
        Arc::new(SystemClock),
        &mut |finding| {
            lost |= finding.severity == Severity::Damage;
            bar.suspend(|| output.finding(&finding));
        },
        &mut |done| bar.set_position(done),
    );
    bar.finish_and_clear();
    let salvaged: Salvaged = salvaged?;
    if json {
        output.line(json::salvaged(&salvaged, &new_dir));
    } else {
        output.line(text::salvaged(&salvaged, &new_dir));
    }
    output.finish()?;
    Ok(if lost { DAMAGED } else { WHOLE })
}
