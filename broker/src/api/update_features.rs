//! UpdateFeatures (57), versions 0 to 2: levels of the cluster's features (KIP-584).
//!
//! Levels are fixed here (`features`), so an update succeeds when it names the level in effect and is
//! INVALID_UPDATE_VERSION otherwise; there is nothing to tell `validate_only` (1) from the real thing. One wrong update fails
//! the whole request, and its sentence is the answer's; versions 0 and 1 also list the features of a request that succeeded.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::update_features_request::FeatureUpdateKey;
use protocol::messages::update_features_response::UpdatableFeatureResult;
use protocol::messages::{ApiKey, UpdateFeaturesRequest, UpdateFeaturesResponse};
use protocol::{ErrorCode, StrBytes, layouts};

use super::create_topics::Failure;
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::features::{Direction, FEATURES, check};

pub(super) struct UpdateFeatures;

impl Api for UpdateFeatures {
    type Request = UpdateFeaturesRequest;
    type Response = UpdateFeaturesResponse;
    const KEY: ApiKey = ApiKey::UpdateFeatures;
    const LAYOUT: &'static Layout = &layouts::cluster::UPDATE_FEATURES;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: UpdateFeaturesRequest) -> Reply {
        let version = context.version();
        let node_id = broker.config.node_id;
        let judged = request.feature_updates.iter().try_for_each(|update| judge(version, node_id, update));
        if let Err((error, why)) = judged {
            let message =
                format!("The update failed for all features since the following feature had an error: {why}");
            let response = UpdateFeaturesResponse::default()
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message)));
            return context.reply(&response);
        }
        let good = |update: FeatureUpdateKey| {
            let message = Some(StrBytes::from_static_str("NONE"));
            UpdatableFeatureResult::default().with_feature(update.feature).with_error_message(message)
        };
        let listed = request.feature_updates.into_iter().filter(|_| version <= 1);
        let response = UpdateFeaturesResponse::default()
            .with_error_message(None)
            .with_results(listed.map(good).collect());
        context.reply(&response)
    }
}

fn judge(version: i16, node_id: i32, update: &FeatureUpdateKey) -> Result<(), Failure> {
    let direction = match (version, update.upgrade_type) {
        (0, _) if update.allow_downgrade => Direction::SafelyDown,
        (0, _) | (_, 1) => Direction::Up,
        (_, 2) => Direction::SafelyDown,
        (_, 3) => Direction::UnsafelyDown,
        _ => {
            let why = format!(
                "Invalid update version {} for feature {}. The controller does not support the given upgrade type.",
                update.max_version_level,
                update.feature.as_str()
            );
            return Err((ErrorCode::InvalidUpdateVersion, why));
        }
    };
    check(FEATURES, node_id, &update.feature, update.max_version_level, direction)
        .map_err(|why| (ErrorCode::InvalidUpdateVersion, why))
}
