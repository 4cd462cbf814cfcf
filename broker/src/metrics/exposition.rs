//! Prometheus' text format 0.0.4, written straight from values that live elsewhere.
//!
//! For families whose samples are as many as topics, partitions or groups: building objects for each would cost more than
//! the scrape may take. Invariants: a family without samples leaves no trace; label values are escaped.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use storage::{BOUNDS_US, TimingCounts};

/// The text so far.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

/// What kind of value a family has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// A family that samples are written to.
pub(crate) struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
    kind: Kind,
    help: &'a str,
    begun: bool,
}

impl Exposition {
    /// Begins a family; its name must not come twice in one text.
    pub(crate) fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &'a str) -> Family<'a> {
        Family { text: &mut self.text, name, kind, help, begun: false }
    }

    /// A gauge without labels.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// A counter without labels.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// A histogram; each series with its labels.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, series: &[(&[(&str, &str)], Buckets)]) {
        if series.is_empty() {
            return;
        }
        put(&mut self.text, format_args!("# HELP {name} {help}\n# TYPE {name} histogram\n"));
        for (labels, buckets) in series {
            let mut sample = |suffix: &str, bound: Option<&str>, value: &dyn Display| {
                self.text.push_str(name);
                self.text.push_str(suffix);
                let bound = bound.map(|bound| ("le", bound));
                put_labels(&mut self.text, labels.iter().copied().chain(bound));
                put(&mut self.text, format_args!(" {value}\n"));
            };
            for (bound, below) in &buckets.below {
                sample("_bucket", Some(&bound.to_string()), below);
            }
            sample("_bucket", Some("+Inf"), &buckets.count);
            sample("_sum", None, &buckets.sum);
            sample("_count", None, &buckets.count);
        }
    }

    /// All of it.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One sample. Labels are written in the order given.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        if !self.begun {
            let (name, help) = (self.name, self.help);
            let kind = match self.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            put(self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            self.begun = true;
        }
        self.text.push_str(self.name);
        put_labels(self.text, labels.iter().copied());
        put(self.text, format_args!(" {value}\n"));
    }
}

/// How many were at most each bound, of how many, adding up to what.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets {
    pub(crate) below: Vec<(f64, u64)>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

impl From<&TimingCounts> for Buckets {
    fn from(counted: &TimingCounts) -> Self {
        let mut count = 0;
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        let mut add = |(bound, more): (&u64, u64)| {
            count += more;
            (seconds(*bound), count)
        };
        let below = BOUNDS_US.iter().zip(counted.counts).map(&mut add).collect();
        Self { below, count: counted.counts.iter().sum(), sum: counted.sum.as_secs_f64() }
    }
}

fn put_labels<'a>(text: &mut String, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut before = '{';
    for (label, value) in labels {
        text.push(before);
        text.push_str(label);
        text.push_str("=\"");
        escape(text, value);
        text.push('"');
        before = ',';
    }
    if before == ',' {
        text.push('}');
    }
}

/// Label values may hold anything; quotes, backslashes and line ends would end them.
fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_with_their_head_and_without_samples_not_at_all() {
        let mut exposition = Exposition::default();
        let mut family = exposition.family("a_total", Kind::Counter, "How many.");
        family.sample(&[("topic", "t"), ("group", "a\"b\\c\nd")], 7);
        family.sample(&[], 8);
        exposition.family("nothing", Kind::Gauge, "Never seen.");
        exposition.gauge("b", "A part.", 0.5);
        let expected = "# HELP a_total How many.\n# TYPE a_total counter\n\
            a_total{topic=\"t\",group=\"a\\\"b\\\\c\\nd\"} 7\na_total 8\n\
            # HELP b A part.\n# TYPE b gauge\nb 0.5\n";
        assert_eq!(exposition.into_text(), expected);
    }

    #[test]
    fn buckets_of_a_histogram_add_up() {
        let mut counted = TimingCounts { sum: Duration::from_millis(1_500), ..TimingCounts::default() };
        (counted.counts[0], counted.counts[14], counted.counts[16]) = (2, 1, 1);
        let mut exposition = Exposition::default();
        exposition.histogram("s", "Took.", &[(&[("stage", "sync")], Buckets::from(&counted))]);
        let text = exposition.into_text();
        for line in [
            "s_bucket{stage=\"sync\",le=\"0.000001\"} 2",
            "s_bucket{stage=\"sync\",le=\"1\"} 3",
            "s_bucket{stage=\"sync\",le=\"+Inf\"} 4",
            "s_sum{stage=\"sync\"} 1.5",
            "s_count{stage=\"sync\"} 4",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
        }
    }
}
