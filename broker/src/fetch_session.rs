//! Fetch sessions (KIP-227): a consumer names its partitions once and from then on sends and gets only what changed.
//!
//! Called by `api/fetch`: [`FetchSessions::begin`] before the fetch is planned, [`FetchSessions::finish`] before it is
//! answered. Behaviour is Kafka's `FetchManager`; sessions are spread over shards by id, as there. Invariants: the lock of a
//! shard is held for a lookup, the lock of a session for a walk over its partitions, never both, never across an await; of
//! two requests with the same epoch one is refused; memory is bounded by [`MAX_PARTITIONS`] and the slots.
//!
//! Differs from Kafka: no session is privileged, as there are no followers; partitions are bounded over all sessions, and a
//! topic name that no topic can have is not kept. A client that gets no session sends all its partitions each time.

mod cache;
mod session;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use prometheus::IntCounter;
use protocol::fetch_response::{FetchResponse, FetchedPartition};
use protocol::messages::FetchRequest;
use protocol::{ErrorCode, StrBytes};
use uuid::Uuid;

use cache::{Bounds, Shard};
pub(crate) use session::{Asked, Place, SessionPartition, TopicKey};
use session::{FINAL_EPOCH, INITIAL_EPOCH, Session, next_epoch};

/// Partitions over all sessions, about 200 bytes each.
const MAX_PARTITIONS: usize = 1_000_000;
/// A session is safe from others for this time (Kafka `KafkaBroker.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const EVICTION_MS: i64 = 120_000;
/// As Kafka (`BrokerServer`): cores seldom meet at one of them.
const SHARDS: usize = 8;
/// Session ids of one shard; 0 is no session.
const IDS_PER_SHARD: u32 = i32::MAX.cast_unsigned() / 8;
/// No topic has a longer name.
const MAX_NAME_LEN: usize = 249;

type Shared = Arc<Mutex<Session>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    shards: Vec<Mutex<Shard<Shared>>>,
    next_shard: AtomicUsize,
    evictions: IntCounter,
    incremental: IntCounter,
}

/// How a fetch belongs to a session.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Not at all.
    Sessionless,
    /// Its answer may open one.
    Opens {
        /// Topics are named by id.
        by_id: bool,
    },
    /// It continues one.
    Continues(Continued),
}

/// A fetch that continues a session.
#[derive(Debug)]
pub(crate) struct Continued {
    id: i32,
    /// The session's epoch until the next request comes.
    epoch: i32,
    session: Shared,
}

/// One partition of a full fetch: its topic's name and id, number, what was asked.
pub(crate) type AskedPartition<'a> = (&'a StrBytes, Uuid, Asked);

impl FetchSessions {
    /// Keeps up to `slots` sessions (`max.incremental.fetch.session.cache.slots`).
    pub(crate) fn new(slots: usize) -> Self {
        let bounds = |shard| Bounds {
            sessions: slots / SHARDS + usize::from(shard < slots % SHARDS),
            partitions: MAX_PARTITIONS / SHARDS,
            eviction_ms: EVICTION_MS,
        };
        let counter = |name, help| IntCounter::new(name, help).expect("a constant name is valid");
        Self {
            shards: (0..SHARDS).map(|shard| Mutex::new(Shard::new(bounds(shard)))).collect(),
            next_shard: AtomicUsize::new(0),
            evictions: counter(
                "onelog_fetch_session_evictions_total",
                "Fetch sessions that had to go for another one.",
            ),
            incremental: counter(
                "onelog_fetch_session_requests_total",
                "Fetches that continued a session (KIP-227).",
            ),
        }
    }

