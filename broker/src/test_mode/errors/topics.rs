//! Metadata, CreateTopics and DeleteTopics: an error for each topic.

use protocol::messages::create_topics_response::CreatableTopicResult;
use protocol::messages::delete_topics_response::DeletableTopicResult;
use protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, MetadataRequest,
    MetadataResponse,
};
use protocol::{ErrorCode, StrBytes};
use uuid::Uuid;

use super::{Erring, Rest, Target, encoded};

pub(super) struct Metadata;

impl Erring for Metadata {
    type Request = MetadataRequest;
    type Response = MetadataResponse;

    fn patch(answer: &mut MetadataResponse, _version: i16, target: &Target<'_>) {
        for topic in &mut answer.topics {
            let name = topic.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
            if !target.has_topic(name, topic.topic_id) {
                continue;
            }
            if target.only.partition.is_none() {
                topic.error_code = target.code();
                topic.partitions.clear();
                continue;
            }
            for partition in topic.partitions.iter_mut().filter(|it| target.has_partition(it.partition_index))
            {
                partition.error_code = target.code();
                if target.error == ErrorCode::LeaderNotAvailable {
                    partition.leader_id = (-1).into();
                }
            }
        }
    }

    fn throttle(answer: &mut MetadataResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }
}

pub(super) struct CreateTopics;

impl Erring for CreateTopics {
    type Request = CreateTopicsRequest;
    type Response = CreateTopicsResponse;

    fn patch(answer: &mut CreateTopicsResponse, _version: i16, target: &Target<'_>) {
        for topic in answer.topics.iter_mut().filter(|topic| target.has_topic(&topic.name, Uuid::nil())) {
            let name = topic.name.clone();
            *topic = CreatableTopicResult::default()
                .with_name(name)
                .with_error_code(target.code())
                .with_error_message(Some(said_by_a_fault()));
        }
    }

    fn throttle(answer: &mut CreateTopicsResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }

    fn refuse(
        mut request: CreateTopicsRequest,
        version: i16,
        target: &Target<'_>,
    ) -> (Rest, CreateTopicsResponse) {
        let (meant, rest): (Vec<_>, Vec<_>) =
            request.topics.drain(..).partition(|topic| target.has_topic(&topic.name, Uuid::nil()));
        request.topics = rest;
        let results = meant.into_iter().map(|topic| CreatableTopicResult::default().with_name(topic.name));
        let mut refused = CreateTopicsResponse::default().with_topics(results.collect());
        Self::patch(&mut refused, version, target);
        let rest =
            if request.topics.is_empty() { Rest::Nothing } else { Rest::Some(encoded(&request, version)) };
        (rest, refused)
    }

    fn join(answer: &mut CreateTopicsResponse, refused: CreateTopicsResponse) {
        answer.topics.extend(refused.topics);
    }
}

pub(super) struct DeleteTopics;

impl Erring for DeleteTopics {
    type Request = DeleteTopicsRequest;
    type Response = DeleteTopicsResponse;

    fn patch(answer: &mut DeleteTopicsResponse, _version: i16, target: &Target<'_>) {
        for topic in &mut answer.responses {
            let name = topic.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
            if target.has_topic(name, topic.topic_id) {
                topic.error_code = target.code();
                topic.error_message = Some(said_by_a_fault());
            }
        }
    }

    fn throttle(answer: &mut DeleteTopicsResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }

    fn refuse(
        mut request: DeleteTopicsRequest,
        version: i16,
        target: &Target<'_>,
    ) -> (Rest, DeleteTopicsResponse) {
        let named = request.topic_names.extract_if(.., |name| target.has_topic(name, Uuid::nil()));
        let named = named.map(|name| DeletableTopicResult::default().with_name(Some(name)));
        let mut results: Vec<DeletableTopicResult> = named.collect();
        let meant = request.topics.extract_if(.., |topic| {
            let name = topic.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
            target.has_topic(name, topic.topic_id)
        });
        results.extend(meant.map(|topic| {
            DeletableTopicResult::default().with_name(topic.name).with_topic_id(topic.topic_id)
        }));
        let mut refused = DeleteTopicsResponse::default().with_responses(results);
        Self::patch(&mut refused, version, target);
        let is_done = request.topics.is_empty() && request.topic_names.is_empty();
        let rest = if is_done { Rest::Nothing } else { Rest::Some(encoded(&request, version)) };
        (rest, refused)
    }

    fn join(answer: &mut DeleteTopicsResponse, refused: DeleteTopicsResponse) {
        answer.responses.extend(refused.responses);
    }
}

/// The sentence beside an error, where an answer has room for one.
fn said_by_a_fault() -> StrBytes {
    StrBytes::from_static_str("A fault of test mode says so.")
}
