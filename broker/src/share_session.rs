//! Share sessions (KIP-932): a member of a share group names its partitions once and from then on only what changes.
//!
//! Called by the handlers of ShareFetch and ShareAcknowledge, and by `net` when a connection is over, which ends the sessions
//! that were opened on it. Behaviour is Kafka's `SharePartitionManager` and `ShareSessionCache`. Invariants: of two requests
//! with the same epoch one is refused; sessions are bounded, and what one holds is bounded by the requests that named it; the
//! lock is held for a look, never across an await.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use protocol::ErrorCode;
use uuid::Uuid;

/// Opens a session.
const INITIAL_EPOCH: i32 = 0;
/// Ends it.
pub(crate) const FINAL_EPOCH: i32 = -1;

/// A partition of a topic.
pub(crate) type TopicPartition = (Uuid, i32);

/// Whose session it is. Each node that this process plays has its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey {
    pub(crate) node: Option<usize>,
    pub(crate) group: Arc<str>,
    pub(crate) member: Arc<str>,
}

/// All share sessions.
#[derive(Debug)]
pub(crate) struct ShareSessions {
    most: usize,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    by_key: HashMap<SessionKey, Session>,
    by_connection: HashMap<ConnectionId, BTreeSet<SessionKey>>,
}

#[derive(Debug)]
struct Session {
    /// That the next request has to name.
    epoch: i32,
    partitions: BTreeSet<TopicPartition>,
    connection: ConnectionId,
}

/// Stands for a connection as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(u64);

impl ConnectionId {
    /// One that was never given before.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a share fetch is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) epoch: i32,
    pub(crate) partitions: &'a [TopicPartition],
    pub(crate) forgotten: &'a [TopicPartition],
    /// Whether it acknowledges anything.
    pub(crate) acknowledges: bool,
}

/// What a share fetch is to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Begun {
    /// What is fetched.
    pub(crate) partitions: Vec<TopicPartition>,
    /// Those of them that are new to the session: their first answer names them even when it has nothing of them.
    pub(crate) fresh: BTreeSet<TopicPartition>,
}

impl ShareSessions {
    /// Keeps up to `most` sessions (`group.share.max.share.sessions`).
    pub(crate) fn new(most: usize) -> Self {
        Self { most, sessions: Mutex::default() }
    }

    /// Looks at the session fields of a share fetch and takes in what it changes; returns what is to be fetched. A request
    /// that ends its session fetches nothing.
    ///
    /// # Errors
    /// `SHARE_SESSION_NOT_FOUND`, `INVALID_SHARE_SESSION_EPOCH`, `SHARE_SESSION_LIMIT_REACHED`; `INVALID_REQUEST` for
    /// acknowledgements without a session.
    pub(crate) fn begin(
        &self,
        key: &SessionKey,
        connection: ConnectionId,
        asked: Asked<'_>,
    ) -> Result<Begun, ErrorCode> {
        let mut sessions = self.locked();
        match asked.epoch {
            FINAL_EPOCH => {
                let known = sessions.by_key.contains_key(key);
                if known { Ok(Begun::default()) } else { Err(ErrorCode::ShareSessionNotFound) }
            }
            INITIAL_EPOCH => {
                if asked.acknowledges {
                    return Err(ErrorCode::InvalidRequest);
                }
                sessions.remove(key);
                if sessions.by_key.len() >= self.most {
                    return Err(ErrorCode::ShareSessionLimitReached);
                }
                let partitions: BTreeSet<TopicPartition> = asked.partitions.iter().copied().collect();
                let begun =
                    Begun { partitions: partitions.iter().copied().collect(), fresh: partitions.clone() };
                sessions.by_connection.entry(connection).or_default().insert(key.clone());
                let session = Session { epoch: next_epoch(INITIAL_EPOCH), partitions, connection };
                sessions.by_key.insert(key.clone(), session);
                Ok(begun)
            }
            epoch => {
                let session = sessions.continued(key, epoch)?;
                let named = asked.partitions.iter().copied();
                let fresh = named.filter(|partition| session.partitions.insert(*partition)).collect();
                for forgotten in asked.forgotten {
                    session.partitions.remove(forgotten);
                }
                Ok(Begun { partitions: session.partitions.iter().copied().collect(), fresh })
            }
        }
    }

