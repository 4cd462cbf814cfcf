//! What a request is about: topics with partitions, groups, transactional ids.
//!
//! Read from the body by its layout, so that it holds for every API. Asked by the request log and by the rules of faults.

use protocol::layout::{Field, Kind, Layout};
use protocol::request_outline::{Value, visit};
use serde::Serialize;
use uuid::Uuid;

/// `FindCoordinatorRequest.CoordinatorType.TRANSACTION`.
const TRANSACTION_COORDINATOR: i64 = 1;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Touched {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) topics: Vec<TouchedTopic>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) transactional_ids: Vec<String>,
}

/// One topic of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct TouchedTopic {
    /// Its name, or the id as it was sent when no topic has it.
    pub(super) topic: String,
    /// Empty when the API names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) partitions: Vec<i32>,
}

impl Touched {
    /// What `body` names. `name_of` knows topics by their id.
    pub(super) fn of(
        layout: &Layout,
        version: i16,
        body: &[u8],
        name_of: impl Fn(Uuid) -> Option<String>,
    ) -> Self {
        let (mut touched, mut keys, mut key_type) = (Self::default(), Vec::new(), 0);
        visit(layout, version, body, &mut |path, value| {
            // A fetch session forgets them: the request does not want them.
            if path.first() == Some(&"ForgottenTopicsData") {
                return;
            }
            let [.., field] = path else { return };
            let inside = path.len().checked_sub(2).map_or("", |parent| path[parent]);
            match (*field, value) {
                ("GroupId" | "GroupIds" | "GroupsNames" | "Groups", Value::Text(id)) => {
                    touched.groups.push(id.to_owned());
                }
                ("TransactionalId" | "TransactionalIds" | "V3AndBelowTransactionalId", Value::Text(id)) => {
                    touched.transactional_ids.push(id.to_owned());
                }
                ("Key" | "CoordinatorKeys", Value::Text(key)) => keys.push(key.to_owned()),
                ("KeyType", Value::Number(number)) => key_type = number,
                ("Name" | "Topic", Value::Text(name)) if inside.contains("Topic") => touched.topic(name),
                ("TopicNames" | "SubscribedTopicNames", Value::Text(name)) => touched.topic(name),
                ("TopicId", Value::Uuid(id)) if id != [0; 16] => {
                    let id = Uuid::from_bytes(id);
                    touched.topic(&name_of(id).unwrap_or_else(|| id.to_string()));
                }
                (
                    "Index" | "Partition" | "PartitionIndex" | "PartitionIndexes" | "Partitions",
                    Value::Number(index),
                ) => touched.partition(index),
                _ => {}
            }
        });
        let of_keys = if key_type == TRANSACTION_COORDINATOR {
            &mut touched.transactional_ids
        } else {
            &mut touched.groups
        };
        of_keys.extend(keys);
        touched
    }

    fn topic(&mut self, name: &str) {
        self.topics.push(TouchedTopic { topic: name.to_owned(), partitions: Vec::new() });
    }

    fn partition(&mut self, index: i64) {
        if let (Some(topic), Ok(index)) = (self.topics.last_mut(), i32::try_from(index)) {
            topic.partitions.push(index);
        }
    }
}

/// What requests of an API can name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) topics: bool,
    pub(super) groups: bool,
}

/// Whether [`Touched::of`] can find topics and groups in requests of a layout.
pub(super) fn named_by(layout: &Layout) -> Named {
    let mut named = Named::default();
    look(layout.fields, "", &mut named);
    named
}

fn look(fields: &[Field], inside: &str, named: &mut Named) {
    for field in fields {
        match field.name {
            "GroupId" | "GroupIds" | "GroupsNames" | "Groups" | "Key" | "CoordinatorKeys" => {
                named.groups = true
            }
            "TopicId" | "TopicNames" | "SubscribedTopicNames" => named.topics = true,
            "Name" | "Topic" if inside.contains("Topic") => named.topics = true,
            _ => {}
        }
        if let Kind::Struct(inner) | Kind::Structs(inner, _) = field.kind {
            look(inner, field.name, named);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
    use protocol::messages::{FetchRequest, FindCoordinatorRequest, TopicName};
    use protocol::{Encodable, StrBytes, layouts};

    use super::*;

    fn touched(layout: &Layout, version: i16, request: &impl Encodable) -> Touched {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        Touched::of(layout, version, &body, |id| (id == Uuid::from_u128(7)).then(|| "seven".to_owned()))
    }

    #[test]
    fn a_fetch_is_about_its_partitions_by_name_or_id_and_not_about_what_it_forgets() {
        let partitions = [4, 2].map(|index| FetchPartition::default().with_partition(index)).to_vec();
        let topic = FetchTopic::default().with_partitions(partitions);
        let forgotten = ForgottenTopic::default().with_partitions(vec![9]);
        let request = FetchRequest::default().with_forgotten_topics_data(vec![forgotten]);
        let named = topic.clone().with_topic(TopicName(StrBytes::from_static_str("seven")));
        let by_name = touched(&layouts::data::FETCH, 12, &request.clone().with_topics(vec![named]));
        let by_id = touched(
            &layouts::data::FETCH,
            13,
            &request.with_topics(vec![topic.with_topic_id(Uuid::from_u128(7))]),
        );
        let topics = vec![TouchedTopic { topic: "seven".to_owned(), partitions: vec![4, 2] }];
        assert_eq!(by_name, Touched { topics, ..Touched::default() });
        assert_eq!(by_id, by_name);
    }

    #[test]
    fn what_an_api_can_name_is_known_beforehand() {
        let named = |layout| (named_by(layout).topics, named_by(layout).groups);
        assert_eq!(named(&layouts::data::PRODUCE), (true, false));
        assert_eq!(named(&layouts::groups::JOIN_GROUP), (false, true));
        assert_eq!(named(&layouts::groups::OFFSET_FETCH), (true, true));
        assert_eq!(named(&layouts::transactions::END_TXN), (false, false));
    }

    #[test]
    fn a_coordinator_is_sought_for_groups_or_for_transactional_ids() {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec!["k".into()]);
        let of_group = touched(&layouts::groups::FIND_COORDINATOR, 4, &request);
        assert_eq!(of_group.groups, ["k"]);
        let of_transaction = touched(&layouts::groups::FIND_COORDINATOR, 4, &request.with_key_type(1));
        assert_eq!(of_transaction.transactional_ids, ["k"]);
        assert!(of_transaction.groups.is_empty());
    }
}
