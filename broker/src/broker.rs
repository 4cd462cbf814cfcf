//! The broker: everything a handler may touch, one value shared by all cores.
//!
//! Opened by `main` before any listener, closed after the last connection. Invariants: state is loaded before `open`
//! returns, so no client ever hears "unknown" about something that is there; the log's events reach the waits before
//! anything else; a log that stopped ends the process.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::Histogram;
use storage::disk::{Disk, LocalDisk};
use storage::{
    Clock, CompactionLimits, Error, Event, Listener, OpenError, Store, StoreConfig, SystemClock, Topic,
};
use tokio::sync::Semaphore;

use crate::cold_reads::ColdReads;
use crate::config::{Config, HostPort, advertised_of};
use crate::coordinator::base64_id;
use crate::coordinator::markers::MarkerWriter;
use crate::coordinator::runtime::{GroupRuntime, Groups};
use crate::coordinator::share_runtime::{SharePartitions, ShareRuntime};
use crate::coordinator::shell::Shell;
use crate::coordinator::transaction_runtime::{TransactionRuntime, Transactions};
use crate::fetch_session::FetchSessions;
use crate::metrics::fetch_wait_seconds;
use crate::partition::Waits;
use crate::share_session::ShareSessions;
use crate::stored_configs::Scope;
use crate::test_mode::TestMode;
use crate::test_mode::disk::FaultyDisk;
use crate::topic_config::{self, BrokerLayers, TopicConfig};
use crate::topics::{self, Topics};
use crate::traffic::Traffic;
use crate::virtual_clock::VirtualClock;
use crate::virtual_nodes::{self, VirtualNodes};

/// Batches that are compressed anew at one time, away from the cores: each may hold what it decompresses to.
const RECOMPRESSIONS: usize = 2;

/// See the module.
pub struct Broker {
    pub(crate) store: Arc<Store>,
    pub(crate) config: Arc<Config>,
    pub(crate) waits: Arc<Waits>,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) share_sessions: ShareSessions,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) share_partitions: SharePartitions,
    /// Of share partitions, then of groups, then of transactions.
    coordinators: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The nodes that this process plays, where they are several.
    pub(crate) virtual_nodes: Option<Arc<VirtualNodes>>,
    /// The same clock, in test mode.
    pub(crate) virtual_clock: Option<Arc<VirtualClock>>,
    /// Held while records are searched for a timestamp.
    pub(crate) searches: Arc<Semaphore>,
    /// Held while large batches are compressed anew.
    pub(crate) recompressions: Arc<Semaphore>,
    pub(crate) cold_reads: Arc<ColdReads>,
    pub(crate) traffic: Arc<Traffic>,
    /// On the clock's monotonic scale.
    pub(crate) opened_at: Duration,
    pub(crate) recovery: Recovery,
    /// How long fetches wait.
    pub(crate) fetch_wait_seconds: Histogram,
    /// Held while configs are read, changed and written back.
    pub(crate) config_changes: Mutex<()>,
    /// The control API for tests; `None` unless it was asked for.
    pub(crate) test_mode: Option<Arc<TestMode>>,
    /// Where the data directory is, without what a test does to it.
    pub(crate) disk: Arc<dyn Disk>,
    /// Told why when the log stops.
    pub(crate) on_stopped: OnStopped,
    /// Kafka's cluster id: the store's own, in the base64 that Kafka writes ids with.
    pub(crate) cluster_id: String,
}

type OnStopped = Arc<dyn Fn(&str) + Send + Sync>;

/// What a broker is made of besides its log: it goes over to the successor when a test goes back to a snapshot.
struct Parts {
    config: Arc<Config>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    virtual_clock: Option<Arc<VirtualClock>>,
    virtual_nodes: Option<Arc<VirtualNodes>>,
    test_mode: Option<Arc<TestMode>>,
    cold_reads: Arc<ColdReads>,
    traffic: Arc<Traffic>,
    opened_at: Duration,
    fetch_wait_seconds: Histogram,
    on_stopped: OnStopped,
}

/// What the start cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    /// Opening the log, with the replay of what the last checkpoint did not cover.
    pub(crate) log: Duration,
    /// Loading the groups.
    pub(crate) groups: Duration,
    /// Bytes that were replayed.
    pub(crate) replayed_bytes: u64,
}

