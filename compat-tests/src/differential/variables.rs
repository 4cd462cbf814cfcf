//! What a scenario remembers: names made for it, and values captured from answers, which differ from broker to broker.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::clock;

/// Captured texts of at least this length are recognised inside other texts, such as error messages.
const RECOGNISED: usize = 8;

/// Values by name. `$now` is the time of the moment; the others are set.
#[derive(Debug, Default, Clone)]
pub struct Variables {
    values: BTreeMap<String, Value>,
    captured: BTreeMap<String, String>,
}

impl Variables {
    /// `$t`, `$g` and `$x` (a topic, a group, a transactional id) are the scenario's title in the letters of a topic name.
    #[must_use]
    pub fn new(title: &str) -> Self {
        let name: String = title
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
            .collect();
        let mut variables = Self::default();
        for short in ["t", "g", "x"] {
            variables.values.insert(short.to_owned(), Value::from(name.clone()));
        }
        variables
    }

    /// Remembers a value of an answer.
    pub fn capture(&mut self, name: &str, value: Value) {
        if let Value::String(text) = &value {
            self.captured.insert(name.to_owned(), text.clone());
        }
        self.values.insert(name.to_owned(), value);
    }

    /// `value` with every `$name` in its texts replaced. A text that is one name alone takes the value's type, and a whole
    /// number may be added to or taken from it: `$now-60000`.
    ///
    /// # Errors
    /// Nothing of that name was set.
    pub fn fill(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => self.fill_text(text)?,
            Value::Array(elements) => {
                Value::Array(elements.iter().map(|element| self.fill(element)).collect::<Result<_>>()?)
            }
            Value::Object(fields) => {
                let filled = fields.iter().map(|(name, value)| Ok((name.clone(), self.fill(value)?)));
                Value::Object(filled.collect::<Result<_>>()?)
            }
            other => other.clone(),
        })
    }

    /// The same for a plain text.
    ///
    /// # Errors
    /// As [`Variables::fill`].
    pub fn fill_text(&self, text: &str) -> Result<Value> {
        if let Some((name, rest)) = leading_name(text) {
            let value = self.get(name)?;
            if rest.is_empty() {
                return Ok(value);
            }
            if let (Some(number), Ok(more)) = (value.as_i64(), rest.parse::<i64>()) {
                return Ok(Value::from(number + more));
            }
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some(place) = rest.find('$') {
            filled.push_str(&rest[..place]);
            match leading_name(&rest[place..]) {
                None => {
                    filled.push('$');
                    rest = &rest[place + 1..];
                }
                Some((name, after)) => {
                    match self.get(name)? {
                        Value::String(value) => filled.push_str(&value),
                        value => filled.push_str(&value.to_string()),
                    }
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        Ok(Value::String(filled))
    }

    fn get(&self, name: &str) -> Result<Value> {
        if name == "now" {
            return Ok(Value::from(clock::unix_millis()));
        }
        self.values.get(name).cloned().with_context(|| format!("nothing was captured as ${name}"))
    }

    /// `text` with captured values back under their names, so that two brokers' own ids read the same.
    #[must_use]
    pub fn recognise(&self, text: &str) -> String {
        let mut seen = text.to_owned();
        for (name, value) in &self.captured {
            if text == value && !value.is_empty() {
                return format!("${name}");
            }
            if value.len() >= RECOGNISED {
                seen = seen.replace(value, &format!("${name}"));
            }
        }
        seen
    }
}

/// `$name` and what follows it.
fn leading_name(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('$')?;
    let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
    (end > 0).then(|| rest.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_filled_in_with_their_type_and_recognised_again() {
        let mut variables = Variables::new("Fetch: a test");
        variables.capture("pid", json!(4000));
        variables.capture("member", json!("client-0123"));
        let filled = variables.fill(&json!({"a": ["$pid", "$pid+2", "$t-b"], "b": "$member"})).unwrap();
        assert_eq!(filled, json!({"a": [4000, 4002, "fetch--a-test-b"], "b": "client-0123"}));
        assert_eq!(variables.recognise("client-0123"), "$member");
        assert_eq!(variables.recognise("member client-0123 is gone"), "member $member is gone");
        variables.fill(&json!("$nothing")).unwrap_err();
        assert!(variables.fill(&json!("$now")).unwrap().is_i64());
    }
}
