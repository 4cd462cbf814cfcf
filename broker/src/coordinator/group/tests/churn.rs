//! Many clients that join, sync, die, leave and commit in a random order, over a log that is slow and sometimes fails.
//!
//! The seeds are fixed, so a failure repeats. What must hold at every step: each waiter is answered exactly once; one leader
//! to a generation; generations only grow; no two members own the same partition in one generation; an acknowledged offset
//! is never lost; the group's own books agree.

use std::collections::{BTreeSet, VecDeque};

use super::*;

const CLIENTS: usize = 7;
const STEPS: usize = 3_000;
const SEEDS: u64 = 24;

/// Xorshift: enough to shuffle.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Outside,
    Joining,
    Joined,
    Syncing,
    Stable,
}

struct Client {
    instance: Option<String>,
    member_id: String,
    generation: i32,
    phase: Phase,
    /// As leader: whom to assign.
    members: Vec<String>,
    topics: usize,
}

/// What an open waiter is about.
#[derive(Clone, Copy)]
enum Asked {
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave,
    Commit(i64),
    /// What was acknowledged when the question was put.
    Fetch(i64),
}

struct Churn {
    world: World,
    random: Random,
    clients: Vec<Client>,
    open: BTreeMap<WaiterId, Asked>,
    appends: VecDeque<(Ticket, Vec<CoordinatorRecord>)>,
    durable: Vec<CoordinatorRecord>,
    reload: bool,
    failures: bool,
    generation: i32,
    leaders: BTreeMap<i32, String>,
    owners: BTreeMap<(i32, Bytes), String>,
    next_offset: i64,
    acknowledged: i64,
    assigned: usize,
    reloads: usize,
}

impl Churn {
    fn new(seed: u64, failures: bool) -> Self {
        let client = |index: usize| Client {
            instance: (index < 2).then(|| format!("instance-{index}")),
            member_id: String::new(),
            generation: 0,
            phase: Phase::Outside,
            members: Vec::new(),
            topics: 1,
        };
        Self {
            world: World::new(),
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            clients: (0..CLIENTS).map(client).collect(),
            open: BTreeMap::new(),
            appends: VecDeque::new(),
            durable: Vec::new(),
            reload: false,
            failures,
            generation: 0,
            leaders: BTreeMap::new(),
            owners: BTreeMap::new(),
            next_offset: 0,
            acknowledged: -1,
            assigned: 0,
            reloads: 0,
        }
    }

    fn step(&mut self) {
        let index = usize::try_from(self.random.below(CLIENTS as u64)).unwrap();
        self.act(index);
        self.carry_out();
        while !self.appends.is_empty() && self.random.chance(60) {
            self.settle_oldest();
        }
        if self.reload && self.appends.is_empty() {
            self.load_again();
        }
        let time = Duration::from_millis(self.random.below(1_200));
        self.world.pass(time);
        self.carry_out();
        self.check_books();
    }

    fn act(&mut self, index: usize) {
        match self.clients[index].phase {
            Phase::Outside => self.join(index),
            Phase::Joining | Phase::Syncing if self.random.chance(1) => self.die(index),
            Phase::Joining | Phase::Syncing => (),
            Phase::Joined if self.random.chance(2) => self.die(index),
            Phase::Joined => self.sync(index),
            Phase::Stable => match self.random.below(100) {
                0 => self.die(index),
                1 => self.leave(index),
                2..=3 => {
                    self.clients[index].topics += 1;
                    self.join(index);
                }
                4..=20 => self.commit(index),
                21..=26 => self.fetch(),
                _ => {
                    let client = &self.clients[index];
                    let heartbeat = Heartbeat {
                        group_instance_id: client.instance.clone(),
                        ..heartbeat(&client.member_id, client.generation)
                    };
                    self.ask(Request::Heartbeat(heartbeat), Asked::Heartbeat(index));
                }
            },
        }
    }

    fn ask(&mut self, request: Request, asked: Asked) {
        let waiter = self.world.send(request);
        assert!(self.open.insert(waiter, asked).is_none());
    }

    fn join(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.phase = Phase::Joining;
        let topics: Vec<&str> = std::iter::repeat_n("topic", client.topics).collect();
        let join = JoinGroup {
            group_instance_id: client.instance.clone(),
            protocols: vec![range(&topics)],
            rebalance_timeout_ms: 8_000,
            requires_known_member_id: index % 3 != 2,
            supports_skip_assignment: index < 4,
            ..rejoin(&client.member_id)
        };
        let waiter = self.world.join(join);
        assert!(self.open.insert(waiter, Asked::Join(index)).is_none());
    }

