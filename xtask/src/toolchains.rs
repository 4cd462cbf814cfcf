//! The languages of the clients under test. Asked first, so that a missing one is named at once and not after a build of
//! minutes; `compat-tests` asks again, with versions, when it sets up each driver.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::step;

struct Tool {
    command: &'static [&'static str],
    needed_for: &'static str,
    debian_package: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        command: &["cc", "--version"],
        needed_for: "zstd and librdkafka, built from C",
        debian_package: "gcc",
    },
    Tool {
        command: &["c++", "--version"],
        needed_for: "librdkafka, built from C and C++",
        debian_package: "g++",
    },
    Tool { command: &["make", "--version"], needed_for: "librdkafka, built from C", debian_package: "make" },
    Tool { command: &["python3", "--version"], needed_for: "the Python clients", debian_package: "python3" },
    Tool {
        command: &["python3", "-c", "import venv, ensurepip"],
        needed_for: "the Python clients' virtual environments",
        debian_package: "python3-venv",
    },
    Tool { command: &["node", "--version"], needed_for: "the JavaScript client", debian_package: "nodejs" },
    Tool { command: &["npm", "--version"], needed_for: "the JavaScript client", debian_package: "npm" },
    Tool { command: &["go", "version"], needed_for: "the Go client", debian_package: "golang-go" },
    Tool {
        command: &["javac", "-version"],
        needed_for: "the Java clients and Apache Kafka",
        debian_package: "default-jdk-headless",
    },
    Tool {
        command: &["mvn", "--version"],
        needed_for: "the Java clients and Apache Kafka",
        debian_package: "maven",
    },
    Tool { command: &["git", "--version"], needed_for: "the list of files for tidy", debian_package: "git" },
];

/// Fails with one line for every tool that is missing.
///
/// # Errors
/// Any is.
pub(crate) fn require_all() -> Result<()> {
    step::announce("toolchains", "compilers and package managers of the five languages");
    step::timed("toolchains", || require(TOOLS))
}

fn require(tools: &[Tool]) -> Result<()> {
    let missing: Vec<_> = tools
        .iter()
        .filter(|tool| {
            let (program, arguments) = tool.command.split_first().expect("a tool has a command");
            !step::succeeds(Command::new(program).args(arguments), Duration::from_secs(60))
        })
        .map(|tool| {
            let Tool { command, needed_for, debian_package } = tool;
            format!(
                "`{}` does not run: needed for {needed_for} (Debian: {debian_package})",
                command.join(" ")
            )
        })
        .collect();
    ensure!(missing.is_empty(), "install what is missing and run again:\n  {}", missing.join("\n  "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_tool_is_named_with_its_package() {
        let tools = [
            Tool { command: &["no-such-a"], needed_for: "one thing", debian_package: "a" },
            Tool { command: &["true"], needed_for: "nothing", debian_package: "coreutils" },
            Tool { command: &["no-such-b", "-v"], needed_for: "another", debian_package: "b" },
        ];
        let text = require(&tools).expect_err("two are missing").to_string();
        assert!(text.contains("`no-such-a` does not run: needed for one thing (Debian: a)"), "{text}");
        assert!(text.contains("`no-such-b -v`") && !text.contains("`true`"), "{text}");
    }
}
