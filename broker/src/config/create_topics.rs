//! Topics that a broker makes when it starts: `NAME[:PARTITIONS[:REPLICATION[:CLEANUP]]]`, comma separated.
//!
//! The form of the `KAFKA_CREATE_TOPICS` that users of several images know. Text in, values out; `topics` makes them.

use crate::topics;

/// One topic to make unless it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicToCreate {
    /// A name that a topic may have.
    pub name: String,
    /// `None`: `num.partitions`.
    pub partitions: Option<u32>,
    /// Replicas of each partition, no more than there are nodes; `None`: `default.replication.factor`.
    pub replicas: Option<u32>,
    /// `cleanup.policy`, when given.
    pub cleanup_policy: Option<String>,
}

/// All topics of `text`. The error says which entry is wrong and what would be right.
pub(super) fn parse(text: &str) -> Result<Vec<TopicToCreate>, String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(entry).collect()
}

fn entry(text: &str) -> Result<TopicToCreate, String> {
    let wrong = |what: String| {
        format!("has \"{text}\": {what}; give NAME[:PARTITIONS[:REPLICATION[:CLEANUP]]], comma separated")
    };
    let mut parts = text.split(':').map(str::trim);
    let name = parts.next().unwrap_or_default().to_owned();
    topics::validate_name(&name).map_err(wrong)?;
    let mut number = |what: &str| match parts.next() {
        None | Some("") => Ok(None),
        Some(digits) => match digits.parse::<u32>() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(wrong(format!("{digits} is no number of {what}"))),
        },
    };
    let partitions = number("partitions")?;
    let replicas = number("replicas")?;
    let cleanup_policy = match parts.next() {
        None | Some("") => None,
        Some(policy @ ("compact" | "delete")) => Some(policy.to_owned()),
        Some(other) => return Err(wrong(format!("{other} is no cleanup policy, compact and delete are"))),
    };
    match parts.next() {
        None => Ok(TopicToCreate { name, partitions, replicas, cleanup_policy }),
        Some(more) => Err(wrong(format!("\":{more}\" is too much"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_may_say_their_partitions_and_cleanup_policy() {
        let topic = |name: &str, partitions, replicas, policy: Option<&str>| TopicToCreate {
            name: name.to_owned(),
            partitions,
            replicas,
            cleanup_policy: policy.map(str::to_owned),
        };
        let expected = vec![
            topic("a", Some(3), None, None),
            topic("b", None, None, None),
            topic("c.d", Some(1), Some(2), Some("compact")),
        ];
        assert_eq!(parse("a:3, b ,c.d:1:2:compact,"), Ok(expected));
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn a_wrong_entry_is_named() {
        for (text, what) in [
            ("a b", "contains one or more characters"),
            ("a:x", "\"a:x\": x is no number of partitions"),
            ("a:0", "0 is no number of partitions"),
            ("a:1:none", "none is no number of replicas"),
            ("ok,a:1:1:zip", "zip is no cleanup policy"),
            ("a:1:1:compact:x", "\":x\" is too much"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
