//! DescribeAcls (29), CreateAcls (30) and DeleteAcls (31), versions 1 to 3: the answers of a broker that authorizes nobody.
//!
//! As from Kafka without `authorizer.class.name`: SECURITY_DISABLED, for each ACL or filter that was named. Tools tell that
//! from an API that is not there: MirrorMaker goes without ACLs on the one and fails over the other. A request of a kind
//! that its client has no name for breaks its connection there, and here.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::create_acls_request::AclCreation;
use protocol::messages::create_acls_response::AclCreationResult;
use protocol::messages::delete_acls_request::DeleteAclsFilter;
use protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use protocol::messages::{
    ApiKey, CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DescribeAclsRequest, DescribeAclsResponse,
};
use protocol::{ErrorCode, StrBytes, layouts};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

const DISABLED: i16 = ErrorCode::SecurityDisabled.code();
/// Kafka's sentences.
const WHY: StrBytes = StrBytes::from_static_str("No Authorizer is configured.");
const WHY_NOT_TOLD: StrBytes = StrBytes::from_static_str("No Authorizer is configured on the broker");
/// What a client sends for a kind that it has no name for. Kafka lets other numbers pass, also those it does not know.
const UNKNOWN: i8 = 0;

pub(super) struct DescribeAcls;
pub(super) struct CreateAcls;
pub(super) struct DeleteAcls;

impl Api for DescribeAcls {
    type Request = DescribeAclsRequest;
    type Response = DescribeAclsResponse;
    const KEY: ApiKey = ApiKey::DescribeAcls;
    const LAYOUT: &'static Layout = &layouts::security::DESCRIBE_ACLS;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, asked: DescribeAclsRequest) -> Reply {
        let kinds =
            [asked.resource_type_filter, asked.pattern_type_filter, asked.operation, asked.permission_type];
        if kinds.contains(&UNKNOWN) {
            return Reply::Close;
        }
        let refused = DescribeAclsResponse::default().with_error_code(DISABLED);
        context.reply(&refused.with_error_message(Some(WHY_NOT_TOLD)))
    }
}

impl Api for CreateAcls {
    type Request = CreateAclsRequest;
    type Response = CreateAclsResponse;
    const KEY: ApiKey = ApiKey::CreateAcls;
    const LAYOUT: &'static Layout = &layouts::security::CREATE_ACLS;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, request: CreateAclsRequest) -> Reply {
        let is_unknown = |acl: &AclCreation| {
            [acl.resource_type, acl.resource_pattern_type, acl.operation, acl.permission_type]
                .contains(&UNKNOWN)
        };
        if request.creations.iter().any(is_unknown) {
            return Reply::Close;
        }
        let refused = AclCreationResult::default().with_error_code(DISABLED).with_error_message(Some(WHY));
        let results = vec![refused; request.creations.len()];
        context.reply(&CreateAclsResponse::default().with_results(results))
    }
}

impl Api for DeleteAcls {
    type Request = DeleteAclsRequest;
    type Response = DeleteAclsResponse;
    const KEY: ApiKey = ApiKey::DeleteAcls;
    const LAYOUT: &'static Layout = &layouts::security::DELETE_ACLS;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, request: DeleteAclsRequest) -> Reply {
        let is_unknown = |asked: &DeleteAclsFilter| {
            [asked.resource_type_filter, asked.pattern_type_filter, asked.operation, asked.permission_type]
                .contains(&UNKNOWN)
        };
        if request.filters.iter().any(is_unknown) {
            return Reply::Close;
        }
        let refused =
            DeleteAclsFilterResult::default().with_error_code(DISABLED).with_error_message(Some(WHY));
        let results = vec![refused; request.filters.len()];
        context.reply(&DeleteAclsResponse::default().with_filter_results(results))
    }
}
