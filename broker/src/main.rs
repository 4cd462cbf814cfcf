//! The command line of `onelog`: which command, and its exit code (0 after a clean stop, 1 otherwise). `onelog log` has its
//! own codes, see `log_command`.

mod allocator;
mod config_command;
mod dev_command;
mod find_command;
mod log_command;
mod manual_command;
mod serve;
mod server_arguments;
mod test_command;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use config_command::ConfigArguments;
use dev_command::DevArguments;
use find_command::FindArguments;
use log_command::LogArguments;
use manual_command::{CompletionsArguments, ManArguments};
use server_arguments::ServerArguments;
use test_command::TestArguments;

/// A Kafka-protocol broker in one binary: one shared log, durable by default.
#[derive(Debug, Parser)]
#[command(
    name = "onelog",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Kafka's command line tools: onelog tool lists them, onelog topics --help shows one; a link called kafka-topics does too."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    server: ServerArguments,
}

/// What else the binary does than serve.
#[derive(Debug, Subcommand)]
enum Command {
    Dev(DevArguments),
    /// Show the configuration that a broker would have, and where each value comes from
    Config(ConfigArguments),
    /// Look into the log of a stopped broker: verify, dump, salvage
    Log(LogArguments),
    /// Print what makes a shell complete the command lines of onelog and of Kafka's tools
    Completions(CompletionsArguments),
    /// Print the manual page, or write those of all commands and of Kafka's tools into a directory
    Man(ManArguments),
    /// Find records by their key, in a stopped broker's directory or through a running broker
    Find(FindArguments),
    /// Steer a broker in test mode: faults, time, groups, snapshots
    Test(TestArguments),
}

fn main() -> ExitCode {
    if let Some(code) = tools::by_name(std::env::args_os()) {
        return code;
    }
    allocator::fix_thresholds();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are errors to clap; only real ones fail. A closed terminal is nobody to tell.
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() { usage_code() } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match arguments.command {
        Some(Command::Log(arguments)) => return log_command::run(arguments),
        Some(Command::Test(arguments)) => return test_command::run(arguments),
        Some(Command::Find(arguments)) => find_command::run(arguments),
        Some(Command::Config(arguments)) => config_command::run(arguments),
        Some(Command::Completions(arguments)) => manual_command::completions(
            arguments,
            Arguments::command(),
            &tools::commands().collect::<Vec<_>>(),
        ),
        Some(Command::Man(arguments)) => {
            manual_command::man(arguments, Arguments::command(), &tools::commands().collect::<Vec<_>>())
        }
        Some(Command::Dev(arguments)) => dev_command::run(arguments),
        None => serve::run(arguments.server, &[], |_| Ok(())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// For a command line that cannot be understood: 1, but 2 for `onelog log`, where 1 says that the log is damaged.
fn usage_code() -> ExitCode {
    let log = std::env::args_os().nth(1).is_some_and(|first| first == "log");
    if log { ExitCode::from(log_command::FAILED) } else { ExitCode::FAILURE }
}
