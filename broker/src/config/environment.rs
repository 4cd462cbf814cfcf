//! Configuration from environment variables, by the rules of Apache Kafka's container images.
//!
//! Called by `config`, which is handed the variables. `KAFKA_NUM_PARTITIONS` is `num.partitions`: without the prefix, in small
//! letters, `_` is `.`, `__` is `_`, `___` is `-` (`KafkaDockerWrapper.getKafkaConfigFromEnv`). `KAFKA_CFG_NUM_PARTITIONS`, the
//! spelling of another widely used image, means the same and gives way to it.

use std::collections::BTreeMap;

const PREFIX: &str = "KAFKA_";
const ALIAS_PREFIX: &str = "KAFKA_CFG_";

/// Variables that steer Java, the shell scripts or the image, not the broker.
const NOT_KEYS: [&str; 14] = [
    "KAFKA_VERSION",
    "KAFKA_HOME",
    "KAFKA_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_CLUSTER_ID",
];

/// Not a key of Kafka's, but of several images.
const CREATE_TOPICS: &str = "KAFKA_CREATE_TOPICS";

/// One key that a variable sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// As in the environment.
    pub name: String,
    /// The key it stands for.
    pub key: String,
    /// As in the environment.
    pub value: String,
}

/// The variables that set keys, by key.
pub fn variables(environment: impl IntoIterator<Item = (String, String)>) -> Vec<Variable> {
    let mut found: BTreeMap<String, Variable> = BTreeMap::new();
    for (name, value) in environment {
        let Some(key) = key_of(&name, &value) else { continue };
        let is_alias = name.starts_with(ALIAS_PREFIX);
        if !(is_alias && found.contains_key(&key)) {
            found.insert(key.clone(), Variable { name, key, value });
        }
    }
    found.into_values().collect()
}

/// Kubernetes puts the address of each service into the environment of every container; that of one called `kafka` looks as if
/// it configured the broker.
fn is_service_link(name: &str, value: &str) -> bool {
    let numbered =
        name.strip_prefix("KAFKA_PORT_").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    numbered
        || name == "KAFKA_SERVICE_HOST"
        || name == "KAFKA_SERVICE_PORT"
        || name.starts_with("KAFKA_SERVICE_PORT_")
        || (name == "KAFKA_PORT" && value.contains("://"))
}

fn key_of(name: &str, value: &str) -> Option<String> {
    if name == CREATE_TOPICS {
        return Some("onelog.create.topics".to_owned());
    }
    if NOT_KEYS.contains(&name) || is_service_link(name, value) {
        return None;
    }
    let words = name.strip_prefix(ALIAS_PREFIX).or_else(|| name.strip_prefix(PREFIX))?;
    let words = words.to_ascii_lowercase();
    // The longest run first; the marks in between are no letters of any key.
    let key = words.replace("___", "\u{1}").replace("__", "\u{2}").replace('_', ".");
    Some(key.replace('\u{1}', "-").replace('\u{2}', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<(String, String)> {
        let environment = names.iter().map(|name| ((*name).to_owned(), (*name).to_owned()));
        variables(environment).into_iter().map(|variable| (variable.key, variable.name)).collect()
    }

    #[test]
    fn underscores_become_what_keys_are_written_with() {
        for (name, key) in [
            ("KAFKA_NUM_PARTITIONS", "num.partitions"),
            (
                "KAFKA_LISTENER_NAME_SECURE_PLAIN_SASL_JAAS_CONFIG",
                "listener.name.secure.plain.sasl.jaas.config",
            ),
            ("KAFKA_A__B___C", "a_b-c"),
            ("KAFKA_CFG_NODE_ID", "node.id"),
            ("KAFKA_CREATE_TOPICS", "onelog.create.topics"),
        ] {
            assert_eq!(keys(&[name]), [(key.to_owned(), name.to_owned())]);
        }
    }

    #[test]
    fn other_variables_set_nothing() {
        assert_eq!(keys(&["KAFKA_OPTS", "KAFKA_HEAP_OPTS", "HOME", "XKAFKA_A"]), []);
    }

    #[test]
    fn addresses_of_a_kubernetes_service_set_nothing_but_a_port_of_the_old_kind_does() {
        let of = |name: &str, value: &str| {
            variables([(name.to_owned(), value.to_owned())]).into_iter().next().map(|variable| variable.key)
        };
        for (name, value) in [
            ("KAFKA_SERVICE_HOST", "10.0.0.1"),
            ("KAFKA_SERVICE_PORT", "9092"),
            ("KAFKA_SERVICE_PORT_CLIENT", "9092"),
            ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
            ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
            ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ] {
            assert_eq!(of(name, value), None, "{name}");
        }
        assert_eq!(of("KAFKA_PORT", "9092").as_deref(), Some("port"));
    }

    #[test]
    fn the_official_spelling_wins_over_the_other_one() {
        let expected = [("node.id".to_owned(), "KAFKA_NODE_ID".to_owned())];
        assert_eq!(keys(&["KAFKA_NODE_ID", "KAFKA_CFG_NODE_ID"]), expected);
        assert_eq!(keys(&["KAFKA_CFG_NODE_ID", "KAFKA_NODE_ID"]), expected);
    }
}
