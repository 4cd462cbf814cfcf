//! Produce (0), versions 3 to 13 (advertised from 0, KAFKA-18659): batches into partitions.
//!
//! Every partition has its own outcome; all batches of a request go to the log in one append, in request order. acks=1 is
//! answered when they are in the log, acks=-1 when they are durable, acks=0 never: an error then closes the connection so
//! that the client asks for metadata again. `timeout_ms` is not looked at: it limits the wait for other replicas, and
//! there are none. A duplicate batch of an idempotent producer succeeds with its original offset. Version 7 allows zstd, 8
//! brings messages and record errors, 13 topic ids. Small requests that a connection sends close together are appended as
//! one group. Only Metadata creates topics, as in Kafka.
//!
//! Clients may write to internal topics only under the client id `__admin_client` (`KafkaApis.handleProduceRequest`).
//!
//! A transactional batch needs the request's transactional id. If it is the first of its transaction in the partition, the
//! transaction coordinator is asked before the append (`verification`): version 12 adds the partition to the transaction by
//! that (KIP-890), older ones have it verified. Until it is answered, no later request of the connection is begun.
//!
//! A topic whose `compression.type` names a codec has its batches stored with that one (`recompress`).
//!
//! A partition that another virtual node leads is NOT_LEADER_OR_FOLLOWER; version 10 tells who does (`leaders`, KIP-951).

mod batch;
mod leaders;
mod recompress;
mod verification;

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, TopicName};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{Append, AppendError, Appended, PartitionLog, Position, Submitted, Topic};

use super::{Api, Reply, RequestContext, Response, reply};
use crate::broker::Broker;
use crate::topic_config::TopicConfig;
use crate::traffic::TopicMeter;
use crate::virtual_nodes::{AtNode, NodeAddress, check_leader};
use crate::{error_map, topics};
use batch::{Checked, Rejection, Rules};
use recompress::Unfinished;
use verification::Unverified;

const ADMIN_CLIENT_ID: &str = "__admin_client";
const ACKS_ALL: i16 = -1;
/// Batches of a request up to this size, bytes, are appended with those of other requests: a system call for more of them
/// would be saved next to nothing.
const SMALL: usize = 16 << 10;

pub(super) struct Produce;

impl Api for Produce {
    type Request = ProduceRequest;
    type Response = ProduceResponse;
    const KEY: ApiKey = ApiKey::Produce;
    const LAYOUT: &'static Layout = &layouts::data::PRODUCE;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: ProduceRequest) -> Reply {
        let (version, acks) = (context.version(), request.acks);
        let form = Form { version, acks, nodes: leaders::told(broker, context) };
        let sender = Sender {
            broker,
            at: context.at(broker),
            version,
            transactional: request.transactional_id.is_some(),
            admin: context.client_id() == ADMIN_CLIENT_ID,
            acks_valid: (-1..=1).contains(&acks),
            now_ms: broker.clock.now_ms(),
        };
        if let Some(message) = unreadable(&request) {
            return form.refuse(request, &message);
        }
        let mut pending = Pending::default();
        let mut responses: Vec<TopicProduceResponse> = Vec::with_capacity(request.topic_data.len());
        for (index, topic) in request.topic_data.into_iter().enumerate() {
            responses.push(sender.topic(index, topic, &mut pending));
        }
        if pending.unverified.is_empty() && pending.unfinished.is_empty() {
            if acks != 0 && pending.is_small() {
                context.connection.submits();
                return form.submit(broker, pending, responses);
            }
            return form.append(broker, pending, responses);
        }
        let now_ms = sender.now_ms;
        let (broker, id) = (Arc::clone(broker), request.transactional_id.unwrap_or_default());
        Reply::Ordered(Box::pin(async move {
            if !pending.unverified.is_empty() {
                verification::verify(&broker, &id, version, &mut pending, &mut responses).await;
            }
            recompress::finish(&broker, (version, now_ms), &mut pending, &mut responses).await;
            form.append(&broker, pending, responses)
        }))
    }
}

/// Why no partition of the request is looked at.
fn unreadable(request: &ProduceRequest) -> Option<String> {
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions.filter_map(|partition| partition.records.as_deref()).find_map(batch::unreadable)
}

/// How a request wants its answer.
struct Form {
    version: i16,
    acks: i16,
    /// The nodes that the client can be sent to.
    nodes: Vec<NodeAddress>,
}

