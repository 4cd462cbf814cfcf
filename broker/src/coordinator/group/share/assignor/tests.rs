//! What every assignment must be, whoever comes and goes; and a few of them as Kafka's own tests of the assignor have them.

use super::*;

fn id(topic: u128) -> Uuid {
    Uuid::from_u128(topic)
}

fn assignment(of: &[(u128, &[i32])]) -> Assignment {
    of.iter().map(|(topic, partitions)| (id(*topic), partitions.iter().copied().collect())).collect()
}

/// Members with their topics; topics with their partition counts.
fn world(members: &[(&str, &[u128])], topics: &[(u128, i32)]) -> Subscriptions {
    let member = |(name, subscribed): &(&str, &[u128])| {
        ((*name).into(), (subscribed.iter().map(|topic| id(*topic)).collect(), Assignment::new()))
    };
    Subscriptions {
        members: members.iter().map(member).collect(),
        assignable: topics.iter().map(|(topic, count)| (id(*topic), (0..*count).collect())).collect(),
    }
}

fn of<'a>(assigned: &'a BTreeMap<Arc<str>, Assignment>, member: &str) -> &'a Assignment {
    &assigned[member]
}

#[test]
fn partitions_are_divided_among_fewer_members() {
    let assigned = assign(&world(&[("a", &[1, 2]), ("b", &[1, 2])], &[(1, 3), (2, 2)]));
    let sizes: Vec<usize> =
        assigned.values().map(|assignment| assignment.values().map(BTreeSet::len).sum()).collect();
    assert_eq!(sizes, [3, 2]);
    assert!(assigned.values().all(|it| it.values().all(|partitions| !partitions.is_empty())));
}

#[test]
fn partitions_are_shared_by_more_members() {
    let members: &[(&str, &[u128])] = &[("a", &[1]), ("b", &[1]), ("c", &[1])];
    let assigned = assign(&world(members, &[(1, 2)]));
    let mut readers = BTreeMap::new();
    for (_, partitions) in assigned.values().flatten() {
        partitions.iter().for_each(|partition| *readers.entry(*partition).or_insert(0) += 1);
    }
    assert_eq!(readers, BTreeMap::from([(0, 2), (1, 2)]));
}

#[test]
fn members_with_other_topics_are_balanced_topic_by_topic() {
    let members: &[(&str, &[u128])] = &[("a", &[1, 2]), ("b", &[3]), ("c", &[2, 3])];
    let assigned = assign(&world(members, &[(1, 3), (2, 3), (3, 2)]));
    assert_eq!(*of(&assigned, "a"), assignment(&[(1, &[0, 1, 2]), (2, &[0, 2])]));
    assert_eq!(*of(&assigned, "b"), assignment(&[(3, &[0])]));
    assert_eq!(*of(&assigned, "c"), assignment(&[(2, &[1]), (3, &[1])]));
}

#[test]
fn nobody_and_nothing_are_no_trouble() {
    assert!(assign(&world(&[], &[])).is_empty());
    assert!(of(&assign(&world(&[("a", &[])], &[])), "a").is_empty());
    assert!(of(&assign(&world(&[("a", &[1])], &[(1, 0)])), "a").is_empty());
}

#[test]
fn member_that_comes_takes_only_what_it_must() {
    let mut before = world(&[("a", &[1]), ("b", &[1])], &[(1, 4)]);
    let first = assign(&before);
    for (name, (_, current)) in &mut before.members {
        *current = first[name].clone();
    }
    before.members.insert("c".into(), ([id(1)].into(), Assignment::new()));
    let second = assign(&before);
    let moved: usize = ["a", "b"]
        .iter()
        .map(|name| of(&first, name)[&id(1)].difference(&of(&second, name)[&id(1)]).count())
        .sum();
    assert_eq!(moved, 1);
    assert_eq!(of(&second, "c")[&id(1)].len(), 1);
}

/// Members come and go and subscribe to this and that, topics grow; numbers from a fixed generator.
#[test]
fn every_partition_has_its_readers_and_every_member_its_share_whatever_happened_before() {
    let mut seed = 0x5eed_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut now = Subscriptions::default();
    for _ in 0..2000 {
        let name: Arc<str> = format!("m{}", next(7)).into();
        if next(3) == 0 {
            now.members.remove(&name);
        } else {
            let topics: BTreeSet<Uuid> = (1..=3).filter(|_| next(2) == 0).map(id).collect();
            now.members.entry(name).or_default().0 = topics;
        }
        now.assignable
            .entry(id(u128::from(next(3)) + 1))
            .or_default()
            .insert(i32::try_from(next(5)).unwrap());
        now.assignable.entry(id(1)).or_default();
        let assigned = assign(&now);
        for (topic, partitions) in &now.assignable {
            let subscribers = now.members.values().filter(|member| member.0.contains(topic)).count();
            for partition in partitions {
                let has = |it: &&Assignment| it.get(topic).is_some_and(|its| its.contains(partition));
                let readers = assigned.values().filter(has).count();
                assert_eq!(readers > 0, subscribers > 0, "{now:?}");
                assert!(readers <= subscribers.div_ceil(partitions.len().max(1)).max(1), "{now:?}");
            }
        }
        for (name, assignment) in assigned {
            let member = now.members.get_mut(&name).unwrap();
            assert!(assignment.keys().all(|topic| member.0.contains(topic)));
            member.1 = assignment;
        }
    }
}