impl Broker {
    /// Opens or creates the data directory and loads what is in it.
    ///
    /// A failed write or sync later on ends the process with code 1 (crash-only): nothing may be acknowledged after it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        Self::open_with(config, Arc::new(LocalDisk), Arc::new(SystemClock), |reason| {
            tracing::error!(reason, "the log stopped, nothing can be acknowledged any more; exiting");
            std::process::exit(1);
        })
    }

    /// As [`Broker::open`], with the seams given and `on_stopped` called when the log stops.
    pub(crate) fn open_with(
        config: Config,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        on_stopped: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Arc<Self>, OpenError> {
        let config = Arc::new(config);
        let (clock, virtual_clock) = movable(clock, config.test_mode);
        let broker = Self::of_parts(Parts {
            virtual_nodes: VirtualNodes::of(&config),
            test_mode: config.test_mode.then(Arc::<TestMode>::default),
            cold_reads: Arc::new(ColdReads::new(Arc::clone(&clock))),
            traffic: Arc::default(),
            opened_at: clock.elapsed(),
            fetch_wait_seconds: fetch_wait_seconds(),
            on_stopped: Arc::new(on_stopped),
            config,
            disk,
            clock,
            virtual_clock,
        })?;
        virtual_nodes::place(&broker);
        Ok(broker)
    }

    /// Opens the data directory of this broker, which is closed, again: all that the log knows of is new, everything else goes on.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn reopened(&self) -> Result<Arc<Self>, OpenError> {
        Self::of_parts(Parts {
            config: Arc::clone(&self.config),
            disk: Arc::clone(&self.disk),
            clock: Arc::clone(&self.clock),
            virtual_clock: self.virtual_clock.clone(),
            virtual_nodes: self.virtual_nodes.clone(),
            test_mode: self.test_mode.clone(),
            cold_reads: Arc::clone(&self.cold_reads),
            traffic: Arc::clone(&self.traffic),
            opened_at: self.opened_at,
            fetch_wait_seconds: self.fetch_wait_seconds.clone(),
            on_stopped: Arc::clone(&self.on_stopped),
        })
    }

    fn of_parts(parts: Parts) -> Result<Arc<Self>, OpenError> {
        let (config, clock) = (Arc::clone(&parts.config), Arc::clone(&parts.clock));
        let waits = Arc::new(Waits::default());
        let (fed, on_stopped) = (Arc::clone(&waits), Arc::clone(&parts.on_stopped));
        let listener: Listener = Box::new(move |event| match event {
            Event::Acknowledged { position, partitions } => fed.on_acknowledged(*position, partitions),
            Event::Poisoned(reason) => {
                fed.on_stopped();
                on_stopped(reason);
            }
        });
        let disk = breakable(Arc::clone(&parts.disk), parts.test_mode.as_deref());
        let (store, recovered) = Store::open(store_config(&config), disk, Arc::clone(&clock), listener)?;
        tracing::info!(
            clean = recovered.clean,
            partitions = recovered.partitions,
            replayed_bytes = recovered.bytes,
            cut_bytes = recovered.cut,
            took_ms = u64::try_from(recovered.took.as_millis()).unwrap_or(u64::MAX),
            "log opened"
        );
        waits.attach(&store);
        let (topics, cluster_id) = (Topics::new(&store), base64_id(store.cluster_id()));
        topics::replicate_internal(&config, parts.virtual_nodes.as_deref(), &store);
        let (mut loaded, log_opened_at) = (None, clock.elapsed());
        let broker = Arc::new_cyclic(|broker| {
            let coordinators = Coordinators::load(broker, (&store, &waits, &clock), &topics, &config);
            let (groups, transactions) = (coordinators.groups.1.clone(), coordinators.transactions.1.clone());
            let share_partitions = coordinators.share_partitions.1.clone();
            loaded = Some(coordinators);
            // Without sessions every fetch names its partitions, which is what rules of faults and the request log go by.
            let slots = if config.test_mode { 0 } else { config.fetch_session_slots };
            let share_slots = usize::try_from(config.share.max_sessions).unwrap_or(usize::MAX);
            let groups_took = clock.elapsed().saturating_sub(log_opened_at);
            let recovery =
                Recovery { log: recovered.took, groups: groups_took, replayed_bytes: recovered.bytes };
            let Parts { virtual_clock, virtual_nodes, test_mode, cold_reads, traffic, .. } = parts;
            Self {
                store,
                config,
                waits,
                fetch_sessions: FetchSessions::new(slots),
                share_sessions: ShareSessions::new(share_slots),
                topics,
                groups,
                transactions,
                share_partitions,
                coordinators: Mutex::default(),
                cold_reads,
                traffic,
                opened_at: parts.opened_at,
                recovery,
                fetch_wait_seconds: parts.fetch_wait_seconds,
                clock,
                virtual_clock,
                virtual_nodes,
                searches: Arc::new(Semaphore::new(1)),
                recompressions: Arc::new(Semaphore::new(RECOMPRESSIONS)),
                config_changes: Mutex::default(),
                test_mode,
                disk: parts.disk,
                on_stopped: parts.on_stopped,
                cluster_id,
            }
        });
        let threads = loaded.expect("made with the broker").spawn().map_err(|source| Error::Io {
            action: "start the coordinators' threads for",
            path: broker.config.data_dir.clone(),
            source,
        })?;
        *broker.coordinators.lock().expect("nothing panics under this lock") = threads;
        Ok(broker)
    }

    /// Stops the coordinators, then syncs and closes the log; appends fail afterwards. Called when no connection is left.
    ///
    /// # Errors
    /// Io; the next start then recovers as after a crash.
    pub fn close(&self) -> Result<(), Error> {
        let mut threads =
            std::mem::take(&mut *self.coordinators.lock().expect("nothing panics under this lock"));
        let mut ended = || {
            if threads.pop().is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a coordinator's thread panicked while it stopped");
            }
        };
        // One after the other: the transaction coordinator asks the group coordinator to its end.
        self.transactions.stop();
        ended();
        self.groups.stop();
        ended();
        self.share_partitions.stop();
        ended();
        self.store.close()
    }

    /// The broker that serves in the place of this one since a test exchanged the log.
    pub(crate) fn successor(&self) -> Option<Arc<Self>> {
        self.test_mode.as_ref()?.successor()
    }

    /// The broker that serves: this one, or its successor.
    pub(crate) fn serving(self: &Arc<Self>) -> Arc<Self> {
        self.successor().unwrap_or_else(|| Arc::clone(self))
    }

    /// What ends transactions in their partitions.
    pub(crate) fn marker_writer(&self) -> MarkerWriter {
        MarkerWriter {
            store: Arc::clone(&self.store),
            waits: Arc::clone(&self.waits),
            clock: Arc::clone(&self.clock),
            groups: self.groups.clone(),
        }
    }

    /// `max.connections` and `max.connections.per.ip` as they are now.
    pub(crate) fn connection_limits(&self) -> (usize, usize) {
        let dynamic = self.store.broker_configs();
        let layers = BrokerLayers { config: &self.config, dynamic: &dynamic };
        let limit = |name, fixed| {
            layers.dynamic_number(name).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(fixed)
        };
        let fixed = &self.config;
        let most = limit("max.connections", fixed.max_connections);
        (most, limit("max.connections.per.ip", fixed.max_connections_per_ip))
    }

    /// What `listener` advertises since `advertised.listeners` was changed at run time; `None` when it was not.
    pub(crate) fn dynamic_advertised(&self, listener: &str) -> Option<HostPort> {
        let dynamic = self.store.broker_configs();
        if dynamic.is_empty() {
            return None;
        }
        let value = dynamic.get(&Scope::Broker(self.config.node_id).stored_name("advertised.listeners"))?;
        advertised_of(value, listener)
    }

    /// The configs of `topic` that Produce needs.
    pub(crate) fn topic_config(&self, topic: &Topic) -> Arc<TopicConfig> {
        self.topics.config(&self.store, &self.config, topic)
    }
}