impl Form {
    /// Every partition is CORRUPT_MESSAGE (Kafka `ProduceRequest.getErrorResponse`).
    fn refuse(self, request: ProduceRequest, message: &str) -> Reply {
        if self.acks == 0 {
            return Reply::Close;
        }
        let responses = request.topic_data.into_iter().map(|topic| {
            let partitions = topic.partition_data.iter().map(|partition| {
                let message = Some(message.to_owned());
                rejected(partition.index, Rejection { message, ..ErrorCode::CorruptMessage.into() })
            });
            let partitions = partitions.collect();
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions)
        });
        let response = ProduceResponse::default().with_responses(responses.collect());
        Reply::Now(Response::encode(&response, self.version))
    }

    /// Has the batches appended when the first answer of its connection is asked for, together with those of the requests
    /// that came along: a client with hundreds of small requests on their way pays for one write of the log, not for
    /// hundreds.
    fn submit(
        self,
        broker: &Arc<Broker>,
        pending: Pending,
        mut responses: Vec<TopicProduceResponse>,
    ) -> Reply {
        let (submission, broker) = (pending.submit(broker), Arc::clone(broker));
        Reply::Later(Box::pin(async move {
            let (position, _) = submission.finish(&broker, &mut responses);
            let endpoints = leaders::tell(&broker, &self.nodes, &mut responses);
            let outcome = match position {
                Some(position) if self.acks == ACKS_ALL => reply::acknowledged(&broker, position).await,
                _ => Ok(()),
            };
            Response::encode(&with_outcome(responses, outcome).with_node_endpoints(endpoints), self.version)
        }))
    }

    fn append(
        self,
        broker: &Arc<Broker>,
        pending: Pending,
        mut responses: Vec<TopicProduceResponse>,
    ) -> Reply {
        let Self { version, acks, nodes } = self;
        let (position, failed) = pending.submit(broker).finish(broker, &mut responses);
        let endpoints = leaders::tell(broker, &nodes, &mut responses);
        match acks {
            0 if failed => Reply::Close,
            0 => Reply::Nothing,
            ACKS_ALL => Reply::when_acknowledged(broker, position, move |outcome| {
                Response::encode(&with_outcome(responses, outcome).with_node_endpoints(endpoints), version)
            }),
            _ => {
                let response =
                    ProduceResponse::default().with_responses(responses).with_node_endpoints(endpoints);
                Reply::Now(Response::encode(&response, version))
            }
        }
    }
}

/// What holds for all partitions of one request.
struct Sender<'a> {
    broker: &'a Broker,
    at: Option<AtNode>,
    version: i16,
    transactional: bool,
    admin: bool,
    acks_valid: bool,
    now_ms: i64,
}

impl Sender<'_> {
    fn topic(&self, index: usize, data: TopicProduceData, pending: &mut Pending) -> TopicProduceResponse {
        let target = self.target(&data);
        // Its own: what waits for the disk must not hold the request's bytes, or the next ones are read into new memory.
        let name = TopicName(StrBytes::from_string(data.name.to_string()));
        let response = TopicProduceResponse::default().with_name(name).with_topic_id(data.topic_id);
        let mut partitions = Vec::with_capacity(data.partition_data.len());
        let mut refused = 0;
        for (place, partition) in data.partition_data.into_iter().enumerate() {
            let number = partition.index;
            let checked = match &target {
                Ok((topic, config)) => self.partition(topic, config, partition),
                Err(error) => Err(Rejection::from(*error)),
            };
            partitions.push(match checked {
                Ok((log, checked)) => {
                    if checked.transactional
                        && let Ok((topic, _)) = &target
                    {
                        let (place, name) = (pending.appends.len(), Arc::clone(topic.name()));
                        let unverified =
                            verification::begin((&log, name), &checked.batch, self.version, place);
                        pending.unverified.extend(unverified);
                    }
                    if checked.unfinished
                        && let Ok((topic, config)) = &target
                    {
                        pending.unfinished.push(Unfinished::new((index, place), topic, config, number));
                    }
                    pending.appends.push(Append::new(log, checked.batch));
                    pending.places.push((index, place));
                    accepted(number, checked.log_append_time_ms)
                }
                Err(rejection) => {
                    pending.failed = true;
                    refused += 1;
                    rejected(number, rejection)
                }
            });
        }
        if let (Ok((topic, _)), 1..) = (&target, refused) {
            self.broker.traffic.topic(topic.number()).refused_to_append(refused);
        }
        response.with_partition_responses(partitions)
    }

    fn target(&self, data: &TopicProduceData) -> Result<(Arc<Topic>, Arc<TopicConfig>), ErrorCode> {
        let topic = topics::resolve(&self.broker.store, self.version >= 13, &data.name, data.topic_id)?;
        if topics::is_internal(topic.name()) && !self.admin {
            return Err(ErrorCode::InvalidTopicException);
        }
        let config = self.broker.topic_config(&topic);
        Ok((topic, config))
    }

    fn partition(
        &self,
        topic: &Topic,
        config: &TopicConfig,
        data: PartitionProduceData,
    ) -> Result<(Arc<PartitionLog>, Checked), Rejection> {
        let log = topic.partition(data.index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let rules = Rules {
            version: self.version,
            config,
            transactional_id: self.transactional,
            now_ms: self.now_ms,
            topic: topic.name(),
            partition: data.index,
        };
        if !self.acks_valid {
            return Err(ErrorCode::InvalidRequiredAcks.into());
        }
        check_leader(self.at.as_ref(), &log)?;
        match batch::check(data.records, &rules) {
            Ok(checked) => Ok((log, checked)),
            Err(rejection) if rejection.in_log => {
                Err(Rejection { log_start_offset: log.log_start_offset(), ..rejection })
            }
            Err(rejection) => Err(rejection),
        }
    }
}

