//! What came of all rounds, in figures and in words.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use compat_tests::load::spread;

use crate::checker::{Findings, Violation};
use crate::control::Control;
use crate::ledger::{Outcome, Transactions};
use crate::reader::Live;
use crate::workers::Counts;

/// What is written down of each kind of trouble.
const EXAMPLES: usize = 20;

/// What came of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rounds: u32,
    /// Rounds in which a commit was acknowledged before the kill.
    pub(crate) rounds_with_commits: u32,
    /// From the kill to the first answer, each.
    pub(crate) restarts: Vec<Duration>,
    pub(crate) counts: Counts,
    /// Transactions with records.
    pub(crate) begun: usize,
    /// Those whose commit was asked for and neither acknowledged nor seen.
    pub(crate) unseen: usize,
    /// The readings beside the load.
    pub(crate) live: Live,
    /// The readings while nobody wrote.
    pub(crate) findings: Findings,
    pub(crate) quiet_readings: u32,
    /// From the last worker's rest until no transaction was open, each.
    pub(crate) settling: Vec<Duration>,
    /// What stayed open.
    pub(crate) hanging: Vec<String>,
    /// Errors that the clients did not get over by themselves; the workers did.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Workers that gave up.
    pub(crate) failures: Vec<String>,
}

impl Report {
    /// Where it stands, in a line.
    pub(crate) fn state(&self) -> String {
        let (findings, hanging) = (&self.findings, self.hanging.len());
        let (whole, violations) = (findings.whole, findings.violations());
        format!("{whole} transactions seen whole, {violations} violations, {hanging} hanging")
    }

    pub(crate) fn take_in(&mut self, transactions: &Transactions) {
        let all = || transactions.iter().flatten();
        self.begun = all().count();
        self.unseen = all().filter(|transaction| transaction.outcome == Outcome::Unknown).count();
    }

    pub(crate) fn is_violated(&self) -> bool {
        self.findings.violations() > 0 || self.live.findings.violations() > 0 || !self.hanging.is_empty()
    }

    pub(crate) fn is_clean(&self) -> bool {
        !self.is_violated() && self.failures.is_empty() && self.live.readings > 0
    }

    /// The checks found what `control` brought about.
    pub(crate) fn proves(&self, control: Control) -> bool {
        let found = |violation: &Violation| self.findings.counts.contains_key(violation);
        match control {
            Control::Torn | Control::Exposed => control.expected().iter().all(found),
            Control::Hanging | Control::Withheld => !self.hanging.is_empty(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { commits, aborts, left_open } = self.counts;
        writeln!(f, "rounds                 {}", self.rounds)?;
        writeln!(f, "  with commits         {}", self.rounds_with_commits)?;
        writeln!(f, "transactions           {}", self.begun)?;
        writeln!(f, "  commit acknowledged  {commits}")?;
        writeln!(f, "  abort acknowledged   {aborts}")?;
        writeln!(f, "  left open            {left_open}")?;
        writeln!(f, "  in doubt, not seen   {}", self.unseen)?;
        writeln!(f, "readings under load    {}", self.live.readings)?;
        writeln!(
            f,
            "  violations           {} {:?}",
            self.live.findings.violations(),
            self.live.findings.counts
        )?;
        writeln!(f, "readings at rest       {}", self.quiet_readings)?;
        write!(f, "{}", self.findings)?;
        writeln!(f, "hanging transactions   {}", self.hanging.len())?;
        writeln!(f, "rest to nothing open   {}", spread(&self.settling))?;
        writeln!(f, "kill to first answer   {}", spread(&self.restarts))?;
        writeln!(f, "workers that gave up   {}", self.failures.len())?;
        let examples = self.live.findings.examples.iter().chain(&self.findings.examples);
        for words in examples.chain(self.hanging.iter().take(EXAMPLES)).chain(&self.failures) {
            writeln!(f, "  {words}")?;
        }
        for (what, count) in self.errors.iter().chain(&self.live.broken).take(EXAMPLES) {
            writeln!(f, "  {count} times: {what}")?;
        }
        write!(f, "{}", if self.is_clean() { "clean" } else { "VIOLATED" })
    }
}
