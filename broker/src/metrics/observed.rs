//! The broker at the moment of a scrape: what the families of all naming schemes are written from.
//!
//! Gathered once per scrape on the admin thread. Invariant: nothing is made up; what this broker cannot know is not in here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use storage::{LogFacts, PartitionLog, Topic};

use super::process::ProcessFacts;
use crate::broker::Broker;
use crate::coordinator::group::{self, ObservedGroup, ObservedGroups, Rebalances};
use crate::coordinator::transaction::{self, ListTransactions, ListedTransaction, TransactionState};
use crate::traffic::TrafficCounts;
use crate::virtual_nodes::Placement;

/// One family's series of topics, of partitions or of groups take at most about this many bytes on `/metrics`: with more, the
/// busiest topics are shown there and the rest is on `/metrics/detailed`. There are 14 families of partitions, 8 of topics
/// and 7 of groups, so that a page stays below 2 MB.
const FAMILY_BYTES: usize = 65_000;
/// Of a series' line, besides what its labels say.
const LINE_BYTES: usize = 75;

/// How much a scrape asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Sums, and single series while they are few.
    Bounded,
    /// Everything.
    Full,
}

/// See the module.
pub(crate) struct Observed {
    /// Nodes that are up, and where their first listener is.
    pub(crate) nodes: Vec<(i32, String)>,
    pub(crate) topics: Vec<ObservedTopic>,
    /// Partitions over all topics, also where their series are left out.
    pub(crate) partition_count: usize,
    /// Whether the series of each are shown.
    pub(crate) shows_partitions: bool,
    pub(crate) groups: Vec<ObservedGroup>,
    pub(crate) shows_groups: bool,
    pub(crate) rebalances: Rebalances,
    /// Transactions that are not complete; `None` while the coordinator does not know yet.
    pub(crate) transactions: Option<Vec<ListedTransaction>>,
    pub(crate) total: TrafficCounts,
    pub(crate) log: LogFacts,
    pub(crate) process: ProcessFacts,
    pub(crate) stopped: bool,
    /// Since the log was opened.
    pub(crate) uptime: Duration,
    /// Places of topics in `topics`.
    by_name: HashMap<Arc<str>, usize>,
    /// Places in `topics` of those with series of their own.
    shown: Vec<usize>,
}

/// One topic.
pub(crate) struct ObservedTopic {
    pub(crate) name: Arc<str>,
    pub(crate) traffic: Option<TrafficCounts>,
    pub(crate) partitions: Arc<[Arc<PartitionLog>]>,
    /// `min.insync.replicas`.
    pub(crate) min_insync_replicas: i32,
    node_id: i32,
    /// Of each partition, where there are virtual nodes.
    placed: Option<Vec<Placed>>,
}

/// Who has a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// -1 when nobody leads it.
    pub(crate) leader: i32,
    pub(crate) replicas: usize,
    pub(crate) in_sync: usize,
    /// The first replica leads.
    pub(crate) is_preferred: bool,
}

impl Placed {
    fn of(placement: &Placement) -> Self {
        Self {
            leader: placement.leader,
            replicas: placement.replicas.len(),
            in_sync: placement.in_sync.len(),
            is_preferred: placement.replicas.first() == Some(&placement.leader),
        }
    }
}

/// Of transactions that are open or whose outcome is still being written, with their labels.
pub(crate) const OPEN_STATES: [(&str, TransactionState); 3] = [
    ("ongoing", TransactionState::Ongoing),
    ("prepare_commit", TransactionState::PrepareCommit),
    ("prepare_abort", TransactionState::PrepareAbort),
];

/// What the coordinators tell of themselves.
#[derive(Debug)]
pub(crate) struct Coordinators {
    groups: ObservedGroups,
    transactions: Option<Vec<ListedTransaction>>,
}

impl Coordinators {
    /// Asks both.
    pub(crate) async fn ask(broker: &Broker) -> Self {
        let groups = match broker.groups.ask(group::Request::Observe).await {
            group::Response::Observe(groups) => groups,
            _ => unreachable!("Observe is answered with what was observed"),
        };
        let states = OPEN_STATES.map(|(_, state)| state);
        let open = ListTransactions { states: states.into(), ..ListTransactions::default() };
        let transactions = match broker.transactions.ask(transaction::Request::List(open)).await {
            transaction::Response::List(listed) => listed.ok(),
            _ => unreachable!("List is answered with a list"),
        };
        Self { groups, transactions }
    }
}