    /// The same for a request that only acknowledges.
    ///
    /// # Errors
    /// `SHARE_SESSION_NOT_FOUND`, `INVALID_SHARE_SESSION_EPOCH`.
    pub(crate) fn acknowledge(&self, key: &SessionKey, epoch: i32) -> Result<(), ErrorCode> {
        let mut sessions = self.locked();
        match epoch {
            INITIAL_EPOCH => Err(ErrorCode::InvalidShareSessionEpoch),
            FINAL_EPOCH if sessions.by_key.contains_key(key) => Ok(()),
            FINAL_EPOCH => Err(ErrorCode::ShareSessionNotFound),
            epoch => sessions.continued(key, epoch).map(|_| ()),
        }
    }

    /// Ends a session; returns its partitions, in which the member holds nothing any more.
    pub(crate) fn end(&self, key: &SessionKey) -> Vec<TopicPartition> {
        self.locked().remove(key).into_iter().flat_map(|session| session.partitions).collect()
    }

    /// Ends the sessions that were opened on a connection.
    pub(crate) fn connection_closed(
        &self,
        connection: ConnectionId,
    ) -> Vec<(SessionKey, Vec<TopicPartition>)> {
        let mut sessions = self.locked();
        let keys = sessions.by_connection.remove(&connection).unwrap_or_default();
        let ended = keys.into_iter().filter_map(|key| {
            let session = sessions.by_key.remove(&key)?;
            Some((key, session.partitions.into_iter().collect()))
        });
        ended.collect()
    }

    fn locked(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().expect("nothing panics under this lock")
    }
}

impl Sessions {
    fn continued(&mut self, key: &SessionKey, epoch: i32) -> Result<&mut Session, ErrorCode> {
        let session = self.by_key.get_mut(key).ok_or(ErrorCode::ShareSessionNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidShareSessionEpoch);
        }
        session.epoch = next_epoch(epoch);
        Ok(session)
    }

    fn remove(&mut self, key: &SessionKey) -> Option<Session> {
        let session = self.by_key.remove(key)?;
        if let Some(keys) = self.by_connection.get_mut(&session.connection) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_connection.remove(&session.connection);
            }
        }
        Some(session)
    }
}

