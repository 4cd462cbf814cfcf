//! ListTransactions (66), versions 0 to 2: the transactional ids of this broker (KIP-664).
//!
//! Filters must all hold: states and producer ids (0), an age (1: longer than this many milliseconds since the transaction
//! began; negative: any), a pattern that the whole id must match (2, RE2 syntax; one that is no pattern is
//! INVALID_REGULAR_EXPRESSION). Names that are no state are returned as unknown; if no other states are asked for, nothing is
//! listed.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::list_transactions_response::TransactionState as Listed;
use protocol::messages::{ApiKey, ListTransactionsRequest, ListTransactionsResponse, TransactionalId};
use protocol::{ErrorCode, StrBytes, layouts};
use regex::Regex;

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::shell::unexpected;
use crate::coordinator::transaction::{
    self, ListTransactions as List, ListedTransaction, Request, TransactionState,
};

pub(super) struct ListTransactions;

impl Api for ListTransactions {
    type Request = ListTransactionsRequest;
    type Response = ListTransactionsResponse;
    const KEY: ApiKey = ApiKey::ListTransactions;
    const LAYOUT: &'static Layout = &layouts::transactions::LIST_TRANSACTIONS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: ListTransactionsRequest) -> Reply {
        let version = context.version();
        let Ok(pattern) = pattern(request.transactional_id_pattern.as_deref()) else {
            let error = ErrorCode::InvalidRegularExpression.code();
            return context.reply(&ListTransactionsResponse::default().with_error_code(error));
        };
        let known = |name: &StrBytes| TransactionState::from_name(name);
        let states: Vec<TransactionState> = request.state_filters.iter().filter_map(known).collect();
        let nothing_can_match = states.is_empty() && !request.state_filters.is_empty();
        let unknown = request.state_filters.into_iter().filter(|name| known(name).is_none()).collect();
        let list = List {
            states,
            producer_ids: request.producer_id_filters.into_iter().map(|id| id.0).collect(),
            longer_than_ms: Some(request.duration_filter).filter(|duration| *duration >= 0),
        };
        let coordinator = context.transactions(broker);
        Reply::Later(Box::pin(async move {
            let response = ListTransactionsResponse::default().with_unknown_state_filters(unknown);
            let response = match coordinator.ask(Request::List(list)).await {
                transaction::Response::List(Ok(_)) if nothing_can_match => response,
                transaction::Response::List(Ok(found)) => {
                    let wanted = |found: &ListedTransaction| {
                        pattern.as_ref().is_none_or(|pattern| pattern.is_match(&found.transactional_id))
                    };
                    let shown = found.into_iter().filter(wanted).map(shown).collect();
                    response.with_transaction_states(shown)
                }
                transaction::Response::List(Err(error)) => {
                    ListTransactionsResponse::default().with_error_code(error.code())
                }
                other => unexpected(&other),
            };
            Response::encode(&response, version)
        }))
    }
}

/// The pattern for a whole id; none when the request has none.
fn pattern(text: Option<&str>) -> Result<Option<Regex>, regex::Error> {
    // The pattern by itself first: an unmatched parenthesis must not meet the one put around it.
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| Regex::new(text).and_then(|_| Regex::new(&format!("^(?:{text})$")))).transpose()
}

fn shown(found: ListedTransaction) -> Listed {
    Listed::default()
        .with_transactional_id(TransactionalId(StrBytes::from_string(found.transactional_id)))
        .with_producer_id(found.producer_id.into())
        .with_transaction_state(StrBytes::from_static_str(found.state.name()))
}
