//! One member of a share group (Kafka's `ShareGroupMember` and `ShareGroupAssignmentBuilder`). A plain value.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::coordinator::group::consumer::member::Assignment;
use crate::coordinator::group::consumer::topics::TopicIndex;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::coordinator::group) struct ShareMember {
    pub(in crate::coordinator::group) id: Arc<str>,
    pub(super) rack_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) topics: BTreeSet<String>,
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) assigned: Assignment,
}

impl ShareMember {
    /// A member of whom nothing is known but its id.
    pub(super) const fn new(id: Arc<str>) -> Self {
        Self {
            id,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            topics: BTreeSet::new(),
            epoch: 0,
            previous_epoch: -1,
            assigned: Assignment::new(),
        }
    }

    /// The member at its target: it moves there at once, less the topics that it does not subscribe to (any more).
    pub(super) fn reconciled(
        &self,
        target_epoch: i32,
        target: &Assignment,
        subscription_changed: bool,
        topics: &TopicIndex,
    ) -> Self {
        let mut next = self.clone();
        if self.epoch != target_epoch {
            (next.previous_epoch, next.epoch) = (self.epoch, target_epoch);
        } else if !subscription_changed {
            return next;
        }
        let subscribed: BTreeSet<_> =
            self.topics.iter().filter_map(|name| topics.get(name)).map(|info| info.id).collect();
        let kept = target.iter().filter(|(topic, _)| subscribed.contains(*topic));
        next.assigned = kept.map(|(topic, partitions)| (*topic, partitions.clone())).collect();
        next
    }
}
