//! Verbs about virtual nodes: which there are, who leads what, taking one down and up again (`virtual_nodes`).

use serde::Deserialize;
use serde_json::json;

use super::http::{Call, Failure, Outcome, answer};
use crate::virtual_nodes::{self, NodeError, Placement};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Leader {
    node: i32,
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::UnknownNode { .. } | NodeError::UnknownPartition(..) => {
                Self::missing(error.to_string())
            }
            NodeError::OneNode | NodeError::Down(_) | NodeError::NotNeeded => Self::bad(error.to_string()),
        }
    }
}

/// `GET /test/nodes`.
#[expect(clippy::needless_pass_by_value, reason = "what a verb takes")]
pub(super) fn show(call: Call) -> Outcome {
    answer(&json!({ "nodes": virtual_nodes::overview(&call.broker)? }))
}

/// `POST /test/nodes/{id}/down`.
#[expect(clippy::needless_pass_by_value, reason = "what a verb takes")]
pub(super) fn down(call: Call) -> Outcome {
    set_up(&call, false)
}

/// `POST /test/nodes/{id}/up`.
#[expect(clippy::needless_pass_by_value, reason = "what a verb takes")]
pub(super) fn up(call: Call) -> Outcome {
    set_up(&call, true)
}

fn set_up(call: &Call, up: bool) -> Outcome {
    let id = whole_number(call.segment(0), "node")?;
    virtual_nodes::set_up(&call.broker, id, up)?;
    answer(&json!({ "node": id, "up": up }))
}

/// `POST /test/partitions/{topic}/{partition}/leader`.
#[expect(clippy::needless_pass_by_value, reason = "what a verb takes")]
pub(super) fn move_leader(call: Call) -> Outcome {
    let (topic, partition) = (call.segment(0), whole_number(call.segment(1), "partition")?);
    let Leader { node } = call.body()?;
    let Placement { leader, leader_epoch, replicas, in_sync, .. } =
        virtual_nodes::move_leader(&call.broker, topic, partition, node)?;
    answer(&json!({
        "topic": topic, "partition": partition, "leader": leader, "leader_epoch": leader_epoch,
        "replicas": replicas, "in_sync": in_sync,
    }))
}

fn whole_number(text: &str, what: &str) -> Result<i32, Failure> {
    text.parse().map_err(|_| Failure::bad(format!("{what} is \"{text}\" in the path; give a whole number")))
}
