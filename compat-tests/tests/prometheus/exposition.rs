//! A page in Prometheus' text format, as far as looking for samples needs it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

type Labels = BTreeMap<String, String>;

/// Samples by name.
#[derive(Debug, Default)]
pub(crate) struct Page {
    samples: BTreeMap<String, BTreeSet<Labels>>,
}

impl Page {
    /// # Errors
    /// A line is neither a comment nor a sample.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut page = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, labels) = sample(line).with_context(|| format!("not a sample: {line}"))?;
            page.samples.entry(name.to_owned()).or_default().insert(labels);
        }
        Ok(page)
    }

    /// Whether a sample, or a histogram, has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.samples.contains_key(name)
    }

    /// The label sets of a name.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = &Labels> {
        self.samples.get(name).into_iter().flatten()
    }
}

fn sample(line: &str) -> Option<(&str, Labels)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    while let Some(pair) = rest.strip_prefix(['{', ',']) {
        let (label, quoted) = pair.split_once("=\"")?;
        let (value, after) = unquote(quoted)?;
        labels.insert(label.to_owned(), value);
        rest = after;
    }
    let value = rest.strip_prefix('}').unwrap_or(rest).trim();
    value.parse::<f64>().ok()?;
    Some((name, labels))
}

/// Up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}
