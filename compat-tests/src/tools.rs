//! Kafka's own command line tools, run as their users run them: a class, arguments, and what it printed.
//! `tests/kafka_tools.rs` is the list of cases.

use std::ffi::OsStr;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::broker::{Broker, BrokerKind};
use crate::process::run_with_input;
use crate::results::{CaseResult, KAFKA_TOOLS, Outcome};
use crate::{clock, layout, scene, setup};

const LIMIT: Duration = Duration::from_secs(90);

/// The tools against the shared broker.
#[derive(Debug)]
pub struct Tools {
    address: String,
    kind: BrokerKind,
}

/// Runs `body` as a case of the tools; the test's whole body.
///
/// # Panics
/// The case failed.
pub fn run(case: &str, body: impl FnOnce(&Tools) -> Result<()>) {
    let kind = BrokerKind::from_environment().expect("COMPAT_BROKER names a broker");
    let started = clock::now();
    let ran = Broker::shared().and_then(|broker| body(&Tools { address: broker.address(), kind }));
    let (outcome, detail) = match ran {
        Ok(()) => (Outcome::Ok, String::new()),
        Err(error) => (Outcome::Failed, format!("{error:#}")),
    };
    let result = CaseResult {
        client: KAFKA_TOOLS.to_owned(),
        library: "Apache Kafka's tools 4.3.1".to_owned(),
        case: case.to_owned(),
        outcome,
        detail,
        seconds: started.elapsed().as_secs_f64(),
    };
    scene::finish(kind, &result);
}

impl Tools {
    /// Runs the tool `class` (below `org.apache.kafka.tools` unless it names its package) with the broker's address
    /// and `arguments`; what it printed.
    ///
    /// # Errors
    /// It fails or takes longer than 90 s.
    pub fn run(&self, class: &str, arguments: &[&str]) -> Result<String> {
        self.run_with_input(class, arguments, "")
    }

    /// The same with lines on stdin.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with_input(&self, class: &str, arguments: &[&str], input: &str) -> Result<String> {
        let file = layout::log_file("tool-input")?;
        std::fs::write(&file, input)?;
        let class = if class.starts_with("kafka.") {
            class.to_owned()
        } else {
            format!("org.apache.kafka.tools.{class}")
        };
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-cp"]);
        command.arg(setup::kafka_class_path()?).arg(class);
        // Sub-commands come before the options.
        let (first, rest) =
            arguments.split_at(usize::from(arguments.first().is_some_and(|word| !word.starts_with('-'))));
        command.args(first).args([OsStr::new("--bootstrap-server"), OsStr::new(&self.address)]).args(rest);
        run_with_input(&mut command, Stdio::from(File::open(file)?), LIMIT)
    }

    /// Runs the tool until `shows` holds for what it prints; on Onelog it must hold at once.
    ///
    /// # Errors
    /// The tool fails, or it never holds.
    pub fn run_until(&self, class: &str, arguments: &[&str], shows: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        let found = clock::poll_until(self.kind.settle_limit(), Duration::from_millis(200), || {
            last = self.run(class, arguments)?;
            Ok(shows(&last).then(|| last.clone()))
        })?;
        found.with_context(|| format!("{class} {arguments:?} printed:\n{last}"))
    }
}

/// `output` holds `text`.
///
/// # Errors
/// It does not.
pub fn expect(output: &str, text: &str) -> Result<()> {
    ensure!(output.contains(text), "{text:?} is not in what the tool printed:\n{output}");
    Ok(())
}
