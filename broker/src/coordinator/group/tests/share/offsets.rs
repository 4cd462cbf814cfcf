//! Offsets altered and deleted, and groups deleted with them.

use super::*;

fn alter(topics: &[(&str, &[(i32, i64)])]) -> ShareRequest {
    let topics = topics.iter().map(|(name, partitions)| ((*name).to_owned(), partitions.to_vec())).collect();
    ShareRequest::AlterOffsets { group_id: GROUP.to_owned(), topics }
}

fn delete(topics: Option<&[&str]>) -> ShareRequest {
    let topics = topics.map(|topics| topics.iter().map(|topic| (*topic).to_owned()).collect());
    ShareRequest::DeleteOffsets { group_id: GROUP.to_owned(), topics }
}

fn deleting(response: ShareResponse) -> DeletingOffsets {
    let ShareResponse::DeleteOffsets(Ok(deleting)) = response else { panic!("{response:?}") };
    deleting
}

fn refusal(response: ShareResponse) -> (ErrorCode, String) {
    let (ShareResponse::DeleteOffsets(Err(Refusal { error, message }))
    | ShareResponse::AlterOffsets(Err(Refusal { error, message }))) = response
    else {
        panic!("{response:?}")
    };
    (error, message.unwrap_or_default())
}

impl World {
    /// An empty group with a state of both partitions.
    fn read_and_left(&mut self) {
        self.share_ok(joining("a"));
        self.share_ok(leaving("a"));
    }

    fn offsets_deleted(&mut self) {
        let deleted = ShareRequest::OffsetsDeleted { group_id: GROUP.to_owned(), topics: vec![id(1)] };
        assert_eq!(self.share(deleted), ShareResponse::Noted(ErrorCode::None));
    }
}

#[test]
fn altering_makes_the_group_and_the_state_of_what_exists() {
    let mut world = world(2);
    let response = world.share(alter(&[("topic", &[(1, 42), (2, 0), (-1, 0)]), ("nope", &[(0, 7)])]));
    let ShareResponse::AlterOffsets(Ok(altering)) = response else { panic!("{response:?}") };
    assert_eq!((altering.state_epoch, &*altering.initialize), (1, &[(id(1), 1, 42)][..]));
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let outcomes = vec![(1, ErrorCode::None), (2, unknown), (-1, unknown)];
    let topic = AlteredTopic { name: "topic".to_owned(), id: Some(id(1)), partitions: outcomes };
    let nope = AlteredTopic { name: "nope".to_owned(), id: None, partitions: vec![(0, unknown)] };
    assert_eq!(altering.topics, [topic, nope]);
    assert_eq!(world.state_partitions(), Assignment::new(), "not yet");
    world.initialized(partitions(&[1]), true);
    assert_eq!(world.state_partitions(), partitions(&[1]));
    assert_eq!(world.describe_share().state, "Empty");
    assert_eq!(world.share_ok(joining("a")), (2, Some(partitions(&[1]))), "the other one follows");
}

#[test]
fn altering_nothing_makes_no_group() {
    let mut world = world(2);
    assert!(matches!(world.share(alter(&[("nope", &[(0, 7)])])), ShareResponse::AlterOffsets(Ok(_))));
    assert!(world.listed(&[], &[]).is_empty());
}

#[test]
fn offsets_of_a_group_with_members_are_neither_altered_nor_deleted() {
    let mut world = world(2);
    world.sharing_pair();
    let refused = (ErrorCode::NonEmptyGroup, "The group is not empty.".to_owned());
    assert_eq!(refusal(world.share(alter(&[("topic", &[(0, 0)])]))), refused);
    assert_eq!(refusal(world.share(delete(Some(&["topic"])))), refused);
    assert_eq!(refusal(world.share(delete(None))), refused);
    assert_eq!(world.delete(), ErrorCode::NonEmptyGroup);
}

#[test]
fn deleted_offsets_are_named_until_they_are_gone() {
    let mut world = world(2);
    world.topic("unread", 2, 1);
    world.read_and_left();
    let found = deleting(world.share(delete(Some(&["topic", "unread", "nope"]))));
    let topic = (id(1), "topic".to_owned(), vec![0, 1]);
    assert_eq!(found.delete, std::slice::from_ref(&topic));
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let why = Some("There is no offset information to delete.");
    assert_eq!(found.failed, [("unread".to_owned(), unknown, why), ("nope".to_owned(), unknown, None)]);
    assert_eq!(world.state_partitions(), Assignment::new());
    assert_eq!(deleting(world.share(delete(Some(&["topic"])))).delete, [topic], "it can be tried again");
    world.offsets_deleted();
    assert_eq!(deleting(world.share(delete(Some(&["topic"])))).delete, [], "now they are gone");
}

#[test]
fn offsets_of_no_group_are_not_deleted() {
    let refused = (ErrorCode::GroupIdNotFound, "Group grp not found.".to_owned());
    assert_eq!(refusal(world(1).share(delete(Some(&["topic"])))), refused);
    assert_eq!(deleting(world(1).share(delete(None))), DeletingOffsets::default());
}

#[test]
fn group_that_is_deleted_names_all_of_its_state_and_leaves_nothing_in_the_log() {
    let mut world = world(2);
    world.read_and_left();
    let all = deleting(world.share(delete(None)));
    assert_eq!(all.delete, [(id(1), "topic".to_owned(), vec![0, 1])]);
    assert_eq!(deleting(world.share(delete(None))), all, "it can be tried again");
    assert_eq!(world.delete(), ErrorCode::None);
    assert!(world.listed(&[], &[]).is_empty());
    assert_eq!(world.delete(), ErrorCode::GroupIdNotFound);
    let mut left = BTreeMap::new();
    for CoordinatorRecord { key, value } in world.log.values().flatten() {
        left.insert(key.clone(), value.clone());
    }
    assert!(left.values().all(Option::is_none), "{left:?}");
}

#[test]
fn empty_group_stays_for_ever() {
    let mut world = world(1);
    world.read_and_left();
    world.pass(DAY * 30);
    assert!(world.answers().is_empty());
    assert_eq!(world.describe_share().state, "Empty");
}
