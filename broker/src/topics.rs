//! Topics as requests see them: name rules, lookup by name or id, creation, and each topic's parsed configs.
//!
//! Called by every handler that names a topic and by the coordinators. Invariants: two topics never differ only in
//! dots and underscores (Kafka's metric names could not tell them apart); a topic is there for everybody as soon as
//! `create` returns; cached configs are never older than the topic's and the broker's own.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use dashmap::DashMap;
use protocol::ErrorCode;
use storage::{Configs, Position, Store, Topic, TopicError};
use thiserror::Error;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::broker::Broker;
use crate::config::Config;
use crate::topic_config::{BrokerLayers, TopicConfig};
use crate::virtual_nodes::VirtualNodes;

/// Where groups keep their offsets and members.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Where transactional ids keep their state.
pub(crate) const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// Where share groups keep what they have of partitions.
pub(crate) const SHARE_STATE_TOPIC: &str = "__share_group_state";
const MAX_NAME_LEN: usize = 249;

/// Whether clients may read it but not write to it (Kafka `Topic.isInternal`).
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, OFFSETS_TOPIC | TRANSACTIONS_TOPIC | SHARE_STATE_TOPIC)
}

/// Kafka's rule for topic names (`Topic.validate`).
///
/// # Errors
/// Kafka's sentence; the error code is INVALID_TOPIC_EXCEPTION.
pub(crate) fn validate_name(name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let why = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        long if long.len() > MAX_NAME_LEN => {
            format!("the length of '{long}' is longer than the max allowed length {MAX_NAME_LEN}")
        }
        name if name.bytes().all(legal) => return Ok(()),
        name => {
            format!(
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            )
        }
    };
    Err(format!("Topic name is invalid: {why}"))
}

/// Why a topic was not created.
#[derive(Debug, Error)]
pub(crate) enum CreateError {
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collides { name: String, existing: String },
    #[error(transparent)]
    Log(#[from] TopicError),
}

/// Topics that came, changed or went and that the group coordinator has not looked at yet. A name is added after the log knows
/// of the change and before a client does, so whoever asks after that finds it taken in.
#[derive(Debug, Default)]
pub(crate) struct TopicChanges {
    names: Mutex<BTreeSet<String>>,
    any: Notify,
}

impl TopicChanges {
    /// Takes note of a topic.
    pub(crate) fn add(&self, name: &str) {
        self.names.lock().expect("nothing panics under this lock").insert(name.to_owned());
        self.any.notify_one();
    }

    /// Takes what was noted.
    pub(crate) fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.names.lock().expect("nothing panics under this lock"))
    }

    /// Waits until there may be something to take.
    pub(crate) async fn wait(&self) {
        self.any.notified().await;
    }
}

/// What the broker keeps about topics beside the log.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    pub(crate) changes: Arc<TopicChanges>,
    parsed: DashMap<u32, Parsed>,
    /// Names that contain a dot or an underscore, by the name with underscores only.
    alike: Mutex<HashMap<String, BTreeSet<String>>>,
}

#[derive(Debug)]
struct Parsed {
    topic: Arc<Configs>,
    broker: Arc<Configs>,
    config: Arc<TopicConfig>,
}

impl Topics {
    /// Takes note of the topics that a store holds when it is opened.
    pub(crate) fn new(store: &Store) -> Self {
        let topics = Self::default();
        {
            let mut alike = topics.alike.lock().expect("nothing panics under this lock");
            for topic in store.topics() {
                if let Some(folded) = folded(topic.name()) {
                    alike.entry(folded).or_default().insert(topic.name().to_string());
                }
            }
        }
        topics
    }

    /// The configs of `topic` that Produce needs, parsed anew only when something changed.
    pub(crate) fn config(&self, store: &Store, config: &Config, topic: &Topic) -> Arc<TopicConfig> {
        let (own, broker) = (topic.configs(), store.broker_configs());
        if let Some(parsed) = self.parsed.get(&topic.number())
            && Arc::ptr_eq(&parsed.topic, &own)
            && Arc::ptr_eq(&parsed.broker, &broker)
        {
            return Arc::clone(&parsed.config);
        }
        let resolved = Arc::new(TopicConfig::resolve(&BrokerLayers { config, dynamic: &broker }, &own));
        self.parsed.insert(topic.number(), Parsed { topic: own, broker, config: Arc::clone(&resolved) });
        resolved
    }

    /// A topic that is named like `name` but for dots and underscores.
    pub(crate) fn collision(&self, name: &str) -> Option<String> {
        let alike = self.alike.lock().expect("nothing panics under this lock");
        collision(&alike, name)
    }

    /// Creates a topic. It is visible at once and durable when the log has acknowledged the position.
    ///
    /// # Errors
    /// `Collides`, or what the log says (`Exists`, limits, failures).
    pub(crate) fn create(
        &self,
        store: &Store,
        name: &str,
        partitions: u32,
        configs: Configs,
    ) -> Result<(Arc<Topic>, Position), CreateError> {
        let mut alike = self.alike.lock().expect("nothing panics under this lock");
        if let Some(existing) = collision(&alike, name) {
            return Err(CreateError::Collides { name: name.to_owned(), existing });
        }
        let created = store.create_topic(name, Uuid::new_v4(), partitions, configs)?;
        if let Some(folded) = folded(name) {
            alike.entry(folded).or_default().insert(name.to_owned());
        }
        self.changes.add(name);
        Ok(created)
    }

