//! Kafka's own answers, as `compat-tests/drivers/assignors` printed them: who reads what, one line for each rebalance. Members
//! come there in the order of their ids, so ours must give the same partitions to the same members. One exception: where all
//! members subscribe to the same topics, which of its topics a member gives up first is decided by the order of a hash map
//! there, and by the order of ids here; then everybody must have as many partitions, and as many of them must move.
//!
//! `ASSIGNOR_ANSWERS=FILE` compares with other answers than those kept here; `cargo run -p compat-tests --bin assignors` makes
//! them.

use super::*;

const KEPT: &str = include_str!("kafka_answers.txt");

type Assignments = BTreeMap<Arc<str>, Assignment>;

fn numbers(text: &str, separator: char) -> Vec<&str> {
    text.split(separator).filter(|part| !part.is_empty()).collect()
}

fn id(number: &str) -> Uuid {
    Uuid::from_u128(number.parse().unwrap())
}

fn assignments(text: &str) -> Assignments {
    let one = |text: &str| {
        let (member, partitions) = text.split_once(':').unwrap();
        let mut assignment = Assignment::new();
        for partition in numbers(partitions, '+') {
            let (topic, partition) = partition.split_once('.').unwrap();
            assignment.entry(id(topic)).or_default().insert(partition.parse().unwrap());
        }
        (member.into(), assignment)
    };
    text.split(',').map(one).collect()
}

/// The assignor, the group, and Kafka's answer.
fn parsed(line: &str) -> (Assignor, Spec, Assignments) {
    let parts: Vec<&str> = line.split(' ').collect();
    let [assignor, topics, members, current, answer] = parts[..] else { panic!("{line}") };
    let mut spec = Spec::default();
    for member in members.split(',') {
        let (name, topics) = member.split_once(':').unwrap();
        let (name, instance) = name.split_once('/').unwrap();
        let instance_id = Some(instance.to_owned()).filter(|instance| !instance.is_empty());
        let topics = numbers(topics, '+').into_iter().map(id).collect();
        spec.members.insert(name.into(), MemberSpec { instance_id, topics, ..MemberSpec::default() });
    }
    spec.is_homogeneous = spec.members.values().map(|it| &it.topics).collect::<BTreeSet<_>>().len() == 1;
    let subscribed: BTreeSet<Uuid> = spec.members.values().flat_map(|it| it.topics.iter().copied()).collect();
    for topic in topics.split(',') {
        let (topic, count) = topic.split_once(':').unwrap();
        if subscribed.contains(&id(topic)) {
            spec.topics.insert(id(topic), count.parse().unwrap());
        }
    }
    (Assignor::named(assignor).unwrap(), with_current(spec, &assignments(current)), assignments(answer))
}

fn sizes(assignments: &Assignments) -> Vec<usize> {
    assignments.values().map(size).collect()
}

#[test]
fn answers_are_those_of_kafka() {
    let asked = std::env::var("ASSIGNOR_ANSWERS").map(|path| std::fs::read_to_string(path).unwrap());
    let answers = asked.unwrap_or_else(|_| KEPT.to_owned());
    // `range`, `uniform` where subscriptions differ, `uniform` where they do not.
    let (mut compared, mut differ) = ([0_u32; 3], Vec::new());
    for line in answers.lines() {
        let (assignor, spec, kafka) = parsed(line);
        let ours = assignor.assign(&spec);
        check_complete(&spec, &ours);
        let (kind, same) = match assignor {
            Assignor::Range => (0, ours == kafka),
            Assignor::Uniform if spec.is_homogeneous => {
                let current = spec.members.iter().map(|(id, member)| (id.clone(), member.current.clone()));
                let current = current.collect();
                (2, sizes(&ours) == sizes(&kafka) && moved(&current, &ours) == moved(&current, &kafka))
            }
            Assignor::Uniform => (1, ours == kafka),
        };
        compared[kind] += 1;
        if !same {
            differ.push(format!("{line}\n   here {ours:?}"));
        }
    }
    assert!(compared.iter().all(|number| *number > 0), "{compared:?}");
    let shown = differ[..differ.len().min(20)].join("\n");
    assert!(differ.is_empty(), "{} of {compared:?} differ:\n{shown}", differ.len());
}
