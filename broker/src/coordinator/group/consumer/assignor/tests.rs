//! Properties of the assignors, for groups made at random, and Kafka's own answers.

mod kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::{Assignor, MemberSpec, Spec};
use crate::coordinator::group::consumer::member::Assignment;

fn topic(number: usize) -> Uuid {
    Uuid::from_u128(u128::try_from(number).unwrap() + 1)
}

fn member(number: usize) -> Arc<str> {
    format!("member-{number}").into()
}

fn spec(topics: &[i32], subscriptions: &[BTreeSet<usize>]) -> Spec {
    let mut spec = Spec::default();
    for (number, subscription) in subscriptions.iter().enumerate() {
        let subscribed: BTreeSet<Uuid> = subscription.iter().map(|it| topic(it % topics.len())).collect();
        spec.members.insert(member(number), MemberSpec { topics: subscribed, ..MemberSpec::default() });
    }
    spec.is_homogeneous = spec.members.values().map(|it| &it.topics).collect::<BTreeSet<_>>().len() == 1;
    let all: BTreeSet<Uuid> = spec.members.values().flat_map(|it| it.topics.iter().copied()).collect();
    for (number, count) in topics.iter().enumerate().filter(|(number, _)| all.contains(&topic(*number))) {
        spec.topics.insert(topic(number), *count);
    }
    spec
}

fn with_current(mut spec: Spec, current: &BTreeMap<Arc<str>, Assignment>) -> Spec {
    for (id, member) in &mut spec.members {
        member.current = current.get(id).cloned().unwrap_or_default();
    }
    spec
}

fn size(assignment: &Assignment) -> usize {
    assignment.values().map(BTreeSet::len).sum()
}

/// Every partition exactly once, to somebody who subscribes.
fn check_complete(spec: &Spec, target: &BTreeMap<Arc<str>, Assignment>) {
    let mut seen: BTreeSet<(Uuid, i32)> = BTreeSet::new();
    for (id, assignment) in target {
        for (topic, partitions) in assignment {
            assert!(spec.members[id].topics.contains(topic), "{id} does not subscribe");
            for partition in partitions {
                assert!((0..spec.topics[topic]).contains(partition));
                assert!(seen.insert((*topic, *partition)), "{partition} twice");
            }
        }
    }
    let all: i32 = spec.topics.values().sum();
    assert_eq!(seen.len(), usize::try_from(all).unwrap());
}

/// Nobody could take a partition from somebody who has two more.
fn check_balance(spec: &Spec, target: &BTreeMap<Arc<str>, Assignment>) {
    for assignment in target.values() {
        for topic in assignment.keys() {
            for (other, member) in spec.members.iter().filter(|(_, member)| member.topics.contains(topic)) {
                let theirs = target.get(other).map_or(0, size);
                assert!(size(assignment) <= theirs + 1, "{topic} could go to {other}: {:?}", member.topics);
            }
        }
    }
}

fn moved(before: &BTreeMap<Arc<str>, Assignment>, after: &BTreeMap<Arc<str>, Assignment>) -> usize {
    let kept = |id: &Arc<str>, assignment: &Assignment| -> usize {
        let now = after.get(id);
        let still = |topic: &Uuid, partition: &i32| {
            now.is_some_and(|now| now.get(topic).is_some_and(|it| it.contains(partition)))
        };
        assignment.iter().map(|(topic, it)| it.iter().filter(|one| !still(topic, one)).count()).sum()
    };
    before.iter().map(|(id, assignment)| kept(id, assignment)).sum()
}

fn topics() -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(0_i32..12, 1..6)
}

fn subscriptions() -> impl Strategy<Value = Vec<BTreeSet<usize>>> {
    prop::collection::vec(prop::collection::btree_set(0_usize..6, 0..4), 1..9)
}

proptest! {
    #[test]
    fn every_partition_goes_to_exactly_one_subscriber(
        topics in topics(), first in subscriptions(), second in subscriptions(),
    ) {
        for assignor in Assignor::ALL {
            let before_spec = spec(&topics, &first);
            let before = assignor.assign(&before_spec);
            check_complete(&before_spec, &before);
            let after_spec = with_current(spec(&topics, &second), &before);
            let after = assignor.assign(&after_spec);
            check_complete(&after_spec, &after);
        }
    }

    #[test]
    fn uniform_is_balanced_whatever_came_before(
        topics in topics(), first in subscriptions(), second in subscriptions(),
    ) {
        let before = Assignor::Uniform.assign(&spec(&topics, &first));
        let after_spec = with_current(spec(&topics, &second), &before);
        check_balance(&after_spec, &Assignor::Uniform.assign(&after_spec));
    }

    #[test]
    fn nothing_moves_when_nothing_changed(topics in topics(), members in subscriptions()) {
        for assignor in Assignor::ALL {
            let before = assignor.assign(&spec(&topics, &members));
            let again = assignor.assign(&with_current(spec(&topics, &members), &before));
            prop_assert_eq!(before, again);
        }
    }

    #[test]
    fn uniform_moves_only_what_a_newcomer_needs(counts in topics(), members in 1_usize..9) {
        let all: BTreeSet<usize> = (0..counts.len()).collect();
        let before = Assignor::Uniform.assign(&spec(&counts, &vec![all.clone(); members]));
        let after_spec = with_current(spec(&counts, &vec![all; members + 1]), &before);
        let after = Assignor::Uniform.assign(&after_spec);
        let newcomer = size(&after[&member(members)]);
        prop_assert_eq!(moved(&before, &after), newcomer);
    }

    #[test]
    fn uniform_moves_only_what_somebody_left_behind(counts in topics(), members in 2_usize..9) {
        let all: BTreeSet<usize> = (0..counts.len()).collect();
        let before = Assignor::Uniform.assign(&spec(&counts, &vec![all.clone(); members]));
        let after_spec = with_current(spec(&counts, &vec![all; members - 1]), &before);
        let after = Assignor::Uniform.assign(&after_spec);
        prop_assert_eq!(moved(&before, &after), size(&before[&member(members - 1)]));
    }

    #[test]
    fn range_gives_equal_topics_the_same_way(partitions in 1_i32..12, members in 1_usize..9) {
        let all = BTreeSet::from([0, 1]);
        let target = Assignor::Range.assign(&spec(&[partitions, partitions], &vec![all; members]));
        for assignment in target.values() {
            prop_assert_eq!(assignment.get(&topic(0)), assignment.get(&topic(1)));
        }
    }
}

#[test]
fn range_gives_the_first_members_one_more() {
    let target = Assignor::Range.assign(&spec(&[7], &vec![BTreeSet::from([0]); 3]));
    let parts = |number| target[&member(number)][&topic(0)].iter().copied().collect::<Vec<_>>();
    assert_eq!((parts(0), parts(1), parts(2)), (vec![0, 1, 2], vec![3, 4], vec![5, 6]));
}

#[test]
fn assignors_are_known_by_name() {
    assert_eq!(Assignor::named("uniform"), Some(Assignor::Uniform));
    assert_eq!(Assignor::named("range"), Some(Assignor::Range));
    assert_eq!(Assignor::named("Uniform"), None);
}
