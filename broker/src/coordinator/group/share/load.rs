//! Replaying a share group's records (Kafka's `replay` methods in `GroupMetadataManager`), and coming back to life after.
//!
//! Compaction may leave a record without those it followed: each is applied for what it says alone.

use std::sync::Arc;

use super::ShareGroup;
use super::member::ShareMember;
use super::records::{Content, ShareRecord};
use crate::coordinator::group::Shard;
use crate::coordinator::group::consumer::member::LEAVE_EPOCH;
use crate::coordinator::group::turn::Turn;

impl Shard {
    pub(in crate::coordinator::group) fn load_share_record(&mut self, record: ShareRecord) {
        let ShareRecord { group, content } = record;
        if matches!(content, Content::Group(None)) {
            if let Some(group) = self.groups.get_mut(group.as_str()) {
                group.share = None;
            }
            return self.drop_if_nothing(&group);
        }
        let is_tombstone = matches!(
            content,
            Content::Member(_, None)
                | Content::Target(None)
                | Content::TargetMember(_, None)
                | Content::CurrentMember(_, None)
                | Content::State(None)
        );
        if is_tombstone && self.groups.get(group.as_str()).is_none_or(|group| group.share.is_none()) {
            return;
        }
        apply(self.entry(&group).share.get_or_insert_default(), content);
    }
}

fn apply(share: &mut ShareGroup, content: Content) {
    match content {
        Content::Group(None) => (),
        Content::Group(Some(value)) => {
            (share.epoch, share.metadata_hash) = (value.epoch, value.metadata_hash);
        }
        Content::Member(id, Some(member)) => {
            // What it reads is in a record of its own.
            let known = share.members.remove(id.as_str()).unwrap_or_else(|| ShareMember::new(id.into()));
            let ShareMember { epoch, previous_epoch, assigned, .. } = known;
            share.members.insert(known.id, ShareMember { epoch, previous_epoch, assigned, ..*member });
        }
        Content::Member(id, None) => drop(share.members.remove(id.as_str())),
        Content::Target(value) => {
            let (epoch, timestamp_ms) = value.map_or((-1, 0), |value| (value.epoch, value.timestamp_ms));
            (share.assignment_epoch, share.assignment_timestamp_ms) = (epoch, timestamp_ms);
        }
        Content::TargetMember(id, Some(assignment)) => drop(share.target.insert(id.into(), assignment)),
        Content::TargetMember(id, None) => drop(share.target.remove(id.as_str())),
        Content::CurrentMember(id, Some(value)) => {
            let id: Arc<str> = id.into();
            let member = share.members.entry(id.clone()).or_insert_with(|| ShareMember::new(id));
            (member.epoch, member.previous_epoch) = (value.epoch, value.previous_epoch);
            member.assigned = value.assigned;
        }
        Content::CurrentMember(id, None) => {
            if let Some(member) = share.members.get_mut(id.as_str()) {
                (member.epoch, member.previous_epoch) = (LEAVE_EPOCH, LEAVE_EPOCH);
                member.assigned.clear();
            }
        }
        Content::State(state) => share.state = state.unwrap_or_default(),
    }
}

impl Turn<'_> {
    /// The group was read: every member has a whole session to show up.
    pub(in crate::coordinator::group) fn share_loaded(&mut self) {
        let session = self.config.share.session_timeout;
        let Some(share) = &mut self.group.share else { return };
        // Topics may have come and gone after the last record.
        share.metadata_stale = true;
        let forgot = share.state.forget_missing(self.topics);
        let members: Vec<_> = share.members().map(|member| member.id.clone()).collect();
        for id in members {
            self.set_session(id, session);
        }
        if forgot {
            self.write_share_state();
        }
    }
}