    fn sync(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.phase = Phase::Syncing;
        let sync = SyncGroup {
            group_instance_id: client.instance.clone(),
            assignments: assignments(&std::mem::take(&mut client.members)),
            ..sync(&client.member_id, client.generation)
        };
        self.ask(Request::SyncGroup(sync), Asked::Sync(index));
    }

    fn leave(&mut self, index: usize) {
        let request = leave(&[&self.clients[index].member_id]);
        self.ask(request, Asked::Leave);
        self.die(index);
    }

    fn commit(&mut self, index: usize) {
        let client = &self.clients[index];
        let topics = vec![("topic".to_owned(), vec![offset(0, self.next_offset)])];
        let commit = OffsetCommit {
            topics,
            group_instance_id: client.instance.clone(),
            ..commit_by(&client.member_id, client.generation)
        };
        let asked = Asked::Commit(self.next_offset);
        self.next_offset += 1;
        self.ask(Request::OffsetCommit(commit), asked);
    }

    fn fetch(&mut self) {
        let topics = Some(vec![("topic".to_owned(), vec![0])]);
        let fetch = OffsetFetch { group_id: GROUP.to_owned(), topics, ..OffsetFetch::default() };
        self.ask(Request::OffsetFetch(fetch), Asked::Fetch(self.acknowledged));
    }

    /// The process is gone; another takes its place, knowing nothing but its instance id.
    fn die(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.member_id.clear();
        client.phase = Phase::Outside;
    }

    fn carry_out(&mut self) {
        for effect in self.world.effects() {
            match effect {
                Effect::Append { partition, records, ticket } => {
                    assert_eq!(partition, 29);
                    self.appends.push_back((ticket, records));
                }
                Effect::Respond { waiter, response } => {
                    let asked = self
                        .open
                        .remove(&waiter)
                        .expect("a waiter is answered once, and not out of thin air");
                    self.answered(waiter, asked, response);
                }
                Effect::Work(_) => panic!("nobody has transactions here"),
                Effect::Reload { .. } => {
                    self.reload = true;
                    self.reloads += 1;
                }
            }
        }
    }

    fn settle_oldest(&mut self) {
        let Some((ticket, records)) = self.appends.pop_front() else { return };
        let fails = self.reload || (self.failures && self.random.chance(2));
        if fails {
            self.world.settle(ticket, Err(ErrorCode::NotEnoughReplicas));
        } else {
            self.durable.extend(records);
            self.world.settle(ticket, Ok(()));
        }
        self.carry_out();
    }

    fn load_again(&mut self) {
        for CoordinatorRecord { key, value } in self.durable.clone() {
            self.world.event(Event::LoadRecord { partition: 29, key, value });
        }
        self.world.event(Event::LoadFinished { partition: 29 });
        self.reload = false;
        // A generation that never became durable may be begun again, with other members.
        self.generation = 0;
        self.leaders.clear();
        self.owners.clear();
    }

    fn answered(&mut self, waiter: WaiterId, asked: Asked, response: Response) {
        match (asked, response) {
            (Asked::Join(index), Response::JoinGroup(response)) => self.join_answered(index, response),
            (Asked::Sync(index), Response::SyncGroup(response)) => self.sync_answered(index, response),
            (Asked::Heartbeat(index), Response::Heartbeat(error)) => self.follow(index, error),
            (Asked::Leave, Response::LeaveGroup(_)) => (),
            (Asked::Commit(offset), Response::OffsetCommit(topics)) => {
                if topics[0].1[0].1 == ErrorCode::None {
                    self.acknowledged = self.acknowledged.max(offset);
                }
            }
            (Asked::Fetch(acknowledged), Response::OffsetFetch(response)) => {
                if response.error == ErrorCode::None {
                    let offset = response.topics[0].1[0].offset;
                    assert!(
                        offset >= acknowledged,
                        "{offset} was fetched after {acknowledged} was acknowledged"
                    );
                }
            }
            (_, response) => panic!("{waiter:?} got the answer to another question: {response:?}"),
        }
    }

    fn join_answered(&mut self, index: usize, response: JoinGroupResponse) {
        let client = &mut self.clients[index];
        match response.error {
            ErrorCode::None => {
                assert!(response.generation_id >= self.generation, "generations only grow");
                self.generation = response.generation_id;
                assert!(!response.leader.is_empty());
                if !response.members.is_empty() && !response.skip_assignment {
                    let leader =
                        self.leaders.entry(response.generation_id).or_insert(response.member_id.clone());
                    assert_eq!(*leader, response.member_id, "one leader to a generation");
                }
                if client.phase == Phase::Joining {
                    client.phase = Phase::Joined;
                    client.member_id = response.member_id;
                    client.generation = response.generation_id;
                    let members = response.members.into_iter().map(|member| member.member_id);
                    client.members = if response.skip_assignment { Vec::new() } else { members.collect() };
                }
            }
            ErrorCode::MemberIdRequired if client.phase == Phase::Joining => {
                client.member_id = response.member_id;
                client.phase = Phase::Outside;
            }
            error => self.follow(index, error),
        }
    }

