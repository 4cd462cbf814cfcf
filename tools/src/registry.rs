//! Which tool a command line asks for, and how its outcome becomes an exit code. Called by the `onelog` binary before anything
//! else.
//!
//! A tool is named by the program's own name (`kafka-topics`, `kafka-topics.sh`, a link to `onelog`), by `onelog tool NAME` or by
//! `onelog NAME`, where `kafka-` may be left out.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::failure::{Failure, Outcome};
use crate::{
    api_versions, configs, consumer, cub, delete_records, get_offsets, groups, producer, storage_tool, table,
    topics,
};

/// A tool by its name in Kafka's `bin` folder.
struct Tool {
    name: &'static str,
    /// One line for `onelog tool`.
    about: &'static str,
    /// For completions and manual pages.
    command: fn() -> clap::Command,
    /// Its arguments with the name as the first; where it writes what scripts read.
    run: fn(Vec<OsString>, &mut dyn Write) -> Outcome,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "kafka-topics",
        about: "create, list, describe, alter and delete topics",
        command: topics::command,
        run: topics::run,
    },
    Tool {
        name: "kafka-console-producer",
        about: "produce the lines of stdin",
        command: producer::command,
        run: producer::run,
    },
    Tool {
        name: "kafka-console-consumer",
        about: "print records",
        command: consumer::command,
        run: consumer::run,
    },
    Tool {
        name: "kafka-consumer-groups",
        about: "list and describe groups, move and delete their offsets",
        command: groups::command,
        run: groups::run,
    },
    Tool {
        name: "kafka-configs",
        about: "show and change configs",
        command: configs::command,
        run: configs::run,
    },
    Tool {
        name: "kafka-get-offsets",
        about: "the ends, beginnings or offsets at a time of partitions",
        command: get_offsets::command,
        run: get_offsets::run,
    },
    Tool {
        name: "kafka-delete-records",
        about: "delete records before an offset",
        command: delete_records::command,
        run: delete_records::run,
    },
    Tool {
        name: "kafka-broker-api-versions",
        about: "the APIs of each broker and their versions",
        command: api_versions::command,
        run: api_versions::run,
    },
    Tool {
        name: "kafka-storage",
        about: "random-uuid; format and info for scripts",
        command: storage_tool::command,
        run: storage_tool::run,
    },
    Tool {
        name: "cub",
        about: "kafka-ready: wait until brokers answer",
        command: cub::command,
        run: cub::run,
    },
];

/// The names that a link to the binary may have.
pub fn names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|tool| tool.name)
}

/// The name of each tool and its command line, under that name.
pub fn commands() -> impl Iterator<Item = (&'static str, clap::Command)> {
    TOOLS.iter().map(|tool| (tool.name, (tool.command)().name(tool.name)))
}

/// Runs the tool that `arguments` (the program's own name first) ask for; `None` when they ask for none.
pub fn by_name(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let (tool, rest) = match choose(&arguments)? {
        Choice::Tool(tool, skipped) => (tool, &arguments[skipped..]),
        Choice::List { names_only } => {
            let text = if names_only { names().map(|name| format!("{name}\n")).collect() } else { help() };
            // A closed terminal is nobody to tell.
            drop(io::stdout().lock().write_all(text.as_bytes()));
            return Some(ExitCode::SUCCESS);
        }
        Choice::Unknown(asked) => {
            report(&Failure::new(format!("there is no tool {asked:?}; there are: {}", known())));
            return Some(ExitCode::FAILURE);
        }
    };
    let line = std::iter::once(OsString::from(tool.name)).chain(rest.iter().cloned()).collect();
    table::look_at_terminal();
    let mut out = BufWriter::new(io::stdout().lock());
    let outcome = (tool.run)(line, &mut out);
    let flushed = out.flush();
    Some(finish(outcome.and_then(|()| Ok(flushed?))))
}

enum Choice<'a> {
    /// The tool and how many arguments name it.
    Tool(&'static Tool, usize),
    Unknown(&'a str),
    /// Which tools there are.
    List {
        names_only: bool,
    },
}

fn choose(arguments: &[OsString]) -> Option<Choice<'_>> {
    let program = Path::new(arguments.first()?).file_name()?.to_str()?;
    if let Some(tool) = find(program) {
        return Some(Choice::Tool(tool, 1));
    }
    let first = arguments.get(1)?.to_str()?;
    if first == "tool" {
        let asked = arguments.get(2).and_then(|word| word.to_str()).unwrap_or_default();
        if matches!(asked, "" | "-h" | "--help" | "--names") {
            return Some(Choice::List { names_only: asked == "--names" });
        }
        return Some(short(asked).map_or(Choice::Unknown(asked), |tool| Choice::Tool(tool, 3)));
    }
    short(first).map(|tool| Choice::Tool(tool, 2))
}

fn find(name: &str) -> Option<&'static Tool> {
    let name = name.strip_suffix(".sh").unwrap_or(name);
    TOOLS.iter().find(|tool| tool.name == name)
}

fn short(name: &str) -> Option<&'static Tool> {
    find(name).or_else(|| find(&format!("kafka-{name}")))
}

fn help() -> String {
    format!(
        "Kafka's command line tools. `--help` of each lists its flags; `kafka-` may be left out.\n\nUsage: onelog tool <TOOL> [ARGUMENTS]\n       onelog tool --names\n\nTools:{}\n",
        known()
    )
}

fn known() -> String {
    let lines: Vec<String> =
        TOOLS.iter().map(|tool| format!("\n  {:<28} {}", tool.name, tool.about)).collect();
    lines.concat()
}

/// 0 for success, help and a reader that has seen enough, else 1 and a sentence on stderr.
fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => {
            // A closed terminal is nobody to tell.
            drop(error.print());
            if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(failure) if failure.is_closed_output() => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::FAILURE
        }
    }
}

fn report(failure: &Failure) {
    let text = failure.to_string();
    if !text.is_empty() {
        drop(writeln!(io::stderr(), "{text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(line: &str) -> Option<(&'static str, usize)> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match choose(&arguments)? {
            Choice::Tool(tool, skipped) => Some((tool.name, skipped)),
            Choice::Unknown(_) => Some(("unknown", 0)),
            Choice::List { names_only } => Some((if names_only { "names" } else { "list" }, 0)),
        }
    }

    #[test]
    fn tool_is_named_by_the_program_or_by_the_first_words() {
        assert_eq!(chosen("/opt/kafka/bin/kafka-topics.sh --list"), Some(("kafka-topics", 1)));
        assert_eq!(chosen("kafka-topics --list"), Some(("kafka-topics", 1)));
        assert_eq!(chosen("onelog tool kafka-topics --list"), Some(("kafka-topics", 3)));
        assert_eq!(chosen("onelog tool topics"), Some(("kafka-topics", 3)));
        assert_eq!(chosen("onelog topics"), Some(("kafka-topics", 2)));
        assert_eq!(chosen("onelog tool nothing"), Some(("unknown", 0)));
        assert_eq!(chosen("onelog tool"), Some(("list", 0)));
        assert_eq!(chosen("onelog tool --names"), Some(("names", 0)));
    }

    #[test]
    fn the_brokers_own_command_lines_are_no_tools() {
        for line in
            ["onelog", "onelog log verify", "onelog find --topic a", "onelog --listen topics", "/bin/onelog"]
        {
            assert_eq!(chosen(line), None, "{line}");
        }
    }
}
