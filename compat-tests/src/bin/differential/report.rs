//! What is printed: every difference that nobody explained, versions that differ alike in one line, and the sums.

use std::collections::VecDeque;
use std::io::{StdoutLock, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use compat_tests::differential::compare;
use compat_tests::differential::known::Known;
use compat_tests::differential::mask::Masks;
use compat_tests::differential::play::Outcome;
use compat_tests::differential::scenario::{Action, Scenario, Step, Wait};
use serde_json::Value;

/// Longer values are cut in the output.
const SHOWN: usize = 300;

/// Compares scenario by scenario and counts.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    known: &'a Known,
    masks: &'a Masks,
    answers: bool,
    frames: usize,
    differing: usize,
    explained: usize,
    unexplained: usize,
    broken: usize,
}

/// Differences that are printed as one: the same line of a table in several versions.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    place: String,
    path: String,
    kafka: String,
    onelog: String,
}

impl<'a> Report<'a> {
    pub(crate) fn new(known: &'a Known, masks: &'a Masks, answers: bool) -> Self {
        Self { known, masks, answers, frames: 0, differing: 0, explained: 0, unexplained: 0, broken: 0 }
    }

    /// Compares what came of one scenario.
    ///
    /// # Errors
    /// The output is closed.
    pub(crate) fn scenario(
        &mut self,
        scenario: &Scenario,
        kafka: &Result<Vec<Outcome>>,
        onelog: &Result<Vec<Outcome>>,
    ) -> Result<()> {
        let (kafka, onelog) = match (kafka, onelog) {
            (Ok(kafka), Ok(onelog)) => (kafka, onelog),
            (Err(error), _) => return self.broken(scenario, "kafka", error),
            (_, Err(error)) => return self.broken(scenario, "onelog", error),
        };
        let mut output = std::io::stdout().lock();
        let mut all: Vec<(Found, Vec<String>)> = Vec::new();
        for ((step, kafka), onelog) in scenario.steps.iter().zip(kafka).zip(onelog) {
            if self.answers {
                print_answers(&mut output, step, kafka, onelog)?;
            }
            if step.compared {
                self.step(scenario, step, kafka, onelog, &mut all);
            }
        }
        print_differences(&mut output, scenario, &all)
    }

    fn step(
        &mut self,
        scenario: &Scenario,
        step: &Step,
        kafka: &Outcome,
        onelog: &Outcome,
        all: &mut Vec<(Found, Vec<String>)>,
    ) {
        self.frames += 1;
        let (label, api) = (step.label(), answered_api(scenario, step));
        let left = self.masks.apply(&api, &kafka.variables, &kafka.answer);
        let right = self.masks.apply(&api, &onelog.variables, &onelog.answer);
        let mut differs = false;
        for difference in compare::differences(&left, &right) {
            if self.known.explains(&scenario.title, &label, &difference.path) {
                self.explained += 1;
                continue;
            }
            self.unexplained += 1;
            differs = true;
            let found = Found {
                place: step.place.clone(),
                path: difference.path,
                kafka: shown(difference.kafka.as_ref()),
                onelog: shown(difference.onelog.as_ref()),
            };
            match all.iter_mut().find(|(other, _)| *other == found) {
                Some((_, labels)) => labels.push(label.clone()),
                None => all.push((found, vec![label.clone()])),
            }
        }
        self.differing += usize::from(differs);
    }

    fn broken(&mut self, scenario: &Scenario, broker: &str, error: &anyhow::Error) -> Result<()> {
        self.broken += 1;
        writeln!(
            std::io::stdout(),
            "\nscenario {}\n  cannot be played on {broker}: {error:#}",
            scenario.title
        )?;
        Ok(())
    }

    /// Prints the sums and says how the run ended. Idle lines of the list count only when every scenario was played.
    ///
    /// # Errors
    /// The output is closed.
    pub(crate) fn close(self, scenarios: &[Scenario], whole: bool) -> Result<ExitCode> {
        let titles: Vec<_> = scenarios.iter().map(|scenario| scenario.title.as_str()).collect();
        let idle = if whole { self.known.unused(&titles) } else { Vec::new() };
        let mut output = std::io::stdout().lock();
        if !idle.is_empty() {
            writeln!(output, "\nknown.txt: nothing differs any more for lines {idle:?}: remove them")?;
        }
        let Self { frames, differing, explained, unexplained, broken, .. } = self;
        writeln!(
            output,
            "\n{} scenarios, {frames} answers compared, {differing} of them differ: {unexplained} differences; \
             {explained} more are known to be right; {broken} scenarios could not be played",
            scenarios.len()
        )?;
        let clean = unexplained == 0 && broken == 0 && idle.is_empty();
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print_answers(output: &mut StdoutLock<'_>, step: &Step, kafka: &Outcome, onelog: &Outcome) -> Result<()> {
    let (place, label) = (&step.place, step.label());
    writeln!(output, "{place} {label}\n    kafka  {}\n    onelog {}", kafka.answer, onelog.answer)?;
    Ok(())
}

fn print_differences(
    output: &mut StdoutLock<'_>,
    scenario: &Scenario,
    all: &[(Found, Vec<String>)],
) -> Result<()> {
    if !all.is_empty() {
        writeln!(output, "\nscenario {}", scenario.title)?;
    }
    for (Found { place, path, kafka, onelog }, labels) in all {
        let label = match &labels[..] {
            [] => String::new(),
            [one] => one.clone(),
            [first, .., last] => format!("{first} .. {last} ({})", labels.len()),
        };
        writeln!(output, "  {place} {label}: {path}\n      kafka  {kafka}\n      onelog {onelog}")?;
    }
    Ok(())
}

/// The API whose answer a step reads: of what waits on its connection, the oldest.
fn answered_api(scenario: &Scenario, step: &Step) -> String {
    let mut waiting = VecDeque::new();
    for other in scenario.steps.iter().filter(|other| other.connection == step.connection) {
        let answered = match &other.action {
            Action::Request { api, answer, .. } => {
                waiting.push_back(api.clone());
                (*answer != Wait::Never).then(|| waiting.pop_front())
            }
            Action::Receive => Some(waiting.pop_front()),
            _ => None,
        };
        if std::ptr::eq(other, step) {
            return answered.flatten().unwrap_or_default();
        }
    }
    String::new()
}

fn shown(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    match text.char_indices().nth(SHOWN) {
        Some((place, _)) => format!("{}...", &text[..place]),
        None => text,
    }
}
