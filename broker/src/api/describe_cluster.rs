//! DescribeCluster (60), versions 0 to 2: the cluster id and this broker.
//!
//! Version 1 asks for an endpoint type: 1 is brokers, anything else belongs to a controller's listener and is
//! MISMATCHED_ENDPOINT_TYPE or UNSUPPORTED_ENDPOINT_TYPE (KIP-919).
//!
//! Deliberate gaps: no broker here is ever fenced (2).

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::describe_cluster_response::DescribeClusterBroker;
use protocol::messages::{ApiKey, BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use protocol::{ErrorCode, StrBytes, layouts};

use super::authorized_operations;
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) struct DescribeCluster;

impl Api for DescribeCluster {
    type Request = DescribeClusterRequest;
    type Response = DescribeClusterResponse;
    const KEY: ApiKey = ApiKey::DescribeCluster;
    const LAYOUT: &'static Layout = &layouts::cluster::DESCRIBE_CLUSTER;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: DescribeClusterRequest) -> Reply {
        let failed = |error: ErrorCode, message: String| {
            let response = DescribeClusterResponse::default()
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message)));
            context.reply(&response)
        };
        match request.endpoint_type {
            BROKERS => {}
            CONTROLLERS => {
                let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
                return failed(ErrorCode::MismatchedEndpointType, message.to_owned());
            }
            other => {
                let message = format!("Unsupported endpoint type {other}");
                return failed(ErrorCode::UnsupportedEndpointType, message);
            }
        }
        let nodes = context.connection.nodes(broker);
        let controller = nodes.first().map_or(-1, |node| node.id);
        let nodes = nodes.into_iter().map(|node| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(node.id))
                .with_host(node.host)
                .with_port(i32::from(node.port))
                .with_rack(broker.config.broker_rack.clone().map(StrBytes::from_string))
        });
        let mut response = DescribeClusterResponse::default()
            .with_cluster_id(StrBytes::from_string(broker.cluster_id.clone()))
            .with_controller_id(BrokerId(controller))
            .with_brokers(nodes.collect());
        if request.include_cluster_authorized_operations {
            response.cluster_authorized_operations = authorized_operations::CLUSTER;
        }
        context.reply(&response)
    }
}