impl Observed {
    /// Looks at everything once. `coordinators` as they told of themselves.
    pub(crate) fn gather(broker: &Broker, address: &str, coordinators: Coordinators, detail: Detail) -> Self {
        let Coordinators { groups: ObservedGroups { groups, rebalances }, transactions } = coordinators;
        let topics: Vec<ObservedTopic> =
            broker.store.topics().iter().map(|topic| ObservedTopic::of(broker, topic)).collect();
        let partition_count = topics.iter().map(|topic| topic.partitions.len()).sum();
        let few = |bytes: usize| detail == Detail::Full || bytes <= FAMILY_BYTES;
        let of_partitions =
            topics.iter().map(|topic| topic.partitions.len() * (LINE_BYTES + topic.name.len())).sum();
        let of_groups = groups.iter().map(|group| {
            let of_offsets = group.offsets.iter().map(|(topic, _, _)| topic.len());
            let lengths = of_offsets.chain(std::iter::once(0));
            lengths.map(|topic| LINE_BYTES + group.group_id.len() + topic).sum::<usize>()
        });
        let by_name =
            topics.iter().enumerate().map(|(place, topic)| (Arc::clone(&topic.name), place)).collect();
        Self {
            nodes: broker.nodes_up(address),
            shown: shown(&topics, detail),
            by_name,
            topics,
            partition_count,
            shows_partitions: few(of_partitions),
            shows_groups: few(of_groups.sum()),
            groups,
            rebalances,
            transactions,
            total: broker.traffic.total(),
            log: broker.store.facts(),
            process: ProcessFacts::read(),
            uptime: broker.clock.elapsed().saturating_sub(broker.opened_at),
            stopped: broker.store.poisoned().is_some(),
        }
    }

    /// Topics with series of their own.
    pub(crate) fn shown_topics(&self) -> impl Iterator<Item = &ObservedTopic> {
        self.shown.iter().map(|place| &self.topics[*place])
    }

    /// The same, with their places in `topics`.
    pub(crate) fn shown_topic_places(&self) -> impl Iterator<Item = (usize, &ObservedTopic)> {
        self.shown.iter().map(|place| (*place, &self.topics[*place]))
    }

    /// Every partition with the number as a label, where partitions have series of their own.
    pub(crate) fn shown_partitions(&self) -> impl Iterator<Item = (&ObservedTopic, String, &PartitionLog)> {
        let topics = self.topics.iter().filter(|_| self.shows_partitions);
        topics.flat_map(|topic| {
            topic.partitions.iter().map(move |log| (topic, log.partition().to_string(), log.as_ref()))
        })
    }

    /// A partition by name, while it is there.
    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&Arc<PartitionLog>> {
        let topic = &self.topics[*self.by_name.get(topic)?];
        topic.partitions.get(usize::try_from(partition).ok()?)
    }
}

impl ObservedTopic {
    fn of(broker: &Broker, topic: &Topic) -> Self {
        let configs = topic.configs();
        let own = configs.get("min.insync.replicas").map(String::as_str);
        let value = own.or_else(|| broker.config.value("min.insync.replicas"));
        Self {
            name: Arc::clone(topic.name()),
            traffic: broker.traffic.of(topic.number()),
            partitions: topic.partitions(),
            min_insync_replicas: value.and_then(|value| value.parse().ok()).unwrap_or(1),
            node_id: broker.config.node_id,
            placed: broker.virtual_nodes.as_ref().map(|nodes| {
                topic.partitions().iter().map(|log| Placed::of(&nodes.placement(log))).collect()
            }),
        }
    }

    /// Who has the partition.
    pub(crate) fn placed(&self, log: &PartitionLog) -> Placed {
        let place = usize::try_from(log.partition()).ok();
        let placed = self.placed.as_ref().zip(place).and_then(|(placed, place)| placed.get(place));
        placed.copied().unwrap_or(Placed {
            leader: self.node_id,
            replicas: 1,
            in_sync: 1,
            is_preferred: true,
        })
    }

    /// How many of its partitions are so.
    pub(crate) fn count(&self, is_so: impl Fn(Placed) -> bool) -> usize {
        self.partitions.iter().filter(|log| is_so(self.placed(log))).count()
    }
}

/// All topics while they are few; else those with traffic, the busiest first.
fn shown(topics: &[ObservedTopic], detail: Detail) -> Vec<usize> {
    let line = |topic: &ObservedTopic| LINE_BYTES + topic.name.len();
    if detail == Detail::Full || topics.iter().map(line).sum::<usize>() <= FAMILY_BYTES {
        return (0..topics.len()).collect();
    }
    let busy =
        |place: &usize| topics[*place].traffic.map_or(0, |traffic| traffic.bytes_in + traffic.bytes_out);
    let mut places: Vec<usize> = (0..topics.len()).filter(|place| busy(place) > 0).collect();
    places.sort_by_key(|place| std::cmp::Reverse(busy(place)));
    let mut room = FAMILY_BYTES;
    places.retain(|place| {
        let left = room.checked_sub(line(&topics[*place]));
        room = left.unwrap_or(0);
        left.is_some()
    });
    places.sort_unstable();
    places
}