/// In test mode a disk that a test can break.
fn breakable(inner: Arc<dyn Disk>, test_mode: Option<&TestMode>) -> Arc<dyn Disk> {
    match test_mode {
        None => inner,
        Some(test_mode) => Arc::new(FaultyDisk { inner, faults: Arc::clone(&test_mode.disk) }),
    }
}

fn store_config(config: &Arc<Config>) -> StoreConfig {
    StoreConfig {
        dir: config.data_dir.clone(),
        file_size: config.commitlog_file_bytes,
        flush: config.flush,
        checkpoint_bytes: config.checkpoint_bytes,
        producer_expiration: topic_config::producer_expiration(Arc::clone(config)),
        retention_check: config.retention_check_interval,
        policies: topic_config::policies(Arc::clone(config)),
        compaction: CompactionLimits::default(),
        threads: true,
    }
}

/// The clock of a broker, which a test can move in test mode only.
fn movable(clock: Arc<dyn Clock>, test_mode: bool) -> (Arc<dyn Clock>, Option<Arc<VirtualClock>>) {
    if !test_mode {
        return (clock, None);
    }
    let movable = Arc::new(VirtualClock::over(clock));
    (Arc::clone(&movable) as Arc<dyn Clock>, Some(movable))
}

/// All coordinators with what their topics say, not running yet.
struct Coordinators {
    groups: (Shell<GroupRuntime>, Groups),
    transactions: (Shell<TransactionRuntime>, Transactions),
    share_partitions: (Shell<ShareRuntime>, SharePartitions),
}

impl Coordinators {
    fn load(
        broker: &Weak<Broker>,
        (store, waits, clock): (&Arc<Store>, &Arc<Waits>, &Arc<dyn Clock>),
        topics: &Topics,
        config: &Config,
    ) -> Self {
        let of_groups = config.groups.coordinator_config();
        let groups = GroupRuntime::load(broker.clone(), store, waits, clock, &topics.changes, of_groups);
        let of_transactions = config.transactions.coordinator_config();
        let log = (store, waits, clock);
        let transactions = TransactionRuntime::load(broker.clone(), log, &groups.1, of_transactions);
        let share_partitions = ShareRuntime::load(broker.clone(), log, config.share.coordinator_config());
        Self { groups, transactions, share_partitions }
    }

    fn spawn(self) -> io::Result<Vec<JoinHandle<()>>> {
        Ok(vec![self.share_partitions.0.spawn()?, self.groups.0.spawn()?, self.transactions.0.spawn()?])
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("cluster_id", &self.cluster_id).finish_non_exhaustive()
    }
}
