//! Produce, Fetch and ListOffsets: an error for each partition.

use bytes::BytesMut;
use protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use protocol::messages::{FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};
use uuid::Uuid;

use super::{Erring, Rest, Target, encoded, newer};

/// Where a batch has its CRC.
const CRC: std::ops::Range<usize> = 17..21;

pub(super) struct Produce;

impl Erring for Produce {
    type Request = ProduceRequest;
    type Response = ProduceResponse;

    fn patch(answer: &mut ProduceResponse, _version: i16, target: &Target<'_>) {
        for topic in &mut answer.responses {
            if target.has_topic(&topic.name, topic.topic_id) {
                let meant = topic.partition_responses.iter_mut().filter(|it| target.has_partition(it.index));
                meant.for_each(|partition| *partition = failed(partition.index, target));
            }
        }
    }

    fn throttle(answer: &mut ProduceResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }

    fn refuse(mut request: ProduceRequest, version: i16, target: &Target<'_>) -> (Rest, ProduceResponse) {
        let mut refused = ProduceResponse::default();
        for topic in &mut request.topic_data {
            if !target.has_topic(&topic.name, topic.topic_id) {
                continue;
            }
            let (meant, rest): (Vec<_>, Vec<_>) =
                topic.partition_data.drain(..).partition(|partition| target.has_partition(partition.index));
            topic.partition_data = rest;
            let failed = meant.iter().map(|partition| failed(partition.index, target)).collect();
            refused.responses.push(
                TopicProduceResponse::default()
                    .with_name(topic.name.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partition_responses(failed),
            );
        }
        request.topic_data.retain(|topic| !topic.partition_data.is_empty());
        let rest = if request.topic_data.is_empty() {
            Rest::Nothing
        } else {
            Rest::Some(encoded(&request, version))
        };
        (rest, refused)
    }

    fn join(answer: &mut ProduceResponse, refused: ProduceResponse) {
        for topic in refused.responses {
            let same =
                |it: &&mut TopicProduceResponse| it.name == topic.name && it.topic_id == topic.topic_id;
            match answer.responses.iter_mut().find(same) {
                Some(known) => known.partition_responses.extend(topic.partition_responses),
                None => answer.responses.push(topic),
            }
        }
    }

    fn is_silent(request: &ProduceRequest) -> bool {
        request.acks == 0
    }
}

fn failed(index: i32, target: &Target<'_>) -> PartitionProduceResponse {
    PartitionProduceResponse::default().with_index(index).with_error_code(target.code()).with_base_offset(-1)
}

pub(super) struct Fetch;

impl Erring for Fetch {
    type Request = FetchRequest;
    type Response = FetchResponse;

    fn patch(answer: &mut FetchResponse, _version: i16, target: &Target<'_>) {
        for topic in &mut answer.responses {
            if !target.has_topic(&topic.topic, topic.topic_id) {
                continue;
            }
            for partition in &mut topic.partitions {
                if target.has_partition(partition.partition_index) {
                    partition.error_code = target.code();
                    partition.high_watermark = -1;
                    partition.last_stable_offset = -1;
                    partition.log_start_offset = -1;
                    partition.aborted_transactions = Some(Vec::new());
                    partition.records = Some(bytes::Bytes::new());
                }
            }
        }
    }

    fn throttle(answer: &mut FetchResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }
}

/// Whether there were records to break.
pub(super) fn break_checksums(answer: &mut FetchResponse, target: &Target<'_>) -> bool {
    let mut any = false;
    for topic in &mut answer.responses {
        if !target.has_topic(&topic.topic, topic.topic_id) {
            continue;
        }
        for partition in topic.partitions.iter_mut().filter(|it| target.has_partition(it.partition_index)) {
            let Some(records) = partition.records.as_ref().filter(|records| records.len() >= CRC.end) else {
                continue;
            };
            let mut broken = BytesMut::from(&records[..]);
            broken[CRC].iter_mut().for_each(|byte| *byte = !*byte);
            partition.records = Some(broken.freeze());
            any = true;
        }
    }
    any
}

pub(super) struct ListOffsets;

impl Erring for ListOffsets {
    type Request = newer::ListOffsetsRequest;
    type Response = newer::ListOffsetsResponse;

    fn patch(answer: &mut newer::ListOffsetsResponse, _version: i16, target: &Target<'_>) {
        for topic in answer.0.topics.iter_mut().filter(|topic| target.has_topic(&topic.name, Uuid::nil())) {
            for partition in topic.partitions.iter_mut().filter(|it| target.has_partition(it.partition_index))
            {
                partition.error_code = target.code();
                partition.timestamp = -1;
                partition.offset = -1;
                partition.leader_epoch = -1;
            }
        }
    }

    fn throttle(answer: &mut newer::ListOffsetsResponse) -> &mut i32 {
        &mut answer.0.throttle_time_ms
    }
}