    fn sync_answered(&mut self, index: usize, response: SyncGroupResponse) {
        if response.error != ErrorCode::None {
            return self.follow(index, response.error);
        }
        let client = &mut self.clients[index];
        if client.phase != Phase::Syncing {
            return; // the answer to a process that is gone
        }
        client.phase = Phase::Stable;
        self.assigned += 1;
        if !response.assignment.is_empty() {
            let owner = client.instance.clone().unwrap_or_else(|| client.member_id.clone());
            let held_by =
                self.owners.entry((client.generation, response.assignment)).or_insert(owner.clone());
            assert_eq!(*held_by, owner, "no two members own the same in one generation");
        }
    }

    /// What clients do with an error.
    fn follow(&mut self, index: usize, error: ErrorCode) {
        let client = &mut self.clients[index];
        match error {
            ErrorCode::None => (),
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => {
                client.member_id.clear();
                client.phase = Phase::Outside;
            }
            ErrorCode::RebalanceInProgress
            | ErrorCode::IllegalGeneration
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress => client.phase = Phase::Outside,
            other => panic!("{other}"),
        }
    }

    fn check_books(&self) {
        let coordinator = &self.world.coordinator;
        let parked: BTreeSet<WaiterId> = coordinator
            .group(GROUP)
            .into_iter()
            .flat_map(|group| group.members.iter())
            .flat_map(|member| member.awaiting_join().into_iter().chain(member.awaiting_sync))
            .collect();
        assert!(parked.iter().all(|waiter| self.open.contains_key(waiter)), "only open waiters are parked");
        let Some(group) = coordinator.group(GROUP) else { return };
        let awaiting = group.members.iter().filter(|member| member.is_awaiting_join()).count();
        assert_eq!(group.members.awaiting_join(), awaiting);
        assert!(group.pending_sync.iter().all(|id| group.members.get(id).is_some()));
        assert!(group.pending_members.iter().all(|id| group.members.get(id).is_none()));
        let sync = Timer::Sync { group: group.id.clone() };
        assert_eq!(coordinator.timers.is_armed(&sync), !group.pending_sync.is_empty());
        match group.state() {
            GroupState::Empty => assert!(group.members.is_empty() && group.leader.is_none()),
            GroupState::PreparingRebalance => (),
            GroupState::CompletingRebalance | GroupState::Stable => {
                let leader = group.leader.as_deref().expect("a generation has a leader");
                assert!(group.members.get(leader).is_some() && group.protocol_name.is_some());
                assert_eq!(awaiting, 0);
            }
            GroupState::Dead => panic!("a dead group is not kept"),
        }
    }

    /// Everybody dies and the log answers: then nobody may be left waiting, and no deadline either.
    fn end(&mut self) {
        (0..CLIENTS).for_each(|index| self.die(index));
        for _ in 0..20 {
            while !self.appends.is_empty() {
                self.settle_oldest();
            }
            if self.reload {
                self.load_again();
            }
            self.world.pass(DAY);
            self.carry_out();
        }
        assert!(self.open.is_empty(), "waiters that were never answered: {:?}", self.open.keys());
        assert_eq!(self.world.coordinator.next_timeout(), None);
        assert!(self.world.coordinator.group(GROUP).is_none());
    }
}

#[test]
fn invariants_hold_under_random_churn() {
    for seed in 1..=SEEDS {
        let mut churn = Churn::new(seed, false);
        (0..STEPS).for_each(|_| churn.step());
        assert!(churn.assigned > 100, "seed {seed}: the group hardly ever became stable: {}", churn.assigned);
        assert!(churn.acknowledged > 50, "seed {seed}: hardly a commit succeeded");
        churn.end();
    }
}

#[test]
fn invariants_hold_under_random_churn_over_a_failing_log() {
    let mut reloads = 0;
    for seed in 1..=SEEDS {
        let mut churn = Churn::new(seed, true);
        (0..STEPS).for_each(|_| churn.step());
        assert!(churn.assigned > 50, "seed {seed}: the group hardly ever became stable: {}", churn.assigned);
        churn.end();
        reloads += churn.reloads;
    }
    assert!(reloads > 50, "appends were to fail: {reloads}");
}