    /// Deletes a topic with all its records.
    ///
    /// # Errors
    /// `Unknown` when it is gone already, log failures.
    pub(crate) fn delete(&self, store: &Store, topic: &Topic) -> Result<Position, TopicError> {
        let mut alike = self.alike.lock().expect("nothing panics under this lock");
        let position = store.delete_topic(topic)?;
        if let Some(folded) = folded(topic.name())
            && let Some(names) = alike.get_mut(&folded)
        {
            names.remove(topic.name().as_ref());
            if names.is_empty() {
                alike.remove(&folded);
            }
        }
        self.parsed.remove(&topic.number());
        self.changes.add(topic.name());
        Ok(position)
    }
}

fn folded(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

fn collision(alike: &HashMap<String, BTreeSet<String>>, name: &str) -> Option<String> {
    alike.get(&folded(name)?)?.iter().find(|other| *other != name).cloned()
}

/// The topic that a request names by id where its version carries ids, else by name.
///
/// # Errors
/// `UNKNOWN_TOPIC_ID` by id, `UNKNOWN_TOPIC_OR_PARTITION` by name: an id of a deleted topic never resolves to a new topic
/// of the same name.
pub(crate) fn resolve(store: &Store, by_id: bool, name: &str, id: Uuid) -> Result<Arc<Topic>, ErrorCode> {
    if by_id {
        store.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)
    } else {
        store.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

/// The topic `name`, created if it is not there and this broker creates topics by itself. The position is where the
/// creation is durable, when it was created now.
///
/// # Errors
/// `INVALID_TOPIC_EXCEPTION` for a name that no topic can have, `UNKNOWN_TOPIC_OR_PARTITION` when nothing is created.
pub(crate) fn find_or_create(
    broker: &Broker,
    name: &str,
    allowed: bool,
) -> Result<(Arc<Topic>, Option<Position>), ErrorCode> {
    if let Some(topic) = broker.store.topic(name) {
        return Ok((topic, None));
    }
    validate_name(name).map_err(|_| ErrorCode::InvalidTopicException)?;
    if !allowed || !broker.config.auto_create_topics {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    create_named(broker, name)
}

/// A coordinator's topic, created if it is not there, whatever the broker does with topics of clients.
///
/// # Errors
/// Log failures.
pub(crate) fn find_or_create_internal(
    broker: &Broker,
    name: &str,
) -> Result<(Arc<Topic>, Option<Position>), ErrorCode> {
    broker.store.topic(name).map_or_else(|| create_named(broker, name), |topic| Ok((topic, None)))
}

fn create_named(broker: &Broker, name: &str) -> Result<(Arc<Topic>, Option<Position>), ErrorCode> {
    let created = match name {
        OFFSETS_TOPIC => create_internal(broker),
        TRANSACTIONS_TOPIC => create_transaction_state(broker),
        SHARE_STATE_TOPIC => create_share_state(broker),
        name => broker.topics.create(&broker.store, name, broker.config.num_partitions, Configs::new()),
    };
    match created {
        Ok((topic, position)) => Ok((topic, Some(position))),
        // Kafka goes on to say that it is not there: only its controller knows of the collision.
        Err(CreateError::Collides { .. }) => Err(ErrorCode::UnknownTopicOrPartition),
        // Another connection was faster.
        Err(CreateError::Log(TopicError::Exists(_))) => {
            broker.store.topic(name).map(|topic| (topic, None)).ok_or(ErrorCode::UnknownTopicOrPartition)
        }
        Err(CreateError::Log(error)) => Err(crate::error_map::topic_error(&error)),
    }
}

/// Partitions that one request may make, over all its topics (Kafka `QuorumController.MAX_RECORDS_PER_USER_OP`).
const MAX_PARTITIONS_PER_REQUEST: i64 = 10_000;

/// Whether a request that makes `added` partitions in all may be carried out.
///
/// # Errors
/// POLICY_VIOLATION with Kafka's sentence, for the whole request.
pub(crate) fn check_added_partitions(added: i64) -> Result<(), (ErrorCode, String)> {
    if added <= MAX_PARTITIONS_PER_REQUEST {
        return Ok(());
    }
    Err((ErrorCode::PolicyViolation, "Excessively large number of partitions per request.".to_owned()))
}

/// Creates `__consumer_offsets` with the configs that Kafka gives it (`GroupCoordinatorService.groupMetadataTopicConfigs`).
///
/// # Errors
/// As [`Topics::create`]; `Exists` when another connection was faster.
pub(crate) fn create_internal(broker: &Broker) -> Result<(Arc<Topic>, Position), CreateError> {
    let configs =
        [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", "104857600")];
    let configs = configs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let partitions = broker.config.groups.offsets_topic_partitions;
    let created = broker.topics.create(&broker.store, OFFSETS_TOPIC, partitions, configs)?;
    replicate_internal(&broker.config, broker.virtual_nodes.as_deref(), &broker.store);
    Ok(created)
}

/// Makes the topics of `onelog.create.topics` that are not there; returns how many were made. They are durable on return
/// when the log syncs.
///
/// # Errors
/// Log failures, a name that collides with another topic's.
pub(crate) fn create_configured(broker: &Broker) -> Result<usize, CreateError> {
    let mut made = 0;
    for wanted in &broker.config.create_topics {
        if broker.store.topic(&wanted.name).is_some() {
            continue;
        }
        let policy = wanted.cleanup_policy.iter().map(|policy| ("cleanup.policy".to_owned(), policy.clone()));
        let partitions = wanted.partitions.unwrap_or(broker.config.num_partitions);
        let (topic, _) = broker.topics.create(&broker.store, &wanted.name, partitions, policy.collect())?;
        if let (Some(nodes), Some(factor)) = (&broker.virtual_nodes, wanted.replicas) {
            nodes.replicated(topic.number(), usize::try_from(factor).unwrap_or(usize::MAX));
        }
        made += 1;
    }
    Ok(made)
}

/// Creates `__transaction_state` with the configs that Kafka gives it (`TransactionStateManager.transactionTopicConfigs`).
///
/// # Errors
/// As [`Topics::create`]; `Exists` when another connection was faster.
pub(crate) fn create_transaction_state(broker: &Broker) -> Result<(Arc<Topic>, Position), CreateError> {
    let configs = [
        ("cleanup.policy", "compact"),
        ("compression.type", "uncompressed"),
        // One replica is all there is, whatever `transaction.state.log.min.isr` says.
        ("min.insync.replicas", "1"),
        ("segment.bytes", "104857600"),
        ("unclean.leader.election.enable", "false"),
    ];
    let configs = configs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let partitions = broker.config.transactions.state_partitions;
    let created = broker.topics.create(&broker.store, TRANSACTIONS_TOPIC, partitions, configs)?;
    replicate_internal(&broker.config, broker.virtual_nodes.as_deref(), &broker.store);
    Ok(created)
}

/// Creates `__share_group_state` with the configs that Kafka gives it (`ShareCoordinatorService.shareGroupStateTopicConfigs`).
///
/// # Errors
/// As [`Topics::create`]; `Exists` when another connection was faster.
pub(crate) fn create_share_state(broker: &Broker) -> Result<(Arc<Topic>, Position), CreateError> {
    let configs = [
        // Updates of one key belong together: the coordinator cuts off what it said again.
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        // One replica is all there is, whatever `share.coordinator.state.topic.min.isr` says.
        ("min.insync.replicas", "1"),
        ("retention.ms", "-1"),
        ("segment.bytes", "104857600"),
    ];
    let configs = configs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let partitions = broker.config.share.state_partitions;
    let created = broker.topics.create(&broker.store, SHARE_STATE_TOPIC, partitions, configs)?;
    replicate_internal(&broker.config, broker.virtual_nodes.as_deref(), &broker.store);
    Ok(created)
}

/// Gives the coordinators' topics, as far as they are there, the replicas that their own keys ask for.
pub(crate) fn replicate_internal(config: &Config, nodes: Option<&VirtualNodes>, store: &Store) {
    let Some(nodes) = nodes else { return };
    for (name, key) in [
        (OFFSETS_TOPIC, "offsets.topic.replication.factor"),
        (TRANSACTIONS_TOPIC, "transaction.state.log.replication.factor"),
        (SHARE_STATE_TOPIC, "share.coordinator.state.topic.replication.factor"),
    ] {
        let factor = config.value(key).and_then(|factor| factor.parse().ok()).unwrap_or(1);
        if let Some(topic) = store.topic(name) {
            nodes.replicated(topic.number(), factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        let longest = "a".repeat(249);
        for good in ["a", "a.b", "__x", "A-1", "...", longest.as_str()] {
            assert_eq!(validate_name(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", "Topic name is invalid: the empty string is not allowed"),
            (".", "Topic name is invalid: '.' is not allowed"),
            ("..", "Topic name is invalid: '..' is not allowed"),
            (
                "a b",
                "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            ),
        ] {
            assert_eq!(validate_name(bad), Err(why.to_owned()));
        }
        assert!(validate_name(&"a".repeat(250)).is_err());
        assert!(validate_name("ä").is_err());
    }

    #[test]
    fn names_that_differ_in_dots_and_underscores_collide() {
        let mut alike: HashMap<String, BTreeSet<String>> = HashMap::new();
        alike.entry("a_b".to_owned()).or_default().insert("a.b".to_owned());
        assert_eq!(collision(&alike, "a_b").as_deref(), Some("a.b"));
        assert_eq!(collision(&alike, "a.b"), None);
        assert_eq!(collision(&alike, "ab"), None);
        assert_eq!(collision(&alike, "a-b"), None);
    }

    #[test]
    fn topics_of_the_coordinators_are_internal() {
        assert!(is_internal("__consumer_offsets"));
        assert!(!is_internal("_consumer_offsets"));
    }
}
