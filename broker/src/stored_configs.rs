//! How the configs of everything but topics share one stored map, `Store::broker_configs`.
//!
//! Called by the config, quota and SCRAM APIs and by virtual nodes, which read a scope's part and replace it in the whole, and by `topic_config`, which
//! looks single values up. Names: `<key>` for all brokers, `<node id>/<key>` for one, `@<kind>/<entity>/<key>` for what
//! storage need not look at because no topic depends on it. Invariant: a key never contains a slash, so the last one ends
//! the scope.

use std::collections::BTreeSet;

use storage::{Configs, UNRELATED_TO_TOPICS};

const GROUP: &str = "group";
const CLIENT_METRICS: &str = "client-metrics";
const QUOTA: &str = "quota";
const PLACEMENT: &str = "placement";
const SCRAM_USER: &str = "scram-user";

/// Whose configs are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// The default of every broker.
    AllBrokers,
    /// One broker, by node id.
    Broker(i32),
    /// A group of any kind, by id.
    Group(&'a str),
    /// A client metrics subscription, by name.
    ClientMetrics(&'a str),
    /// A client quota entity, as `client_quotas` writes it.
    Quota(&'a str),
    /// Where the partitions of a topic are among virtual nodes, by the topic's id.
    Placement(&'a str),
    /// The credentials of a SCRAM user, by mechanism.
    ScramUser(&'a str),
}

impl Scope<'_> {
    fn prefix(&self) -> Option<String> {
        let entity = |kind: &str, name: &str| Some(format!("{UNRELATED_TO_TOPICS}{kind}/{name}"));
        match self {
            Self::AllBrokers => None,
            Self::Broker(node_id) => Some(node_id.to_string()),
            Self::Group(name) => entity(GROUP, name),
            Self::ClientMetrics(name) => entity(CLIENT_METRICS, name),
            Self::Quota(name) => entity(QUOTA, name),
            Self::Placement(topic_id) => entity(PLACEMENT, topic_id),
            Self::ScramUser(name) => entity(SCRAM_USER, name),
        }
    }

    /// Under which name `key` is stored.
    pub(crate) fn stored_name(&self, key: &str) -> String {
        self.prefix().map_or_else(|| key.to_owned(), |prefix| format!("{prefix}/{key}"))
    }

    /// What is set here, by key.
    pub(crate) fn of(&self, all: &Configs) -> Configs {
        let Some(prefix) = self.prefix() else {
            let plain = all.iter().filter(|(stored, _)| !stored.contains('/'));
            return plain.map(|(key, value)| (key.clone(), value.clone())).collect();
        };
        let from = format!("{prefix}/");
        all.range(from.clone()..)
            .take_while(|(stored, _)| stored.starts_with(&from))
            .filter_map(|(stored, value)| {
                let key = stored.strip_prefix(&from)?;
                // A longer entity that begins as this one does.
                (!key.contains('/')).then(|| (key.to_owned(), value.clone()))
            })
            .collect()
    }

    /// Puts `part` in place of what is set here.
    pub(crate) fn replace(&self, all: &mut Configs, part: Configs) {
        for key in self.of(all).keys() {
            all.remove(&self.stored_name(key));
        }
        all.extend(part.into_iter().map(|(key, value)| (self.stored_name(&key), value)));
    }
}

/// Groups that have configs of their own.
pub(crate) fn groups(all: &Configs) -> BTreeSet<String> {
    entities(all, GROUP)
}

/// Client metrics subscriptions.
pub(crate) fn client_metrics(all: &Configs) -> BTreeSet<String> {
    entities(all, CLIENT_METRICS)
}

/// Client quota entities, as `client_quotas` writes them.
pub(crate) fn quotas(all: &Configs) -> BTreeSet<String> {
    entities(all, QUOTA)
}

/// Ids of topics with partitions that were moved among virtual nodes.
pub(crate) fn placements(all: &Configs) -> BTreeSet<String> {
    entities(all, PLACEMENT)
}

/// Users with SCRAM credentials.
pub(crate) fn scram_users(all: &Configs) -> BTreeSet<String> {
    entities(all, SCRAM_USER)
}

fn entities(all: &Configs, kind: &str) -> BTreeSet<String> {
    let from = format!("{UNRELATED_TO_TOPICS}{kind}/");
    let stored = all.range(from.clone()..).take_while(|(stored, _)| stored.starts_with(&from));
    let name = |stored: &str| Some(stored.strip_prefix(&from)?.rsplit_once('/')?.0.to_owned());
    stored.filter_map(|(stored, _)| name(stored)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn scopes_share_a_map_and_never_meet() {
        let scopes = [
            Scope::AllBrokers,
            Scope::Broker(3),
            Scope::Broker(31),
            Scope::Group("g"),
            Scope::Group("g/a"),
            Scope::Group(""),
            Scope::ClientMetrics("g"),
            Scope::Quota("g"),
            Scope::Placement("g"),
            Scope::ScramUser("g"),
        ];
        let mut all = Configs::new();
        for (number, scope) in scopes.iter().enumerate() {
            scope.replace(&mut all, configs(&[("a", &number.to_string())]));
        }
        for (number, scope) in scopes.iter().enumerate() {
            assert_eq!(scope.of(&all), configs(&[("a", &number.to_string())]), "{scope:?}");
        }
        assert_eq!(groups(&all), ["", "g", "g/a"].map(str::to_owned).into());
        assert_eq!((client_metrics(&all).len(), quotas(&all).len()), (1, 1));
        for scope in scopes {
            scope.replace(&mut all, Configs::new());
        }
        assert!(all.is_empty());
    }

    #[test]
    fn a_part_is_replaced_as_a_whole() {
        let mut all = configs(&[("a", "1"), ("3/a", "2"), ("4/a", "3")]);
        Scope::Broker(3).replace(&mut all, configs(&[("b", "9")]));
        assert_eq!(all, configs(&[("a", "1"), ("3/b", "9"), ("4/a", "3")]));
        Scope::AllBrokers.replace(&mut all, Configs::new());
        assert_eq!(all, configs(&[("3/b", "9"), ("4/a", "3")]));
    }
}
