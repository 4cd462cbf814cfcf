//! What the runs of the client libraries' suites said, and the page that is made of it. Called by `client_suites`.
//!
//! A run's file has a line for each test: outcome, how often it was run, seconds, name, left-out parts, between tabs (`suite.sh`
//! writes it).
//! Invariant: every test that did not pass in every run at the first try is named on the page, with its reason where
//! `expected.txt` has one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

/// How a test ended in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// It found that it cannot run here.
    Skipped,
    /// `expected.txt` leaves it out.
    Out,
}

/// One run of a suite on one broker: each test's outcome and how often it was run.
#[derive(Debug)]
pub(crate) struct Run(BTreeMap<String, (Outcome, u32)>);

impl Run {
    /// Reads a run's file.
    ///
    /// # Errors
    /// A line is not one of results.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut tests = BTreeMap::new();
        for line in text.lines() {
            let mut fields = line.split('\t');
            let mut field = || fields.next().with_context(|| format!("not a result: {line}"));
            let outcome = match field()? {
                "passed" => Outcome::Passed,
                "failed" => Outcome::Failed,
                "skipped" => Outcome::Skipped,
                "out" => Outcome::Out,
                other => bail!("{other:?} is no outcome: {line}"),
            };
            let tries = field()?.parse().with_context(|| format!("not a result: {line}"))?;
            field()?;
            tests.insert(field()?.to_owned(), (outcome, tries));
        }
        Ok(Self(tests))
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.0.values().filter(|(each, _)| *each == outcome).count()
    }
}

/// A suite's runs on both brokers.
#[derive(Debug)]
pub(crate) struct Suite {
    /// What it is called on the page.
    pub(crate) title: &'static str,
    /// At least one.
    pub(crate) onelog: Vec<Run>,
    /// At least one.
    pub(crate) kafka: Vec<Run>,
    /// The text of its `expected.txt`.
    pub(crate) expected: String,
}

impl Suite {
    fn row(&self) -> String {
        let counts = |runs: &[Run], outcome| {
            let counts: Vec<String> = runs.iter().map(|run| run.count(outcome).to_string()).collect();
            counts.join(", ")
        };
        let first = |runs: &[Run], outcome| runs.first().map_or(0, |run| run.count(outcome));
        format!(
            "| {} | {} | {} | {} | {} | {}, {} |\n",
            self.title,
            counts(&self.onelog, Outcome::Passed),
            counts(&self.kafka, Outcome::Passed),
            self.kafka.first().map_or(0, |run| run.0.len()),
            first(&self.kafka, Outcome::Out),
            first(&self.onelog, Outcome::Skipped),
            first(&self.kafka, Outcome::Skipped),
        )
    }

    /// The reasons of the lines of `expected.txt` that begin with `word`.
    fn reasons<'a>(&'a self, word: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.expected.lines().filter_map(move |line| {
            let (name, reason) = line.strip_prefix(word)?.strip_prefix(' ')?.split_once(' ')?;
            Some((name, reason))
        })
    }

    fn lines_of(&self, word: &str) -> Vec<String> {
        self.reasons(word).map(|(name, reason)| format!("- {}, `{name}`: {reason}\n", self.title)).collect()
    }

    /// The tests that see on Onelog that it lacks what they need, and pass on Kafka.
    fn lacking(&self) -> Vec<String> {
        let (Some(onelog), Some(kafka)) = (self.onelog.first(), self.kafka.first()) else {
            return Vec::new();
        };
        let skipped = onelog.0.iter().filter(|(name, (outcome, _))| {
            *outcome == Outcome::Skipped
                && kafka.0.get(*name).is_some_and(|(outcome, _)| *outcome == Outcome::Passed)
        });
        skipped.map(|(name, _)| format!("- {}, `{name}`\n", self.title)).collect()
    }

    /// The tests that did not pass, or not at the first try, in any of `runs`: in how many they did.
    fn failures(&self, runs: &[Run]) -> Vec<String> {
        let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, (outcome, tries)) in runs.iter().flat_map(|run| &run.0) {
            if *outcome == Outcome::Failed || *tries > 1 && *outcome == Outcome::Passed {
                *failed.entry(name).or_default() += 1;
            }
        }
        let line = |(name, count): (&str, usize)| {
            let mut reasons = self.reasons("fail").chain(self.reasons("flaky"));
            let reason = reasons.find(|(each, _)| *each == name).map(|(_, reason)| format!(": {reason}"));
            let reason = reason.unwrap_or_default();
            format!("- {}, `{name}`, {count} of {} runs{reason}\n", self.title, runs.len())
        };
        failed.into_iter().map(line).collect()
    }
}