/// `ShareRequestMetadata.nextEpoch`.
const fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        ..0 => FINAL_EPOCH,
        i32::MAX => 1,
        epoch => epoch + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(member: &str) -> SessionKey {
        SessionKey { node: None, group: "g".into(), member: member.into() }
    }

    const fn asked<'a>(epoch: i32, partitions: &'a [TopicPartition]) -> Asked<'a> {
        Asked { epoch, partitions, forgotten: &[], acknowledges: false }
    }

    const A: TopicPartition = (Uuid::from_u128(1), 0);
    const B: TopicPartition = (Uuid::from_u128(1), 1);

    fn fetched(
        sessions: &ShareSessions,
        key: &SessionKey,
        connection: ConnectionId,
        asked: Asked<'_>,
    ) -> Result<Vec<TopicPartition>, ErrorCode> {
        sessions.begin(key, connection, asked).map(|begun| begun.partitions)
    }

    #[test]
    fn a_session_remembers_its_partitions_and_forgets_those_that_it_is_told_to() {
        let (sessions, connection) = (ShareSessions::new(2), ConnectionId::new());
        assert_eq!(fetched(&sessions, &key("m"), connection, asked(0, &[A])), Ok(vec![A]));
        assert_eq!(fetched(&sessions, &key("m"), connection, asked(1, &[B])), Ok(vec![A, B]));
        let forgets = Asked { forgotten: &[A], ..asked(2, &[]) };
        assert_eq!(fetched(&sessions, &key("m"), connection, forgets), Ok(vec![B]));
        assert_eq!(fetched(&sessions, &key("m"), connection, asked(-1, &[A])), Ok(vec![]));
        assert_eq!(sessions.end(&key("m")), [B]);
        assert_eq!(sessions.end(&key("m")), []);
    }

    #[test]
    fn a_partition_is_new_to_a_session_once() {
        let (sessions, connection) = (ShareSessions::new(2), ConnectionId::new());
        let fresh = |asked| sessions.begin(&key("m"), connection, asked).unwrap().fresh;
        assert_eq!(fresh(asked(0, &[A])), BTreeSet::from([A]));
        assert_eq!(fresh(asked(1, &[A, B])), BTreeSet::from([B]));
        assert_eq!(fresh(asked(2, &[])), BTreeSet::new());
    }

    #[test]
    fn epochs_follow_each_other_whoever_names_them() {
        let (sessions, connection) = (ShareSessions::new(2), ConnectionId::new());
        fetched(&sessions, &key("m"), connection, asked(0, &[A])).unwrap();
        assert_eq!(sessions.acknowledge(&key("m"), 1), Ok(()));
        assert_eq!(sessions.acknowledge(&key("m"), 1), Err(ErrorCode::InvalidShareSessionEpoch));
        assert_eq!(
            fetched(&sessions, &key("m"), connection, asked(1, &[])),
            Err(ErrorCode::InvalidShareSessionEpoch)
        );
        assert_eq!(fetched(&sessions, &key("m"), connection, asked(2, &[])), Ok(vec![A]));
        assert_eq!(sessions.acknowledge(&key("m"), 0), Err(ErrorCode::InvalidShareSessionEpoch));
        assert_eq!(sessions.acknowledge(&key("other"), 1), Err(ErrorCode::ShareSessionNotFound));
        assert_eq!(next_epoch(i32::MAX), 1);
    }

    #[test]
    fn acknowledgements_need_a_session() {
        let (sessions, connection) = (ShareSessions::new(2), ConnectionId::new());
        let acknowledges = Asked { acknowledges: true, ..asked(0, &[A]) };
        let refused = Err(ErrorCode::InvalidRequest);
        assert_eq!(fetched(&sessions, &key("m"), connection, acknowledges), refused);
        let ends = Err(ErrorCode::ShareSessionNotFound);
        assert_eq!(fetched(&sessions, &key("m"), connection, asked(-1, &[])), ends);
        assert_eq!(sessions.acknowledge(&key("m"), -1), Err(ErrorCode::ShareSessionNotFound));
    }

    #[test]
    fn no_more_sessions_than_allowed_and_a_new_one_replaces_its_members_old_one() {
        let (sessions, connection) = (ShareSessions::new(2), ConnectionId::new());
        for member in ["m", "n", "m"] {
            assert_eq!(fetched(&sessions, &key(member), connection, asked(0, &[A])), Ok(vec![A]));
        }
        let refused = Err(ErrorCode::ShareSessionLimitReached);
        assert_eq!(fetched(&sessions, &key("o"), connection, asked(0, &[A])), refused);
    }

    #[test]
    fn a_connection_takes_its_sessions_with_it_but_not_those_that_moved_on() {
        let sessions = ShareSessions::new(9);
        let (first, second) = (ConnectionId::new(), ConnectionId::new());
        for member in ["m", "n"] {
            fetched(&sessions, &key(member), first, asked(0, &[A])).unwrap();
        }
        fetched(&sessions, &key("m"), second, asked(0, &[B])).unwrap();
        assert_eq!(sessions.connection_closed(first), [(key("n"), vec![A])]);
        assert_eq!(sessions.connection_closed(first), []);
        assert_eq!(fetched(&sessions, &key("m"), second, asked(1, &[])), Ok(vec![B]));
        assert_eq!(sessions.connection_closed(second), [(key("m"), vec![B])]);
    }
}
