//! What may differ from broker to broker and run to run without meaning anything: ids, times, ports. The rules are lines of
//! `compat-tests/differential/masks.txt`, `KIND API PATH`; a value is reduced to what matters of it.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::variables::Variables;

/// Timestamps of today are above this, those that a table writes below it.
const TIMES: i64 = 1_000_000_000_000;
const ZERO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Anything goes.
    Any,
    /// An id: empty or zero is one thing, anything else another.
    Presence,
    /// A number that is given out: negative is one thing, anything else another.
    Sign,
    /// A time of today is a time of today.
    Time,
    /// A list whose order says nothing.
    Unordered,
}

#[derive(Debug)]
struct Rule {
    kind: Kind,
    api: String,
    path: String,
}

/// All rules.
#[derive(Debug)]
pub struct Masks(Vec<Rule>);

impl Masks {
    /// Reads the lines of the file.
    ///
    /// # Errors
    /// A line is not `KIND API PATH`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut rules = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<_> = line.split_whitespace().collect();
            let [kind, api, path] = words[..] else { bail!("not KIND API PATH: {line:?}") };
            let kind = match kind {
                "any" => Kind::Any,
                "presence" => Kind::Presence,
                "sign" => Kind::Sign,
                "time" => Kind::Time,
                "unordered" => Kind::Unordered,
                other => bail!("there is no kind {other:?}: {line:?}"),
            };
            rules.push(Rule { kind, api: api.to_owned(), path: path.to_owned() });
        }
        Ok(Self(rules))
    }

    /// `answer` of `api` with everything unstable replaced.
    #[must_use]
    pub fn apply(&self, api: &str, variables: &Variables, answer: &Value) -> Value {
        self.masked(api, variables, "", answer)
    }

    fn masked(&self, api: &str, variables: &Variables, path: &str, value: &Value) -> Value {
        let kinds: Vec<Kind> = self.kinds(api, path);
        if kinds.contains(&Kind::Any) {
            return Value::from("<any>");
        }
        match value {
            Value::Object(fields) => {
                let masked = fields.iter().map(|(name, value)| {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    (name.clone(), self.masked(api, variables, &path, value))
                });
                Value::Object(masked.collect())
            }
            Value::Array(elements) => {
                let masked = elements.iter().map(|element| self.masked(api, variables, path, element));
                let mut masked: Vec<_> = masked.collect();
                if kinds.contains(&Kind::Unordered) {
                    masked.sort_by_key(|element| (name(element).map(str::to_owned), element.to_string()));
                }
                Value::Array(masked)
            }
            Value::String(text) => {
                let seen = without_times(&variables.recognise(text));
                if seen != *text || text.is_empty() || text == ZERO_ID || !kinds.contains(&Kind::Presence) {
                    Value::from(seen)
                } else {
                    Value::from("<id>")
                }
            }
            Value::Number(number) => match number.as_i64() {
                Some(number) if kinds.contains(&Kind::Presence) && number > 0 => Value::from("<id>"),
                Some(number) if kinds.contains(&Kind::Sign) && number >= 0 => Value::from("<id>"),
                Some(number) if kinds.contains(&Kind::Time) && number > TIMES => Value::from("<time>"),
                _ => value.clone(),
            },
            _ => value.clone(),
        }
    }

    fn kinds(&self, api: &str, path: &str) -> Vec<Kind> {
        let applies = |rule: &&Rule| {
            let of_api = rule.api == "*" || rule.api == api;
            let of_path =
                path.strip_suffix(&rule.path).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            of_api && of_path
        };
        self.0.iter().filter(applies).map(|rule| rule.kind).collect()
    }
}

/// What an element of a list is called, if it is called something.
pub(super) fn name(element: &Value) -> Option<&str> {
    ["name", "groupId", "topicId", "topic"].iter().find_map(|field| element.get(field)?.as_str())
}

/// `text` with every time of today in it, thirteen digits in a row, replaced.
fn without_times(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(from.len());
        let (digits, after) = from.split_at(end);
        kept.push_str(before);
        kept.push_str(if digits.len() == 13 { "<time>" } else { digits });
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// Reads `masks.txt`.
///
/// # Errors
/// It is missing or not understood.
pub fn read(folder: &std::path::Path) -> Result<Masks> {
    let text = std::fs::read_to_string(folder.join("masks.txt")).context("masks.txt")?;
    Masks::parse(&text).context("masks.txt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_and_times_are_reduced_to_what_matters() {
        let masks = Masks::parse(
            "# comment\nany * throttleTimeMs\npresence * memberId\ntime Fetch b.at\nunordered Fetch b",
        )
        .unwrap();
        let mut variables = Variables::new("t");
        variables.capture("m", json!("mine"));
        let answer = json!({"throttleTimeMs": 3, "memberId": "mine", "memberIdx": 4,
            "b": [{"at": 1_800_000_000_000_i64, "memberId": "other"}, {"at": -1, "memberId": ""}]});
        let expected = json!({"throttleTimeMs": "<any>", "memberId": "$m", "memberIdx": 4,
            "b": [{"at": "<time>", "memberId": "<id>"}, {"at": -1, "memberId": ""}]});
        assert_eq!(masks.apply("Fetch", &variables, &answer), expected);
        assert_eq!(masks.apply("Produce", &variables, &json!({"b": [2, 1]})), json!({"b": [2, 1]}));
        Masks::parse("sometimes Fetch a").unwrap_err();
        assert_eq!(without_times("in [1795290965268, 12]"), "in [<time>, 12]");
    }
}
