//! Figures, whether they hold, and the Markdown that `docs/BENCHMARKS.md` is made of. Pure.
//!
//! Invariant: what falls short of its number comes first, and nothing that was asked for is missing: a figure that could not
//! be taken says why.

use std::fmt::Write as _;

/// The number that a figure has to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// One line of the table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// In which unit.
    pub(crate) unit: &'static str,
    /// `None`: not measured, the note says why.
    pub(crate) onelog: Option<f64>,
    /// `None`: not asked of Kafka, or not measured.
    pub(crate) kafka: Option<f64>,
    /// What Onelog's value has to hold.
    pub(crate) limit: Option<Limit>,
    /// What Onelog's value divided by Kafka's may be at most.
    pub(crate) most_of_kafka: Option<f64>,
    /// How it was taken, how far runs lie apart.
    pub(crate) note: String,
}

/// What a figure says about its limits. The order is that of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// A limit is broken.
    Short,
    /// It could not be measured.
    NotRun,
    /// All limits hold.
    Holds,
    /// There is none.
    NoLimit,
}

impl Figure {
    /// Onelog's value divided by Kafka's, where there is such a number.
    pub(crate) fn ratio(&self) -> Option<f64> {
        Some(self.onelog? / self.kafka?).filter(|ratio| ratio.is_finite())
    }

    /// Whether it holds.
    pub(crate) fn verdict(&self) -> Verdict {
        let Some(value) = self.onelog else { return Verdict::NotRun };
        let limit = self.limit.map(|limit| match limit {
            Limit::AtMost(most) => value <= most,
            Limit::AtLeast(least) => value >= least,
        });
        // Without Kafka there is no ratio, and nothing is said about it.
        let ratio = self.most_of_kafka.and_then(|most| Some(self.ratio()? <= most));
        match [limit, ratio] {
            [Some(false), _] | [_, Some(false)] => Verdict::Short,
            [None, None] => Verdict::NoLimit,
            _ => Verdict::Holds,
        }
    }

    fn limits(&self) -> String {
        let own = self.limit.map(|limit| match limit {
            Limit::AtMost(most) => format!("<= {}", number(most)),
            Limit::AtLeast(least) => format!(">= {}", number(least)),
        });
        let ratio = self.most_of_kafka.map(|most| format!("<= {}x Kafka", number(most)));
        own.into_iter().chain(ratio).collect::<Vec<_>>().join(", ")
    }
}

/// Tables of all figures, by verdict.
pub(crate) fn render(figures: &[Figure]) -> String {
    let sections = [
        (Verdict::Short, "Short of its number"),
        (Verdict::NotRun, "Not run"),
        (Verdict::Holds, "Holds"),
        (Verdict::NoLimit, "Without a number to hold"),
    ];
    let mut text = String::new();
    for (verdict, title) in sections {
        let chosen: Vec<_> = figures.iter().filter(|figure| figure.verdict() == verdict).collect();
        if chosen.is_empty() {
            continue;
        }
        writeln!(text, "\n## {title}\n").expect(IN_MEMORY);
        writeln!(text, "| what | unit | Onelog | Kafka | ratio | to hold | how |").expect(IN_MEMORY);
        writeln!(text, "|---|---|--:|--:|--:|---|---|").expect(IN_MEMORY);
        for figure in chosen {
            let cell = |value: Option<f64>| value.map_or("-".to_owned(), number);
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                figure.what,
                figure.unit,
                cell(figure.onelog),
                cell(figure.kafka),
                figure.ratio().map_or("-".to_owned(), |ratio| format!("{}x", number(ratio))),
                figure.limits(),
                figure.note.replace('|', "/").replace('\n', " ")
            )
            .expect(IN_MEMORY);
        }
    }
    text
}

const IN_MEMORY: &str = "writing to a String does not fail";

/// A number with three significant digits, and never with an exponent.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size < 0.01 => 4,
        size if size < 0.1 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(onelog: f64, kafka: Option<f64>) -> Figure {
        Figure { what: "w".to_owned(), unit: "s", onelog: Some(onelog), kafka, ..Figure::default() }
    }

    #[test]
    fn limit_ratio_or_both_decide() {
        let most = Some(Limit::AtMost(0.5));
        assert_eq!(Figure { limit: most, ..figure(0.5, None) }.verdict(), Verdict::Holds);
        assert_eq!(Figure { limit: most, ..figure(0.51, None) }.verdict(), Verdict::Short);
        let least = Some(Limit::AtLeast(95.0));
        assert_eq!(Figure { limit: least, ..figure(94.9, None) }.verdict(), Verdict::Short);
        assert_eq!(Figure { limit: least, ..figure(95.0, None) }.verdict(), Verdict::Holds);
        let half = Some(0.5);
        assert_eq!(Figure { most_of_kafka: half, ..figure(1.0, Some(2.0)) }.verdict(), Verdict::Holds);
        assert_eq!(Figure { most_of_kafka: half, ..figure(1.0, Some(1.9)) }.verdict(), Verdict::Short);
        let both = Figure { limit: most, most_of_kafka: half, ..figure(0.4, Some(0.5)) };
        assert_eq!(both.verdict(), Verdict::Short);
    }

    #[test]
    fn figure_without_kafka_is_not_judged_by_its_ratio() {
        let figure = Figure { most_of_kafka: Some(0.5), ..figure(1.0, None) };
        assert_eq!(figure.verdict(), Verdict::NoLimit);
        assert_eq!(figure.ratio(), None);
        assert_eq!(Figure { onelog: Some(0.0), kafka: Some(0.0), ..figure }.ratio(), None);
    }

    #[test]
    fn figure_that_was_not_measured_is_not_run() {
        assert_eq!(
            Figure { limit: Some(Limit::AtMost(1.0)), ..Figure::default() }.verdict(),
            Verdict::NotRun
        );
    }

    #[test]
    fn what_falls_short_comes_first() {
        let holds =
            Figure { limit: Some(Limit::AtMost(2.0)), what: "good".to_owned(), ..figure(1.0, Some(4.0)) };
        let short = Figure { limit: Some(Limit::AtMost(0.5)), what: "bad".to_owned(), ..figure(1.0, None) };
        let text = render(&[figure(1.0, None), holds, short]);
        let titles: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(titles, ["Short of its number", "Holds", "Without a number to hold"]);
        assert!(text.contains("| good | s | 1.00 | 4.00 | 0.25x | <= 2.00 |  |"), "{text}");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let texts = [0.0, 0.00123, 0.0456, 0.451, 2.0, 16.44, 333.3, 12_345.6].map(number);
        assert_eq!(texts, ["0", "0.0012", "0.046", "0.45", "2.00", "16.4", "333", "12346"]);
    }
}
