//! `onelog completions` and `onelog man`: what shells and `man` know of the command lines, generated from the command lines
//! themselves.
//!
//! Called by `main`. Both know Kafka's tools too, as commands of their own and behind `onelog tool`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

/// The name of a tool of Kafka's with its command line.
type Tool = (&'static str, Command);

/// `onelog completions ...`
#[derive(Debug, Args)]
#[command(
    after_help = "Into the shell of now: source <(onelog completions bash), the same with zsh, onelog completions fish | source"
)]
pub(crate) struct CompletionsArguments {
    /// Which shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
    /// Only for this command: onelog or the name of a tool [default: all]
    #[arg(value_name = "COMMAND")]
    only: Option<String>,
}

/// `onelog man ...`
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Where to write a page for each command; made when missing [default: the page of onelog to standard output]
    dir: Option<PathBuf>,
}

/// # Errors
/// No command of that name; standard output that cannot be written.
pub(crate) fn completions(
    arguments: CompletionsArguments,
    onelog: Command,
    tools: &[Tool],
) -> anyhow::Result<()> {
    let shell: Shell = arguments.shell.parse().map_err(anyhow::Error::msg)?;
    let mut commands = commands(onelog, tools);
    if let Some(only) = &arguments.only {
        let names: Vec<String> = commands.iter().map(|command| command.get_name().to_owned()).collect();
        commands.retain(|command| command.get_name() == only);
        anyhow::ensure!(
            !commands.is_empty(),
            "there is no command {only:?}; there are: {}",
            names.join(", ")
        );
    }
    let mut script = Vec::new();
    for mut command in commands {
        let name = command.get_name().to_owned();
        clap_complete::generate(shell, &mut command, name, &mut script);
    }
    print(&script)
}

/// # Errors
/// The directory or standard output cannot be written.
pub(crate) fn man(arguments: ManArguments, onelog: Command, tools: &[Tool]) -> anyhow::Result<()> {
    // The tools have pages of their own.
    let onelog = onelog.subcommand(tool_command(tools));
    let Some(dir) = arguments.dir else {
        let mut page = Vec::new();
        Man::new(onelog).render(&mut page).context("write the manual page")?;
        return print(&page);
    };
    let mut commands = std::iter::once(onelog).chain(tools.iter().map(|(_, tool)| tool.clone()));
    let written = std::fs::create_dir_all(&dir)
        .and_then(|()| commands.try_for_each(|command| clap_mangen::generate_to(command, &dir)));
    written.with_context(|| format!("write manual pages into {}", dir.display()))
}

/// `onelog` with the tools as its commands, then each tool.
fn commands(onelog: Command, tools: &[Tool]) -> Vec<Command> {
    let only = |(_, tool): &Tool| tool.clone();
    let onelog = onelog.subcommand(tool_command(tools).subcommands(tools.iter().map(only)));
    let onelog = tools.iter().fold(onelog, |onelog, (name, tool)| {
        // What stands in the list under `tool` need not be there twice.
        onelog.subcommand(tool.clone().name(name.trim_start_matches("kafka-")).hide(true))
    });
    std::iter::once(onelog).chain(tools.iter().map(only)).collect()
}

/// What is answered before this program's own command line is looked at, for help texts.
fn tool_command(tools: &[Tool]) -> Command {
    let names: Vec<&str> = tools.iter().map(|(name, _)| *name).collect();
    Command::new("tool")
        .about("Run one of Kafka's command line tools")
        .after_help(format!("Its first argument is one of {}.", names.join(", ")))
}

fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match out.write_all(text).and_then(|()| out.flush()) {
        // Who read the output has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("standard output"),
    }
}