    /// Looks at the session fields of `request` and takes in what it changes. For a request that continues a session the
    /// second value is all there is to fetch, in order.
    ///
    /// # Errors
    /// `FETCH_SESSION_ID_NOT_FOUND`, `INVALID_FETCH_SESSION_EPOCH`, `FETCH_SESSION_TOPIC_ID_ERROR` for the whole request.
    pub(crate) fn begin(
        &self,
        now_ms: i64,
        by_id: bool,
        request: &FetchRequest,
    ) -> Result<(Begun, Vec<SessionPartition>), ErrorCode> {
        let (id, epoch) = (request.session_id, request.session_epoch);
        if matches!(epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            if let Some(mut shard) = self.shard_of(id) {
                shard.remove(id);
            }
            let begun = if epoch == INITIAL_EPOCH { Begun::Opens { by_id } } else { Begun::Sessionless };
            return Ok((begun, Vec::new()));
        }
        let session = self.shard_of(id).and_then(|shard| shard.get(id));
        let session = session.ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let (partitions, epoch) = {
            let mut session = locked(&session);
            if session.epoch != epoch {
                return Err(ErrorCode::InvalidFetchSessionEpoch);
            }
            if session.by_id != by_id {
                return Err(ErrorCode::FetchSessionTopicIdError);
            }
            if !can_be_kept(request.topics.iter().map(|topic| &topic.topic.0)) {
                return Err(ErrorCode::FetchSessionIdNotFound);
            }
            session.update(&request.topics, &request.forgotten_topics_data);
            session.epoch = next_epoch(epoch);
            (session.partitions(), session.epoch)
        };
        let mut shard = self.shard_of(id).expect("the session was found there");
        if partitions.is_empty() {
            shard.remove(id);
            return Ok((Begun::Sessionless, partitions));
        }
        if !shard.touch(id, now_ms, partitions.len()) {
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        self.incremental.inc();
        Ok((Begun::Continues(Continued { id, epoch, session }), partitions))
    }

    /// Makes `response` the answer to a fetch that was `begun`: names the session, leaves out what the client knows.
    /// `asked` are the partitions of the response in order, `places` theirs in the session that is continued.
    pub(crate) fn finish<'a>(
        &self,
        now_ms: i64,
        begun: &Begun,
        mut response: FetchResponse,
        asked: impl Iterator<Item = AskedPartition<'a>> + Clone,
        places: impl Iterator<Item = Place>,
    ) -> FetchResponse {
        match begun {
            Begun::Sessionless => response,
            Begun::Opens { by_id } => {
                response.session_id = self.open(now_ms, *by_id, &response, asked).unwrap_or_default();
                response
            }
            Begun::Continues(continued) => continued.finish(response, places),
        }
    }

    /// Sessions and partitions in them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let counts = self.shards.iter().map(|shard| locked(shard).counts());
        counts.fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1))
    }

    /// Evictions and requests that continued a session, to be registered once.
    pub(crate) fn counters(&self) -> [IntCounter; 2] {
        [self.evictions.clone(), self.incremental.clone()]
    }

    fn open<'a>(
        &self,
        now_ms: i64,
        by_id: bool,
        response: &FetchResponse,
        asked: impl Iterator<Item = AskedPartition<'a>> + Clone,
    ) -> Option<i32> {
        if !can_be_kept(asked.clone().map(|(name, ..)| name)) {
            return None;
        }
        let told = response.topics.iter().flat_map(|topic| &topic.partitions);
        let session = opened(by_id, asked.zip(told));
        let number = self.next_shard.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let created = locked(&self.shards[number]).create(
            now_ms,
            session.len(),
            || random_id(number),
            || Arc::new(Mutex::new(session)),
        )?;
        self.evictions.inc_by(u64::from(created.evicted));
        Some(created.id)
    }

    fn shard_of(&self, id: i32) -> Option<MutexGuard<'_, Shard<Shared>>> {
        let number = u32::try_from(id).ok()? / IDS_PER_SHARD;
        self.shards.get(usize::try_from(number).ok()?).map(locked)
    }
}

impl Continued {
    fn finish(&self, mut response: FetchResponse, mut places: impl Iterator<Item = Place>) -> FetchResponse {
        let mut session = locked(&self.session);
        let session_id = self.id;
        // The client gave up waiting and sent something else: this answer is not for it any more.
        if session.epoch != self.epoch {
            let error_code = ErrorCode::InvalidFetchSessionEpoch;
            return FetchResponse { error_code, session_id, ..FetchResponse::default() };
        }
        for topic in &mut response.topics {
            topic.partitions.retain(|told| {
                session.tell(places.next().expect("one for each partition of the response"), told)
            });
        }
        response.topics.retain(|topic| !topic.partitions.is_empty());
        response.session_id = session_id;
        response
    }
}

fn opened<'a, 'b>(
    by_id: bool,
    partitions: impl Iterator<Item = (AskedPartition<'a>, &'b FetchedPartition)>,
) -> Session {
    let mut session = Session::new(by_id);
    let mut topic: Option<Arc<TopicKey>> = None;
    for ((name, id, asked), told) in partitions {
        let same = topic.take().filter(|topic| topic.id == id && topic.name == *name);
        let key = same.unwrap_or_else(|| TopicKey::copied(name, id));
        session.open(&key, asked, told);
        topic = Some(key);
    }
    session
}

fn can_be_kept<'a>(mut names: impl Iterator<Item = &'a StrBytes>) -> bool {
    names.all(|name| name.len() <= MAX_NAME_LEN)
}

/// An id that belongs to a shard, not to be guessed by other clients.
fn random_id(shard: usize) -> i32 {
    let (random, _) = Uuid::new_v4().as_u64_pair();
    let within = u32::try_from(random >> 32).expect("32 bits are left") % IDS_PER_SHARD;
    let first = u32::try_from(shard).expect("a few shards") * IDS_PER_SHARD;
    i32::try_from(first + within).expect("shards divide the positive integers")
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().expect("nothing panics under this lock")
}
