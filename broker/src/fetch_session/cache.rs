//! Which fetch sessions are kept, and which has to go for a new one (Kafka `FetchSessionCacheShard`).
//!
//! Pure: the time is told, the session itself is not looked at. A new session takes the place of one that was not used for
//! the eviction time; else of the smallest that is older than the eviction time, when the new one has more partitions; else
//! it is not kept. Invariant: sessions and their partitions stay within their bounds, whatever clients ask for.

use std::collections::{BTreeSet, HashMap};

/// What a shard may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Sessions.
    pub(super) sessions: usize,
    /// Partitions over all sessions.
    pub(super) partitions: usize,
    /// After this time a session may have to go, ms.
    pub(super) eviction_ms: i64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shard<S> {
    bounds: Bounds,
    kept: HashMap<i32, Kept<S>>,
    /// When used last, id.
    by_use: BTreeSet<(i64, i32)>,
    /// Size and id of those that are old enough to make room for a larger one.
    by_size: BTreeSet<(usize, i32)>,
    partitions: usize,
}

#[derive(Debug)]
struct Kept<S> {
    session: S,
    size: usize,
    created_ms: i64,
    used_ms: i64,
}

/// What became of a new session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Created {
    pub(super) id: i32,
    /// Another one had to go.
    pub(super) evicted: bool,
}

impl<S: Clone> Shard<S> {
    pub(super) fn new(bounds: Bounds) -> Self {
        let (by_use, by_size) = (BTreeSet::new(), BTreeSet::new());
        Self { bounds, kept: HashMap::new(), by_use, by_size, partitions: 0 }
    }

