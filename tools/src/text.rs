//! Words and numbers as Kafka writes them: topic ids in base64, topic patterns, names that collide.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::Regex;
use uuid::Uuid;

use crate::failure::{Failure, Outcome};

/// A topic id or cluster id as Kafka prints it (class `Uuid`): 22 characters of URL-safe base64.
pub(crate) fn uuid_text(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// The id behind such a text.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(Uuid::from_bytes(bytes.try_into().ok()?))
}

/// A new one; it never begins with a dash, so that no command line takes it for a flag.
pub(crate) fn random_uuid() -> String {
    loop {
        let text = uuid_text(Uuid::new_v4());
        if !text.starts_with('-') {
            return text;
        }
    }
}

/// A topic pattern as Kafka's tools take it (class `TopicFilter`): a regular expression for the whole name, where commas
/// separate alternatives and quotes around it are dropped.
pub(crate) fn topic_pattern(text: &str) -> Outcome<Regex> {
    let plain = text.trim().replace(',', "|").replace(['"', '\''], "");
    Regex::new(&format!("^(?:{plain})$")).map_err(|error| {
        Failure::new(format!("{text:?} is not a topic name or a regular expression: {error}"))
    })
}

/// Whether names like this collide with others in metric names.
pub(crate) fn has_collision_chars(topic: &str) -> bool {
    topic.contains(['.', '_'])
}

/// Numbers or names with commas between them.
pub(crate) fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_is_written_and_read_as_kafka_writes_it() {
        let id = parse_uuid("5L6g3nShT-eMCtK--X86sw").unwrap();
        assert_eq!(uuid_text(id), "5L6g3nShT-eMCtK--X86sw");
        assert_eq!(id.to_string(), "e4bea0de-74a1-4fe7-8c0a-d2bef97f3ab3");
        assert_eq!(parse_uuid("short"), None);
        assert!((0..200).all(|_| !random_uuid().starts_with('-')));
    }

    #[test]
    fn pattern_is_for_the_whole_name_and_commas_are_alternatives() {
        let pattern = topic_pattern("al.*,\"beta\"").unwrap();
        assert!(pattern.is_match("alpha") && pattern.is_match("beta"));
        assert!(!pattern.is_match("xalpha") && !pattern.is_match("beta2"));
        assert!(topic_pattern("(").is_err());
    }
}
