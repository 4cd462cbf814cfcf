//! Random life of a consumer group: clients that follow the protocol, lose answers, fall silent and leave, topics that grow,
//! restarts. At every step no partition may be owned by two clients; in the end everybody has an even share of everything.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A client as KIP-848 wants it: it gives up at once what it is not assigned, and owns what it is.
#[derive(Debug, Default)]
struct Client {
    epoch: i32,
    owned: BTreeSet<i32>,
    joined: bool,
    /// An answer got lost: it tells everything about itself, to hear everything.
    unsure: bool,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Beat(usize),
    LoseAnswer(usize),
    Leave(usize),
    Forget(usize),
    Grow,
    Pass(u64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0_usize..4;
    let step = prop_oneof![
        8 => client.clone().prop_map(Step::Beat),
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

    fn beat(&mut self, number: usize, answer_is_lost: bool) {
        let name = Self::name(number);
        let client = self.clients.entry(number).or_default();
        let request = if client.joined {
            let owned: Vec<i32> = client.owned.iter().copied().collect();
            let short = owning(&name, client.epoch, partitions(&owned));
            if client.unsure {
                let full = joining(&name);
                ConsumerGroupHeartbeat { member_epoch: client.epoch, owned: short.owned, ..full }
            } else {
                short
            }
        } else {
            // A client joins with nothing.
            client.owned.clear();
            joining(&name)
        };
        let beat = self.world.beat(request);
        client.unsure = answer_is_lost;
        if answer_is_lost {
            return;
        }
        match beat.error {
            ErrorCode::None => {
                client.joined = true;
                client.epoch = beat.member_epoch;
                if let Some(assignment) = beat.assignment {
                    client.owned = assignment.into_values().flatten().collect();
                }
            }
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound => {
                *client = Client::default();
            }
            error => panic!("{error:?} {:?}", beat.message),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Beat(client) => self.beat(client, false),
            Step::LoseAnswer(client) => self.beat(client, true),
            Step::Leave(client) => {
                self.world.beat(staying(&Self::name(client), -1));
                self.clients.remove(&client);
            }
            // It is dead, and owns nothing when it comes back; its session runs on.
            Step::Forget(client) => drop(self.clients.remove(&client)),
            Step::Grow => {
                self.partitions += 1;
                self.world.topic("topic", 1, self.partitions);
            }
            Step::Pass(seconds) => self.pass(seconds),
            Step::Restart => self.restart(),
        }
        self.check();
    }

    /// Clients that are evicted meanwhile stop reading before anybody else may: a client counts its session too.
    fn pass(&mut self, seconds: u64) {
        self.world.pass(Duration::from_secs(seconds));
        self.world.answers();
        let described = self.world.describe_consumers();
        let is_member = |name: &str| described.members.iter().any(|member| member.member_id == name);
        for (number, client) in &mut self.clients {
            if !is_member(&Self::name(*number)) {
                *client = Client::default();
            }
        }
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

    fn check(&self) {
        let mut owners: BTreeMap<i32, usize> = BTreeMap::new();
        for (number, client) in &self.clients {
            for partition in &client.owned {
                let other = owners.insert(*partition, *number);
                assert_eq!(other, None, "partition {partition} of {number} has another owner");
            }
        }
    }

    /// Everybody is heard of often enough for everything to settle.
    fn settle(&mut self) {
        for _ in 0..20 {
            for number in 0..4 {
                if self.clients.contains_key(&number) {
                    self.step(Step::Beat(number));
                }
            }
            self.step(Step::Pass(4));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn no_partition_has_two_owners_and_everybody_gets_an_even_share_in_the_end(steps in steps()) {
        let world = world(5);
        let mut life = Life { world, partitions: 5, clients: BTreeMap::new() };
        for step in steps {
            life.step(step);
        }
        life.settle();
        if life.clients.is_empty() {
            return Ok(());
        }
        let sizes: Vec<usize> = life.clients.values().map(|client| client.owned.len()).collect();
        let all = usize::try_from(life.partitions).unwrap();
        prop_assert_eq!(sizes.iter().sum::<usize>(), all, "{:?}", life.clients);
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{:?}", sizes);
        prop_assert_eq!(life.world.describe_consumers().state, "Stable");
    }
}
