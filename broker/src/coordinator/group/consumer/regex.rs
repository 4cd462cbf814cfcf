//! Subscriptions by pattern (KIP-848, `subscribed_topic_regex`): which topics a pattern matches.
//!
//! Kafka compiles patterns with RE2/J; here it is the crate `regex`, of the same family: linear time, no back references, no
//! look-around. Patterns match whole names. Known differences: RE2/J reads `\C` (one byte) and `\Q...\E` (a quoted stretch),
//! the crate reads neither and refuses them; the crate knows `[a-z&&[^b]]` (set operations), RE2/J does not. A compiled
//! pattern may take a mebibyte; a larger one is refused.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};

use super::topics::TopicIndex;

/// Memory that one compiled pattern may take, bytes.
const MAX_COMPILED: usize = 1024 * 1024;

/// A pattern that matches whole topic names.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        // On its own first: `a)(b` must not be made whole by the brackets around it.
        let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_COMPILED).build();
        compile(pattern)
            .and_then(|_| compile(&format!("\\A(?:{pattern})\\z")))
            .map(Self)
            .map_err(|error| last_line(&error.to_string()))
    }

    pub(super) fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

/// The crate draws the place of an error over several lines; the last one says what it is.
fn last_line(message: &str) -> String {
    message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// A pattern that members subscribe to, and the topics that it matches.
#[derive(Debug)]
pub(super) struct ResolvedPattern {
    /// `None` for one from the log that cannot be read: it keeps its topics.
    pattern: Option<Pattern>,
    pub(super) topics: BTreeSet<String>,
    /// The log does not know of it as it is yet.
    pub(super) is_dirty: bool,
    /// It matches other topics than in the group epoch that is.
    pub(super) is_changed: bool,
}

impl ResolvedPattern {
    pub(super) fn resolve(pattern: Pattern, topics: &TopicIndex) -> Self {
        let (topics_before, is_changed) = (BTreeSet::new(), false);
        let mut resolved = Self { pattern: Some(pattern), topics: topics_before, is_dirty: true, is_changed };
        resolved.refresh(topics);
        resolved
    }

    /// As the log tells it.
    pub(super) fn restored(pattern: &str, topics: BTreeSet<String>) -> Self {
        Self { pattern: Pattern::compile(pattern).ok(), topics, is_dirty: false, is_changed: false }
    }

    /// Looks at all topics.
    pub(super) fn refresh(&mut self, topics: &TopicIndex) {
        let Some(pattern) = &self.pattern else { return };
        let matched: BTreeSet<String> =
            topics.names().filter(|name| pattern.matches(name)).map(str::to_owned).collect();
        let differs = matched != self.topics;
        self.is_dirty |= differs;
        self.is_changed |= differs;
        self.topics = matched;
    }

    /// Looks at one topic that came or went.
    pub(super) fn topic_changed(&mut self, topic: &str, exists: bool) {
        let Some(pattern) = &self.pattern else { return };
        let changed = if exists && pattern.matches(topic) {
            self.topics.insert(topic.to_owned())
        } else {
            self.topics.remove(topic)
        };
        self.is_dirty |= changed;
        self.is_changed |= changed;
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn pattern_matches_whole_names_only() {
        let pattern = Pattern::compile("foo|foobar").unwrap();
        assert!(pattern.matches("foo") && pattern.matches("foobar"));
        assert!(!pattern.matches("foob") && !pattern.matches("xfoo"));
    }

    #[test]
    fn malformed_and_huge_patterns_are_refused() {
        for pattern in ["[", "a)(b", "(?<!x)y", r"(a)\1", "(((a{1000}){1000}){1000})"] {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
    }
}