/// Batches on their way to the log, each with its place in the response.
#[derive(Default)]
struct Pending {
    appends: Vec<Append>,
    places: Vec<(usize, usize)>,
    /// Those that the transaction coordinator must be asked about.
    unverified: Vec<Unverified>,
    /// Those that are compressed anew away from the core.
    unfinished: Vec<Unfinished>,
    failed: bool,
}

impl Pending {
    /// Whether a write of its own would cost more than what it writes.
    fn is_small(&self) -> bool {
        let sizes = self.appends.iter().map(|append| append.batch.view().as_bytes().len());
        (1..=SMALL).contains(&sizes.sum())
    }

    /// Gives the batches their place in the log's order.
    fn submit(self, broker: &Broker) -> Submission {
        let sent = self.appends.iter().map(Sent::of).zip(self.places).collect();
        let submitted = (!self.appends.is_empty()).then(|| broker.store.submit(self.appends));
        Submission { sent, submitted, failed: self.failed }
    }
}

/// Batches that wait for their outcome.
struct Submission {
    sent: Vec<(Sent, (usize, usize))>,
    submitted: Option<Submitted>,
    failed: bool,
}

impl Submission {
    /// Appends everything and fills in the outcomes. Returns where all of it is durable and whether anything failed.
    fn finish(self, broker: &Broker, responses: &mut [TopicProduceResponse]) -> (Option<Position>, bool) {
        let (mut position, mut failed) = (None, self.failed);
        let Some(submitted) = self.submitted else { return (position, failed) };
        let mut traffic = TopicMeter::new(&broker.traffic);
        for (outcome, (sent, (topic, place))) in submitted.outcomes().into_iter().zip(self.sent) {
            let response = &mut responses[topic].partition_responses[place];
            let traffic = traffic.of(sent.log.topic_number());
            match outcome {
                Ok(appended) => {
                    position = position.max(Some(appended.end));
                    let (bytes, records) =
                        if appended.duplicate { (0, 0) } else { (sent.bytes, sent.records) };
                    traffic.appended(bytes, records);
                    appended_at(response, &appended, &sent.log);
                    if appended.duplicate && response.log_append_time_ms < 0 {
                        // Kafka remembers no more than the batch's greatest timestamp, and tells that.
                        response.log_append_time_ms = sent.max_timestamp;
                    }
                }
                Err(error) => {
                    failed = true;
                    traffic.refused_to_append(1);
                    *response = rejected(response.index, refused(&error, &sent.log));
                }
            }
        }
        (position, failed)
    }
}

/// What is needed of a batch after it was handed over.
struct Sent {
    log: Arc<PartitionLog>,
    bytes: u64,
    records: u64,
    max_timestamp: i64,
}

impl Sent {
    fn of(append: &Append) -> Self {
        let batch = append.batch.view();
        Self {
            log: Arc::clone(&append.partition),
            bytes: u64::try_from(batch.as_bytes().len()).unwrap_or(u64::MAX),
            records: u64::from(batch.record_count().unsigned_abs()),
            max_timestamp: batch.max_timestamp(),
        }
    }
}

fn appended_at(response: &mut PartitionProduceResponse, appended: &Appended, log: &PartitionLog) {
    response.base_offset = appended.base_offset;
    response.log_start_offset = log.log_start_offset();
}

/// Kafka tells the code alone, and where the log starts unless the log itself failed.
fn refused(error: &AppendError, log: &PartitionLog) -> Rejection {
    tracing::debug!(%error, "a batch is not appended");
    let rejection = Rejection::from(error_map::append_error(error));
    if rejection.error == ErrorCode::KafkaStorageError {
        return rejection;
    }
    Rejection { log_start_offset: log.log_start_offset(), ..rejection }
}

fn accepted(index: i32, log_append_time_ms: i64) -> PartitionProduceResponse {
    PartitionProduceResponse::default().with_index(index).with_log_append_time_ms(log_append_time_ms)
}

fn rejected(index: i32, rejection: Rejection) -> PartitionProduceResponse {
    let record_errors = rejection.record_errors.into_iter().map(|(index, message)| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(Some(StrBytes::from_string(message)))
    });
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(rejection.error.code())
        .with_base_offset(-1)
        .with_log_start_offset(rejection.log_start_offset)
        .with_record_errors(record_errors.collect())
        .with_error_message(rejection.message.map(StrBytes::from_string))
}

/// When the log stopped before the batches were durable, none of them counts as written.
fn with_outcome(mut responses: Vec<TopicProduceResponse>, outcome: Result<(), ErrorCode>) -> ProduceResponse {
    if let Err(error) = outcome {
        for partition in responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
            if partition.error_code == 0 {
                *partition = rejected(partition.index, Rejection::from(error));
            }
        }
    }
    ProduceResponse::default().with_responses(responses)
}