/// The page.
pub(crate) fn markdown(suites: &[Suite]) -> String {
    let mut text = HEAD.to_owned();
    for suite in suites {
        text.push_str(&suite.row());
    }
    let mut section = |title: &str, lines: Vec<String>| {
        let mut lines = lines;
        lines.dedup();
        let lines = if lines.is_empty() { "None.\n".to_owned() } else { lines.concat() };
        write!(text, "\n## {title}\n\n{lines}").ok();
    };
    let all = |lines: &dyn Fn(&Suite) -> Vec<String>| suites.iter().flat_map(lines).collect::<Vec<_>>();
    section("Failed at least once on Onelog", all(&|suite| suite.failures(&suite.onelog)));
    section("Failed at least once on Apache Kafka", all(&|suite| suite.failures(&suite.kafka)));
    section("Skipped by themselves on Onelog, passed on Apache Kafka", all(&Suite::lacking));
    section("Left out", all(&|suite| suite.lines_of("out")));
    text
}

const HEAD: &str = "\
# Suites of client libraries

How many of the client libraries' own tests pass on Onelog and on Apache Kafka 4.3.1, run by run, each on a new broker. A test
that fails on Kafka as it is started here, three times of three, or proves nothing about a broker, is left out on both.
Tests that are left out are named below with the reason, and so is every test that failed once, also where it passed when
it was run again. Written by `cargo xtask suites-table` after `cargo xtask suites --rounds 3` and the same with
`--broker kafka`; not edited by hand.

| suite | passed on Onelog | passed on Kafka | tests | left out | skipped by themselves, Onelog and Kafka |
|---|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_counts_each_run_and_names_what_failed_even_once() {
        let run = |text: &str| Run::parse(text).unwrap();
        let suite = Suite {
            title: "s 1.0",
            onelog: vec![
                run("passed\t1\t0\tgood\nfailed\t1\t9\tbad\nout\t0\t0\told\nskipped\t1\t0\tno\n"),
                run("passed\t2\t1\tgood\nfailed\t1\t9\tbad\nout\t0\t0\told\nskipped\t1\t0\tno\n"),
            ],
            kafka: vec![run("passed\t1\t0\tgood\npassed\t1\t0\tbad\nout\t0\t0\told\npassed\t1\t0\tno\n")],
            expected: "# words\nout old it is too old\nfail bad not built\n".to_owned(),
        };
        let page = markdown(&[suite]);
        assert!(page.contains("| s 1.0 | 1, 1 | 3 | 4 | 1 | 1, 0 |\n"), "{page}");
        assert!(
            page.contains("- s 1.0, `bad`, 2 of 2 runs: not built\n- s 1.0, `good`, 1 of 2 runs\n"),
            "{page}"
        );
        assert!(page.contains("on Apache Kafka\n\nNone.\n"), "{page}");
        assert!(page.contains("passed on Apache Kafka\n\n- s 1.0, `no`\n"), "{page}");
        assert!(page.contains("- s 1.0, `old`: it is too old\n"), "{page}");
    }

    #[test]
    fn line_that_is_no_result_is_an_error() {
        assert!(Run::parse("passed\t1\t0\n").is_err());
        assert!(Run::parse("great\t1\t0\tname\n").is_err());
        assert!(Run::parse("passed\toften\t0\tname\n").is_err());
    }
}
