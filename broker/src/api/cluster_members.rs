//! UnregisterBroker (64), version 0, AddRaftVoter (80), versions 0 and 1, and RemoveRaftVoter (81), version 0: members of a
//! cluster that has one, for good.
//!
//! Another broker is BROKER_ID_NOT_REGISTERED, with Kafka's sentence; this one cannot be taken out, which Kafka would do.
//! Voters of a static quorum do not change: UNSUPPORTED_VERSION, as on a Kafka cluster whose `kraft.version` is 0
//! (`AddVoterHandler`, `RemoveVoterHandler`), after the check of the cluster id that Kafka makes first.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::{
    ApiKey, RemoveRaftVoterRequest, RemoveRaftVoterResponse, UnregisterBrokerRequest,
    UnregisterBrokerResponse,
};
use protocol::newer::{AddRaftVoterRequest, AddRaftVoterResponse};
use protocol::{ErrorCode, StrBytes, layouts, messages};

use super::create_topics::Failure;
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

pub(super) struct UnregisterBroker;
pub(super) struct AddRaftVoter;
pub(super) struct RemoveRaftVoter;

impl Api for UnregisterBroker {
    type Request = UnregisterBrokerRequest;
    type Response = UnregisterBrokerResponse;
    const KEY: ApiKey = ApiKey::UnregisterBroker;
    const LAYOUT: &'static Layout = &layouts::cluster::UNREGISTER_BROKER;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: UnregisterBrokerRequest) -> Reply {
        let id = request.broker_id.0;
        let (error, message) = if id == broker.config.node_id {
            let message =
                format!("Broker ID {id} is all there is of this cluster and cannot be unregistered");
            (ErrorCode::InvalidRequest, message)
        } else {
            (ErrorCode::BrokerIdNotRegistered, format!("Broker ID {id} is not currently registered"))
        };
        let response = UnregisterBrokerResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)));
        context.reply(&response)
    }
}

impl Api for AddRaftVoter {
    type Request = AddRaftVoterRequest;
    type Response = AddRaftVoterResponse;
    const KEY: ApiKey = ApiKey::AddRaftVoter;
    const LAYOUT: &'static Layout = &layouts::cluster::ADD_RAFT_VOTER;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: AddRaftVoterRequest) -> Reply {
        let (error, message) = refusal(broker, request.common.cluster_id, "adding");
        let response = messages::AddRaftVoterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)));
        context.reply(&AddRaftVoterResponse::from(response))
    }
}

impl Api for RemoveRaftVoter {
    type Request = RemoveRaftVoterRequest;
    type Response = RemoveRaftVoterResponse;
    const KEY: ApiKey = ApiKey::RemoveRaftVoter;
    const LAYOUT: &'static Layout = &layouts::cluster::REMOVE_RAFT_VOTER;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: RemoveRaftVoterRequest) -> Reply {
        let (error, message) = refusal(broker, request.cluster_id, "removing");
        let response = RemoveRaftVoterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)));
        context.reply(&response)
    }
}

fn refusal(broker: &Broker, cluster_id: Option<StrBytes>, verb: &str) -> Failure {
    if cluster_id.is_some_and(|id| id.as_str() != broker.cluster_id) {
        let error = ErrorCode::InconsistentClusterId;
        return (error, error.to_string());
    }
    let message = format!("Cluster doesn't support {verb} voter because the kraft.version feature is 0");
    (ErrorCode::UnsupportedVersion, message)
}