    /// Sessions and partitions now.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.kept.len(), self.partitions)
    }

    pub(super) fn get(&self, id: i32) -> Option<S> {
        self.kept.get(&id).map(|kept| kept.session.clone())
    }

    /// Keeps a session of `size` partitions if there is room or room can be made; `new_id` proposes ids until one is free.
    pub(super) fn create(
        &mut self,
        now_ms: i64,
        size: usize,
        mut new_id: impl FnMut() -> i32,
        session: impl FnOnce() -> S,
    ) -> Option<Created> {
        let evicted = self.kept.len() >= self.bounds.sessions;
        let victim = if evicted { Some(self.victim(now_ms, size)?) } else { None };
        let freed = victim.and_then(|id| self.kept.get(&id)).map_or(0, |kept| kept.size);
        if (self.partitions - freed).saturating_add(size) > self.bounds.partitions {
            return None;
        }
        if let Some(victim) = victim {
            self.remove(victim);
        }
        let mut id = new_id();
        while id == 0 || self.kept.contains_key(&id) {
            id = new_id();
        }
        let kept = Kept { session: session(), size, created_ms: now_ms, used_ms: now_ms };
        self.kept.insert(id, kept);
        self.by_use.insert((now_ms, id));
        self.partitions += size;
        Some(Created { id, evicted })
    }

    /// The session was used and has `size` partitions now. False when there is no room for them: then it is gone.
    pub(super) fn touch(&mut self, id: i32, now_ms: i64, size: usize) -> bool {
        let Some(kept) = self.kept.get_mut(&id) else { return true };
        if self.partitions - kept.size + size > self.bounds.partitions {
            self.remove(id);
            return false;
        }
        self.by_use.remove(&(kept.used_ms, id));
        self.by_size.remove(&(kept.size, id));
        self.partitions = self.partitions - kept.size + size;
        (kept.used_ms, kept.size) = (now_ms, size);
        self.by_use.insert((now_ms, id));
        if now_ms - kept.created_ms > self.bounds.eviction_ms {
            self.by_size.insert((size, id));
        }
        true
    }

    pub(super) fn remove(&mut self, id: i32) {
        let Some(kept) = self.kept.remove(&id) else { return };
        self.by_use.remove(&(kept.used_ms, id));
        self.by_size.remove(&(kept.size, id));
        self.partitions -= kept.size;
    }

    fn victim(&self, now_ms: i64, size: usize) -> Option<i32> {
        let (used_ms, idle) = self.by_use.first()?;
        if now_ms - used_ms > self.bounds.eviction_ms {
            return Some(*idle);
        }
        let (smallest, id) = self.by_size.first()?;
        (size > *smallest).then_some(*id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVICTION: i64 = 120_000;

    fn shard(sessions: usize) -> Shard<&'static str> {
        Shard::new(Bounds { sessions, partitions: 100, eviction_ms: EVICTION })
    }

    fn create(shard: &mut Shard<&'static str>, now_ms: i64, size: usize, id: i32) -> Option<Created> {
        shard.create(now_ms, size, || id, || "session")
    }

    fn kept(id: i32) -> Option<Created> {
        Some(Created { id, evicted: false })
    }

    #[test]
    fn a_full_cache_keeps_what_is_in_use_and_young() {
        let mut shard = shard(2);
        assert_eq!(create(&mut shard, 0, 1, 1), kept(1));
        assert_eq!(create(&mut shard, 0, 1, 2), kept(2));
        assert!(shard.touch(1, EVICTION, 1) && shard.touch(2, EVICTION, 1));
        assert_eq!(create(&mut shard, EVICTION, 50, 3), None, "however large the new one is");
        assert_eq!(shard.counts(), (2, 2));
    }

    #[test]
    fn the_longest_idle_session_goes_first_when_it_is_idle_for_more_than_the_eviction_time() {
        let mut shard = shard(2);
        create(&mut shard, 0, 9, 1);
        create(&mut shard, 1, 9, 2);
        assert_eq!(create(&mut shard, EVICTION, 1, 3), None);
        assert_eq!(create(&mut shard, EVICTION + 1, 1, 3), Some(Created { id: 3, evicted: true }));
        assert_eq!((shard.get(1), shard.get(2)), (None, Some("session")));
    }

    #[test]
    fn a_larger_session_takes_the_place_of_the_smallest_old_one() {
        let mut shard = shard(3);
        for (id, size) in [(1, 5), (2, 3), (3, 8)] {
            create(&mut shard, 0, size, id);
            assert!(shard.touch(id, EVICTION + 1, size));
        }
        let now = EVICTION + 2;
        assert_eq!(create(&mut shard, now, 3, 4), None, "as many partitions are not more");
        assert_eq!(create(&mut shard, now, 4, 4), Some(Created { id: 4, evicted: true }));
        assert_eq!(shard.get(2), None);
        assert_eq!(create(&mut shard, now, 5, 5), None, "the new one is small but young");
        assert_eq!(create(&mut shard, now, 6, 5), Some(Created { id: 5, evicted: true }));
        assert_eq!((shard.get(1), shard.get(3)), (None, Some("session")));
    }

    #[test]
    fn ids_that_are_taken_or_zero_are_passed_over() {
        let mut shard = shard(3);
        create(&mut shard, 0, 1, 7);
        let mut proposed = [0, 7, 7, 8].into_iter();
        let created = shard.create(0, 1, || proposed.next().unwrap(), || "session");
        assert_eq!(created, kept(8));
    }

    #[test]
    fn partitions_are_bounded_over_all_sessions() {
        let mut shard = shard(3);
        create(&mut shard, 0, 60, 1);
        assert_eq!(create(&mut shard, 0, 41, 2), None);
        assert_eq!(create(&mut shard, 0, 40, 2), kept(2));
        assert!(shard.touch(2, 1, 30));
        assert!(shard.touch(1, 1, 70));
        assert!(!shard.touch(2, 1, 31), "it grew beyond the bound");
        assert_eq!((shard.get(2), shard.counts()), (None, (1, 70)));
    }

    #[test]
    fn a_cache_without_slots_keeps_nothing() {
        assert_eq!(create(&mut shard(0), 0, 1, 1), None);
    }

    #[test]
    fn a_removed_session_leaves_nothing_behind() {
        let mut shard = shard(2);
        create(&mut shard, 0, 4, 1);
        assert!(shard.touch(1, EVICTION + 1, 6));
        shard.remove(1);
        shard.remove(1);
        assert!(shard.touch(1, 5, 9), "one that is gone takes no room");
        assert_eq!((shard.counts(), shard.by_use.len(), shard.by_size.len()), ((0, 0), 0, 0));
    }
}
