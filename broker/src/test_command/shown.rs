//! An answer of the control API for a person: a line for each field, and for each item of a list.

use std::fmt::Write as _;

use serde_json::Value;

/// The lines; `done` for an answer without fields.
pub(crate) fn text(answer: &Value) -> String {
    let mut lines = String::new();
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value.as_array() {
            Some(items) if items.iter().any(Value::is_object) => {
                for item in items {
                    line(&mut lines, &words(item));
                }
            }
            _ => line(&mut lines, &format!("{name}: {}", word(value))),
        }
    }
    if lines.is_empty() { "done\n".to_owned() } else { lines }
}

fn line(lines: &mut String, text: &str) {
    writeln!(lines, "{text}").expect("a String takes everything");
}

/// The fields of an item in one line.
fn words(item: &Value) -> String {
    let Some(fields) = item.as_object() else { return word(item) };
    let words: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", word(value))).collect();
    words.join(" ")
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object()) => {
            items.iter().map(word).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_and_items_are_lines_of_their_own() {
        assert_eq!(text(&json!({"id": 1})), "id: 1\n");
        assert_eq!(text(&json!({})), "done\n");
        let requests = json!({"next": 2, "requests": [{"api": "Fetch", "version": 4}, {"api": "Produce", "version": 9}]});
        assert_eq!(text(&requests), "next: 2\napi=Fetch version=4\napi=Produce version=9\n");
        assert_eq!(text(&json!({"topics_deleted": ["a", "b"]})), "topics_deleted: a,b\n");
    }
}
