//! Random life of a share group: clients that follow the protocol, lose answers, fall silent and leave, initializing that fails or
//! is never heard of again, topics that grow, restarts. At every step nobody reads what is not initialized; in the end
//! everything is read, evenly, and a restart changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Default)]
struct Client {
    epoch: i32,
    reads: BTreeSet<i32>,
    joined: bool,
    /// An answer got lost: it tells its subscription again, to hear everything.
    unsure: bool,
}

/// What becomes of initializing.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Done,
    Failed,
    Unheard,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Beat(usize, Outcome),
    LoseAnswer(usize),
    Leave(usize),
    Forget(usize),
    Grow,
    Pass(u64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0_usize..4;
    let outcome =
        prop_oneof![6 => Just(Outcome::Done), 1 => Just(Outcome::Failed), 1 => Just(Outcome::Unheard)];
    let step = prop_oneof![
        8 => (client.clone(), outcome).prop_map(|(client, outcome)| Step::Beat(client, outcome)),
        2 => client.clone().prop_map(Step::LoseAnswer),
        1 => client.clone().prop_map(Step::Leave),
        1 => client.prop_map(Step::Forget),
        1 => Just(Step::Grow),
        2 => (0_u64..20).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..120)
}

struct Life {
    world: World,
    partitions: i32,
    clients: BTreeMap<usize, Client>,
}

impl Life {
    fn name(client: usize) -> String {
        format!("client-{client}")
    }

    fn beat(&mut self, number: usize, outcome: Outcome, answer_is_lost: bool) {
        let client = self.clients.entry(number).or_default();
        let joining = joining(&Self::name(number));
        let topics = joining.topics.clone().filter(|_| !client.joined || client.unsure);
        let member_epoch = if client.joined { client.epoch } else { 0 };
        let beat = self.world.share_beat(ShareGroupHeartbeat { member_epoch, topics, ..joining });
        if let Some(Initialize { partitions, .. }) = beat.initialize {
            match outcome {
                Outcome::Done => self.world.initialized(partitions, true),
                Outcome::Failed => self.world.initialized(partitions, false),
                Outcome::Unheard => {}
            }
        }
        client.unsure = answer_is_lost;
        if answer_is_lost {
            return;
        }
        match beat.error {
            ErrorCode::None => {
                client.joined = true;
                client.epoch = beat.member_epoch;
                if let Some(assignment) = beat.assignment {
                    client.reads = assignment.into_values().flatten().collect();
                }
            }
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound => {
                *client = Client::default();
            }
            error => panic!("{error:?} {:?}", beat.message),
        }
        let initialized = self.world.state_partitions().remove(&id(1)).unwrap_or_default();
        assert!(self.clients[&number].reads.is_subset(&initialized), "{:?} {initialized:?}", self.clients);
    }

    fn restart(&mut self) {
        let mut again = World::loading(config());
        again.now = self.world.now;
        again.topic("topic", 1, self.partitions);
        for (partition, records) in &self.world.log {
            for CoordinatorRecord { key, value } in records.clone() {
                again.event(Event::LoadRecord { partition: *partition, key, value });
            }
        }
        again.log = std::mem::take(&mut self.world.log);
        again.finish_loading();
        self.world = again;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Beat(client, outcome) => self.beat(client, outcome, false),
            Step::LoseAnswer(client) => self.beat(client, Outcome::Done, true),
            Step::Leave(client) => {
                self.world.share_beat(leaving(&Self::name(client)));
                self.clients.remove(&client);
            }
            Step::Forget(client) => drop(self.clients.remove(&client)),
            Step::Grow => {
                self.partitions += 1;
                self.world.topic("topic", 1, self.partitions);
            }
            Step::Pass(seconds) => {
                self.world.pass(Duration::from_secs(seconds));
                assert!(self.world.answers().is_empty());
            }
            Step::Restart => self.restart(),
        }
    }

    /// Whoever is silent is out, and whatever was never heard of is tried again.
    fn settle(&mut self) {
        for _ in 0..12 {
            self.world.pass(SECOND * 10);
            assert!(self.world.answers().is_empty());
            for number in 0..3 {
                self.beat(number, Outcome::Done, false);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_read_evenly_in_the_end_whatever_happened(steps in steps()) {
        let mut life = Life { world: world(2), partitions: 2, clients: BTreeMap::new() };
        steps.into_iter().for_each(|step| life.step(step));
        life.settle();
        life.clients.retain(|number, _| *number < 3);
        let counts: Vec<usize> = life.clients.values().map(|client| client.reads.len()).collect();
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", life.clients);
        for partition in 0..life.partitions {
            let readers = life.clients.values().filter(|client| client.reads.contains(&partition)).count();
// Three members for two partitions share them; with more partitions each has a reader of its own.
            let most = if life.partitions == 2 { 2 } else { 1 };
            prop_assert!(readers >= 1 && readers <= most, "{partition}: {:?}", life.clients);
        }
        let before = life.world.describe_share();
        prop_assert_eq!(before.members.len(), 3);
        life.restart();
        life.settle();
        prop_assert_eq!(life.world.describe_share(), before);
    }
}
