//! Repeated runs of the same thing on both brokers, and their medians. Pure.
//!
//! Invariant: a run whose canaries moved counts only when there is no steady one.

use crate::broker_process::Subject;

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Sample<T> {
    pub(crate) value: T,
    /// Whether the canaries before and after it agree.
    pub(crate) steady: bool,
}

/// The runs of one broker.
#[derive(Debug, Clone)]
pub(crate) struct Series<T>(pub(crate) Vec<Sample<T>>);

impl<T> Series<T> {
    /// Median of what `of` takes from each run; `None` without runs.
    pub(crate) fn median(&self, of: impl Fn(&T) -> f64) -> Option<f64> {
        let mut values: Vec<_> = self.counted().map(|sample| of(&sample.value)).collect();
        values.sort_by(f64::total_cmp);
        let half = values.len() / 2;
        match values.len() {
            0 => None,
            len if len % 2 == 1 => Some(values[half]),
            _ => Some(f64::midpoint(values[half - 1], values[half])),
        }
    }

    /// How many runs there were and how far they lie apart, in words.
    pub(crate) fn spread(&self, of: impl Fn(&T) -> f64) -> String {
        let values: Vec<_> = self.counted().map(|sample| of(&sample.value)).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let unsteady = self.0.iter().filter(|sample| !sample.steady).count();
        let all_unsteady = unsteady == self.0.len();
        let (least, most) = (crate::table::number(least), crate::table::number(most));
        match (self.0.len(), unsteady) {
            (0, _) => String::new(),
            (runs, 0) => format!("{least}..{most} in {runs} runs"),
            (runs, _) if all_unsteady => format!("{least}..{most} in {runs} runs, machine unsteady in all"),
            (runs, left_out) => format!("{least}..{most} in {runs} runs, {left_out} unsteady left out"),
        }
    }

    fn counted(&self) -> impl Iterator<Item = &Sample<T>> {
        let any_steady = self.0.iter().any(|sample| sample.steady);
        self.0.iter().filter(move |sample| sample.steady || !any_steady)
    }
}

/// The median of figures without canaries; not a number without any.
pub(crate) fn median(values: &[f64]) -> f64 {
    let samples = values.iter().map(|value| Sample { value: *value, steady: true });
    Series(samples.collect()).median(|value| *value).unwrap_or(f64::NAN)
}

/// The runs of both brokers.
#[derive(Debug, Clone)]
pub(crate) struct Sides<T> {
    pub(crate) onelog: Series<T>,
    pub(crate) kafka: Series<T>,
}

impl<T> Default for Sides<T> {
    fn default() -> Self {
        Self { onelog: Series(Vec::new()), kafka: Series(Vec::new()) }
    }
}

impl<T> Sides<T> {
    /// The runs of one of them.
    pub(crate) fn of_mut(&mut self, subject: Subject) -> &mut Series<T> {
        match subject {
            Subject::Onelog => &mut self.onelog,
            Subject::Kafka | Subject::Kfake => &mut self.kafka,
        }
    }
}

/// Whose turn it is: A B B A in each round, so that a drift of the machine falls on both; A A when there is only one.
pub(crate) fn order(rounds: u32, both: bool) -> Vec<Subject> {
    use Subject::{Kafka, Onelog};
    let round: &[Subject] = if both { &[Onelog, Kafka, Kafka, Onelog] } else { &[Onelog, Onelog] };
    (0..rounds).flat_map(|_| round.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[(f64, bool)]) -> Series<f64> {
        Series(values.iter().map(|(value, steady)| Sample { value: *value, steady: *steady }).collect())
    }

    #[test]
    fn median_leaves_unsteady_runs_out_unless_all_are() {
        let median = |values: &[(f64, bool)]| series(values).median(|value| *value);
        assert_eq!(median(&[(3.0, true), (1.0, true), (2.0, true), (99.0, false)]), Some(2.0));
        assert_eq!(median(&[(3.0, true), (1.0, true)]), Some(2.0));
        assert_eq!(median(&[(3.0, false), (5.0, false)]), Some(4.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn spread_says_what_was_left_out() {
        let spread = |values: &[(f64, bool)]| series(values).spread(|value| *value);
        assert_eq!(spread(&[(1.0, true), (2.0, true)]), "1.00..2.00 in 2 runs");
        assert_eq!(spread(&[(1.0, true), (9.0, false)]), "1.00..1.00 in 2 runs, 1 unsteady left out");
        assert_eq!(spread(&[(1.0, false)]), "1.00..1.00 in 1 runs, machine unsteady in all");
    }

    #[test]
    fn both_brokers_take_turns_in_the_order_a_b_b_a() {
        use Subject::{Kafka, Onelog};
        assert_eq!(order(1, true), [Onelog, Kafka, Kafka, Onelog]);
        assert_eq!(order(2, false), [Onelog; 4]);
    }
}
