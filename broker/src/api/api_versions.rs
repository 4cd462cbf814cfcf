//! ApiVersions (18), versions 0 to 5: which APIs are served in which versions, straight from the table.
//!
//! Version 3 and later bring the client's name and version, which must look like Kafka wants them or the answer is
//! INVALID_REQUEST (KIP-511). A version above ours is answered in version 0 with UNSUPPORTED_VERSION and nothing but our
//! own ApiVersions range (KIP-511; `ApiVersionsRequest.getErrorResponse`). The body of such a request is not looked at.
//! Version 5, which Kafka 4.4 clients open with, brings the cluster and the node that the client believes to talk to: when
//! this is another one, it is told to begin anew (KIP-1242), REBOOTSTRAP_REQUIRED.
//!
//! Features (`features`) are named from version 3 on, finalized as in Kafka 4.3: `group.version` (KIP-848) and `transaction.version` (KIP-890:
//! clients bump their epoch with every transaction and leave adding partitions to the broker). Supported ranges that begin
//! with 0 only from version 4 on, because older clients cannot read them (KAFKA-17492). librdkafka before 2.2 skips one byte too
//! few of each tagged field; with the epoch and the finalized features as the only ones, it still reads what it needs.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::ApiKey;
use protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use protocol::newer::{ApiVersionsRequest, ApiVersionsResponse};
use protocol::{ErrorCode, StrBytes, layouts, messages};

use super::{APIS, Api, Entry, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::features::{FEATURES, Feature};

pub(super) struct ApiVersions;

impl Api for ApiVersions {
    type Request = ApiVersionsRequest;
    type Response = ApiVersionsResponse;
    const KEY: ApiKey = ApiKey::ApiVersions;
    const LAYOUT: &'static Layout = &layouts::cluster::API_VERSIONS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: ApiVersionsRequest) -> Reply {
        let refused = |error: ErrorCode| {
            let response = messages::ApiVersionsResponse::default().with_error_code(error.code());
            context.reply(&ApiVersionsResponse::from(response))
        };
        let client = &request.common;
        let (name, version) = (&client.client_software_name, &client.client_software_version);
        if context.version() >= 3 {
            if !is_software_token(name) || !is_software_token(version) {
                return refused(ErrorCode::InvalidRequest);
            }
            context.connection.software.get_or_init(|| (name.to_string(), version.to_string()));
        }
        if means_another(broker, context, &request) {
            return refused(ErrorCode::RebootstrapRequired);
        }
        let mut keys: Vec<ApiVersion> = APIS.iter().filter_map(|entry| advertised(broker, entry)).collect();
        keys.sort_by_key(|api| api.api_key);
        let response = messages::ApiVersionsResponse::default().with_api_keys(keys);
        let test_mode = broker.test_mode.as_ref();
        let profile = test_mode.and_then(|test_mode| test_mode.profile());
        let has_features = profile.is_none_or(|profile| profile.has_features);
        let response = if has_features { with_features(response, context.version()) } else { response };
        context.reply(&ApiVersionsResponse::from(response))
    }
}

/// Whether the client believes to talk to another cluster or another node.
fn means_another(broker: &Broker, context: &RequestContext<'_>, request: &ApiVersionsRequest) -> bool {
    let cluster = request.cluster_id.as_ref().is_some_and(|id| id.as_str() != broker.cluster_id);
    cluster || (request.node_id >= 0 && request.node_id != context.node_id(broker))
}

fn with_features(response: messages::ApiVersionsResponse, version: i16) -> messages::ApiVersionsResponse {
    if version < 3 {
        return response;
    }
    let name = |feature: &Feature| StrBytes::from_static_str(feature.name);
    let supported = FEATURES.iter().map(|feature| {
        SupportedFeatureKey::default()
            .with_name(name(feature))
            .with_min_version(feature.supported.0)
            .with_max_version(feature.supported.1)
    });
    let finalized = FEATURES.iter().filter(|feature| feature.level > 0).map(|feature| {
        FinalizedFeatureKey::default()
            .with_name(name(feature))
            .with_min_version_level(feature.level)
            .with_max_version_level(feature.level)
    });
    let supported = if version >= 4 { supported.collect() } else { Vec::new() };
    response
        .with_supported_features(supported)
        .with_finalized_features(finalized.collect())
        .with_finalized_features_epoch(1)
}

/// The answer to an ApiVersions request in a version that is not served.
pub(super) fn unsupported_version(broker: &Broker, entry: &Entry) -> Response {
    let message = messages::ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(advertised(broker, entry).into_iter().collect());
    Response::encode(&message, 0)
}

fn advertised(broker: &Broker, entry: &Entry) -> Option<ApiVersion> {
    let (first, last) = entry.advertised(broker)?;
    let api = ApiVersion::default().with_api_key(entry.key);
    Some(api.with_min_version(first).with_max_version(last))
}

/// Letters and digits, with dots and dashes between them (`ApiVersionsRequest.isValid`).
fn is_software_token(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'.';
    bytes.iter().all(inner)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod unit_tests {
    use super::is_software_token;

    #[test]
    fn software_names_are_letters_and_digits_with_dots_and_dashes_between() {
        for good in ["a", "librdkafka", "apache-kafka-java", "4.3.1", "a-.b"] {
            assert!(is_software_token(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "a b", "ä", "a_b"] {
            assert!(!is_software_token(bad), "{bad}");
        }
    }
}
